"""What the controller tells a process at its start: everything it needs, as one document on its standard input.

A process reads no settings of its own, so that all processes of a system agree.
"""

from __future__ import annotations

import msgspec

from kapelle.config.settings import Settings

LOCAL = "local"
"""The name of what lies in the folder of artifacts as it is: no release of a store, and nothing to go back to."""


class Holding(msgspec.Struct, frozen=True):
    """What a process holds at its start: a release, and these of its shards (0 for a service without any).

    A ``resting`` gateway takes no requests until it is told to.
    """

    release: str
    shards: list[int]
    resting: bool = False


class Network(msgspec.Struct, frozen=True):
    """How a process that an engine has started is known to others, all of whom may be on other machines.

    ``node`` names its machine; ``health`` is the number of the inherited, listening socket of its health.
    """

    node: str
    health: int


class WorkerOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Run what is to be held of ``service``.

    ``artifacts`` is the folder of the local ones, ``store`` where releases are, ``cache`` the folder they are fetched to.
    ``data`` and ``control`` are the numbers of inherited, listening sockets. A replica on a ``network`` that holds nothing
    yet is told by the controller what to hold.
    """

    target: str
    service: str
    replica: str
    holding: Holding
    artifacts: str
    store: str
    cache: str
    data: int
    control: int
    settings: Settings
    network: Network | None = None


class GatewayOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Run the app of ``release``; while ``resting``, take no requests.

    ``artifacts`` is the folder of the local ones, ``store`` where releases are, ``cache`` the folder they are fetched to.
    ``http`` and ``control`` are the numbers of inherited, listening sockets; ``door`` is the path at which the former
    is lent to a later controller. A gateway on a ``network`` finds the replicas by itself.
    """

    target: str
    name: str
    release: str
    artifacts: str
    store: str
    cache: str
    http: int
    control: int
    door: str
    controller: str
    settings: Settings
    resting: bool = False
    network: Network | None = None


encode = msgspec.json.Encoder().encode


def decode_worker(text: bytes) -> WorkerOrders:
    """The orders of a worker; ``msgspec.DecodeError`` when they are not."""
    return msgspec.json.decode(text, type=WorkerOrders)


def decode_gateway(text: bytes) -> GatewayOrders:
    """The orders of a gateway; ``msgspec.DecodeError`` when they are not."""
    return msgspec.json.decode(text, type=GatewayOrders)
