"""What goes into the rollout machine and what comes out of it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

Shards = frozenset[int]
WHOLE: Shards = frozenset({0})
"""What a gateway and a replica of an unsharded service hold of a release."""

Role = Literal["replica", "gateway"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a release looks like: the bytes of each shard of each service, ``()`` for a service that is not sharded.

    ``copies`` says how many replicas hold each shard (else one), ``in_turn`` which services have replicas without room
    for two releases. ``code`` is the version of the user's code that it needs: only processes of that can hold it.
    """

    release: str
    services: Mapping[str, tuple[int, ...]]
    copies: Mapping[str, int] = field(default_factory=dict)
    in_turn: frozenset[str] = frozenset()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long to wait for what, in seconds."""

    prepare_timeout: float = 600.0
    golden_timeout: float = 60.0
    bake: float = 30.0
    reassign_after: float = 30.0
    """A replica that is not well for so long: its shards go to others, and a publish does not wait for it."""
    repeat: float = 5.0
    """An order that shows no effect is given again."""
    linger: float = 5.0
    """Instances of a release outlive its time as the current one by so much; every controller reads the pointer more
    often than that, and no order is on its way for longer."""
    claim_after: float = 2.0
    """There is something to do and another controller made the newest entry: it has so long to do it."""
    step_back: float = 60.0
    """The same for a controller that was just overtaken by another."""
    deaths: int = 2
    """A release is refused when processes died so many times while they built it."""


@dataclass(frozen=True, slots=True)
class Side:
    """A release beside the current one, for a ``share`` (0 to 1) of the new requests.

    They are answered by it (a canary), or, where it is ``mirrored``, answered by the current one and asked of both.
    """

    release: str
    share: float
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Pointer:
    """The newest entry of the pointer's log. ``epoch`` is its number; 0 stands for an empty log.

    ``side`` is what some requests see besides, while the controller that wrote the entry watches over it.
    ``baking_since`` is when its release took over on trial; None when it is trusted. ``author`` is the controller that
    wrote the entry: it alone gives orders in this epoch.
    """

    epoch: int
    release: str | None
    previous: str | None = None
    baking_since: float | None = None
    author: str = ""
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """One life of a process. ``incarnation`` rises with every start under the same name; ``code`` is what it runs."""

    name: str
    role: Role
    service: str
    node: str
    incarnation: int
    code: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a process says of itself. ``number`` rises within the incarnation, so that an older report is dropped.

    ``epoch`` and ``heard`` are those of its fence: older orders are dead to it. ``holds`` are the shards that are ready,
    ``building`` the releases it works on, ``failed`` why it could not load a release at the last attempt; failures of
    earlier epochs are forgotten. A gateway also says which release new requests see, "" where it takes none, and which
    have requests in flight.
    """

    process: Process
    number: int
    epoch: int = 0
    heard: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, Shards] = field(default_factory=dict)
    building: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    routed: tuple[int, str] | None = None
    busy: Mapping[str, int] = field(default_factory=dict)
    side: Side | None = None


class Stamp(NamedTuple):
    """The place of an order among all orders: those of an epoch come from one controller, which numbers them."""

    epoch: int
    number: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Have these shards of the release ready beside all that is there. One that failed is tried again."""

    process: Process
    release: str
    shards: Shards
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Retire:
    """Drop these shards of the release, or stop building them, once no call is in them.

    A gateway drops no release that it is routed to or that has requests in flight there.
    """

    process: Process
    release: str
    shards: Shards
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Route:
    """Pin new requests to this release, some to that at its ``side``. Without effect unless the gateway has them all."""

    process: Process
    release: str
    stamp: Stamp
    side: Side | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """Take no new requests: gateways of other code pin them to this release. Those under way are answered."""

    process: Process
    release: str
    stamp: Stamp


Order = Prepare | Retire | Route | Rest


@dataclass(frozen=True, slots=True)
class AskGolden:
    """Run the golden queries on the prepared release and answer ``golden(epoch, release, failure)``."""

    epoch: int
    release: str


@dataclass(frozen=True, slots=True)
class MovePointer:
    """Write this entry if nobody has written one of its number, then tell the pointer that is there."""

    entry: Pointer
    reason: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Compare the new release with the old one under traffic; tell a ``breach``."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class StopWatching:
    """The comparison is over."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Something for whoever waits for the publish to read."""

    text: str


class Outcome(StrEnum):
    """How a publish or rollback ended."""

    COMMITTED = "committed"
    REFUSED = "refused"
    ROLLED_BACK = "rolled back"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Ended:
    """The publish of a release is over."""

    release: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Denied:
    """A wish that cannot be granted now; what runs goes on."""

    wish: str
    reason: str


Effect = Order | AskGolden | MovePointer | Watch | StopWatching | Progress | Ended | Denied
