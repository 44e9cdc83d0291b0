"""``@service``: a class whose instances run in replicas."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints, overload

from kapelle.declare.containers import check_container
from kapelle.declare.golden import golden_of
from kapelle.declare.lifecycle import HookSpec, hooks_of
from kapelle.declare.methods import BaseMethod, MethodSpec
from kapelle.declare.options import checked
from kapelle.errors import DeclarationError

C = TypeVar("C", bound=type)

_ATTRIBUTE = "__kapelle_service__"
_INJECTABLE = ("artifact", "shard")
_IN_TURN = 2
"""The replicas, or copies of each shard, that a service needs to change in turn."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service as data.

    ``artifact`` is the name of the artifact it is given; when ``sharded``, each instance is given one shard of it and
    ``replicas`` is the number of copies of each shard. ``max_queue`` bounds the rows that wait in one replica.
    ``memory_limit`` (bytes) is what one replica process may grow to before it is replaced. When ``in_turn``, a replica has
    no room for two releases: half of them change to a new one first, the others when it is trusted.

    ``requirements`` (a file's name), ``cpus`` (cores), ``gpus`` (devices) and ``placement`` (labels of machines) say what
    its containers get, where an engine runs them.
    """

    name: str
    cls: type
    methods: dict[str, MethodSpec]
    hooks: tuple[HookSpec, ...]
    replicas: int = 1
    artifact: str | None = None
    sharded: bool = False
    inline: bool = False
    max_queue: int = 1024
    memory_limit: int | None = None
    in_turn: bool = False
    injected: tuple[str, ...] = field(default=())
    requirements: str | None = None
    cpus: float | None = None
    gpus: int = 0
    placement: Mapping[str, str] = field(default_factory=dict)


@overload
def service(cls: C, /) -> C: ...
@overload
def service(
    *,
    replicas: int = 1,
    artifact: str | None = None,
    sharded_by: str | None = None,
    copies: int = 2,
    inline: bool = False,
    max_queue: int = 1024,
    memory_limit: str | int | None = None,
    in_turn: bool = False,
    requirements: str | None = None,
    cpus: float | None = None,
    gpus: int = 0,
    placement: Mapping[str, str] | None = None,
) -> Callable[[C], C]: ...
@checked
def service(
    cls: type | None = None,
    /,
    *,
    replicas: int = 1,
    artifact: str | None = None,
    sharded_by: str | None = None,
    copies: int = 2,
    inline: bool = False,
    max_queue: int = 1024,
    memory_limit: str | int | None = None,
    in_turn: bool = False,
    requirements: str | None = None,
    cpus: float | None = None,
    gpus: int = 0,
    placement: Mapping[str, str] | None = None,
) -> Any:
    """Declare a service. The class stays an ordinary class.

    Args:
        replicas: processes that run it.
        artifact: the artifact it needs; its constructor then takes ``artifact: Path``.
        sharded_by: the sharded artifact it serves; its constructor then takes ``shard: Path``, and there are ``copies``
            instances of each shard, on different processes.
        inline: run inside the gateway, with no hop and no process of its own; for work of microseconds. A ``timeout`` or
            ``hedge`` of its methods has no meaning there: the request's deadline is all there is.
        max_queue: rows that may wait in one replica; more are refused at once.
        memory_limit: what one replica may grow to, as in "2GB", before it is replaced by a fresh one.
        in_turn: a replica has no memory for two releases at a time: an update changes half of the replicas first, each of
            which drops the old release before it loads the new one, and the other half once the new one is trusted.
        requirements: file beside the app's with what this service needs installed, instead of what the app needs; its
            containers then have an image of their own.
        cpus: cores that a container of it gets, such as 0.5.
        gpus: devices that a container of it gets.
        placement: labels of the machines that its containers may run on, such as ``{"disk": "ssd"}``.

    Raises:
        DeclarationError: the options or the class's methods do not fit together.
    """
    labels = dict(placement or {})
    check_container(requirements, cpus, gpus, labels, inline=inline)
    if replicas < 1 or copies < 1:
        raise DeclarationError(f"replicas={replicas}, copies={copies}: expected at least 1")
    if artifact is not None and sharded_by is not None:
        raise DeclarationError("a service takes either artifact= or sharded_by=, not both")
    if max_queue < 1:
        raise DeclarationError(f"max_queue={max_queue}: expected at least 1")
    if inline and sharded_by is not None:
        raise DeclarationError("an inline service cannot be sharded: it lives in the gateway")
    if in_turn and inline:
        raise DeclarationError("an inline service cannot change in_turn: every gateway has both releases for a while")
    if in_turn and (copies if sharded_by else replicas) < _IN_TURN:
        option = f"copies={copies}" if sharded_by else f"replicas={replicas}"
        raise DeclarationError(
            f"{option} and in_turn=True: expected at least {_IN_TURN}, one to serve while one changes"
        )

    def declare(cls: type) -> type:
        for one in golden_of(cls):
            raise DeclarationError(
                f"{cls.__name__}.{one.name} is a golden query of a service; they are asked of the app: move it there"
            )
        spec = ServiceSpec(
            name=cls.__name__,
            cls=cls,
            methods=_methods(cls),
            hooks=hooks_of(cls),
            replicas=copies if sharded_by else replicas,
            artifact=sharded_by or artifact,
            sharded=sharded_by is not None,
            inline=inline,
            max_queue=max_queue,
            memory_limit=None if memory_limit is None else parse_bytes(memory_limit),
            in_turn=in_turn,
            injected=_injected(cls, "shard" if sharded_by else "artifact" if artifact else None),
            requirements=requirements,
            cpus=cpus,
            gpus=gpus,
            placement=labels,
        )
        setattr(cls, _ATTRIBUTE, spec)
        return cls

    return declare if cls is None else declare(cls)


def service_spec(cls: Any) -> ServiceSpec | None:
    """The specification of a class declared with ``@service`` itself (a subclass needs a declaration of its own)."""
    found = cls.__dict__.get(_ATTRIBUTE) if isinstance(cls, type) else None
    return found if isinstance(found, ServiceSpec) else None


_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})\s*")


def parse_bytes(value: str | int) -> int:
    """``"2GB"`` → 2,000,000,000; ``"512MiB"`` → 536,870,912; a number is bytes."""
    if isinstance(value, int):
        size = value
    else:
        found = _SIZE.fullmatch(value)
        size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < 1:
        raise DeclarationError(f"{value!r} is not a size; expected a number and a unit, as in '512MiB' or '2GB'")
    return size


def injected_names(cls: type) -> tuple[str, ...]:
    """The parameters of a class's constructor that the library fills: ``artifact`` and ``shard``.

    Raises:
        DeclarationError: the constructor needs something else.
    """
    parameters = inspect.signature(cls).parameters.values()
    wanted = tuple(parameter.name for parameter in parameters if parameter.name in _INJECTABLE)
    for parameter in parameters:
        fillable = parameter.name in _INJECTABLE or parameter.default is not parameter.empty
        if not fillable and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise DeclarationError(
                f"{cls.__name__}.__init__ needs {parameter.name!r}; the library passes only artifact and shard "
                "(paths): give the others defaults"
            )
    return wanted


def _injected(cls: type, given: str | None) -> tuple[str, ...]:
    wanted = injected_names(cls)
    for name in wanted:
        if name != given:
            option = "sharded_by" if name == "shard" else "artifact"
            raise DeclarationError(f"{cls.__name__}.__init__ takes {name!r}; declare it with @service({option}=...)")
    return wanted


def marked_methods(cls: Any) -> dict[str, BaseMethod]:
    """The methods of a class that ``@method`` or ``@batched`` mark, by name; of what is no class, none."""
    names = dir(cls) if isinstance(cls, type) else ()
    return {name: value for name in names if isinstance(value := inspect.getattr_static(cls, name), BaseMethod)}


def _methods(cls: type) -> dict[str, MethodSpec]:
    found = marked_methods(cls)
    if not found:
        raise DeclarationError(f"service {cls.__name__} has no method; mark at least one with @method or @batched")
    return {name: value.spec() for name, value in found.items()}


def resolved_annotations(cls: type) -> dict[str, Any]:
    """The class's annotations with their types resolved; those of its bases included.

    Raises:
        DeclarationError: one of them cannot be resolved.
    """
    try:
        return get_type_hints(cls)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise DeclarationError(
            f"{cls.__name__}: {error}; handles are found by their annotations, so declare the service before the app"
        ) from None
