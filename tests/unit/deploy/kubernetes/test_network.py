from __future__ import annotations

from kapelle.deploy.kubernetes.network import network_file
from tests.unit.deploy.kubernetes.manifests import named, read_all
from tests.unit.deploy.systems import system_of

POLICIES = read_all(network_file(system_of("question_search", grpc_port=8081)))


def test_nothing_is_open_that_is_not_named() -> None:
    closed = named(POLICIES, "NetworkPolicy", "closed")["spec"]
    assert closed["ingress"] == []
    assert closed["podSelector"] == {"matchLabels": {"app.kubernetes.io/instance": "question-search"}}


def test_only_gateways_and_the_controller_reach_replicas() -> None:
    [rule] = named(POLICIES, "NetworkPolicy", "replicas")["spec"]["ingress"]
    [source] = rule["from"]
    assert source["podSelector"]["matchExpressions"][0]["values"] == ["gateway", "controller"]
    assert [one["port"] for one in rule["ports"]] == [7100, 7101, 7102]


def test_anybody_reaches_gateways_at_the_ports_of_clients() -> None:
    clients, _ = named(POLICIES, "NetworkPolicy", "gateways")["spec"]["ingress"]
    assert clients == {"ports": [{"protocol": "TCP", "port": 8080}, {"protocol": "TCP", "port": 8081}]}


def test_prometheus_reads_metrics() -> None:
    [rule] = named(POLICIES, "NetworkPolicy", "metrics")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 7102}]
    assert len(rule["from"]) == 2
