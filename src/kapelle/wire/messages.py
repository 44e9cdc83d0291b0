"""Every message there is, one union per direction. ``tests/unit/wire`` holds a golden snapshot of each one's bytes.

Positional (array-like) msgpack: short and fast. A field may be added at the end with a default; any other change is a
new ``PROTOCOL``, and two sides of different protocols refuse each other by name instead of misreading each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from kapelle.errors import WireError

PROTOCOL = 3

STREAM_WINDOW = 32
"""Items of a stream a replica may send before the caller grants more."""

FULL = "full"
"""The reason of a refusal for want of room. Any other reason means that the replica is no place for calls just now."""


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all messages."""

    @property
    def size(self) -> int:
        """Bytes of what users or their code have put into it; the rest of a message is small."""
        return 0


# --- gateway to replica -----------------------------------------------------------------------------------------------


class Hello(Message, tag=1, frozen=True):
    """First on every connection: who calls, in which protocol."""

    protocol: int
    caller: str


class Call(Message, tag=2, frozen=True):
    """Run ``method`` on ``shard`` of ``release`` with ``arguments`` (a payload) within ``timeout`` seconds.

    ``rows`` is how many rows of a batch the arguments hold. ``ticket`` is unique on the connection.
    """

    ticket: int
    method: str
    shard: int
    rows: int
    timeout: float
    request: str
    trace: str
    arguments: msgspec.Raw
    release: str

    @property
    def size(self) -> int:
        return len(memoryview(self.arguments))


class Cancel(Message, tag=3, frozen=True):
    """Nobody waits for ``ticket`` any more: do not begin it; stop it where that is possible."""

    ticket: int


class Ping(Message, tag=4, frozen=True):
    """Are you there?"""

    number: int


class Credit(Message, tag=5, frozen=True):
    """The caller has room for ``items`` more items of the stream ``ticket``."""

    ticket: int
    items: int


OneToReplica = Hello | Call | Cancel | Ping | Credit


class TurnToReplica(Message, tag=6, frozen=True):
    """Small messages of one turn of the caller's event loop, in their order."""

    messages: Annotated[list[OneToReplica], msgspec.Meta(min_length=1)]


ToReplica = OneToReplica | TurnToReplica


# --- replica to gateway -----------------------------------------------------------------------------------------------


class Welcome(Message, tag=1, frozen=True):
    """The answer to ``Hello``: who serves, and the shards of each release that are ready.

    The only shard of a service without any is 0. Where processes of several versions of the app's code may meet,
    ``code`` is the replica's, and ``interface`` what its methods look like.
    """

    protocol: int
    service: str
    replica: str
    holds: dict[str, list[int]]
    code: str = ""
    interface: str = ""


class Done(Message, tag=2, frozen=True):
    """``ticket`` succeeded; ``result`` is a payload, for a stream the number of its items."""

    ticket: int
    result: msgspec.Raw

    @property
    def size(self) -> int:
        return len(memoryview(self.result))


class Failed(Message, tag=3, frozen=True):
    """``ticket`` failed, a stream after ``items``; the other fields rebuild the error (``kapelle.errors.rebuild``)."""

    ticket: int
    error: str
    detail: str
    extra: str
    items: int = 0

    @property
    def size(self) -> int:
        return len(self.detail) + len(self.extra)


class Refused(Message, tag=4, frozen=True):
    """``ticket`` was not begun (full, draining, stuck) and may safely run elsewhere."""

    ticket: int
    reason: str


class Item(Message, tag=5, frozen=True):
    """Item ``number`` (from 0) of the stream ``ticket``; a small one may arrive before a large one sent earlier."""

    ticket: int
    value: msgspec.Raw
    number: int = 0

    @property
    def size(self) -> int:
        return len(memoryview(self.value))


class Pong(Message, tag=6, frozen=True):
    """The answer to ``Ping``."""

    number: int


class Unready(Message, tag=7, frozen=True):
    """Send no new calls here; what runs will still be answered."""

    reason: str


class Readied(Message, tag=8, frozen=True):
    """New calls are welcome again."""


class Dropped(Message, tag=9, frozen=True):
    """``ticket``, which was cancelled, is over: it was not begun, was stopped, or has ended by now."""

    ticket: int


class Holds(Message, tag=10, frozen=True):
    """What the replica has ready, as of ``Welcome``, has changed."""

    holds: dict[str, list[int]]


OneFromReplica = Welcome | Done | Failed | Refused | Item | Pong | Unready | Readied | Dropped | Holds


class TurnFromReplica(Message, tag=11, frozen=True):
    """Small messages of one turn of the replica's event loop, in their order."""

    messages: Annotated[list[OneFromReplica], msgspec.Meta(min_length=1)]


FromReplica = OneFromReplica | TurnFromReplica


# --- supervisor to process --------------------------------------------------------------------------------------------


class Probe(Message, tag=1, frozen=True):
    """How are you?"""

    number: int


class Scrape(Message, tag=2, frozen=True):
    """Give your metrics."""

    number: int


class Drain(Message, tag=3, frozen=True):
    """Take no new work, finish what runs (for at most ``timeout`` seconds), then exit."""

    timeout: float


class Member(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One process of the system, as the gateways need to know it."""

    name: str
    role: str
    service: str
    shards: list[int]
    data: str
    control: str
    ready: bool


class Members(Message, tag=4, frozen=True):
    """All processes of the system: sent whole at every change; ``version`` grows by one each time."""

    version: int
    members: list[Member]


class Attend(Message, tag=5, frozen=True):
    """Say what you hold of which release, now and whenever that changes."""


class _Ordered(Message, frozen=True):
    """Its place among all orders, as of ``kapelle.core.rollout_messages.Stamp``, and the release it is about."""

    epoch: int
    number: int
    release: str


class Prepare(_Ordered, tag=6, frozen=True):
    """Have these shards of ``release`` ready beside all that is there. One that failed is tried again."""

    shards: list[int]


class Retire(_Ordered, tag=7, frozen=True):
    """Drop these shards of ``release``, or stop building them, once no call is in them."""

    shards: list[int]


class Side(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A release that a ``share`` of the requests see besides, as of ``kapelle.core.rollout_messages.Side``."""

    release: str
    share: float
    mirrored: bool


class Route(_Ordered, tag=8, frozen=True):
    """Pin new requests to ``release``, a part of them to that at its ``side``."""

    side: Side | None = None


class Rest(_Ordered, tag=14, frozen=True):
    """Take no new requests: gateways of other code pin them to ``release``. Those under way are answered."""


Order = Prepare | Retire | Route | Rest


class AskGolden(Message, tag=9, frozen=True):
    """Ask the golden queries of ``release``, which is prepared."""

    epoch: int
    release: str


class TakePulse(Message, tag=10, frozen=True):
    """How does each release do under traffic?"""


Duty = Attend | Order | AskGolden | TakePulse
"""What concerns the releases that a process holds."""

ToProcess = Probe | Scrape | Drain | Members | Duty


# --- process to supervisor --------------------------------------------------------------------------------------------


class Health(Message, tag=1, frozen=True):
    """The answer to ``Probe``, also sent unasked at every change of ``state``.

    ``state`` is one of starting, waiting (for other processes), ready, stuck, leaving (when others have
    what it holds), draining, failed; ``detail`` says why.
    """

    number: int
    state: str
    detail: str
    in_flight: int
    queued: int
    pid: int
    memory: int = 0
    """Resident bytes, where whoever asks is on another machine."""


class Scraped(Message, tag=2, frozen=True):
    """The answer to ``Scrape``: ``samples`` as of ``kapelle.observe.metrics``."""

    number: int
    samples: msgspec.Raw


class Acquainted(Message, tag=4, frozen=True):
    """A gateway has reached every replica that is said to serve as of ``version`` of the ``Members``."""

    version: int


class Report(Message, tag=5, frozen=True):
    """All that a process has to say of releases; a later ``number`` is newer.

    The fields are those of ``kapelle.core.rollout_messages.Report``; of a replica ``routed`` is ``(0, "")``.
    """

    number: int
    epoch: int
    heard: dict[str, int]
    holds: dict[str, list[int]]
    building: list[str]
    failed: dict[str, str]
    routed: tuple[int, str] = (0, "")
    busy: dict[str, int] = {}
    side: Side | None = None


class GoldenAnswer(Message, tag=6, frozen=True):
    """The answer to ``AskGolden``: "" when all queries were answered as they should, else which one was not and why."""

    epoch: int
    release: str
    failure: str


class Pulse(Message, tag=7, frozen=True):
    """The answer to ``TakePulse``: what each release has done since this gateway began, as of ``kapelle.core.vitals``."""

    releases: dict[str, msgspec.Raw]


class About(Message, tag=8, frozen=True):
    """The first answer to ``Attend`` of a process that an engine has started: who it is.

    ``node`` is the machine it is on, ``code`` the version of the app's code, ``started`` the wall-clock time of its start.
    """

    name: str
    role: str
    service: str
    node: str
    code: str
    started: float


FromProcess = Health | Scraped | Acquainted | Report | GoldenAnswer | Pulse | About

encode = msgspec.msgpack.Encoder().encode

T = TypeVar("T")


class Decoder(Generic[T]):
    """Decodes the messages of one direction, such as ``Decoder(ToReplica)``."""

    def __init__(self, union: Any) -> None:
        self._decode: Callable[[bytes], T] = msgspec.msgpack.Decoder(union).decode

    def __call__(self, head: bytes) -> T:
        """The message in ``head``.

        Raises:
            WireError: it is none of this direction's messages.
        """
        try:
            return self._decode(head)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"not a message of this direction: {error}") from None
