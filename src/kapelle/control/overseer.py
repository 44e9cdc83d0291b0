"""The controller where an engine starts the processes: it finds them by DNS, and carries out releases among them.

Those that DNS does not have yet, because they are not ready before they have heard the controller, knock.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial

import structlog

from kapelle.config.engine import GATEWAY, host_of
from kapelle.config.settings import Settings
from kapelle.control import status
from kapelle.control.desk import Desk
from kapelle.control.remote import Ears, Remote
from kapelle.control.rundir import RunDir, System
from kapelle.control.single_code import ImageConductor
from kapelle.declare.apps import AppSpec
from kapelle.errors import StartError
from kapelle.observe.process import process_registry
from kapelle.transport import sockets
from kapelle.transport.credentials import Credentials
from kapelle.transport.discovery import Discovery, Found
from kapelle.transport.knock import hear_knocks
from kapelle.transport.sockets import Address
from kapelle.wire import messages

log = structlog.get_logger()

_PROBE_EVERY = 1.0
_PATIENCE = 30
"""Looks at an address where nobody answers; then people are told."""
_MOST = 4096
"""Processes of a system; more addresses than that do not come from knocks."""


class Overseer:
    """Knows the processes that an engine runs. It starts and ends none, and they serve on without it."""

    def __init__(
        self, target: str, app: AppSpec, settings: Settings, run: RunDir, conductor: ImageConductor, creds: Credentials
    ) -> None:
        self.conductor = conductor
        self.registry = process_registry(role="controller")
        self._target = target
        self._settings = settings
        self._run = run
        self._credentials = creds
        self._remotes: dict[str, Remote] = {}
        self._unanswered: dict[str, int] = {}
        self._free: set[Remote] = set()
        """Those that wait to be let go, and may."""
        self._ears = Ears(conductor.started, conductor.leaving, conductor.told, conductor.gone)
        self._desk = Desk(self.system_status, self.registry, conductor)
        names = [*(one.name for one in app.services.values() if not one.inline), GATEWAY]
        self._discovery = Discovery({name: host_of(settings, name) for name in names}, self._found)
        self._tasks: list[asyncio.Task[None]] = []
        self._knocks: asyncio.Server | None = None
        self.registry.gauge("kapelle_processes", "Processes of the system that are there.", lambda: len(self._there))
        conductor.fleet = lambda: self._there

    async def open(self) -> None:
        """Begin to look for processes, to follow the store's pointer, and to answer people.

        Raises:
            StartError: another controller uses the same run folder, or the port where processes knock is taken.
        """
        self._run.acquire()
        await self._desk.open(self._run.controller)
        self._run.record_system(System(target=self._target, url=self._url))
        self.conductor.open()
        address = Address("tcp", self._settings.host, self._settings.control_port)
        try:
            self._knocks = await hear_knocks(sockets.bind(address), self._heard)
        except OSError as error:
            raise StartError(f"control_port: cannot listen on {address}: {error.strerror}") from None
        self._tasks = [asyncio.create_task(self._discovery.run()), asyncio.create_task(self._probe())]

    def close(self) -> None:
        """Look no more; what runs goes on."""
        if self._knocks is not None:
            self._knocks.close()
        for task in self._tasks:
            task.cancel()
        for remote in self._remotes.values():
            remote.close()
        self.conductor.close()
        self._desk.close()
        self._run.remove()

    def unready(self) -> str:
        """Why it is of no use to the system: nobody there trusts it; "" where somebody does, or nobody is there."""
        refused = [one.trouble for one in self._remotes.values() if one.is_refused]
        if not refused or any(one.reached for one in self._remotes.values()):
            return ""
        return f"every process of the system refuses it: {refused[0]}"

    def system_status(self) -> status.SystemStatus:
        """What runs."""
        found = [one.status(self.conductor.releases(one)) for one in self._there]
        found.sort(key=lambda one: (one.role, one.service, one.name))
        return status.SystemStatus(target=self._target, url=self._url, controller=os.getpid(), processes=found)

    @property
    def _there(self) -> list[Remote]:
        return [one for one in self._remotes.values() if one.about is not None]

    @property
    def _url(self) -> str:
        scheme = "https" if self._settings.tls_certificate else "http"
        return f"{scheme}://{host_of(self._settings, GATEWAY)}:{self._settings.port}"

    def _found(self, found: Found) -> None:
        """DNS was asked again."""
        present = {address for addresses in found.values() for address in addresses}
        for address in present - self._remotes.keys():
            self._remotes[address] = self._remote(address)
        for address in self._remotes.keys() - present:
            if not self._remotes[address].reached:
                self._free.discard(self._remotes[address])
                self._remotes.pop(address).close()
                self._unanswered.pop(address, None)

    def _heard(self, address: str) -> None:
        """A process has knocked. It does so again until it is attended to."""
        if address not in self._remotes and len(self._remotes) < _MOST:
            self._remotes[address] = self._remote(address)

    def _remote(self, address: str) -> Remote:
        where = Address("tcp", address, self._settings.control_port)
        return Remote(address, partial(sockets.connect, where, self._credentials), self._ears)

    async def _probe(self) -> None:
        number = 0
        while True:
            number += 1
            for address, remote in self._remotes.items():
                remote.probe(number)
                self._look_at(address, remote)
                self._let_go(remote)
            await asyncio.sleep(_PROBE_EVERY)

    def _let_go(self, remote: Remote) -> None:
        """Let one end that waits for others to have what it holds. It was so a look ago, too: gateways know by now."""
        may_go = remote.leaving and self.conductor.may_go(remote)
        if may_go and remote in self._free:
            remote.send(messages.Drain(self._settings.drain_timeout))
        (self._free.add if may_go else self._free.discard)(remote)

    def _look_at(self, address: str, remote: Remote) -> None:
        """Tell people of an address that DNS has for long, and where nobody can be reached."""
        if remote.reached:
            self._unanswered.pop(address, None)
            return
        looks = self._unanswered[address] = self._unanswered.get(address, 0) + 1
        if looks == _PATIENCE:
            log.warning("DNS has an address at which no process answers", address=address, reason=remote.trouble)
