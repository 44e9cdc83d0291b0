"""The one tree of errors. Nothing here knows of HTTP: the gateway has a table that maps each class to a status.

Every error that can cross a wire has a ``code``, its stable name, and is rebuilt from ``(code, detail, extra)`` at the
caller, so that ``except DeadlineExceeded`` means the same in the gateway, in a worker and in a test.
"""

from __future__ import annotations

import traceback
from typing import ClassVar


class KapelleError(Exception):
    """Base of all errors raised by Kapelle. The docstring of a class is its default message."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str | None = None, /) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n", 1)[0]
        super().__init__(self.detail)

    @property
    def extra(self) -> str:
        """What else travels with the error (a remote traceback, a field's path); empty for most."""
        return ""


class DeclarationError(KapelleError):
    """A service or app is declared in a way that cannot work."""

    code = "declaration"


class ConfigError(KapelleError):
    """A setting is unknown or has a value of the wrong form."""

    code = "config"


class ArtifactError(KapelleError):
    """An artifact is missing or not what it should be."""

    code = "artifact"


class StoreError(KapelleError):
    """A store of releases cannot be read or written, or has not what was asked for."""

    code = "store"


class StartError(KapelleError):
    """A process did not start."""

    code = "start"


class DeployError(KapelleError):
    """An image cannot be built, or an engine cannot run what was made for it."""

    code = "deploy"


class WireError(KapelleError):
    """The other side sent bytes that are not a message of ours."""

    code = "wire"


class CallError(KapelleError):
    """A call to a service ended without a result."""

    code = "call"


class InvalidInput(CallError):
    """The input is not what the method expects."""

    code = "invalid-input"

    def __init__(self, detail: str | None = None, /, path: str = "$") -> None:
        super().__init__(detail)
        self.path = path

    @property
    def extra(self) -> str:
        return self.path


class TooLarge(CallError):
    """The input is larger than the limit."""

    code = "too-large"


class Overloaded(CallError):
    """All places are taken; try again later."""

    code = "overloaded"

    def __init__(self, detail: str | None = None, /, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def extra(self) -> str:
        return f"{self.retry_after:g}"


class Unavailable(CallError):
    """No replica is ready to take the call."""

    code = "unavailable"

    def __init__(self, detail: str | None = None, /, retry_after: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def extra(self) -> str:
        return f"{self.retry_after:g}"


class DeadlineExceeded(CallError):
    """The deadline passed before the call was done."""

    code = "deadline-exceeded"


class Cancelled(CallError):
    """The caller went away."""

    code = "cancelled"


class ReplicaLost(CallError):
    """The replica died while it worked on the call."""

    code = "replica-lost"


class UserCodeError(CallError):
    """The service's own code raised an exception.

    ``traceback`` is the remote traceback as text; it is logged, and never sent to an HTTP client.
    """

    code = "user-code"

    def __init__(self, detail: str | None = None, /, traceback: str = "") -> None:
        super().__init__(detail)
        self.traceback = traceback

    @property
    def extra(self) -> str:
        return self.traceback


class ContractError(CallError):
    """A method returned something else than its signature or batch promises."""

    code = "contract"


class RowErrors(KapelleError):
    """Raised by a batched method to say which rows of the batch are bad; all others are run again without them.

    ``errors`` maps the index of a row in the batch to the exception its caller shall see.
    """

    code = "row-errors"

    def __init__(self, errors: dict[int, Exception]) -> None:
        for row, error in errors.items():
            if not hasattr(row, "__index__") or not isinstance(error, Exception):
                kinds = f"{type(row).__name__} and {type(error).__name__}"
                raise TypeError(f"RowErrors: expected the index of each bad row and its exception, got {kinds}")
        super().__init__(f"{len(errors)} bad rows: {', '.join(map(str, sorted(errors)))}")
        self.errors = errors


def _rebuild_retryable(kind: type[Overloaded | Unavailable], detail: str, extra: str) -> CallError:
    try:
        return kind(detail, retry_after=float(extra))
    except ValueError:
        return kind(detail)


def rebuild(code: str, detail: str, extra: str) -> CallError:
    """The error that ``(code, detail, extra)`` stood for on the other side; an unknown code becomes a ``CallError``."""
    if code == Overloaded.code:
        return _rebuild_retryable(Overloaded, detail, extra)
    if code == Unavailable.code:
        return _rebuild_retryable(Unavailable, detail, extra)
    if code == InvalidInput.code:
        return InvalidInput(detail, path=extra or "$")
    if code == UserCodeError.code:
        return UserCodeError(detail, traceback=extra)
    return _PLAIN.get(code, CallError)(detail)


_PLAIN: dict[str, type[CallError]] = {
    kind.code: kind for kind in (TooLarge, DeadlineExceeded, Cancelled, ReplicaLost, ContractError)
}


def in_a_line(error: BaseException) -> str:
    """What happened, for a list or a log: our own errors speak for themselves, others say of which type they are."""
    if isinstance(error, KapelleError):
        return legible(error.detail)
    text, name = text_of(error), type(error).__name__
    return legible(f"{name}: {text}") if text.strip() else name


def text_of(error: BaseException) -> str:
    """Its text; an exception of user code may fail to give any."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - it may raise anything
        return no_text(failure)


def traceback_of(error: BaseException) -> str:
    """Its traceback; where its text or its place cannot be written, no more than the lines that led to it."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # noqa: BLE001 - as above
        lines = "".join(traceback.format_tb(error.__traceback__))
        return f"Traceback (most recent call last):\n{lines}{type(error).__name__}: {no_text(failure)}\n"


def forget_frames(error: BaseException) -> None:
    """Drop the frames through which an error came that was told, and what led to it, with all that is in them.

    A frame that has the error in one of its names, as those that tell it do, would keep it and be kept by it: with the body
    or the arrays of its call, until the garbage collector comes, which in a server is seldom.
    """
    seen: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or any(one is other for other in seen):
            continue
        seen.append(one)
        BaseException.with_traceback(one, None)  # users' classes may not let themselves be changed
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions


def no_text(failure: Exception) -> str:
    """What stands for a text that could not be had."""
    return f"(no text: {type(failure).__name__})"


def plain(text: object) -> str:
    """A text of users or their code as it can travel: without what UTF-8 has not."""
    return str(text).encode("utf-8", "replace").decode()


def legible(text: str, longest: int = 1000) -> str:
    """It as a line that can be sent, kept and read: text of users may be endless, or have in it what UTF-8 has not."""
    line = " ".join(text.encode(errors="backslashreplace").decode().split())
    return line if len(line) <= longest else f"{line[:longest]}…"
