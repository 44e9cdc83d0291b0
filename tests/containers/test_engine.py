"""The engine of these tests: what it builds and runs is as on any machine, and nothing of it stays."""

from __future__ import annotations

import filecmp
import os
import select
import shutil
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import pytest

from scripts.steps import ROOT
from tests.containers.base_image import PYTHON, load, python_recipe, write_layer
from tests.containers.docker import Docker, DockerFailed
from tests.containers.engine import CGROUPS, PrivateEngine, remove_leftovers, start_engine

pytestmark = pytest.mark.timeout(240)

# What the generated Dockerfiles use: stages, a cache, a secret that may be missing, a user that may little.
DOCKERFILE = f"""
FROM {PYTHON} AS build
RUN python -m venv /opt/venv
RUN --mount=type=cache,target=/var/cache/pip --mount=type=secret,id=ca \\
    /opt/venv/bin/pip install --cache-dir /var/cache/pip --disable-pip-version-check h11

FROM {PYTHON}
RUN groupadd --gid 10001 kapelle && useradd --uid 10001 --gid 10001 --no-create-home kapelle
COPY --from=build /opt/venv /opt/venv
COPY --chown=10001:10001 app.py /app/
ENV PATH=/opt/venv/bin:$PATH
USER kapelle
WORKDIR /app
CMD ["python", "app.py"]
"""

COMPOSE = """
services:
  web:
    image: {image}
    command: [python, -m, http.server, "8000"]
    ports: ["18234:8000"]
    stop_signal: SIGKILL
    healthcheck:
      test: [CMD, python, -c, "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000')"]
      interval: 1s
      start_period: 20s
      start_interval: 0.2s
  tests:
    image: {image}
    profiles: [tests]
    command: [python, -c, "import urllib.request; urllib.request.urlopen('http://web:8000'); raise SystemExit({status})"]
    depends_on: {{web: {{condition: service_healthy}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "app.py").write_text("import h11, os\nprint(h11.__name__, os.getuid(), os.getgid())\n")
    return tmp_path


def test_an_image_is_built_and_runs_as_somebody_who_may_little(docker: Docker, folder: Path) -> None:
    image = docker.build(folder, "kapelle-tests/sample")
    locked = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--init", "--tmpfs", "/run/x"]
    assert docker.run("kapelle-tests/sample", options=locked) == "h11 10001 10001"
    assert docker.build(folder, "kapelle-tests/sample") == image  # from the cache


def test_a_command_in_the_image_may_not_write_where_it_should_not(docker: Docker, folder: Path) -> None:
    docker.build(folder, "kapelle-tests/sample")
    with pytest.raises(DockerFailed, match="Read-only file system"):
        docker.run("kapelle-tests/sample", "touch", "/file", options=["--read-only", "--user", "0"])


@pytest.mark.parametrize("status", [0, 7])
def test_compose_ends_with_the_exit_status_of_the_tests(docker: Docker, tmp_path: Path, status: int) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE.format(image=PYTHON, status=status))
    project = docker.compose(file, project=f"status-{status}")
    try:
        ended = project.attempt(
            "--profile", "tests", "up", "--abort-on-container-exit", "--exit-code-from", "tests", timeout=90
        )
        assert ended.status == status, ended.last_lines
    finally:
        project.down()


def test_a_published_port_is_reached_and_gone_after_down(docker: Docker, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE.format(image=PYTHON, status=0))
    project = docker.compose(file, project="published")
    try:
        project.up("web", timeout=90)
        with urllib.request.urlopen("http://127.0.0.1:18234/etc/hostname") as answer:
            assert answer.read()
        assert len(project.containers("web")) == 1
    finally:
        project.down()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen("http://127.0.0.1:18234")
    assert not [each for each in docker.records("network", "ls") if each["Name"].startswith("published")]


def test_a_failure_shows_what_was_said_last(docker: Docker) -> None:
    with pytest.raises(DockerFailed, match=r"(?s)docker run .*: exit status 3\n.*the reason"):
        docker.run(PYTHON, "sh", "-c", "echo the reason >&2; exit 3")


def test_a_command_that_does_not_end_is_a_failure(docker: Docker) -> None:
    container = docker("run", "--detach", "--init", PYTHON, "sleep", "600")
    try:
        with pytest.raises(DockerFailed, match=r"docker wait .* still running after 0\.2 s"):
            docker("wait", container, timeout=0.2)
    finally:
        docker("rm", "--force", container)


def test_the_same_packages_make_the_same_image(tmp_path: Path, private_engine: PrivateEngine | None) -> None:
    if private_engine is None:
        pytest.skip("images come from a registry here")
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        with path.open("wb") as stream:
            write_layer(python_recipe(), stream)
    assert filecmp.cmp(one, two, shallow=False)


def test_nothing_stays_of_a_stopped_engine(private_engine: PrivateEngine | None) -> None:
    if private_engine is None:
        pytest.skip("the engine of this machine is used: it is not the tests' to stop")
    engine = start_engine()
    docker = Docker(engine.clients.environment)
    load(docker, python_recipe())
    docker("network", "create", "some-network")
    docker("run", "--detach", "--network", "some-network", "--publish", "18235:80", PYTHON, "sleep", "600")
    network = Path(f"/proc/{engine.init}/ns/net").readlink()
    assert network in network_namespaces()
    engine.stop()
    assert network not in network_namespaces()  # with its bridges, addresses and packet filters
    assert engine.name not in Path("/proc/self/mounts").read_text()
    assert not [*CGROUPS.glob(f"*/{engine.name}"), *CGROUPS.glob(engine.name)]
    assert not engine.data.exists()
    assert not engine.folder.exists()


def network_namespaces() -> set[Path]:
    """All that any process is in."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/ns/net"):
        with suppress(OSError):  # it ended meanwhile
            found.add(each.readlink())
    return found


# Tests that are killed at once: nobody asks the engine to stop, and it is gone all the same.
KILLED = """
import sys
from tests.containers.engine import start_engine

engine = start_engine()
print(engine.init, engine.folder, engine.data, flush=True)
sys.stdin.read()
"""


def test_an_engine_dies_with_its_tests(private_engine: PrivateEngine | None) -> None:
    if private_engine is None:
        pytest.skip("the engine of this machine is used: it lives on")
    tests = subprocess.Popen([sys.executable, "-c", KILLED], cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True)
    assert tests.stdout is not None
    init, folder, data = tests.stdout.readline().split()
    engine = os.pidfd_open(int(init))
    tests.kill()
    tests.communicate()
    ended, _, _ = select.select([engine], [], [], 30)
    os.close(engine)
    assert ended
    assert Path(data).exists()
    remove_leftovers()  # as the next tests do
    assert not Path(data).exists()
    shutil.rmtree(folder)
