"""What is asked of a gateway and what it answers, as data: nothing here knows how it is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypedDict, TypeVar

from kapelle.errors import CallError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Names of ``headers`` are in lower case; what came by gRPC has the status 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for, and no error."""
        return 200 <= self.status < 300

    @property
    def content_type(self) -> str:
        """Without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer came. ``reached`` says whether the request may have been worked on all the same."""

    error: CallError
    reached: bool


class CallOptions(TypedDict, total=False):
    """What may be said of every call.

    ``timeout`` bounds all its attempts, in place of the client's own; ``headers`` go with each; ``idempotent=False`` is for
    what must not run twice, and is repeated only when it certainly has not been run.
    """

    timeout: str | float | None
    headers: Mapping[str, str]
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Options:
    """``CallOptions``, with what counts where nothing is said; ``timeout`` is None for the client's own."""

    timeout: str | float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = True


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """One request, and how its answer is read.

    ``target`` is a path with its query, or with ``rpc`` the name of a method of gRPC. ``repeat`` is False for what is to
    be tried once whatever comes of it.
    """

    method: str
    target: str
    read: Callable[[Answer], T]
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    rpc: bool = False
    repeat: bool = True
