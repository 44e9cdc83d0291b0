"""The Dockerfile of an app, as a person reads it; and the script that installs, as a shell does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kapelle.deploy import dockerfile
from tests.unit.deploy.sample_app import SampleApp

SERVING = """\
# The dependencies: what the app needs. pip's cache stays with the engine that builds.
FROM builder AS dependencies
COPY requirements/kapelle.txt requirements/requirements.txt ./
RUN --mount=type=cache,id=kapelle-pip,target=/var/cache/pip,sharing=locked \\
    --mount=type=secret,id=ca --mount=type=secret,id=pip \\
    sh install.sh /opt/venv kapelle.txt requirements.txt
"""

RELEASE = """\
# Makes the first release of a store: the builder, what only it needs, and what it builds from.
FROM gateway AS release
COPY --from=dependencies-build /opt/build /opt/venv
COPY --from=material /material /app
HEALTHCHECK NONE
LABEL kapelle.app="shop/search" \\
"""


@pytest.fixture
def text(sample: SampleApp) -> str:
    sample.with_all()
    return (sample.plan().context / "Dockerfile").read_text()


def test_dependencies_come_before_kapelle_and_that_before_the_code(text: str) -> None:
    places = [text.index(f"COPY --from={stage} ") for stage in ("dependencies", "package", "code")]
    assert places == sorted(places)
    assert SERVING in text
    assert RELEASE in text


def test_every_stage_says_what_it_is_for(text: str) -> None:
    stages = [block for block in text.split("\n\n") if "FROM " in block]
    assert len(stages) == text.count("\nFROM ")
    assert [block for block in stages if not block.startswith("# ")] == []


def test_what_is_named_is_there(text: str) -> None:
    """Each COPY takes from a stage above, or from a file that is in the context."""
    context = Path(".kapelle/images/shop.search")
    above = ["${BASE}"]
    for line in text.splitlines():
        words = line.split()
        if line.startswith("FROM "):
            assert words[1] in above
            above.append(words[3])
        elif line.startswith("COPY --from="):
            assert words[1].removeprefix("--from=") in above
        elif line.startswith("COPY "):
            assert [one for one in words[1:-1] if not (context / one).exists()] == []


def test_containers_have_no_rights_and_end_as_they_are_told(text: str) -> None:
    assert "USER 10001:10001" in text
    assert 'ENTRYPOINT ["dumb-init", "--single-child", "--"]' in text
    assert "STOPSIGNAL SIGTERM" in text
    assert 'CMD ["python", "-P", "-m", "kapelle.healthcheck"]' in text
    assert 'CMD ["python", "-m", "pytest", "-p", "no:cacheprovider", "shop/search/tests"]' in text
    assert "# syntax=" not in text  # it would have to be fetched


def test_the_installer_is_a_shell_script(tmp_path: Path) -> None:
    (tmp_path / "install.sh").write_text(dockerfile.INSTALL)
    subprocess.run(["sh", "-n", tmp_path / "install.sh"], check=True)


def test_files_without_dependencies_come_last() -> None:
    stage = dockerfile.dependencies("dependencies", ["r/requirements-nodeps.txt", "r/requirements.txt"], [])
    assert stage.text.endswith("install.sh /opt/venv requirements.txt requirements-nodeps.txt")
