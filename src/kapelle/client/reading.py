"""Answers as values of the type that a caller expects; what does not fit is a ``ContractError``."""

from __future__ import annotations

from typing import Any

import msgspec

from kapelle.client.asking import Answer
from kapelle.errors import ContractError
from kapelle.types.hooks import from_plain
from kapelle.wire.payload import split_path


def value_of(answer: Answer, returns: Any = Any) -> Any:
    """The value in ``answer``: JSON as ``returns``, bytes and text as they are.

    Raises:
        ContractError: it is something else.
    """
    kind = answer.content_type
    if returns is bytes:
        return answer.body
    if returns in (Any, str) and kind.startswith("text/"):
        return _text(answer.body)
    if returns in (Any, None) and not answer.body:
        return None
    if not is_json(kind):
        if returns is Any:
            return answer.body
        raise ContractError(f"expected JSON, got {len(answer.body)} bytes of {kind or 'no type'}")
    return decoded(answer.body, returns)


def decoded(body: bytes, returns: Any = Any) -> Any:
    """JSON as a value of type ``returns``.

    Raises:
        ContractError: it is no JSON, or another value; the message names the place.
    """
    try:
        return msgspec.json.decode(body, type=returns, dec_hook=from_plain)
    except msgspec.ValidationError as error:
        detail, path = split_path(str(error))
        raise ContractError(f"the answer is not what was expected: {detail} (at {path})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ContractError(f"the answer is not JSON: {error}; it begins with {body[:40]!r}") from None


def is_json(content_type: str) -> bool:
    """Whether a content type is one of JSON."""
    return content_type == "application/json" or content_type.endswith("+json")


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ContractError(f"the answer is text, but not in UTF-8 (byte {error.start})") from None
