"""What the benchmarks must know about a server to measure it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dialogue import Dialogue

BENCHMARKS = Path(__file__).resolve().parent.parent
ENVIRONMENTS = BENCHMARKS / ".peers"
PEERS = BENCHMARKS / "peers"


class NotInstalled(Exception):
    """A target's programs are missing; the message says how to get them."""


@dataclass(frozen=True)
class Scene:
    """Where a server is to run.

    Attributes:
        scenario: which scenario it plays, for instance "tiny-batched".
        port: where it answers HTTP on 127.0.0.1.
        spare_ports: free ports for whatever else it opens.
        folder: an empty folder for its files, which goes with it; its path is short enough for Unix sockets.
    """

    scenario: str
    port: int
    spare_ports: Sequence[int]
    folder: Path

    @property
    def batched(self) -> bool:
        return self.scenario.endswith("-batched")


@dataclass(frozen=True)
class Command:
    """One program of a server: what to execute, and environment variables beyond the common ones."""

    argv: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """One server under test.

    Attributes:
        name: in tables and after `--targets`.
        scenarios: those it can play.
        packages: whose versions the results name.
        tuning: how it is set up and why, one line for the results.
    """

    @property
    def name(self) -> str: ...
    @property
    def scenarios(self) -> Sequence[str]: ...
    @property
    def packages(self) -> Sequence[str]: ...
    @property
    def tuning(self) -> str: ...

    def python(self) -> Path:
        """The interpreter of the environment it is installed in.

        Raises:
            NotInstalled: there is none.
        """

    def commands(self, scene: Scene) -> Sequence[Command]:
        """The programs that together are the server."""

    def dialogue(self, scenario: str) -> Dialogue:
        """What it is asked in a scenario and must answer."""


def peer_python(peer: str) -> Path:
    """The interpreter of a peer's own environment.

    Raises:
        NotInstalled: install_peers.py has not made the environment.
    """
    python = ENVIRONMENTS / peer / "bin" / "python"
    if not python.exists():
        raise NotInstalled(f"{peer} is not installed; run `python benchmarks/install_peers.py {peer}`")
    return python
