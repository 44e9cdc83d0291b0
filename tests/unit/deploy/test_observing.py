from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from kapelle.deploy.files import write_files
from kapelle.deploy.observing import GRAFANA_IMAGE, MOUNTS, PROMETHEUS_IMAGE, files, services
from tests.unit.deploy.parsers import needs_promtool


def test_prometheus_asks_each_container() -> None:
    read = yaml.safe_load(files(["door", "encoder"])["prometheus/prometheus.yml"])
    [job] = read["scrape_configs"]
    assert job["dns_sd_configs"] == [
        {"names": ["door", "encoder"], "type": "A", "port": 7102, "refresh_interval": "5s"}
    ]


def test_grafana_has_its_source_and_dashboards() -> None:
    made = files(["door"])
    [source] = yaml.safe_load(made["grafana/datasources.yml"])["datasources"]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    [provider] = yaml.safe_load(made["grafana/dashboards.yml"])["providers"]
    assert MOUNTS["grafana"]["grafana/kapelle.json"].startswith(provider["options"]["path"])


def test_every_file_is_mounted_where_it_is_read() -> None:
    assert {file for mounts in MOUNTS.values() for file in mounts} == files(["door"]).keys()


def test_versions_are_named() -> None:
    assert [one["image"] for one in services().values()] == [PROMETHEUS_IMAGE, GRAFANA_IMAGE]
    assert all(":" in image and not image.endswith(":latest") for image in (PROMETHEUS_IMAGE, GRAFANA_IMAGE))


@needs_promtool()
def test_promtool_reads_it(tmp_path: Path) -> None:
    write_files(tmp_path, "test", files(["door"]))
    command = ["promtool", "check", "config", "prometheus/prometheus.yml"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
