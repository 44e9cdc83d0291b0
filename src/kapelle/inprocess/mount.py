"""``kapelle.asgi``: an app as an ASGI application, for others to mount or serve."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kapelle.config.settings import checked
from kapelle.declare.apps import app_spec
from kapelle.errors import ConfigError, DeclarationError
from kapelle.gateway.front import Gateway
from kapelle.gateway.mounted import Mounted
from kapelle.inprocess.system import System

# All others are of processes and the doors between them, or of the server in front: there the host decides.
_SETTINGS = (
    "request_timeout", "max_body", "max_requests", "max_request_bytes", "drain_timeout", "shard_processes",
    "access_log", "expose_services",
)  # fmt: skip


def asgi(app: type, *, artifacts: str | Path | None = None, **settings: Any) -> Mounted:
    """The app as an ASGI application: mount it in FastAPI, Starlette and others, or give it to any ASGI server.

    Everything runs in the server's own process: the gateway, and every replica with a thread for its user code. Nothing
    is supervised; for that there is ``kapelle serve``.

    It starts and stops with the lifespan of its host, which has to lend it where it mounts:

        models = kapelle.asgi(Search)
        site = FastAPI(lifespan=models.lifespan)
        site.mount("/models", models)

    A host with a lifespan of its own enters ``async with models.running():`` there.

    Args:
        artifacts: folder of artifacts; artifacts/ beside the app's file if not given.
        settings: any of request_timeout, max_body, max_requests, max_request_bytes, drain_timeout, shard_processes,
            expose_services and access_log, which is off here: servers have their own.

    Raises:
        DeclarationError: ``app`` is no app.
        ConfigError: a setting is unknown, of the wrong form, or not of the app's but of its host's.
    """
    spec = app_spec(app)
    if spec is None:
        raise DeclarationError(f"{app!r} is not an app; declare it with @kapelle.app")
    for name in settings:
        if name not in _SETTINGS:
            raise ConfigError(f"kapelle.asgi: {name!r} is no setting of a mounted app; it has {', '.join(_SETTINGS)}")
    given = checked({"access_log": False, **settings}, "kapelle.asgi")
    folder = Path(inspect.getfile(app)).parent / "artifacts" if artifacts is None else Path(artifacts)

    @asynccontextmanager
    async def system() -> AsyncIterator[Gateway]:
        made = System(spec, given, folder)
        try:
            await made.start()
            yield made.gateway
        finally:
            await made.stop()

    return Mounted(system)
