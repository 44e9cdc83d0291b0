"""What the controller tells a process at its start: everything it needs, as one document on its standard input.

A process reads no settings of its own, so that all processes of a system agree.
"""

from __future__ import annotations

import msgspec

from kapelle.config.settings import Settings


class WorkerOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Run ``shards`` (number to folder; ``{"0": None}`` for a service without an artifact) of ``service``.

    ``data`` and ``control`` are the numbers of inherited, listening sockets.
    """

    target: str
    service: str
    replica: str
    shards: dict[int, str | None]
    data: int
    control: int
    settings: Settings


class GatewayOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Run the app. ``shard_counts`` has the number of shards of each sharded service.

    ``http`` and ``control`` are the numbers of inherited, listening sockets; ``door`` is the path at which the former
    is lent to a later controller.
    """

    target: str
    name: str
    artifact: str | None
    shard_counts: dict[str, int]
    http: int
    control: int
    door: str
    controller: str
    settings: Settings


encode = msgspec.json.Encoder().encode


def decode_worker(text: bytes) -> WorkerOrders:
    """The orders of a worker; ``msgspec.DecodeError`` when they are not."""
    return msgspec.json.decode(text, type=WorkerOrders)


def decode_gateway(text: bytes) -> GatewayOrders:
    """The orders of a gateway; ``msgspec.DecodeError`` when they are not."""
    return msgspec.json.decode(text, type=GatewayOrders)
