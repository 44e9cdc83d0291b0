"""Counters, gauges and histograms of one process, and their merging and rendering in Prometheus' text format.

Our own cells instead of a client library's: an ``inc`` here is one addition, without locks or label look-ups; all cells
of a process are touched from its event loop's thread only. The names and units follow Prometheus' conventions.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from math import inf, isfinite

import msgspec

LATENCY_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
SIZE_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

Labels = tuple[tuple[str, str], ...]


class Sample(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One time series as of now. Histograms have ``buckets`` (bound, cumulative count), and their sum as ``value``."""

    labels: Labels
    value: float
    count: int = 0
    buckets: list[tuple[float, int]] = []


class Family(msgspec.Struct, frozen=True, array_like=True):
    """All series of one metric."""

    name: str
    kind: str
    help: str
    samples: list[Sample]


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        self.value += amount


class Histogram:
    """A distribution over fixed buckets."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Registry:
    """The metrics of one process. ``labels`` (service, replica) are added to each of its series."""

    def __init__(self, **labels: str) -> None:
        self._labels = labels
        self._families: dict[str, tuple[str, str]] = {}
        self._cells: dict[str, dict[Labels, Counter | Histogram | Callable[[], float]]] = {}
        self._states: dict[str, tuple[str, str, Callable[[], Iterable[str]]]] = {}

    def counter(self, name: str, help: str, **labels: str) -> Counter:
        """The counter of this name and these labels, made on first use."""
        cell = self._cell(name, "counter", help, labels, Counter)
        assert isinstance(cell, Counter)
        return cell

    def histogram(self, name: str, help: str, bounds: tuple[float, ...], **labels: str) -> Histogram:
        """The histogram of this name and these labels, made on first use."""
        cell = self._cell(name, "histogram", help, labels, lambda: Histogram(bounds))
        assert isinstance(cell, Histogram)
        return cell

    def gauge(self, name: str, help: str, read: Callable[[], float], **labels: str) -> None:
        """A value that is read when the metrics are collected."""
        self._cell(name, "gauge", help, labels, lambda: read)

    def total(self, name: str, help: str, read: Callable[[], float], **labels: str) -> None:
        """A number that only grows and is counted elsewhere, read when the metrics are collected."""
        self._cell(name, "counter", help, labels, lambda: read)

    def states(self, name: str, help: str, label: str, read: Callable[[], Iterable[str]]) -> None:
        """What holds at a time: a series of 1 for each value of ``label``, which are read when metrics are collected."""
        self._states[name] = help, label, read

    def collect(self) -> list[Family]:
        """The state of all metrics now."""
        found = [
            Family(name, kind, text, [_sample(labels, cell) for labels, cell in self._cells[name].items()])
            for name, (kind, text) in self._families.items()
        ]
        for name, (text, label, read) in self._states.items():
            series = [tuple(sorted({**self._labels, label: value}.items())) for value in read()]
            if series:
                found.append(Family(name, "gauge", text, [Sample(labels, 1.0) for labels in series]))
        return found

    def _cell(
        self,
        name: str,
        kind: str,
        help: str,
        labels: dict[str, str],
        make: Callable[[], Counter | Histogram | Callable[[], float]],
    ) -> Counter | Histogram | Callable[[], float]:
        self._families.setdefault(name, (kind, help))
        cells = self._cells.setdefault(name, {})
        key = tuple(sorted({**self._labels, **labels}.items()))
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = make()
        return cell


def _sample(labels: Labels, cell: Counter | Histogram | Callable[[], float]) -> Sample:
    if isinstance(cell, Counter):
        return Sample(labels, cell.value)
    if isinstance(cell, Histogram):
        cumulative = 0
        buckets = []
        for bound, count in zip(cell.bounds, cell.counts, strict=False):
            cumulative += count
            buckets.append((bound, cumulative))
        return Sample(labels, cell.total, cumulative + cell.counts[-1], buckets)
    return Sample(labels, float(cell()))


def merge(parts: Iterable[list[Family]]) -> list[Family]:
    """The families of several processes as one list; series keep the labels that tell them apart."""
    merged: dict[str, Family] = {}
    for families in parts:
        for family in families:
            known = merged.get(family.name)
            samples = family.samples if known is None else known.samples + family.samples
            merged[family.name] = Family(family.name, family.kind, family.help, samples)
    return list(merged.values())


def render(families: Iterable[Family]) -> bytes:
    """Prometheus' text exposition format, version 0.0.4."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escape_help(family.help)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for sample in family.samples:
            if family.kind == "histogram":
                for bound, count in sample.buckets:
                    lines.append(f"{family.name}_bucket{_braces(sample.labels, ('le', f'{bound:g}'))} {count}")
                lines.append(f"{family.name}_bucket{_braces(sample.labels, ('le', '+Inf'))} {sample.count}")
                lines.append(f"{family.name}_sum{_braces(sample.labels)} {_number(sample.value)}")
                lines.append(f"{family.name}_count{_braces(sample.labels)} {sample.count}")
            else:
                lines.append(f"{family.name}{_braces(sample.labels)} {_number(sample.value)}")
    return "".join(f"{line}\n" for line in lines).encode()


def _braces(labels: Labels, *more: tuple[str, str]) -> str:
    pairs = [f'{name}="{_escape(value)}"' for name, value in (*labels, *more)]
    return "{" + ",".join(pairs) + "}" if pairs else ""


def _number(value: float) -> str:
    return repr(value) if isfinite(value) else {inf: "+Inf", -inf: "-Inf"}.get(value, "NaN")


def _escape(value: str) -> str:
    return _escape_help(value).replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
