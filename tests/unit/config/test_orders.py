"""A process gets exactly the orders its controller gave."""

from __future__ import annotations

import msgspec
import pytest

from kapelle.config.orders import GatewayOrders, Holding, WorkerOrders, decode_gateway, decode_worker, encode
from kapelle.config.settings import Settings

WORKER = WorkerOrders(
    target="apps/search:App",
    service="Cluster",
    replica="Cluster-1",
    holding=Holding("r7", [0, 2]),
    artifacts="artifacts",
    store="store",
    cache="cache",
    data=5,
    control=6,
    settings=Settings(port=9000, request_timeout=0.25),
)
GATEWAY = GatewayOrders(
    target="apps/search",
    name="gateway-0",
    release="r7",
    artifacts="artifacts",
    store="store",
    cache="cache",
    http=3,
    control=4,
    door="unix:door",
    controller="unix:controller",
    settings=Settings(host="::1"),
)


def test_a_worker_gets_the_orders_that_were_given() -> None:
    assert decode_worker(encode(WORKER)) == WORKER


def test_a_gateway_gets_the_orders_that_were_given() -> None:
    assert decode_gateway(encode(GATEWAY)) == GATEWAY


@pytest.mark.parametrize("text", [b"", b"{}", b"serve", b'{"target": 1}', b"\xff"])
def test_anything_else_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_worker(text)
    with pytest.raises(msgspec.DecodeError):
        decode_gateway(text)


def test_a_setting_that_the_other_side_does_not_know_is_refused() -> None:
    orders = msgspec.json.decode(encode(WORKER))
    orders["settings"]["prot"] = 80
    with pytest.raises(msgspec.ValidationError, match="unknown field `prot`"):
        decode_worker(msgspec.json.encode(orders))
