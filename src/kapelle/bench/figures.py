"""What was measured, as data: what is printed, drawn, concluded from, and written as JSON."""

from __future__ import annotations

import msgspec

HTTPX = "httpx"
HTTP = "bare HTTP"
FILES = "files"
TCP = "TCP"
UNIX = "Unix socket"
SHARED = "shared memory"
FUSED = "fused"


class Figures(msgspec.Struct, frozen=True):
    """What several turns of a measurement found.

    Times are seconds. ``cpu`` is that of all processes for a request, None where it cannot be read. ``p99`` is of all
    turns, the others are each that of the best one: what else a machine does only ever adds.
    """

    requests: int
    p50: float
    p99: float
    throughput: float
    cpu: float | None


class Line(msgspec.Struct, frozen=True):
    """One way: one request after the other (``alone``), and several at a time (``loaded``)."""

    way: str
    alone: Figures
    loaded: Figures


class Block(msgspec.Struct, frozen=True):
    """All ways at one size of the payload; ``lookup`` is what finding it in a cache of repeated inputs would take."""

    size: int
    lookup: float
    lines: list[Line]

    def line(self, way: str) -> Line | None:
        """That of one way; None where it was not measured."""
        return next((one for one in self.lines if one.way == way), None)

    @property
    def between(self) -> list[Line]:
        """The ways between processes, quickest first; fused there is none to go."""
        return sorted((one for one in self.lines if one.way != FUSED), key=lambda one: one.alone.p50)


class Own(Block, frozen=True):
    """The app's own request through the ways that a system can be set to; ``skipped`` is why it could not be fused."""

    request: str
    skipped: str = ""


class Terms(msgspec.Struct, frozen=True):
    """What the figures hold for."""

    app: str
    stages: int
    concurrency: int
    seconds: float
    cores: int
    digest: str
    """The hash function that a cache would take, the quicker one of two on this machine."""
    volume: str
    """The folder that the files went through."""

    @property
    def services(self) -> str:
        """``"1 service"``, ``"3 services"``."""
        return "1 service" if self.stages == 1 else f"{self.stages} services"

    @property
    def apart(self) -> str:
        """How they live, after ``services``."""
        return f"{'' if self.stages == 1 else 'each '}in a process of its own"


class Comparison(msgspec.Struct, frozen=True):
    """All of a ``kapelle bench --compare``. ``own`` is None where the app has no request to be sent."""

    terms: Terms
    blocks: list[Block]
    own: Own | None
