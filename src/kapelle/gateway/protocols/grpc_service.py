"""The Open Inference Protocol over gRPC: the service ``inference.GRPCInferenceService``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from kapelle.errors import CallError, ContractError
from kapelle.gateway.front import Gateway
from kapelle.gateway.problems import HttpError, status_of
from kapelle.gateway.protocols.infer_grpc import GRPC, GrpcInferEndpoint
from kapelle.gateway.protocols.locality import check_local
from kapelle.gateway.protocols.metadata import Catalogue
from kapelle.gateway.protocols.refusals import NO_CONTROL, told
from kapelle.gateway.protocols.regions import Region, Regions
from kapelle.gateway.request import Header, Headers, Request
from kapelle.oip.grpc_messages import MESSAGES, SERVICE, STATUS

Context = Any  # grpc.aio.ServicerContext is generic in the messages, which are made at run time here

Method = Callable[[Any, str], dict[str, Any]]
"""Takes a message and the address of the client, and gives the fields of the answer."""

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""What HTTP's statuses are to clients of gRPC; all others are INTERNAL."""


class InferenceService:
    """The methods of the service, in front of a gateway."""

    def __init__(
        self,
        gateway: Gateway,
        catalogue: Catalogue,
        regions: Regions,
        endpoints: dict[str, GrpcInferEndpoint],
    ) -> None:
        self._gateway = gateway
        self._catalogue = catalogue
        self._regions = regions
        self._endpoints = endpoints
        self._ending = asyncio.Event()

    def end_streams(self) -> None:
        """Streams of inferences end when what was asked is answered."""
        self._ending.set()

    def handler(self) -> grpc.GenericRpcHandler:
        """All methods, for a server."""
        plain: dict[str, Method] = {
            "ServerLive": lambda _asked, _host: {"live": True},
            "ServerReady": lambda _asked, _host: {"ready": self._catalogue.ready and not self._gateway.draining},
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _asked, _host: self._catalogue.server(),
            "ModelMetadata": lambda asked, _: self._catalogue.metadata(asked.name, asked.version),
            "ModelConfig": lambda asked, _: {"config": self._catalogue.config(asked.name, asked.version)},
            "ModelStatistics": lambda asked, _: self._catalogue.statistics(asked.name, asked.version),
            "RepositoryIndex": lambda asked, _: {"models": self._catalogue.index(ready_only=asked.ready)},
            "SystemSharedMemoryStatus": self._memory_status,
            "SystemSharedMemoryRegister": self._register,
            "SystemSharedMemoryUnregister": self._unregister,
            "CudaSharedMemoryStatus": lambda _asked, _host: {},
            "CudaSharedMemoryUnregister": lambda _asked, _host: {},
        }
        handlers = {name: _unary(name, function) for name, function in plain.items()}
        # Inferences are large: they are read and written where they are run, once.
        handlers["ModelInfer"] = grpc.unary_unary_rpc_method_handler(self._infer)
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream)
        for name in ("RepositoryModelLoad", "RepositoryModelUnload"):
            handlers[name] = grpc.unary_unary_rpc_method_handler(_no_control)
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def _infer(self, data: bytes, context: Context) -> bytes:
        status, answer = await self._ask(data, context)
        if status != 200:
            context.set_trailing_metadata(((STATUS, str(status)),))
            _refuse(context, _CODES.get(status, grpc.StatusCode.INTERNAL), answer.decode())
        return answer

    async def _stream(self, _: object, context: Context) -> None:
        """Inferences one after the other; one that fails says so in its place, and the stream goes on."""
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            while True:
                following = asyncio.ensure_future(context.read())
                await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    _refuse(context, grpc.StatusCode.UNAVAILABLE, "this gateway ends; ask again")
                    return
                if following.result() is grpc.aio.EOF:
                    return
                status, answer = await self._ask(following.result(), context)
                response = MESSAGES["ModelStreamInferResponse"]()
                if status == 200:
                    response.infer_response.MergeFromString(answer)
                else:
                    response.error_message = answer.decode()
                await context.write(response.SerializeToString())
        finally:
            ending.cancel()

    async def _ask(self, data: bytes, context: Context) -> tuple[int, bytes]:
        """An inference by the way of all requests: the status, and a serialised message or the text of an error."""
        try:
            message = MESSAGES["ModelInferRequest"].FromString(data)
        except DecodeError:
            return 400, b"not a ModelInferRequest"
        endpoint = self._endpoints.get(message.model_name)
        if endpoint is None:
            try:
                self._catalogue.find(message.model_name)
            except HttpError as error:
                return 404, error.detail.encode()
        assert endpoint is not None, "every model that is found has one"
        call = _Call(context)
        request = Request("POST", endpoint.spec.path.encode(), call.headers, call, "2")
        request.path, request.message, request.size = endpoint.spec.path, message, len(data)
        for name, take in ((b"x-request-id", request.take_id), (b"traceparent", request.take_trace)):
            if value := request.header(name):
                take(value)
        self._gateway.handle_at(request, endpoint)
        try:
            return await call.outcome
        except asyncio.CancelledError:
            request.abandoned = True
            request.cancel()
            raise

    def _model_ready(self, asked: Any, host: str) -> dict[str, Any]:
        return {"ready": self._catalogue.is_ready(asked.name, asked.version) and not self._gateway.draining}

    def _memory_status(self, asked: Any, host: str) -> dict[str, Any]:
        return {"regions": {one.name: _region(one) for one in self._regions.status(asked.name)}}

    def _register(self, asked: Any, host: str) -> dict[str, Any]:
        check_local(host)
        self._regions.register(Region(asked.name, asked.key, asked.offset, asked.byte_size))
        return {}

    def _unregister(self, asked: Any, host: str) -> dict[str, Any]:
        self._regions.unregister(asked.name)
        return {}


class _Call:
    """Where the answer to one inference goes: a ``Responder`` whose ``outcome`` is awaited."""

    def __init__(self, context: Context) -> None:
        self.outcome: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self.headers: Headers = [
            (name.encode(), value.encode())
            for name, value in context.invocation_metadata() or ()
            if isinstance(value, str)
        ]
        self._host = _host(context)

    def respond(
        self, request: Request, status: int, content_type: bytes, body: bytes, headers: tuple[Header, ...] = ()
    ) -> None:
        request.finished = True
        if not self.outcome.done():
            # What is refused before it reaches an endpoint is a problem in JSON, which nobody here would read.
            self.outcome.set_result((status, body if content_type == GRPC else b"the request was refused"))

    def origin(self) -> dict[str, Any]:
        return {"scheme": "http", "client": (self._host, 0), "server": None, "root_path": ""}

    def begin_stream(
        self,
        request: Request,
        status: int,
        content_type: bytes,
        headers: tuple[Header, ...] = (),
        length: int | None = None,
    ) -> None:
        raise ContractError("an inference is answered at once")

    async def stream(self, request: Request, data: bytes) -> None:
        raise ContractError("an inference is answered at once")

    def end_stream(self, request: Request, last: bytes = b"") -> None:
        raise ContractError("an inference is answered at once")

    def abort(self) -> None:
        self.outcome.cancel()


def _unary(name: str, function: Method) -> grpc.RpcMethodHandler[Any, Any]:
    """A method that answers at once, with a message of these fields."""

    async def answer(data: bytes, context: Context) -> Any:
        try:
            found = function(MESSAGES[f"{name}Request"].FromString(data), _host(context))
        except DecodeError:
            _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, f"not a {name}Request")
            return None
        except (CallError, HttpError) as error:
            _refuse(context, _CODES.get(status_of(error), grpc.StatusCode.INTERNAL), told(error))
            return None
        return json_format.ParseDict(found, MESSAGES[f"{name}Response"]())

    return grpc.unary_unary_rpc_method_handler(answer, response_serializer=lambda message: message.SerializeToString())


async def _no_control(_: bytes, context: Context) -> bytes:
    _refuse(context, grpc.StatusCode.UNIMPLEMENTED, NO_CONTROL)
    return b""


def _refuse(context: Context, code: grpc.StatusCode, detail: str) -> None:
    """The call ends with an error; what its handler returns is not sent.

    ``context.abort`` raises instead, and keeps what it raised: with the frames and the request of the handler, for ever.
    """
    context.set_code(code)
    context.set_details(detail)


def _region(region: Region) -> dict[str, Any]:
    return {"name": region.name, "key": region.key, "offset": region.offset, "byte_size": region.byte_size}


def _host(context: Context) -> str:
    """The address of a client, of ``ipv4:127.0.0.1:4000`` or ``ipv6:%5B::1%5D:4000``; empty for a Unix socket."""
    kind, _, rest = context.peer().partition(":")
    return unquote(rest).rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""
