"""``kapelle``: serve, status, call, config, bench, build, release, deploy, down."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from kapelle import __version__
from kapelle.cli.deploy import deploy_app, down_app
from kapelle.cli.parameters import OptionalTarget, RunDirectory, Store, Target, Variant, Whole
from kapelle.cli.releases import release_app
from kapelle.cli.start import start_app
from kapelle.cli.streams import explained, settle_streams
from kapelle.errors import KapelleError

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130

app = App(
    name="kapelle",
    version=__version__,
    help="Plain Python classes become an inference system: replicated services behind a gateway.",
)

app.command(release_app)
app.command(start_app)
app.command(deploy_app)
app.command(down_app)


@app.command(
    sort_key=1,
    help_epilogue="There are more settings, as KAPELLE_* variables and in kapelle.toml; `kapelle config` lists them.",
)
def serve(
    target: Target,
    /,
    *,
    host: str | None = None,
    port: Whole | None = None,
    gateways: Whole | None = None,
    artifacts: str | None = None,
    release: str | None = None,
    store: Store = None,
    run_dir: RunDirectory = None,
    shard_processes: Whole | None = None,
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
        Port to listen on (8080), 0 takes a free one; gRPC, where kapelle[grpc] is installed, has the next one.
    gateways
        Gateway processes that share the port (1).
    artifacts
        Folder of artifacts (artifacts/ beside the app's file).
    release
        What to begin with: a release such as r7, or local for the folder of artifacts (the release that is current in
        the store, or the folder where there is none).
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
        "host": host, "port": port, "gateways": gateways, "artifacts": artifacts, "release": release,
        "store": store, "run_dir": run_dir,
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
    shard: Annotated[Whole, Parameter(help="The shard to ask, for a sharded service.")] = 0,
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


@app.command(sort_key=5)
def bench(
    target: Target,
    /,
    *,
    compare: Annotated[
        bool, Parameter(negative="", show_default=False, help="Compare the ways between the services.")
    ] = False,
    endpoint: Annotated[str | None, Parameter(help="What is asked, such as /finalize (the first POST).")] = None,
    request: Annotated[
        str | None, Parameter(help="File with the body to send, or the file to upload (an example is made up).")
    ] = None,
    seconds: Annotated[str, Parameter(help="How long each figure is measured.")] = "1",
    concurrency: Annotated[Whole, Parameter(help="Callers at a time, for the figures under load.")] = 8,
    sizes: Annotated[str | None, Parameter(help="Payloads to compare the ways with (1KB,10KB,100KB,1MB,10MB).")] = None,
    volume: Annotated[
        str | None, Parameter(help="Folder for the files of the way through files (the system's temporary one).")
    ] = None,
    out: Annotated[
        str | None, Parameter(help="Folder to write the comparison to: compare.md, compare.svg, compare.json.")
    ] = None,
    artifacts: Annotated[str | None, Parameter(help="Folder of artifacts (artifacts/ beside the app's file).")] = None,
) -> int:
    """Measure what a request costs: its latency, how many fit into a second, and the CPU time for one.

    The app is started for it on a free port and ended again. It is asked by one caller, then by several at a time, each
    of whom waits for the answer before asking again.

    --compare says what the way between the services is of that. A payload goes through as many services as the app has,
    which do no work, each in a process of its own, over HTTP, through files in a shared folder, over TCP, over Unix
    sockets, through shared memory, and fused in one process; and the app's own request is sent to the app as it is with
    each way that it can be set to, and with all of its services inline. What follows is said in words. Each figure is
    that of the best of several turns, p99 that of all.
    """
    from kapelle.cli.bench import effort_of, refuse_without_compare, run_bench, run_compare

    effort = effort_of(seconds, concurrency)
    if compare:
        return run_compare(target, endpoint, request, effort, artifacts, sizes, volume, out)
    refuse_without_compare(sizes=sizes, volume=volume, out=out)
    return run_bench(target, endpoint, request, effort, artifacts)


@app.command(sort_key=7)
def build(
    target: Target,
    /,
    *options: Annotated[str, Parameter(show=False)],
    variant: Variant = "cpu",
    platform: Annotated[
        str, Parameter(show_default=False, help="What to build for, such as linux/arm64 (the engine's own).")
    ] = "",
    name: Annotated[
        str,
        Parameter(
            show_default=False, help="What the images are called, such as registry.example.org/search (the app's name)."
        ),
    ] = "",
    only_write: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Write the Dockerfile and all that it copies, and build nothing."
        ),
    ] = False,
    compare: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Also build the usual one-stage image, and show both side by side."
        ),
    ] = False,
) -> int:
    """Build the images of an app with Docker, and show what each part of them costs.

    The Dockerfile and the files that go in are written to .kapelle/images/APP: dependencies before Kapelle, Kapelle
    before the code, so that a change of code makes one small layer anew. The same files are the same image, with the
    same tag.

    What lets pip reach packages here (PIP_CERT, pip.conf) is lent to the build, and stays out of the images. What follows
    `--` goes to `docker build`, as in `kapelle build TARGET -- --network=host`.
    """
    from kapelle.cli.build import run_build_images
    from kapelle.deploy.building import Options

    wanted = Options(platform, options)
    return run_build_images(target, variant, name, wanted, only_write=only_write, compare=compare)


def main() -> None:
    """Entry point of the ``kapelle`` command. An error is one line on stderr; exit status 1, or 2 for wrong usage."""
    settle_streams()
    try:
        status = app(sys.argv[1:], result_action="return_value", exit_on_error=False, print_error=False)
        sys.stdout.flush()
        sys.exit(status)
    except CycloptsError as error:
        error.verbose = False
        command = " ".join(["kapelle", *(error.command_chain or ())])
        print(f"kapelle: {error} See `{command} --help`.", file=sys.stderr)
        sys.exit(WRONG_USAGE)
    except KapelleError as error:
        sys.exit(f"kapelle: {error.detail}")
    except OSError as error:
        sys.exit(explained(error) or FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
