"""The routes of the protocols that infer nothing: health, metadata, lists of models, repository, shared memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kapelle.errors import CallError
from kapelle.gateway.problems import HttpError
from kapelle.gateway.protocols.fields import read_fields
from kapelle.gateway.protocols.locality import check_local
from kapelle.gateway.protocols.metadata import Catalogue
from kapelle.gateway.protocols.refusals import NO_CONTROL, protocol_refusal
from kapelle.gateway.protocols.regions import Region, Regions

Handler = Callable[[Request], Awaitable[Any]]

_PREDICT = ":predict"
_SETTINGS = ("/v2/logging", "/v2/trace/setting", "/v2/models/{model}/trace/setting")
"""What Triton's clients ask for as well, and read no other form of a refusal."""
_encode = msgspec.json.Encoder().encode


class _Registration(msgspec.Struct):
    key: str
    byte_size: int
    offset: int = 0


class InferenceRoutes:
    """Their handlers. ``draining`` says whether the gateway takes no more clients."""

    def __init__(self, catalogue: Catalogue, regions: Regions, draining: Callable[[], bool]) -> None:
        self._catalogue = catalogue
        self._regions = regions
        self._draining = draining

    def routes(self) -> list[Route]:
        """All of them, for a Starlette application."""
        found = [
            ("GET", "/v2/health/live", self._live),
            ("GET", "/v2/health/ready", self._ready),
            ("GET", "/v2", self._server),
            ("GET", "/v2/", self._server),
            ("GET", "/v2/models/stats", self._statistics),
            ("POST", "/v2/repository/index", self._index),
            ("POST", "/v2/repository/models/{model}/load", self._control),
            ("POST", "/v2/repository/models/{model}/unload", self._control),
            ("GET", "/v2/systemsharedmemory/status", self._memory),
            ("GET", "/v2/systemsharedmemory/region/{region}/status", self._memory),
            ("POST", "/v2/systemsharedmemory/region/{region}/register", self._register),
            ("POST", "/v2/systemsharedmemory/region/{region}/unregister", self._unregister),
            ("POST", "/v2/systemsharedmemory/unregister", self._unregister),
            ("GET", "/v2/cudasharedmemory/status", self._no_cuda),
            ("POST", "/v2/cudasharedmemory/region/{region}/register", self._refuse_cuda),
            ("POST", "/v2/cudasharedmemory/region/{region}/unregister", self._no_cuda),
            ("POST", "/v2/cudasharedmemory/unregister", self._no_cuda),
            *((method, path, self._refuse_settings) for path in _SETTINGS for method in ("GET", "POST")),
            ("GET", "/v1/models", self._listed),
            ("GET", "/v1/models/{model}", self._listed_one),
            ("POST", f"/v1/models/{{model}}{_PREDICT}", self._predicted),
        ]
        # Inferences are answered elsewhere; those that come here are for a model that is not there, which this says.
        of_model = [
            ("GET", "", self._metadata),
            ("GET", "/ready", self._model_ready),
            ("GET", "/config", self._config),
            ("GET", "/stats", self._statistics),
            ("POST", "/infer", self._metadata),
        ]
        for method, rest, handler in of_model:
            found.append((method, f"/v2/models/{{model}}{rest}", handler))
            found.append((method, f"/v2/models/{{model}}/versions/{{version}}{rest}", handler))
        return [Route(path, _answered(handler), methods=[method]) for method, path, handler in found]

    async def _listed(self, _: Request) -> Any:
        names = [model.name for model in self._catalogue.models]
        return {"object": "list", "data": [_as_openai(name) for name in names], "models": names}

    async def _listed_one(self, request: Request) -> Any:
        name = request.path_params["model"]
        if name.endswith(_PREDICT):
            raise HttpError(
                405, f"{request.url.path} takes POST", code="method-not-allowed", headers=((b"allow", b"POST"),)
            )
        return {**_as_openai(name), "name": name, "ready": self._catalogue.is_ready(name) and not self._draining()}

    async def _predicted(self, request: Request) -> Any:
        # As inferences above: it is for a model that is not there.
        self._catalogue.find(request.path_params["model"])

    async def _live(self, _: Request) -> Any:
        return {"live": True}

    async def _ready(self, _: Request) -> Any:
        return _state({"ready": self._catalogue.ready and not self._draining()})

    async def _model_ready(self, request: Request) -> Any:
        name, version = _named(request)
        ready = self._catalogue.is_ready(name, version) and not self._draining()
        return _state({"name": name, "ready": ready})

    async def _server(self, _: Request) -> Any:
        return self._catalogue.server()

    async def _metadata(self, request: Request) -> Any:
        return self._catalogue.metadata(*_named(request))

    async def _config(self, request: Request) -> Any:
        return self._catalogue.config(*_named(request))

    async def _statistics(self, request: Request) -> Any:
        return self._catalogue.statistics(*_named(request))

    async def _index(self, request: Request) -> Any:
        asked = await _body(request, dict[str, Any], {})
        return self._catalogue.index(ready_only=asked.get("ready") is True)

    async def _control(self, request: Request) -> Any:
        self._catalogue.find(request.path_params["model"])
        raise HttpError(400, NO_CONTROL, code="not-supported")

    async def _memory(self, request: Request) -> Any:
        return self._regions.status(request.path_params.get("region", ""))

    async def _register(self, request: Request) -> Any:
        check_local(request.client.host if request.client else "")
        asked = await _body(request, _Registration)
        self._regions.register(Region(request.path_params["region"], asked.key, asked.offset, asked.byte_size))

    async def _unregister(self, request: Request) -> Any:
        self._regions.unregister(request.path_params.get("region", ""))

    async def _no_cuda(self, _: Request) -> Any:
        return []

    async def _refuse_cuda(self, _: Request) -> Any:
        raise HttpError(400, "memory of a GPU cannot be shared with this server", code="not-supported")

    async def _refuse_settings(self, _: Request) -> Any:
        raise HttpError(400, "logs and traces are set up with this server, not by its clients", code="not-supported")


def _as_openai(name: str) -> dict[str, Any]:
    """A model as OpenAI lists it; when it was made is a matter of its release."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "kapelle"}


def _named(request: Request) -> tuple[str, str]:
    return request.path_params.get("model", ""), request.path_params.get("version", "")


def _state(found: dict[str, Any]) -> Response:
    return _json(found, 200 if found["ready"] else 503)


async def _body(request: Request, kind: Any, default: Any = None) -> Any:
    content = await request.body()
    if not content and default is not None:
        return default
    return read_fields(msgspec.json.Decoder(kind).decode, content)


def _json(value: Any, status: int = 200) -> Response:
    return Response(b"" if value is None else _encode(value), status, media_type="application/json")


def _answered(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """What a handler gives, as JSON; what it raises, as the protocol tells errors."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            found = await handler(request)
        except (CallError, HttpError) as error:
            status, (kind, body, headers) = protocol_refusal(error, request.headers.get("x-request-id", ""))
            plain = {name.decode(): value.decode() for name, value in headers}
            return Response(body, status, plain, media_type=kind.decode())
        return found if isinstance(found, Response) else _json(found)

    return answer
