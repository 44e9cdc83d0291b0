"""Errors as the Open Inference Protocol tells them: a status, and a JSON object with one text."""

from __future__ import annotations

import msgspec

from kapelle.errors import InvalidInput
from kapelle.gateway.endpoint import JSON, Answer
from kapelle.gateway.problems import HttpError, explained, problem

NO_CONTROL = "models are loaded and unloaded with their release: see `kapelle release publish`"
"""Why a client cannot load or unload one."""

_encode = msgspec.json.Encoder().encode


def no_such_version(model: str, version: str, served: str) -> HttpError:
    """The error for a version of a model other than the release that is served."""
    detail = f"model {model!r} has no version {version!r}; it serves {served!r}"
    return HttpError(404, detail, code="not-found")


def protocol_refusal(error: BaseException, request_id: str) -> tuple[int, Answer]:
    """The status and the answer that tell a client about ``error``."""
    status, headers, _ = problem(error, request_id)
    # The protocol has 400 for whatever is wrong with a request's tensors.
    return (400 if isinstance(error, InvalidInput) else status), (JSON, _encode({"error": told(error)}), headers)


def told(error: BaseException) -> str:
    """An error in one line; the place in the request where it has one."""
    place = f"{error.path}: " if isinstance(error, InvalidInput) and error.path not in ("", "$") else ""
    return place + explained(error)[1]
