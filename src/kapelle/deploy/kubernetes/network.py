"""Who may speak to whom: nobody, and then each that has to."""

from __future__ import annotations

from typing import Any

from kapelle.deploy.kubernetes.pods import instance
from kapelle.deploy.kubernetes.workloads import Manifest, shared, stream
from kapelle.deploy.topology import CONTROL, DATA, GRPC, HEALTH, HTTP, Role, Topology

_API = "networking.k8s.io/v1"


def network_file(system: Topology) -> str:
    """The policies of a system. They are kept where the cluster's network knows them."""
    clients = [HTTP, *([GRPC] if system.grpc_port else [])]
    callers = _pods(system, Role.GATEWAY, Role.CONTROLLER)
    return stream(
        "Who may speak to whom. Probes come from the machine itself, and always may.",
        [
            _policy(system, "closed", _of(system), []),
            _policy(system, "replicas", _of(system, Role.REPLICA), [
                _allowed([callers], [DATA, CONTROL, HEALTH]),
            ]),
            _policy(system, "gateways", _of(system, Role.GATEWAY), [
                _allowed(None, clients), _allowed([callers], [CONTROL, HEALTH]),
            ]),
            _policy(system, "metrics", _of(system), [_allowed(_scrapers(system), [HEALTH])]),
        ],
    )  # fmt: skip


def _policy(system: Topology, name: str, pods: dict[str, Any], ingress: list[Any]) -> Manifest:
    return shared(
        system, "NetworkPolicy", name, _API, {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": ingress}
    )


def _of(system: Topology, *roles: Role) -> dict[str, Any]:
    """The pods of some roles; of all, where none is named."""
    named = [{"key": "app.kubernetes.io/component", "operator": "In", "values": [role.value for role in roles]}]
    return {"matchLabels": instance(system), **({"matchExpressions": named} if roles else {})}


def _pods(system: Topology, *roles: Role) -> dict[str, Any]:
    return {"podSelector": _of(system, *roles)}


def _scrapers(system: Topology) -> list[dict[str, Any]]:
    own = {"matchLabels": {**instance(system), "app.kubernetes.io/component": "prometheus"}}
    return [
        {"podSelector": own},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
    ]


def _allowed(sources: list[dict[str, Any]] | None, ports: list[int]) -> dict[str, Any]:
    opened = {"ports": [{"protocol": "TCP", "port": port} for port in ports]}
    return opened if sources is None else {"from": sources, **opened}
