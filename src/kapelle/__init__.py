"""Kapelle turns Python classes into an inference system: compose, serve, update, watch.

Everything a user writes against is a name of this module; all else may change without notice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kapelle.version import VERSION

if TYPE_CHECKING:
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
        ConfigError,
        ContractError,
        DeadlineExceeded,
        DeclarationError,
        InvalidInput,
        KapelleError,
        Overloaded,
        ReplicaLost,
        RowErrors,
        StartError,
        TooLarge,
        Unavailable,
        UserCodeError,
    )
    from kapelle.inprocess.mount import asgi
    from kapelle.types.tensor import Tensor

__version__ = VERSION

__all__ = [
    "CallError",
    "ConfigError",
    "ContractError",
    "DeadlineExceeded",
    "DeclarationError",
    "InvalidInput",
    "KapelleError",
    "Overloaded",
    "Query",
    "ReplicaLost",
    "RequestContext",
    "RowErrors",
    "Sharded",
    "StartError",
    "Tensor",
    "TooLarge",
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

_NAMES_OF = {
    "kapelle.declare.apps": ("Sharded", "app", "get", "post"),
    "kapelle.declare.context": ("RequestContext", "current_request"),
    "kapelle.declare.golden": ("golden",),
    "kapelle.declare.lifecycle": ("on_shutdown", "on_startup"),
    "kapelle.declare.methods": ("batched", "method"),
    "kapelle.declare.parameters": ("Query", "Upload"),
    "kapelle.declare.quality": ("quality",),
    "kapelle.declare.services": ("service",),
    "kapelle.errors": (
        "CallError",
        "ConfigError",
        "ContractError",
        "DeadlineExceeded",
        "DeclarationError",
        "InvalidInput",
        "KapelleError",
        "Overloaded",
        "ReplicaLost",
        "RowErrors",
        "StartError",
        "TooLarge",
        "Unavailable",
        "UserCodeError",
    ),
    "kapelle.types.tensor": ("Tensor",),
    "kapelle.inprocess.mount": ("asgi",),
}
_HOMES = {name: module for module, names in _NAMES_OF.items() for name in names}

if not TYPE_CHECKING:  # a checker shall see the names above, and no others

    def __getattr__(name: str) -> Any:
        """Each name is imported when it is first asked for: a probe of a container's health needs none of them."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
