"""What ``kapelle start`` does."""

from __future__ import annotations

import os
from pathlib import Path

from kapelle.cli.project import Project
from kapelle.config.engine import CONTROLLER, DOOR, GATEWAY
from kapelle.config.settings import load
from kapelle.control import engine
from kapelle.control.awaiting import current_release
from kapelle.control.overseer_main import oversee
from kapelle.observe.logs import configure


def start_gateway(target: str) -> int:
    """Become a gateway."""
    project = _project(target, GATEWAY)
    release = current_release(project.objects, target)
    engine.become_gateway(target, project.settings, project.stock, release, project.run.path)


def start_replica(target: str, service: str) -> int:
    """Become a replica."""
    project = _project(target, service)
    release = current_release(project.objects, target)
    engine.become_replica(target, service, project.settings, project.stock, release)


def start_controller(target: str) -> int:
    """Be the controller until SIGTERM; the exit status."""
    project = _project(target, CONTROLLER)
    current_release(project.objects, target, begin=True)
    return oversee(target, project.load(), project.settings, project.stock, project.objects, project.run)


def start_door() -> int:
    """Keep the door until SIGTERM; the exit status."""
    from kapelle.control.door_main import keep_door

    settings = load(folder=Path.cwd(), environment=os.environ).settings
    configure(format=settings.log_format, level=settings.log_level, service=DOOR, replica=engine.process_name(DOOR))
    return keep_door(settings)


def _project(target: str, service: str) -> Project:
    project = Project(target, {})
    settings = project.settings
    name = engine.process_name(service)
    configure(format=settings.log_format, level=settings.log_level, service=service, replica=name)
    engine.check_credentials(settings)
    engine.leave_on_signals()
    return project
