"""The processes of a system one by one, as an engine starts them: each in a container, reached over the network."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from kapelle.config import orders
from kapelle.config.engine import GATEWAY, container_name
from kapelle.config.orders import Holding, Network
from kapelle.config.settings import Settings
from kapelle.control.plan import Stock, memory_environment, node, thread_environment
from kapelle.control.spawn import letter
from kapelle.errors import ConfigError, StartError
from kapelle.transport import sockets
from kapelle.transport.credentials import credentials_of
from kapelle.transport.door import open_door
from kapelle.transport.shared_door import take_door
from kapelle.transport.sockets import Address


def check_credentials(settings: Settings) -> None:
    """See that nobody can talk to a process over the network who does not belong to the system.

    Raises:
        ConfigError: there is neither a secret nor TLS, or one of them cannot be used.
    """
    if not settings.secret_file and not settings.peer_authority:
        raise ConfigError(
            "secret_file is not set: processes that reach each other over a network have to prove that they belong "
            "together; write the same secret (`openssl rand -hex 32`) to a file in every container, and name that with "
            "KAPELLE_SECRET_FILE"
        )
    credentials_of(settings)


def leave_on_signals() -> None:
    """End at once at a signal: nothing has begun yet. The first process of a container would ignore it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def process_name(service: str) -> str:
    """The name of this process among all: that of its container, which engines keep when it starts again."""
    host, prefix = socket.gethostname(), container_name(service)
    return host if host.startswith(prefix) else f"{prefix}-{host}"


def become_replica(target: str, service: str, settings: Settings, stock: Stock, release: str) -> NoReturn:
    """Go on as a replica of ``service``. The app is imported there, once, with the threads that it is to have.

    Raises:
        StartError: a port is taken.
    """
    data, control, health = (listen(settings, port) for port in ("data_port", "control_port", "health_port"))
    told = orders.WorkerOrders(
        target=target,
        service=service,
        replica=process_name(service),
        holding=Holding(release, [0]),
        artifacts=str(stock.artifacts),
        store=stock.store,
        cache=str(stock.cache),
        data=data.fileno(),
        control=control.fileno(),
        settings=settings,
        network=Network(settings.node or node(), health.fileno()),
    )
    environment = thread_environment(1) | memory_environment()
    _become("kapelle.worker.main", told.replica, orders.encode(told), (data, control, health), environment)


def become_gateway(target: str, settings: Settings, stock: Stock, release: str, run_dir: Path) -> NoReturn:
    """Go on as a gateway, at the door that the gateways of this machine share, or at one of its own.

    Raises:
        StartError: a port is taken, or the folder of the door cannot be used.
    """
    control, health = (listen(settings, port) for port in ("control_port", "health_port"))
    name = process_name(GATEWAY)
    folder = Path(settings.door) if settings.door else run_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        door = take_door(folder) if settings.door else open_port(settings)
    except OSError as error:
        setting = "door" if settings.door else "run_dir"
        raise StartError(
            f"{setting}: {folder} cannot be used: {error.strerror or error}; name a folder that this process may write "
            f"to with KAPELLE_{setting.upper()}"
        ) from None
    told = orders.GatewayOrders(
        target=target, name=name, release=release, artifacts=str(stock.artifacts), store=stock.store,
        cache=str(stock.cache), http=door.fileno(), control=control.fileno(), door=str(folder / f"{name}.door"),
        controller="", settings=settings, network=Network(settings.node or node(), health.fileno()),
    )  # fmt: skip
    _become("kapelle.gateway.main", name, orders.encode(told), (door, control, health), memory_environment())


def listen(settings: Settings, setting: str) -> socket.socket:
    """A listening socket at the port that a setting names.

    Raises:
        StartError: it is taken.
    """
    port = getattr(settings, setting)
    try:
        return sockets.bind(Address("tcp", settings.host, port))
    except OSError as error:
        raise StartError(
            f"{setting}: cannot listen on {settings.host}:{port}: {error.strerror}; choose another with "
            f"KAPELLE_{setting.upper()}, the same in all containers"
        ) from None


def open_port(settings: Settings) -> socket.socket:
    """A listening socket at the port of clients.

    Raises:
        StartError: it is taken.
    """
    try:
        return open_door(settings.host, settings.port)
    except OSError as error:
        raise StartError(
            f"port: cannot listen on {settings.host}:{settings.port}: {error.strerror}; end what listens there, or choose "
            "another with KAPELLE_PORT"
        ) from None


def _become(
    module: str, name: str, told: bytes, listening: Sequence[socket.socket], environment: Mapping[str, str]
) -> NoReturn:
    """Let the process that is meant take this one's place, with its orders as its standard input."""
    with letter(told) as text:
        os.dup2(text.fileno(), 0)
    for one in listening:
        one.set_inheritable(True)
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, name], {**os.environ, **environment})  # noqa: S606 - ourselves
