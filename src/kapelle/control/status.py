"""What runs, as ``kapelle status`` shows it."""

from __future__ import annotations

import msgspec


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One process. ``memory`` is resident bytes, ``uptime`` seconds since its last start.

    ``release`` is the one it serves, with ``shards`` of it; ``releases`` has the state of each that it has. Where an engine
    runs it, ``node`` is its machine and ``code`` the version of the app's code in its image.
    """

    name: str
    role: str
    service: str
    release: str
    shards: list[int]
    pid: int
    phase: str
    restarts: int
    last_end: str
    uptime: float
    memory: int
    in_flight: int
    queued: int
    releases: dict[str, str] = {}
    node: str = ""
    code: str = ""


class SystemStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The whole system. ``controller`` is its process number, 0 when there is none."""

    target: str
    url: str
    controller: int
    processes: list[ProcessStatus]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(SystemStatus).decode
