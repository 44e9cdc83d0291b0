"""A comparison as a Markdown page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rounds import Bare, Round, Settings
from targets.base import Target

REFERENCE = "kapelle"
# Beyond this share of a core for anything else, wall-clock figures say more about the neighbours than about the server.
NOISY = 0.10


@dataclass(frozen=True)
class Comparison:
    """All that a run measured.

    Attributes:
        rounds: of each target by name, in the order of the table.
        failures: why a target has no figures, by name.
        versions: of each target's packages, by name.
        bare: the same work without a server, in each round; only some scenarios have it.
    """

    scenario: str
    meaning: str
    date: str
    machine: str
    settings: Settings
    targets: Sequence[Target]
    rounds: dict[str, list[Round]]
    failures: dict[str, str]
    versions: dict[str, dict[str, str]]
    bare: Sequence[Bare] = ()

    def over(self, name: str, figure: Callable[[Round], float]) -> list[float]:
        """A figure in each round of a target."""
        return [figure(played) for played in self.rounds[name]]

    def mid(self, name: str, figure: Callable[[Round], float]) -> float:
        """A figure's median over a target's rounds."""
        return median(self.over(name, figure))


def _cpu(played: Round) -> float:
    return played.crowd.cpu_us


def _cpu_cells(comparison: Comparison, cpu: Sequence[float]) -> list[str]:
    ratio = "-"
    if comparison.rounds.get(REFERENCE):
        ratio = f"{median(cpu) / comparison.mid(REFERENCE, _cpu):.2f}"
    return [f"**{median(cpu):.1f}** ({min(cpu):.1f} to {max(cpu):.1f})", ratio]


def _bare_row(comparison: Comparison) -> list[str]:
    rate = median(one.rate for one in comparison.bare)
    return ["no server", *_cpu_cells(comparison, [one.cpu_us for one in comparison.bare]), f"{rate:,.0f}", *["-"] * 6]


def _row(comparison: Comparison, name: str) -> list[str]:
    mid = comparison.mid
    errors = sum(played.errors for played in comparison.rounds[name])
    asked = errors + sum(played.right for played in comparison.rounds[name])
    return [
        name,
        *_cpu_cells(comparison, comparison.over(name, _cpu)),
        f"{mid(name, lambda played: played.crowd.rate):,.0f}",
        f"{mid(name, lambda played: played.crowd.p50):.2f} / {mid(name, lambda played: played.crowd.p99):.2f}",
        f"{mid(name, lambda played: played.alone.p50):.3f}",
        f"{mid(name, lambda played: played.open.p50):.2f} / {mid(name, lambda played: played.open.p99):.2f}",
        f"{mid(name, lambda played: played.open.cpu_us):.0f}",
        f"{errors:,} of {asked:,}",
        f"{mid(name, lambda played: played.memory_mib):.0f}",
    ]


def table(comparison: Comparison) -> str:
    """The figures, one row a target: medians over the rounds, cheapest first."""
    settings = comparison.settings
    header = [
        "target",
        "CPU µs a request (all rounds)",
        f"÷ {REFERENCE}",
        "requests/s",
        f"p50 / p99 ms, {settings.concurrency} at once",
        "p50 ms, one at a time",
        f"p50 / p99 ms, open loop {settings.rate:,.0f}/s",
        "CPU µs there",
        "errors",
        "memory MiB",
    ]
    names = [name for name, rounds in comparison.rounds.items() if rounds]
    names.sort(key=lambda name: comparison.mid(name, _cpu))
    rows = [_row(comparison, name) for name in names]
    if comparison.bare:
        rows.insert(0, _bare_row(comparison))
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _method(comparison: Comparison) -> str:
    settings, rounds = comparison.settings, max(map(len, comparison.rounds.values()))
    whole, half, crowd = f"{settings.seconds:g} s", f"{settings.seconds / 2:g} s", settings.concurrency
    lines = (
        f"Medians of {rounds} rounds of all targets in turn, a fresh server each. In a round: {whole} with {crowd}",
        f"keep-alive connections, {half} with one, {half} of an open loop. Latencies of the latter count from when a",
        "request was due. Every answer is checked. CPU and memory (PSS) are those of all the server's processes.",
    )
    if not comparison.bare:
        return "\n".join(lines)
    bare = f"No server: the same work in one process, {half} in each round; nobody can be cheaper."
    return "\n".join([*lines, bare])


def _noise(comparison: Comparison) -> str:
    others = [played.crowd.others for rounds in comparison.rounds.values() for played in rounds]
    if not others:
        return ""
    told = f"Other processes took {median(others):.0%} of a core in the median round and {max(others):.0%} at most."
    return f"{told} The latencies of such rounds are worse than need be." if max(others) > NOISY else told


def page(comparison: Comparison) -> str:
    """The whole page: figures, method, machine, versions and tuning."""
    set_up = []
    for target in comparison.targets:
        installed = ", ".join(f"{package} {version}" for package, version in comparison.versions[target.name].items())
        set_up.append(f"- **{target.name}**: {target.tuning}. With {installed}.")
    failures = [f"{name} has no figures. {reason}" for name, reason in comparison.failures.items()]
    sections = [
        f"# {comparison.scenario}: {comparison.meaning}",
        table(comparison),
        *failures,
        f"Measured {comparison.date} on {comparison.machine}. {_noise(comparison)}",
        "## Method",
        _method(comparison),
        "## Set up as",
        "\n".join(set_up),
    ]
    return "\n\n".join(sections) + "\n"


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Write `<scenario>.md` and `<scenario>.json`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown, data = folder / f"{comparison.scenario}.md", folder / f"{comparison.scenario}.json"
    markdown.write_text(page(comparison))
    document = {
        "scenario": comparison.scenario,
        "date": comparison.date,
        "machine": comparison.machine,
        "settings": asdict(comparison.settings),
        "versions": comparison.versions,
        "failures": comparison.failures,
        "bare": [asdict(one) for one in comparison.bare],
        "rounds": {name: [asdict(played) for played in rounds] for name, rounds in comparison.rounds.items()},
    }
    data.write_text(json.dumps(document, indent=1) + "\n")
    return [markdown, data]
