"""``kapelle call``: one call to a running service, past the gateway, with the gateway's own machinery."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import msgspec
import uvloop

from kapelle.cli.parameters import in_seconds
from kapelle.cli.project import Project, Running, find_running
from kapelle.clock import monotonic
from kapelle.declare.apps import AppSpec
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.methods import MethodSpec
from kapelle.declare.services import ServiceSpec
from kapelle.errors import CallError, InvalidInput, Unavailable, UserCodeError
from kapelle.gateway.handles import remote_handle
from kapelle.gateway.pool import Pool
from kapelle.ids import random_id
from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.types.hooks import from_plain
from kapelle.types.strict_json import encode_json


def run_call(name: str, texts: list[str], target: str | None, shard: int, run_dir: str | None, timeout: str) -> int:
    """Call and print; 0, or 1 with the error on stderr."""
    within = in_seconds("--timeout", timeout)
    running = find_running(target, run_dir)
    service, method = _find(Project(running.target, {}).load(), name, shard)
    arguments = _arguments(method, texts)
    try:
        uvloop.run(_call(service, method, arguments, running, shard, within))
    except CallError as error:
        print(_told(error), file=sys.stderr)
        return 1
    return 0


def _told(error: CallError) -> str:
    if isinstance(error, UserCodeError):
        # Its last line says what happened.
        return error.traceback.rstrip()
    place = f" (at {error.path})" if isinstance(error, InvalidInput) and error.path != "$" else ""
    return f"kapelle: {error.code}: {error.detail}{place}"


def _find(app: AppSpec, name: str, shard: int) -> tuple[ServiceSpec, MethodSpec]:
    service_name, _, method_name = name.partition(".")
    service = app.services.get(service_name)
    if service is None:
        raise InvalidInput(f"{app.name} has no service {service_name!r}; it has {', '.join(app.services) or 'none'}")
    known = ", ".join(f"{service_name}.{one}" for one in service.methods)
    if not method_name:
        raise InvalidInput(f"{name!r} names no method; there is {known}")
    if method_name not in service.methods:
        raise InvalidInput(f"{service_name} has no method {method_name!r}; there is {known}")
    if service.inline:
        raise InvalidInput(f"{service_name} is inline: it lives in the gateway and cannot be called from here")
    if shard and not service.sharded:
        raise InvalidInput(f"{service_name} has no shards; leave out --shard {shard}")
    return service, service.methods[method_name]


def _arguments(method: MethodSpec, texts: list[str]) -> list[Any]:
    batched = method.kind == "batched"
    parameters = method.signature.parameters
    required = sum(one.required for one in parameters)
    if not required <= len(texts) <= len(parameters):
        given = "1 argument" if len(texts) == 1 else f"{len(texts) or 'no'} arguments"
        raise InvalidInput(f"{method.name} takes ({', '.join(method.signature.names)}); got {given}")
    return [
        _argument(one.name, method.row if batched else one.annotation, text)
        for one, text in zip(parameters, texts, strict=False)
    ]


def _argument(name: str, annotation: Any, text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = text
    except UnicodeEncodeError:
        raise InvalidInput(f"{name}: {text!r} is no text in UTF-8", path=name) from None
    # What looks like JSON may be meant as it is, where a text is expected: at once, or among other types.
    candidates = [text] if annotation is str and not isinstance(value, str) else [value, text]
    failure = ""
    for candidate in candidates:
        try:
            return msgspec.convert(candidate, annotation, dec_hook=from_plain)
        except msgspec.ValidationError as error:
            failure = failure or str(error)
    raise InvalidInput(f"{name}: {failure}", path=name)


async def _call(
    service: ServiceSpec, method: MethodSpec, arguments: list[Any], running: Running, shard: int, within: float
) -> None:
    replicas = (one for one in running.records if one.role == "replica" and one.service == service.name)
    records = [one for one in replicas if shard in one.shards]
    if not records:
        place = f"shard {shard} of {service.name}" if service.sharded else service.name
        raise Unavailable(f"no replica of {place} runs; `kapelle status` shows what does")
    ready = asyncio.Event()
    pool: Pool

    def changed() -> None:
        if pool.ready(release):
            ready.set()

    release = records[0].release
    pool = Pool(service, f"call-{random_id(8)}", Registry(), changed)
    pool.open(release, [shard])
    for record in records:
        pool.add(record.name, partial(sockets.connect, sockets.Address.parse(record.data)))
    enter_request(RequestContext(f"call-{random_id(8)}", "", monotonic() + within, release))
    try:
        async with asyncio.timeout(within):
            await ready.wait()
            function = getattr(remote_handle(service, pool, release, shard), method.name)
            if method.kind == "stream":
                async for item in function(*arguments):
                    _print(item)
            else:
                _print(await function(*arguments))
    except TimeoutError:
        raise Unavailable(f"no answer within {within:g} s") from None
    finally:
        await pool.close()


def _print(value: Any) -> None:
    sys.stdout.write(encode_json(value).decode() + "\n")
    sys.stdout.flush()
