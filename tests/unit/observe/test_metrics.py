"""What a process counted is rendered as Prometheus reads it, and merged with what others counted."""

from __future__ import annotations

import re
from collections import Counter as Tally

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from kapelle.observe.metrics import LATENCY_BUCKETS, SIZE_BUCKETS, Family, Histogram, Registry, Sample, merge, render

# The text format's own grammar: name, labels within braces, value.
_STRING = r'"(?:[^"\\\n]|\\[\\"n])*"'
LINE = re.compile(rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{{((?:[a-zA-Z_]\w*={_STRING},?)*)\}})? (\S+)")
LABEL = re.compile(rf"([a-zA-Z_]\w*)=({_STRING})")

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), text)


def parse(text: bytes) -> tuple[dict[str, tuple[str, str]], Series]:
    """Read the text format strictly: kind and help of each metric, value of each series."""
    families: dict[str, tuple[str, str]] = {}
    series: Series = {}
    lines = text.decode().split("\n")
    assert lines.pop() == "", "the last line ends like all others"
    current = ""
    for line in lines:
        if line.startswith("# HELP "):
            _, _, current, explanation = line.split(" ", 3)
            assert current not in families, "the lines of one metric stand together"
            families[current] = ("", unescape(explanation))
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current
            families[name] = (kind, families[name][1])
        else:
            found = LINE.fullmatch(line)
            assert found is not None, line
            name = found[1]
            suffixes = ("_bucket", "_sum", "_count") if families[current][0] == "histogram" else ("",)
            assert name in {current + suffix for suffix in suffixes}
            labels = tuple((label, unescape(value[1:-1])) for label, value in LABEL.findall(found[2] or ""))
            assert len(dict(labels)) == len(labels), "a label stands once"
            assert (name, labels) not in series, "a series stands once"
            series[name, labels] = float(found[3])
    return families, series


def test_the_text_format() -> None:
    registry = Registry(service="Encoder", replica="Encoder-0")
    registry.counter("kapelle_calls_total", "Calls that reached the replica.", method="embed").inc()
    registry.counter("kapelle_calls_total", "Calls that reached the replica.", method="size").inc(2.5)
    registry.gauge("kapelle_queued_rows", "Rows that wait.", lambda: 3)
    registry.total("kapelle_cpu_seconds_total", "CPU time.", lambda: 0.125)
    histogram = registry.histogram("kapelle_run_seconds", "Time in user code.", (0.01, 0.1, 1.0))
    for seconds in (0.005, 0.01, 0.05, 7.0):
        histogram.observe(seconds)
    assert render(registry.collect()).decode() == snapshot("""\
# HELP kapelle_calls_total Calls that reached the replica.
# TYPE kapelle_calls_total counter
kapelle_calls_total{method="embed",replica="Encoder-0",service="Encoder"} 1.0
kapelle_calls_total{method="size",replica="Encoder-0",service="Encoder"} 2.5
# HELP kapelle_queued_rows Rows that wait.
# TYPE kapelle_queued_rows gauge
kapelle_queued_rows{replica="Encoder-0",service="Encoder"} 3.0
# HELP kapelle_cpu_seconds_total CPU time.
# TYPE kapelle_cpu_seconds_total counter
kapelle_cpu_seconds_total{replica="Encoder-0",service="Encoder"} 0.125
# HELP kapelle_run_seconds Time in user code.
# TYPE kapelle_run_seconds histogram
kapelle_run_seconds_bucket{replica="Encoder-0",service="Encoder",le="0.01"} 2
kapelle_run_seconds_bucket{replica="Encoder-0",service="Encoder",le="0.1"} 3
kapelle_run_seconds_bucket{replica="Encoder-0",service="Encoder",le="1"} 3
kapelle_run_seconds_bucket{replica="Encoder-0",service="Encoder",le="+Inf"} 4
kapelle_run_seconds_sum{replica="Encoder-0",service="Encoder"} 7.065
kapelle_run_seconds_count{replica="Encoder-0",service="Encoder"} 4
""")


def test_a_process_without_labels() -> None:
    registry = Registry()
    registry.counter("up_total", "Starts.").inc()
    assert render(registry.collect()) == b"# HELP up_total Starts.\n# TYPE up_total counter\nup_total 1.0\n"


def test_a_cell_is_the_same_whenever_it_is_asked_for() -> None:
    registry = Registry(service="a")
    one = registry.counter("n_total", "N.", method="x", shard="1")
    assert registry.counter("n_total", "N.", shard="1", method="x") is one
    assert registry.counter("n_total", "N.", method="y") is not one
    histogram = registry.histogram("s", "S.", (1.0,))
    assert registry.histogram("s", "S.", (1.0,)) is histogram


label_values = st.text(st.characters(codec="utf-8"), max_size=8)


@given(values=st.dictionaries(label_values, st.floats(), max_size=5), explanation=label_values)
def test_any_label_value_and_help_text_survives(values: dict[str, float], explanation: str) -> None:
    samples = [Sample((("path", value),), number) for value, number in values.items()]
    families, series = parse(render([Family("x_total", "counter", "Help " + explanation, samples)]))
    assert families == {"x_total": ("counter", "Help " + explanation)}
    assert [labels for _, labels in series] == [sample.labels for sample in samples]
    for number, sample in zip(series.values(), samples, strict=True):
        assert number == sample.value or number != number  # noqa: PLR0124 - only NaN differs from itself


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("inf"), b"+Inf"),
        (float("-inf"), b"-Inf"),
        (float("nan"), b"NaN"),
        (np.float32(0.5), b"0.5"),
        (True, b"1.0"),
        (7, b"7.0"),
        (1e21, b"1e+21"),
    ],
)
def test_a_gauge_may_read_any_number(value: float, text: bytes) -> None:
    registry = Registry()
    registry.gauge("x", "X.", lambda: value)
    assert render(registry.collect()).endswith(b"\nx " + text + b"\n")


@given(
    observed=st.lists(st.floats(0, 1e6), max_size=60),
    bounds=st.sampled_from([LATENCY_BUCKETS, SIZE_BUCKETS, (1.0,), ()]),
)
def test_a_histogram_counts_what_is_at_most_its_bound(observed: list[float], bounds: tuple[float, ...]) -> None:
    registry = Registry()
    histogram = registry.histogram("x", "X.", bounds)
    for value in observed:
        histogram.observe(value)
    _, series = parse(render(registry.collect()))
    for bound in bounds:
        assert series["x_bucket", (("le", f"{bound:g}"),)] == sum(value <= bound for value in observed)
    assert series["x_bucket", (("le", "+Inf"),)] == series["x_count", ()] == len(observed)
    assert series["x_sum", ()] == pytest.approx(sum(observed))
    buckets = [count for (name, _), count in series.items() if name == "x_bucket"]
    assert buckets == sorted(buckets), "buckets are cumulative"


@pytest.mark.parametrize("bounds", [LATENCY_BUCKETS, SIZE_BUCKETS])
def test_bounds_grow_and_are_told_apart_in_text(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
    assert [float(f"{bound:g}") for bound in bounds] == list(bounds)
    assert Histogram(bounds).counts == [0] * (len(bounds) + 1)


@given(counts=st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4))
def test_merging_loses_and_doubles_nothing(counts: list[list[int]]) -> None:
    expected: Tally[tuple[str, str]] = Tally()
    parts = []
    for process, methods in enumerate(counts):
        registry = Registry(replica=f"Encoder-{process}")
        for number, count in enumerate(methods):
            registry.counter("calls_total", "Calls.", method=f"m{number}").inc(count)
            expected[f"Encoder-{process}", f"m{number}"] += count
        registry.gauge(f"own_{process}", "Only here.", lambda: 1)
        # As it travels between processes.
        parts.append(msgspec.msgpack.decode(msgspec.msgpack.encode(registry.collect()), type=list[Family]))
    families, series = parse(render(merge(parts)))
    assert {name for name in families if name.startswith("own_")} == {f"own_{n}" for n in range(len(counts))}
    found = {
        (dict(labels)["replica"], dict(labels)["method"]): value
        for (name, labels), value in series.items()
        if name == "calls_total"
    }
    assert found == dict(expected)


def test_merging_does_not_touch_the_parts() -> None:
    one = [Family("x", "gauge", "X.", [Sample((("p", "1"),), 1.0)])]
    two = [Family("x", "gauge", "X.", [Sample((("p", "2"),), 2.0)])]
    (merged,) = merge([one, two])
    assert [sample.value for sample in merged.samples] == [1.0, 2.0]
    assert (len(one[0].samples), len(two[0].samples)) == (1, 1)


def test_a_state_has_a_series_for_each_value_that_holds() -> None:
    registry = Registry(gateway="gateway-0")
    held = ["r1"]
    registry.states("kapelle_release_held", "1 for each release.", "release", lambda: held)
    held.append("r2")
    _, series = parse(render(registry.collect()))
    name = "kapelle_release_held"
    assert series == {(name, (("gateway", "gateway-0"), ("release", one))): 1.0 for one in held}
    held.clear()
    assert registry.collect() == []
