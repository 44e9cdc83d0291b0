"""The dashboard of a system, as Grafana reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDTH, _HEIGHT, _ROW = 8, 8, 24
_RATE = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart: its title, unit, and pairs of an expression and the legend of its series."""

    title: str
    unit: str
    series: Sequence[tuple[str, str]]
    stacked: bool = False


def _quantile(share: float, metric: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{_RATE})))"


def _mean(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}_sum{_RATE})) / sum by ({by}) (rate({metric}_count{_RATE}))"


ROWS: dict[str, tuple[Panel, ...]] = {
    "What clients see": (
        Panel("Requests a second", "reqps", [(f"sum by (endpoint) (rate(kapelle_requests_total{_RATE}))", "{{endpoint}}")]),
        Panel("Latency", "s", [
            (_quantile(0.5, "kapelle_request_seconds", "endpoint"), "{{endpoint}} p50"),
            (_quantile(0.99, "kapelle_request_seconds", "endpoint"), "{{endpoint}} p99"),
        ]),
        Panel("Errors a second", "reqps", [
            (f'sum by (status) (rate(kapelle_requests_total{{status=~"[45].."}}{_RATE}))', "{{status}}"),
        ]),
    ),
    "Services": (
        Panel("Calls a second", "reqps", [
            (f"sum by (service) (rate(kapelle_calls_total{_RATE}))", "{{service}}"),
        ]),
        Panel("Time of a call, p99", "s", [
            (_quantile(0.99, "kapelle_call_seconds", "service, method"), "{{service}}.{{method}}"),
        ]),
        Panel("Rows that wait", "short", [("sum by (service) (kapelle_replica_queued_rows)", "{{service}}")]),
        Panel("Rows in a batch", "short", [
            (_mean("kapelle_batch_rows", "service, method"), "{{service}}.{{method}}"),
        ]),
        Panel("Time in user code", "percentunit", [
            (f"sum by (service, replica) (rate(kapelle_run_seconds_sum{_RATE}))", "{{service}} {{replica}}"),
        ]),
        Panel("Refused, expired, sent again, hedged", "reqps", [
            (f"sum by (service) (rate(kapelle_calls_refused_total{_RATE}))", "{{service}} refused"),
            (f"sum by (service) (rate(kapelle_calls_expired_total{_RATE}))", "{{service}} expired"),
            (f"sum by (service) (rate(kapelle_retries_total{_RATE}))", "{{service}} sent again"),
            (f"sum by (service) (rate(kapelle_hedges_total{_RATE}))", "{{service}} hedged"),
        ]),
        Panel("Replicas that may be called", "short", [("min by (service) (kapelle_pool_usable)", "{{service}}")]),
        Panel("Rows sent and not yet answered", "short", [("sum by (service) (kapelle_pool_outstanding)", "{{service}}")]),
        Panel("Shared memory in use", "bytes", [
            ("kapelle_shared_memory_bytes", "{{service}} {{replica}}{{gateway}}"),
        ], stacked=True),
    ),
    "Processes": (
        Panel("CPU", "short", [
            (f"rate(kapelle_process_cpu_seconds_total{_RATE})", "{{service}}{{role}} {{replica}}{{gateway}}"),
        ], stacked=True),
        Panel("Memory", "bytes", [
            ("kapelle_process_resident_memory_bytes", "{{service}}{{role}} {{replica}}{{gateway}}"),
        ], stacked=True),
        Panel("Containers that answer", "short", [("sum by (instance) (up)", "{{instance}}")], stacked=True),
    ),
    "Releases": (
        Panel("Release that new requests see, by gateways", "short", [
            ("sum by (release) (kapelle_release_current)", "{{release}}"),
        ], stacked=True),
        Panel("Releases that are loaded, by processes", "short", [
            ("sum by (release, service) (kapelle_release_held)", "{{release}} {{service}}"),
        ], stacked=True),
        Panel("Answers of a release asked beside", "reqps", [
            (f"sum by (outcome) (rate(kapelle_mirrored_total{_RATE}))", "{{outcome}}"),
        ]),
    ),
}  # fmt: skip
"""The rows of the dashboard."""


def dashboard_json() -> str:
    """The dashboard as a file."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": top, "w": _ROW, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        for number, panel in enumerate(row):
            across, down = number * _WIDTH % _ROW, number * _WIDTH // _ROW
            place = {"x": across, "y": top + 1 + down * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append(_chart(panel, len(panels) + 1, place))
        top += 1 + -(-len(row) * _WIDTH // _ROW) * _HEIGHT
    board = {
        "uid": "kapelle", "title": "Kapelle", "tags": ["kapelle"], "schemaVersion": 39, "version": 1, "editable": True,
        "refresh": "5s", "time": {"from": "now-15m", "to": "now"}, "timezone": "browser",
        "annotations": {"list": []}, "templating": {"list": []}, "panels": panels,
    }  # fmt: skip
    return json.dumps(board, indent=2) + "\n"


def _chart(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
    custom = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "stacking": stacking}
    return {
        "id": number, "type": "timeseries", "title": panel.title, "datasource": _SOURCE, "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.series)
        ],
    }  # fmt: skip
