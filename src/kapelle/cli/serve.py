"""``kapelle serve``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from kapelle.cli.project import Project
from kapelle.cli.release import fetch
from kapelle.config.orders import LOCAL
from kapelle.control.controller import Controller
from kapelle.control.main import serve
from kapelle.control.plan import make_plan
from kapelle.observe.logs import configure

# Takes away what the terminal shows for a key, as in ^C.
_CLEAR_LINE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))


def run_serve(target: str, options: Mapping[str, Any]) -> int:
    """Serve an app in the foreground; the exit status."""
    project = Project(target, options)
    settings = project.settings
    configure(format=settings.log_format, level=settings.log_level, service="controller", replica="controller")
    app = project.load()
    console = Console(highlight=False, markup=False, soft_wrap=True)
    artifacts, release = project.artifacts, LOCAL
    if settings.release:
        artifacts, release = fetch(project, settings.release), settings.release
    plan = make_plan(target, app, settings, artifacts, release)

    def say(line: str | Text) -> None:
        console.control(_CLEAR_LINE)
        console.print(line)

    def ready(controller: Controller) -> None:
        # Only now, when nobody waits: writing an example takes the gateway's modules.
        from kapelle.cli.examples import curl_line

        url = controller.url
        say(Text.assemble((app.name, "bold"), " is ready at ", (url, "green")))
        say(f"  docs  {url}/docs")
        line = curl_line(app, url)
        if line:
            say(f"  try   {line}")
        say("  stop  Ctrl-C")

    say(Text.assemble("starting ", (app.name, "bold"), "" if release == LOCAL else f" in release {release}"))
    for line in plan.describe():
        say(f"  {line}")
    return serve(plan, project.run, on_progress=say, on_ready=ready)
