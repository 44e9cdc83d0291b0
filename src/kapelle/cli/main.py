"""``kapelle``: serve, status, call, config."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from kapelle import __version__
from kapelle.errors import KapelleError

WRONG_USAGE = 2
INTERRUPTED = 130

app = App(
    name="kapelle",
    version=__version__,
    help="Plain Python classes become an inference system: replicated services behind a gateway.",
)

Target = Annotated[
    str,
    Parameter(help="The app: a folder with an app.py, a file, or a module; add :Class where it declares several."),
]
OptionalTarget = Annotated[str | None, Parameter(help="The app; if not given, the one that runs from this folder.")]
RunDirectory = Annotated[
    str | None, Parameter(help="Folder of sockets and records of what runs (.kapelle/APP below this folder).")
]


@app.command(
    sort_key=1,
    help_epilogue="There are more settings, as KAPELLE_* variables and in kapelle.toml; `kapelle config` lists them.",
)
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
    """Start an app and serve it until Ctrl-C.

    Ctrl-C finishes what runs and leaves nothing behind; pressed again, it ends everything at once. A system whose
    controller died goes on serving; `kapelle serve` with the same target takes it over.

    Parameters
    ----------
    host
        Address to listen on (127.0.0.1, this machine only); 0.0.0.0 is every network.
    port
        Port to listen on (8080); 0 takes a free one.
    gateways
        Gateway processes that share the port (1).
    artifacts
        Folder of artifacts (artifacts/ beside the app's file).
    shard_processes
        Processes that hold one copy of all shards of a service (by the machine's cores).
    transport
        How gateways reach replicas (unix).
    tls_certificate
        PEM file of a certificate chain, to serve HTTPS.
    tls_key
        PEM file of its private key.
    log_format
        Form of the log (auto: console on a terminal, else json).
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


@app.command(sort_key=2)
def status(
    target: OptionalTarget = None,
    /,
    *,
    json: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    run_dir: RunDirectory = None,
) -> int:
    """Show the processes of a running system.

    For each: its state, shards, calls in flight and waiting, restarts, memory. The exit status is 0 when all of them
    serve, 1 when some do not, and 3 when nothing runs.

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    from kapelle.cli.status import run_status

    return run_status(target, run_dir, as_json=json)


@app.command(sort_key=3)
def call(
    method: Annotated[str, Parameter(help="Service and method, as in Encoder.embed.")],
    arguments: Annotated[
        list[str] | None, Parameter(help="Its arguments in order: JSON, or plain text where a text is expected.")
    ] = None,
    /,
    *,
    shard: Annotated[int, Parameter(help="The shard to ask, for a sharded service.")] = 0,
    timeout: Annotated[str, Parameter(help="How long to wait for the answer.")] = "30s",
    target: Annotated[OptionalTarget, Parameter(name=["--target", "-t"])] = None,
    run_dir: RunDirectory = None,
) -> int:
    """Call a method of a running service and print its result as JSON.

    The call goes straight to a replica, past the gateway: what answers here is the service itself. A streaming method
    prints a line per item.
    """
    from kapelle.cli.call import run_call

    return run_call(method, arguments or [], target, shard, run_dir, timeout)


@app.command(sort_key=4)
def config() -> int:
    """Show all settings: their values, where these come from, and what they mean.

    Values are written as in kapelle.toml. Later sources win: the defaults, [tool.kapelle] in pyproject.toml,
    kapelle.toml, KAPELLE_* variables, and the options of `kapelle serve`.
    """
    from kapelle.cli.config import run_config

    return run_config()


def main() -> None:
    """Entry point of the ``kapelle`` command. An error is one line on stderr; exit status 1, or 2 for wrong usage."""
    try:
        sys.exit(app(sys.argv[1:], result_action="return_value", exit_on_error=False, print_error=False))
    except CycloptsError as error:
        error.verbose = False
        command = " ".join(["kapelle", *(error.command_chain or ())])
        print(f"kapelle: {error} See `{command} --help`.", file=sys.stderr)
        sys.exit(WRONG_USAGE)
    except KapelleError as error:
        sys.exit(f"kapelle: {error.detail}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
