"""Errors as a gateway tells them, in each of its protocols, back into the classes that they were raised as."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec

from kapelle import errors
from kapelle.client.asking import Answer

URN = "urn:kapelle:error:"

BY_STATUS: dict[int, type[errors.CallError]] = {
    400: errors.InvalidInput,
    413: errors.TooLarge,
    422: errors.InvalidInput,
    429: errors.Overloaded,
    502: errors.ReplicaLost,
    503: errors.Unavailable,
    504: errors.DeadlineExceeded,
}
"""What a status means where no code is told, or one that is no error of calls; all others are a ``CallError``."""

_KINDS: tuple[type[errors.CallError], ...] = (*BY_STATUS.values(), errors.UserCodeError, errors.ContractError)
_CODES = {kind.code for kind in _KINDS}

# The inference protocol has one text for an error; the place in the request stands first.
_PLACE = re.compile(r"((?:inputs|outputs|parameters|instances|raw_input_contents|\$[.\[])[^\s:]*): (.+)", re.DOTALL)


def refusal(answer: Answer) -> errors.CallError:
    """The error that an answer tells of."""
    code, detail, path = _told(answer)
    if code not in _CODES:
        code = BY_STATUS.get(answer.status, errors.CallError).code
    extra = path if code == errors.InvalidInput.code else _retry_after(answer)
    return errors.rebuild(code, detail or _silent(answer), extra)


def placed(text: str) -> tuple[str, str]:
    """The place in the request that the text of an error begins with (else ``$``), and the rest."""
    found = _PLACE.fullmatch(text)
    return (found[1], found[2]) if found else ("$", text)


def noted(error: errors.CallError, *notes: str) -> errors.CallError:
    """The same error, with what else helps to find its cause."""
    return errors.rebuild(error.code, f"{error.detail} ({', '.join(notes)})", error.extra)


def in_stream(data: bytes) -> errors.CallError:
    """The error that a stream ended with; ``data`` is that of its event ``error``, a problem."""
    try:
        status = msgspec.json.decode(data).get("status", 500)
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
        status = 500
    return refusal(Answer(status, {}, data))


def _told(answer: Answer) -> tuple[str, str, str]:
    """The code, the text and the place in the request; each empty where it is not told."""
    try:
        body = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", "", "$"
    match body:
        case {"error": str(text)}:  # the inference protocols
            path, detail = placed(text)
            return "", detail, path
        case {"error": {"message": str(text), **rest}}:  # OpenAI's
            return _text(rest.get("code")), text, _text(rest.get("param")) or "$"
        case {"type": str(kind), "detail": str(text), **rest}:
            return kind.removeprefix(URN), text, _first_path(rest.get("errors"))
        case _:
            return "", "", "$"


def _retry_after(answer: Answer) -> str:
    """Seconds; empty for the date that others may send, and for what is none of both."""
    given = answer.headers.get("retry-after", "")
    return given if given.isascii() and given.isdecimal() else ""


def _first_path(places: Any) -> str:
    match places:
        case [{"path": str(path)}, *_]:
            return path
        case _:
            return "$"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _silent(answer: Answer) -> str:
    """What can be said of an answer that does not explain itself, as those of proxies."""
    phrase = next((f" {one.phrase}" for one in HTTPStatus if one == answer.status), "")
    content = f"{len(answer.body)} bytes of {answer.content_type or 'no type'}"
    return f"the server answered {answer.status}{phrase} with {content}, not with a problem of ours"
