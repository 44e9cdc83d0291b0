"""``kapelle start``: one process of a system, as a container runs it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

start_app = App(
    name="start",
    sort_key=9,
    help="Run one process of a system, as its containers do: the files that `kapelle deploy` writes have these commands. "
    "`kapelle serve` runs a whole system.",
)

Target = Annotated[str, Parameter(help="The app: a folder with an app.py, a file, or a module.")]


@start_app.command(sort_key=1)
def gateway(target: Target, /) -> int:
    """Run a gateway: serve the app's endpoints over HTTP, and find the replicas by DNS.

    Waits until the store has a current release, loads the app of that, and lets clients in once every service has a
    replica that can be called: at KAPELLE_PORT, or at the door that is kept in KAPELLE_DOOR.
    """
    from kapelle.cli.start_verbs import start_gateway

    return start_gateway(target)


@start_app.command(sort_key=2)
def replica(
    target: Target, service: Annotated[str, Parameter(help="The service by its class, such as Encoder.")], /
) -> int:
    """Run a replica of a service.

    It takes calls of gateways at KAPELLE_DATA_PORT, and hears the controller at KAPELLE_CONTROL_PORT.
    """
    from kapelle.cli.start_verbs import start_replica

    return start_replica(target, service)


@start_app.command(sort_key=3)
def controller(target: Target, /) -> int:
    """Run the controller: publish releases among the gateways and replicas that DNS has.

    Makes the newest release the current one where none ever was. The others serve on while no controller is there.
    `kapelle status` and `kapelle release publish` work beside it, in the same container.
    """
    from kapelle.cli.start_verbs import start_controller

    return start_controller(target)


@start_app.command(sort_key=4)
def door() -> int:
    """Run the door: hold the port of this machine for clients, and lend it to the gateways by the folder KAPELLE_DOOR.

    Gateways come and go, several of them at a time, and clients find the port open all the while.
    """
    from kapelle.cli.start_verbs import start_door

    return start_door()
