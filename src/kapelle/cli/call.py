"""``kapelle call``: one call to a running service, past the gateway, with the gateway's own machinery."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import msgspec
import uvloop

from kapelle.cli.project import running_project
from kapelle.clock import monotonic, seconds
from kapelle.control.exits import birth
from kapelle.control.rundir import RunDir
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.methods import MethodSpec
from kapelle.declare.services import ServiceSpec
from kapelle.errors import CallError, InvalidInput, Unavailable
from kapelle.gateway.handles import remote_handle
from kapelle.gateway.pool import Pool
from kapelle.ids import random_id
from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.types.hooks import from_plain, to_plain


def run_call(name: str, texts: list[str], target: str | None, shard: int, run_dir: str | None, timeout: str) -> int:
    """Call and print; 0, or 1 with the error on stderr."""
    project = running_project(target, run_dir)
    service_name, _, method_name = name.partition(".")
    services = project.target.load().services
    service = services.get(service_name)
    if service is None:
        raise InvalidInput(f"no service {service_name!r}; there is {', '.join(services)}")
    method = service.methods.get(method_name)
    if method is None:
        raise InvalidInput(f"{service_name} has no method {method_name!r}; it has {', '.join(service.methods)}")
    if service.inline:
        raise InvalidInput(f"{service_name} is inline: it lives in the gateway and cannot be called from here")
    arguments = _arguments(method, texts)
    try:
        uvloop.run(_call(service, method, arguments, project.run, shard, seconds(timeout)))
    except CallError as error:
        print(f"{error.code}: {error.detail}", file=sys.stderr)
        if error.extra:
            print(error.extra, file=sys.stderr)
        return 1
    return 0


def _arguments(method: MethodSpec, texts: list[str]) -> list[Any]:
    batched = method.kind == "batched"
    parameters = method.signature.parameters
    required = sum(one.required for one in parameters)
    if not required <= len(texts) <= len(parameters):
        raise InvalidInput(f"{method.name} takes ({', '.join(method.signature.names)}); got {len(texts)} arguments")
    return [
        _argument(one.name, method.row if batched else one.annotation, text)
        for one, text in zip(parameters, texts, strict=False)
    ]


def _argument(name: str, annotation: Any, text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    if annotation is str and not isinstance(value, str):
        value = text
    try:
        return msgspec.convert(value, annotation, dec_hook=from_plain)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{name}: {error}", path=name) from None


async def _call(
    service: ServiceSpec, method: MethodSpec, arguments: list[Any], run: RunDir, shard: int, timeout: float
) -> None:
    records = [
        one for one in run.records()
        if one.role == "replica" and one.service == service.name and shard in one.shards and birth(one.pid) == one.born
    ]  # fmt: skip
    if not records:
        place = f"shard {shard} of {service.name}" if service.sharded else service.name
        raise Unavailable(f"no replica of {place} runs; `kapelle status` shows what does")
    ready = asyncio.Event()
    pool: Pool

    def changed() -> None:
        if pool.serves(shard):
            ready.set()

    shards = 1 + max(max(one.shards) for one in records)
    pool = Pool(service, shards, f"call-{random_id(8)}", Registry(), changed)
    for record in records:
        pool.add(record.name, partial(sockets.connect, sockets.Address.parse(record.data)))
    enter_request(RequestContext(f"call-{random_id(8)}", "", monotonic() + timeout))
    try:
        async with asyncio.timeout(timeout):
            await ready.wait()
            function = getattr(remote_handle(service, pool, shard), method.name)
            if method.kind == "stream":
                async for item in function(*arguments):
                    _print(item)
            else:
                _print(await function(*arguments))
    except TimeoutError:
        raise Unavailable(f"no answer within {timeout:g} s") from None
    finally:
        await pool.close()


def _print(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value, enc_hook=to_plain).decode() + "\n")
    sys.stdout.flush()
