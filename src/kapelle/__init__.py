"""Kapelle turns Python classes into an inference system: compose, serve, update, watch.

Everything a user writes against is a name of this module; all else may change without notice.
"""

from kapelle.declare.apps import Sharded, app, get, post
from kapelle.declare.context import RequestContext, current_request
from kapelle.declare.lifecycle import on_shutdown, on_startup
from kapelle.declare.methods import batched, method
from kapelle.declare.parameters import Query, Upload
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

__version__ = "0.1.0"

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
    "Unavailable",
    "Upload",
    "UserCodeError",
    "app",
    "batched",
    "current_request",
    "get",
    "method",
    "on_shutdown",
    "on_startup",
    "post",
    "service",
]
