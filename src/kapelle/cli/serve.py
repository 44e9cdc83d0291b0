"""``kapelle serve``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from kapelle.cli.project import Project, live_records
from kapelle.config.orders import LOCAL
from kapelle.control.beginning import arrange
from kapelle.control.controller import Controller
from kapelle.control.main import serve
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
    runs = bool(live_records(project.run))
    what = arrange(target, app, settings, project.stock, project.objects, runs=runs)
    plan = what.plan

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

    release = "" if plan.release == LOCAL else f" in release {plan.release}"
    say(Text.assemble("starting ", (app.name, "bold"), release, ", with the code of that" if plan.code else ""))
    for line in plan.describe():
        say(f"  {line}")
    return serve(what, project.run, on_progress=say, on_ready=ready)
