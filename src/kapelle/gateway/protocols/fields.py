"""The JSON of a request in one of the field's protocols, whose errors name a field without the ``$.`` of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from kapelle.errors import InvalidInput
from kapelle.gateway.problems import HttpError
from kapelle.wire.payload import split_path

T = TypeVar("T")


def read_fields(decode: Callable[[bytes | memoryview], T], body: bytes | memoryview) -> T:
    """What ``decode``, a decoder of msgspec, makes of a body.

    Raises:
        InvalidInput: a field is missing or of another type.
        HttpError: the body is not JSON.
    """
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        detail, path = split_path(str(error))
        raise InvalidInput(detail, path=path.removeprefix("$.")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"the body is not JSON: {error}", code="malformed-body") from None
