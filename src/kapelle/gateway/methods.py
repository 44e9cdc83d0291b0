"""Methods of services as endpoints of their own: ``POST /services/encoder/embed`` calls ``Encoder.embed``.

So each stage of an app can be called and looked at alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from inspect import cleandoc
from typing import Any

from kapelle.declare.apps import EndpointSpec
from kapelle.declare.parameters import Parameter, Signature, Upload
from kapelle.errors import DeclarationError, InvalidInput
from kapelle.gateway.endpoint import Endpoint
from kapelle.gateway.exposure import Exposed
from kapelle.gateway.inputs import Arguments
from kapelle.gateway.multipart import read_multipart
from kapelle.gateway.request import Request
from kapelle.gateway.routes import InPath
from kapelle.observe.metrics import Registry

PREFIX = "/services"


class MethodEndpoint(Endpoint):
    """A method, called with what its parameters say. Where they are raw bytes, a form with one file will do as well."""

    def begin(self, function: Callable[..., Any], request: Request, in_path: InPath) -> Coroutine[Any, Any, Any]:
        if not self._is_form(request):
            return super().begin(function, request, in_path)
        begun: Coroutine[Any, Any, Any] = function(**self._read_form(request, in_path))
        return begun

    def begin_stream(
        self, function: Callable[..., Any], request: Request, in_path: InPath
    ) -> AsyncGenerator[Any, None]:
        if not self._is_form(request):
            return super().begin_stream(function, request, in_path)
        return function(**self._read_form(request, in_path))  # type: ignore[no-any-return]  # user code

    def _is_form(self, request: Request) -> bool:
        return self.inputs.kind == "raw" and request.header(b"content-type").lower().startswith(b"multipart/form-data")

    def _read_form(self, request: Request, in_path: InPath) -> Arguments:
        # The request stays as it came: it may be mirrored to another release.
        (raw,) = self.inputs.body
        data = _only_file(request).data
        return self.inputs.read(request, in_path) | {raw.name: memoryview(data) if self.inputs.takes_room else data}


def method_endpoints(exposed: list[Exposed], default_timeout: float, registry: Registry) -> list[MethodEndpoint]:
    """An endpoint for each method that HTTP can call."""
    found = []
    for one in exposed:
        try:
            endpoint = MethodEndpoint(_spec(one), default_timeout, registry)
        except DeclarationError:
            continue  # several parameters, of which one is raw bytes: it has no form in a request
        endpoint.aliases = tuple(paths(one)[1:])
        found.append(endpoint)
    return found


def paths(exposed: Exposed) -> list[str]:
    """Where a method is served: below its service, and as the service itself where it is the only one."""
    service, method = exposed.service, exposed.method.name
    bases = dict.fromkeys((service.name.lower(), service.name))
    found = [f"{PREFIX}/{base}/{method}" for base in bases]
    return found + ([f"{PREFIX}/{base}" for base in bases] if len(service.methods) == 1 else [])


def _spec(exposed: Exposed) -> EndpointSpec:
    method = exposed.method
    parameters = list(method.signature.parameters)
    if exposed.service.sharded:
        parameters.append(Parameter("shard", int, from_query=True))
    return EndpointSpec(
        method="POST",
        path=paths(exposed)[0],
        name=exposed.name,
        function=method.function,
        signature=Signature(tuple(parameters), method.signature.returns),
        streams=method.kind == "stream",
        timeout=None,
        description=_description(exposed),
    )


def _description(exposed: Exposed) -> str:
    return cleandoc(exposed.method.function.__doc__ or "") or f"Call {exposed.name}."


def _only_file(request: Request) -> Upload:
    _, files = read_multipart(request)
    uploads = [one for several in files.values() for one in several]
    if len(uploads) != 1:
        raise InvalidInput(f"expected one file, got {len(uploads)}", path="form")
    return uploads[0]
