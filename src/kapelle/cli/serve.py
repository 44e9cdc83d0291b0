"""``kapelle serve``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kapelle.cli.examples import curl_line
from kapelle.cli.project import Project
from kapelle.control.controller import Controller
from kapelle.control.main import serve
from kapelle.control.plan import make_plan
from kapelle.observe.logs import configure


def run_serve(target: str, options: Mapping[str, Any]) -> int:
    """Serve an app in the foreground; the exit status."""
    project = Project(target, options)
    configure(
        format=project.settings.log_format, level=project.settings.log_level, service="controller", replica="controller"
    )
    app = project.target.load()
    plan = make_plan(target, app, project.settings, project.artifacts)
    _say(f"starting {app.name}: " + "; ".join(plan.describe()))

    def ready(controller: Controller) -> None:
        _say(f"{app.name} is ready at {controller.url}")
        _say(f"  documentation  {controller.url}/docs")
        line = curl_line(app, controller.url)
        if line:
            _say(f"  try            {line}")
        _say("  stop           Ctrl-C")

    return serve(plan, project.run, on_progress=_say, on_ready=ready)


def _say(line: str) -> None:
    print(line, flush=True)
