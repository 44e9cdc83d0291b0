"""BuildKit's lines, as its plain progress prints them, are steps by stage."""

from __future__ import annotations

from kapelle.deploy.steps import Step, Steps

LINES = """
#0 building with "default" instance using docker driver
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#4 [builder 1/4] FROM docker.io/library/python:3.11-slim
#4 CACHED
#9 [package 2/2] RUN sh install.sh /opt/kapelle kapelle.whl
#10 [linux/arm64 dependencies-build 2/2] RUN --mount=type=cache sh install.sh
#9 0.712 Processing ./kapelle.whl
#9 DONE 3.9s
#10 1.500 ERROR: No matching distribution found for nothing
#10 ERROR: process "/bin/sh -c sh install.sh" did not complete successfully: exit code: 1
------
Dockerfile:10
"""


def test_steps_with_their_stages() -> None:
    steps = Steps()
    begun = [step for line in LINES.splitlines() if (step := steps.hear(line)) is not None]
    assert begun == steps.all == [
        Step("builder", "FROM docker.io/library/python:3.11-slim", cached=True),
        Step("package", "RUN sh install.sh /opt/kapelle kapelle.whl", seconds=3.9, said=["Processing ./kapelle.whl"]),
        Step(
            "dependencies-build", "RUN --mount=type=cache sh install.sh", failed=True,
            said=["ERROR: No matching distribution found for nothing"],
        ),
    ]  # fmt: skip
    assert steps.failed is begun[-1]


def test_nothing_failed() -> None:
    assert Steps().failed is None
