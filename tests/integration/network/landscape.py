"""A system of containers without an engine: each process has an address of its own, a host name, and an /etc/hosts.

That file is what DNS is to containers: several addresses under one name, which change while everything runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.integration.processes.load import Load
from tests.integration.processes.serving import KAPELLE, Serving

_ALONE = 'mount --bind "$0" /etc/hosts && hostname "$1" && shift && exec "$@"'
"""What a process does once its mounts and its host name are its own."""
_UNSHARE = (["unshare", "-m", "-u"], ["unshare", "-r", "-m", "-u"])
_PAUSE = 0.05
"""Seconds between two looks at a health port, which tells nobody when something has changed."""
_PORT = 8080
_HEALTH = 7102


def unshare(folder: Path) -> tuple[Sequence[str], str]:
    """How a process gets mounts of its own here, or why none does."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    reason = "there is no unshare"
    for words in _UNSHARE:
        try:
            subprocess.run(
                [*words, "sh", "-c", _ALONE, str(hosts), "name", "true"], check=True, capture_output=True, text=True
            )
        except FileNotFoundError:
            return (), reason
        except subprocess.CalledProcessError as error:
            reason = f"processes cannot have mounts of their own here: {error.stderr.strip()}"
        else:
            return words, ""
    return (), reason


@dataclass
class Container:
    """One process of the system."""

    name: str
    service: str
    address: str
    serving: Serving

    async def ready(self) -> None:
        """Return when its health port says so."""
        while await self.health() != 200:
            assert self.serving.process.returncode is None, "\n".join(self.serving.lines)
            await asyncio.sleep(_PAUSE)

    async def health(self) -> int:
        """What it answers; 0 when it does not."""
        try:
            reader, writer = await asyncio.open_connection(self.address, _HEALTH)
        except OSError:
            return 0
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: here\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return int(line.split()[1]) if line else 0

    def signal(self, number: signal.Signals) -> None:
        self.serving.process.send_signal(number)

    async def ended(self) -> int:
        return await self.serving.ended()


def say_the_same(number: int, answer: bytes) -> bool:
    """Whether an answer is whole, and all of it from one release."""
    first, *words = json.loads(answer)
    return first == str(number) and len(words) == 4 and len(set(words)) == 1


class Landscape:
    """A store with releases r1 and r2, names, and containers."""

    def __init__(self, folder: Path, unshare: Sequence[str]) -> None:
        self.folder = folder
        self.containers: list[Container] = []
        self._unshare = unshare
        # Loopback addresses that no other run of these tests is likely to have.
        self._net = f"127.{50 + os.getpid() // 250 % 200}.{os.getpid() % 250}"
        self._count = 0
        self._names: dict[str, set[str]] = {}
        self._write_names()
        (folder / "door").mkdir()
        self.secret("secret", "0123456789abcdef" * 2)
        self.app("app")
        for word in ("one", "two"):
            self._artifacts(word)
            self._run("release", "build", "app", "--artifacts", str(folder / "artifacts"))

    # --- what there is --------------------------------------------------------------------------------------------

    def app(self, name: str, change: Callable[[str], str] = lambda text: text) -> None:
        """A version of the app's code."""
        (self.folder / name).mkdir()
        text = Path(__file__).with_name("words.py").read_text()
        (self.folder / name / "app.py").write_text(change(text))

    def secret(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    def _artifacts(self, word: str) -> None:
        shutil.rmtree(self.folder / "artifacts", ignore_errors=True)
        for below in ("model/word.txt", "index/shards/000/part.txt", "index/shards/001/part.txt"):
            path = self.folder / "artifacts" / below
            path.parent.mkdir(parents=True)
            path.write_text(word)

    # --- the engine -----------------------------------------------------------------------------------------------

    def address(self) -> str:
        """One that nobody has had."""
        self._count += 1
        return f"{self._net}.{self._count}"

    async def start(
        self, service: str, *words: str, target: str = "app", secret: str = "secret", named: bool = True
    ) -> Container:
        """Start a container; DNS has it at once, unless it is not ``named``."""
        address = self.address()
        name = f"{service}-{address.rpartition('.')[2]}"
        environment = self._environment(
            HOST=address, SECRET_FILE=str(self.folder / secret), RUN_DIR=str(self.folder / f"run-{name}")
        )
        if named:
            self.name(service, address)
        program = [KAPELLE, "start", *words, *([target] if words != ("door",) else [])]
        if words[0] == "replica":
            program = [KAPELLE, "start", "replica", target, words[1]]
        process = await asyncio.create_subprocess_exec(
            *self._unshare, "sh", "-c", _ALONE, str(self.folder / "hosts"), name, *program,
            cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        container = Container(name, service, address, Serving(self.folder, process))
        self.containers.append(container)
        return container

    async def door(self) -> Container:
        return await self.start("door", "door")

    async def gateway(self, **given: str) -> Container:
        return await self.start("gateway", "gateway", **given)  # type: ignore[arg-type]  # none of them is ``named``

    async def controller(self) -> Container:
        return await self.start("controller", "controller")

    async def model(self, **given: str) -> Container:
        return await self.start("word-model", "replica", "WordModel", **given)  # type: ignore[arg-type]  # as above

    async def part(self, **given: str) -> Container:
        return await self.start("part", "replica", "Part", **given)  # type: ignore[arg-type]  # as above

    async def whole(self) -> None:
        """Two of each, a controller and a door; all of them ready."""
        await self.controller()
        for _ in range(2):
            await self.model()
            await self.part()
            await self.gateway()
        await self.door()
        for container in self.containers:
            await container.ready()

    def name(self, service: str, address: str) -> None:
        """DNS has it from now on."""
        self._names.setdefault(service, set()).add(address)
        self._write_names()

    def unname(self, container: Container) -> None:
        """DNS has it no more."""
        self._names[container.service].discard(container.address)
        self._write_names()

    def _write_names(self) -> None:
        # In place: the file is mounted where processes look.
        lines = [f"{address} {name}" for name, there in sorted(self._names.items()) for address in sorted(there)]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))

    def all(self, service: str) -> list[Container]:
        """Those that run, oldest first."""
        return [one for one in self.containers if one.service == service and one.serving.process.returncode is None]

    async def end(self, container: Container, number: signal.Signals = signal.SIGTERM) -> int:
        """End one as engines do: it is signalled, and DNS has it no more; its exit status."""
        container.signal(number)
        self.unname(container)
        return await container.ended()

    async def sweep(self) -> None:
        """End what is still there, and show what was said where a test has failed."""
        for one in self.containers:
            if one.serving.process.returncode is None:
                one.signal(signal.SIGKILL)
                await one.ended()
            await one.serving.silence()
            print(f"--- {one.name}", *one.serving.lines, sep="\n")  # noqa: T201 - as it says

    # --- people ---------------------------------------------------------------------------------------------------

    @property
    def load(self) -> Load:
        """Clients at the door."""
        (door,) = self.all("door")
        return Load(f"http://{door.address}:{_PORT}", path="/say", is_right=say_the_same)

    async def kapelle(self, *words: str) -> str:
        """What a verb prints inside the controller's container."""
        (controller,) = self.all("controller")
        environment = self._environment(RUN_DIR=str(self.folder / f"run-{controller.name}"))
        process = await asyncio.create_subprocess_exec(
            KAPELLE, *words, cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode in (0, 1), output.decode()
        return output.decode()

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            [KAPELLE, *words], cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _environment(self, **variables: str) -> dict[str, str]:
        settings = {
            "STORE": str(self.folder / "store"), "CACHE": str(self.folder / "cache"), "DOOR": str(self.folder / "door"),
            "PORT": str(_PORT), "BAKE": "0", "ACCESS_LOG": "false", "LOG_FORMAT": "json", "DRAIN_TIMEOUT": "10",
            **variables,
        }  # fmt: skip
        return {
            **os.environ, "PYTHONUNBUFFERED": "1", **{f"KAPELLE_{name}": value for name, value in settings.items()},
        }  # fmt: skip
