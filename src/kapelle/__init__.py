"""Kapelle turns Python classes into an inference system: compose, serve, update, watch.

Everything a user writes against is a name of this module; all else may change without notice.
"""

from typing import TYPE_CHECKING, Any

from kapelle.declare.apps import Sharded, app, get, post
from kapelle.declare.context import RequestContext, current_request
from kapelle.declare.golden import golden
from kapelle.declare.lifecycle import on_shutdown, on_startup
from kapelle.declare.methods import batched, method
from kapelle.declare.parameters import Query, Upload
from kapelle.declare.quality import quality
from kapelle.declare.services import service
from kapelle.errors import (
    CallError,
    ContractError,
    DeadlineExceeded,
    InvalidInput,
    KapelleError,
    Overloaded,
    ReplicaLost,
    RowErrors,
    Unavailable,
    UserCodeError,
)
from kapelle.types.tensor import Tensor
from kapelle.version import VERSION

if TYPE_CHECKING:
    from kapelle.inprocess.mount import asgi

__version__ = VERSION

__all__ = [
    "CallError",
    "ContractError",
    "DeadlineExceeded",
    "InvalidInput",
    "KapelleError",
    "Overloaded",
    "Query",
    "ReplicaLost",
    "RequestContext",
    "RowErrors",
    "Sharded",
    "Tensor",
    "Unavailable",
    "Upload",
    "UserCodeError",
    "app",
    "asgi",
    "batched",
    "current_request",
    "get",
    "golden",
    "method",
    "on_shutdown",
    "on_startup",
    "post",
    "quality",
    "service",
]


def __getattr__(name: str) -> Any:
    """What needs a gateway is imported when it is asked for: services are imported in processes that have none."""
    if name == "asgi":
        from kapelle.inprocess.mount import asgi  # noqa: PLC0415 - that is the point

        return asgi
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
