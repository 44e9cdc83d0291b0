"""``kapelle``: serve, status, call, config."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import App, Parameter

from kapelle import __version__
from kapelle.errors import KapelleError

app = App(
    name="kapelle",
    version=__version__,
    help="Plain Python classes become an inference system: replicated services behind a gateway.",
    help_epilogue="Every setting is also a KAPELLE_* variable and a key of kapelle.toml; `kapelle config` shows them all.",
)

Target = Annotated[
    str,
    Parameter(help="The app: a folder with an app.py, a file, or a module; add :Class where it declares several."),
]
OptionalTarget = Annotated[str | None, Parameter(help="The app; the one that runs from this folder by default.")]
RunDirectory = Annotated[str | None, Parameter(help="Folder of sockets and records of what runs.")]


@app.command
def serve(
    target: Target,
    /,
    *,
    host: str | None = None,
    port: int | None = None,
    gateways: int | None = None,
    artifacts: str | None = None,
    run_dir: RunDirectory = None,
    shard_processes: int | None = None,
    transport: Literal["unix", "tcp"] | None = None,
    tls_certificate: str | None = None,
    tls_key: str | None = None,
    log_format: Literal["auto", "json", "console"] | None = None,
    log_level: Literal["debug", "info", "warning", "error"] | None = None,
) -> int:
    """Start an app and serve it until Ctrl-C, which finishes what runs and leaves nothing behind.

    A system whose controller died goes on serving; `kapelle serve` with the same target takes it over again.

    Parameters
    ----------
    host
        Address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 every network.
    port
        Port to listen on (8080); 0 takes a free one.
    gateways
        Gateway processes that share the port (1).
    artifacts
        Folder of artifacts (artifacts/ beside the app's file).
    shard_processes
        Processes that hold one copy of all shards of a service (chosen by the machine's cores).
    transport
        How gateways reach replicas (unix).
    tls_certificate
        PEM file of a certificate chain, to serve HTTPS.
    tls_key
        PEM file of its private key.
    log_format
        json, console (colours), or auto: console on a terminal.
    log_level
        The least severe level that is logged (info).
    """
    from kapelle.cli.serve import run_serve

    options = {
        "host": host, "port": port, "gateways": gateways, "artifacts": artifacts, "run_dir": run_dir,
        "shard_processes": shard_processes, "transport": transport, "tls_certificate": tls_certificate,
        "tls_key": tls_key, "log_format": log_format, "log_level": log_level,
    }  # fmt: skip
    return run_serve(target, options)


@app.command
def status(target: OptionalTarget = None, /, *, run_dir: RunDirectory = None, json: bool = False) -> int:
    """Show what runs: processes, shards, calls in flight, restarts, memory.

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    from kapelle.cli.status import run_status

    return run_status(target, run_dir, as_json=json)


@app.command
def call(
    method: Annotated[str, Parameter(help="Service and method, as in Encoder.embed.")],
    arguments: Annotated[
        list[str] | None, Parameter(help="Arguments in order: JSON, or plain text where a text is expected.")
    ] = None,
    /,
    *,
    target: Annotated[
        str | None, Parameter(name=["--target", "-t"], help="The app; the one that runs from this folder by default.")
    ] = None,
    shard: int = 0,
    run_dir: RunDirectory = None,
    timeout: str = "30s",
) -> int:
    """Call a method of a running service and print its result as JSON.

    Parameters
    ----------
    shard
        The shard to ask, for a sharded service.
    timeout
        How long to wait for the answer.
    """
    from kapelle.cli.call import run_call

    return run_call(method, arguments or [], target, shard, run_dir, timeout)


@app.command
def config() -> int:
    """Print every effective setting, where its value comes from, and what it means."""
    from kapelle.cli.config import run_config

    return run_config()


def main() -> None:
    """Entry point of the ``kapelle`` command. Errors are one line; the exit status is 1 for them and 2 for wrong usage."""
    try:
        sys.exit(app(result_action="return_value"))
    except KapelleError as error:
        sys.exit(f"kapelle: {error.detail}")
    except KeyboardInterrupt:
        sys.exit(130)
