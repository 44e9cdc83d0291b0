"""Prometheus and Grafana beside a system: their files, and what their containers are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kapelle.deploy.dashboard import dashboard_json
from kapelle.deploy.service_options import hardening, logging
from kapelle.deploy.topology import HEALTH, OBSERVERS
from kapelle.deploy.yaml import Note, document

PROMETHEUS_IMAGE, GRAFANA_IMAGE = "prom/prometheus:v3.5.0", "grafana/grafana:12.1.1"
PASSWORD = "/run/secrets/grafana"  # noqa: S105 - the path of one
VOLUMES = OBSERVERS

PROMETHEUS, SOURCE, BOARDS, DASHBOARD = (
    "prometheus/prometheus.yml", "grafana/datasources.yml", "grafana/dashboards.yml", "grafana/kapelle.json",
)  # fmt: skip
MOUNTS = {
    "prometheus": {PROMETHEUS: "/etc/prometheus/prometheus.yml"},
    "grafana": {
        SOURCE: "/etc/grafana/provisioning/datasources/kapelle.yml",
        BOARDS: "/etc/grafana/provisioning/dashboards/kapelle.yml",
        DASHBOARD: "/var/lib/kapelle-dashboards/kapelle.json",
    },
}
"""Where the containers look for the files."""
PROMETHEUS_ARGUMENTS = (
    "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus",
    "--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=4GB",
)  # fmt: skip
GRAFANA_SETTINGS = {
    "GF_SECURITY_ADMIN_PASSWORD__FILE": PASSWORD,
    "GF_AUTH_ANONYMOUS_ENABLED": "true",
    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": MOUNTS["grafana"][DASHBOARD],
}


def files(names: Sequence[str]) -> dict[str, str]:
    """The text of each file; ``names`` are those under which DNS has the addresses of each part's containers."""
    jobs = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "scrape_configs": [
            {
                "job_name": "kapelle",
                "dns_sd_configs": [{"names": list(names), "type": "A", "port": HEALTH, "refresh_interval": "5s"}],
            }
        ],
    }
    source = {
        "apiVersion": 1,
        "datasources": [
            {"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "url": "http://prometheus:9090",
             "isDefault": True, "jsonData": {"timeInterval": "5s"}},
        ],
    }  # fmt: skip
    boards = {
        "apiVersion": 1,
        "providers": [{"name": "Kapelle", "type": "file", "options": {"path": "/var/lib/kapelle-dashboards"}}],
    }
    about = "Each container tells its own metrics; DNS has an address for each of them, new ones within 5 seconds."
    return {
        PROMETHEUS: document(about, jobs),
        SOURCE: document("Where Grafana asks.", source),
        BOARDS: document("What Grafana shows: all dashboards of this folder.", boards),
        DASHBOARD: dashboard_json(),
    }


def services() -> dict[str, dict[str, Any]]:
    """The containers' options that mean the same to Compose and a Swarm."""
    return {
        "prometheus": {
            "image": PROMETHEUS_IMAGE,
            "command": list(PROMETHEUS_ARGUMENTS),
            "volumes": ["prometheus:/prometheus"],
            **hardening(),
            "logging": logging(),
        },
        "grafana": {
            "image": GRAFANA_IMAGE,
            "environment": dict(GRAFANA_SETTINGS),
            "volumes": ["grafana:/var/lib/grafana", _memory()],
            **hardening(),
            "logging": logging(),
        },
    }


def _memory() -> Note:
    place = "/tmp"  # noqa: S108 - the container's own
    return Note("Its only other place to write to.", {"type": "tmpfs", "target": place, "tmpfs": {"size": 64 << 20}})
