"""``@app`` and its endpoints: the class the gateway runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, overload

from kapelle.declare.golden import GoldenSpec, golden_of
from kapelle.declare.lifecycle import HookSpec, hooks_of
from kapelle.declare.options import checked, time_limit
from kapelle.declare.parameters import Signature, refuse_positional_only, signature_of
from kapelle.declare.services import ServiceSpec, injected_names, marked_methods, resolved_annotations, service_spec
from kapelle.errors import DeclarationError

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_ENDPOINT = "__kapelle_endpoint__"
_APP = "__kapelle_app__"
_PATH = re.compile(r"(/([A-Za-z0-9._~:@!$&'()*+,;=-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))+/?|/")

HttpMethod = Literal["GET", "POST"]


class Sharded(Generic[T]):
    """The shards of a sharded service: ``await self.cluster.shard(3).nearest(vector)``.

    In a unit test, ``Sharded([Cluster(path) for path in paths])`` stands in for the real one.
    """

    def __init__(self, shards: list[T]) -> None:
        self._shards = shards

    def shard(self, index: int) -> T:
        """The service that serves shard ``index``, counted from 0.

        Raises:
            IndexError: there is no such shard; -1, by which searches say that they found none, is none either.
        """
        if not 0 <= index < len(self._shards):
            raise IndexError(f"there is no shard {index}; there are {len(self._shards)}, counted from 0")
        return self._shards[index]

    def __len__(self) -> int:
        return len(self._shards)

    def __iter__(self) -> Iterator[T]:
        return iter(self._shards)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One route of the app. ``timeout`` (seconds) is the request's deadline; None takes the gateway's default."""

    method: HttpMethod
    path: str
    name: str
    function: Callable[..., Any]
    signature: Signature
    streams: bool
    timeout: float | None
    description: str

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"\{(\w+)\}", self.path))


@dataclass(frozen=True, slots=True)
class HandleSpec:
    """An attribute of the app that is filled with a handle to a service."""

    attribute: str
    service: ServiceSpec


@dataclass(frozen=True, slots=True)
class AppSpec:
    """An app as data."""

    name: str
    cls: type
    endpoints: tuple[EndpointSpec, ...]
    handles: tuple[HandleSpec, ...]
    hooks: tuple[HookSpec, ...]
    artifact: str | None
    mounts: dict[str, Any]
    injected: tuple[str, ...]
    golden: tuple[GoldenSpec, ...]

    @property
    def services(self) -> dict[str, ServiceSpec]:
        """The services the app uses, by name."""
        return {handle.service.name: handle.service for handle in self.handles}


@checked
def get(path: str, *, timeout: str | float | None = None) -> Callable[[F], F]:
    """Serve ``GET path`` with this method of the app.

    Parameters come from ``{names}`` in the path and from the query string.
    """
    return _endpoint("GET", path, timeout)


@checked
def post(path: str, *, timeout: str | float | None = None) -> Callable[[F], F]:
    """Serve ``POST path`` with this method of the app.

    Parameters are the fields of the JSON body (or the body itself, for one parameter that is a model class);
    ``Upload`` parameters are files of a multipart body; one ``bytes`` or ``memoryview`` parameter is the raw body;
    ``Query[T]`` and ``{names}`` in the path come from the URL. An async generator is answered as server-sent events.
    """
    return _endpoint("POST", path, timeout)


def _endpoint(method: HttpMethod, path: str, timeout: str | float | None) -> Callable[[F], F]:
    if _PATH.fullmatch(path) is None:
        raise DeclarationError(f"{path!r} is not a path; expected something like '/process' or '/items/{{name}}'")

    limit = None if timeout is None else time_limit(timeout)

    def mark(function: F) -> F:
        setattr(function, _ENDPOINT, (method, path, limit))
        return function

    return mark


@overload
def app(cls: C, /) -> C: ...
@overload
def app(*, artifact: str | None = None, mounts: dict[str, Any] | None = None) -> Callable[[C], C]: ...
@checked
def app(cls: type | None = None, /, *, artifact: str | None = None, mounts: dict[str, Any] | None = None) -> Any:
    """Declare the app: the class whose endpoints the gateway runs. Its annotations name the services it calls.

    Args:
        artifact: the artifact it needs; its constructor then takes ``artifact: Path``.
        mounts: other ASGI applications, by the path they are served under.

    Raises:
        DeclarationError: an endpoint cannot be served, two have the same route, or there is none; an annotation names a
            service in a way that cannot be filled.
    """
    for path in mounts or ():
        if _PATH.fullmatch(path) is None or "{" in path:
            raise DeclarationError(f"mounts has {path!r}; expected a path such as '/static'")

    def declare(cls: type) -> type:
        wanted = injected_names(cls)
        if "shard" in wanted or (wanted and artifact is None):
            raise DeclarationError(f"{cls.__name__}.__init__ takes {wanted[0]!r}; declare it with @app(artifact=...)")
        endpoints = _endpoints(cls)
        if not endpoints and not mounts:
            raise DeclarationError(f"app {cls.__name__} has no endpoint; mark at least one with @get or @post")
        spec = AppSpec(
            name=cls.__name__,
            cls=cls,
            endpoints=endpoints,
            handles=_handles(cls),
            hooks=hooks_of(cls),
            artifact=artifact,
            mounts=dict(mounts or {}),
            injected=wanted,
            golden=golden_of(cls),
        )
        setattr(cls, _APP, spec)
        return cls

    return declare if cls is None else declare(cls)


def app_spec(cls: Any) -> AppSpec | None:
    """The specification of a class declared with ``@app`` itself; None for anything else."""
    found = cls.__dict__.get(_APP) if isinstance(cls, type) else None
    return found if isinstance(found, AppSpec) else None


def _handles(cls: type) -> tuple[HandleSpec, ...]:
    found: list[HandleSpec] = []
    for attribute, annotation in resolved_annotations(cls).items():
        place = f"{cls.__name__}.{attribute}"
        sharded = annotation is Sharded or get_origin(annotation) is Sharded
        spec = service_spec(next(iter(get_args(annotation)), None) if sharded else annotation)
        if spec is None:
            if sharded:
                raise DeclarationError(f"{place} is annotated {annotation!r}; expected Sharded[...] of a service")
            if marked_methods(annotation) and not hasattr(cls, attribute):
                name = annotation.__name__
                raise DeclarationError(
                    f"{place}: {name} has methods of a service and is none; decorate it with @service"
                )
            continue
        if sharded != spec.sharded:
            expected = f"Sharded[{spec.name}]" if spec.sharded else spec.name
            raise DeclarationError(f"{place} is annotated {annotation!r}; expected {expected}")
        if inspect.isroutine(inspect.getattr_static(cls, attribute, None)):
            raise DeclarationError(f"{place} is a handle, and a method as well; give one of them another name")
        if any(other.service.name == spec.name and other.service is not spec for other in found):
            raise DeclarationError(f"{place} is a second service named {spec.name}; services are told apart by name")
        found.append(HandleSpec(attribute, spec))
    return tuple(found)


def _endpoints(cls: type) -> tuple[EndpointSpec, ...]:
    found: dict[tuple[str, str], EndpointSpec] = {}
    for name in dir(cls):
        function = inspect.getattr_static(cls, name)
        mark = getattr(function, _ENDPOINT, None)
        if mark is None:
            continue
        endpoint = _endpoint_spec(name, function, *mark)
        shape = re.sub(r"\{\w+\}", "{}", endpoint.path)
        if (endpoint.method, shape) in found:
            other = found[endpoint.method, shape].name
            raise DeclarationError(f"{cls.__name__}.{name} and .{other} both serve {endpoint.method} {endpoint.path}")
        found[endpoint.method, shape] = endpoint
    return tuple(sorted(found.values(), key=lambda endpoint: endpoint.function.__code__.co_firstlineno))


def _endpoint_spec(
    name: str, function: Callable[..., Any], method: HttpMethod, path: str, timeout: float | None
) -> EndpointSpec:
    streams = inspect.isasyncgenfunction(function)
    if not streams and not inspect.iscoroutinefunction(function):
        raise DeclarationError(f"endpoint {function.__qualname__} must be `async def`: it awaits its services")
    signature = signature_of(function)
    refuse_positional_only(function)
    in_path = re.findall(r"\{(\w+)\}", path)
    unknown = sorted(set(in_path) - set(signature.names))
    if unknown:
        raise DeclarationError(f"{function.__qualname__}: the path names {unknown}, the parameters do not")
    if len(in_path) > len(set(in_path)):
        raise DeclarationError(f"{function.__qualname__}: {path!r} names a parameter twice")
    description = inspect.cleandoc(function.__doc__ or "")
    return EndpointSpec(method, path, name, function, signature, streams, timeout, description)
