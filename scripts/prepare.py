"""`make environment`: all that development needs. `make run` takes from here only what serving needs."""

from __future__ import annotations

from scripts.apps import app_names, build_step, requirements_step
from scripts.engine import engine_steps
from scripts.environment import package_step, tools_step, venv_step
from scripts.packages import browser_step
from scripts.steps import Step, run_steps


def serving(name: str) -> list[Step]:
    """What ``kapelle serve apps/<name>`` needs."""
    venv = venv_step()
    package = package_step(venv)
    requirements = requirements_step(name, package)
    return [venv, package, requirements, build_step(name, requirements)]


def development() -> list[Step]:
    """What the checks need: the tools, and every application's requirements."""
    venv = venv_step()
    package = package_step(venv)
    return [venv, package, tools_step(package), *(requirements_step(name, package) for name in app_names())]


def testing() -> list[Step]:
    """What the tests need: they ask the real applications, so those are built."""
    steps = [*development(), browser_step(), *engine_steps(), *(step for name in app_names() for step in serving(name))]
    return list({step.stamp: step for step in steps}.values())


if __name__ == "__main__":
    run_steps(development())
