"""``kapelle deploy`` and ``kapelle down``: a system on Docker Compose, on a Docker Swarm, on Kubernetes."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from kapelle.cli.parameters import Target, Variant, Whole

deploy_app = App(
    name="deploy",
    sort_key=7,
    help="Write the files by which an engine runs an app in containers; with --up also start or update it.",
)
down_app = App(name="down", sort_key=8, help="Stop and remove what `kapelle deploy --up` has started; the files stay.")

Up = Annotated[
    bool,
    Parameter(
        negative="", show_default=False,
        help="Build the images that are missing, start all of it, and wait until it serves. What runs already is updated, "
        "with no failed request.",
    ),
]  # fmt: skip
Observe = Annotated[
    bool, Parameter(negative="", show_default=False, help="Add Prometheus, and Grafana with a dashboard.")
]
Scale = Annotated[
    list[str] | None,
    Parameter(negative="", help="How many containers, where not as declared: Encoder=4, gateway=3. May be repeated."),
]
Port = Annotated[
    Whole | None, Parameter(help="Port of the machine at which clients connect (8080); gRPC has the next one.")
]
Volumes = Annotated[
    bool,
    Parameter(
        negative="",
        show_default=False,
        help="Also remove its volumes and secrets: releases, caches, metrics. This cannot be undone.",
    ),
]
Registry = Annotated[
    str,
    Parameter(
        show_default=False,
        help="What the images' names begin with, such as registry.example.org/team; --up pushes them there (nowhere).",
    ),
]


def _out(default: str) -> Parameter:
    return Parameter(name=["--out", "-o"], show_default=False, help=f"Folder for the files ({default}).")


ComposeFolder = Annotated[str, _out("deploy/compose")]
SwarmFolder = Annotated[str, _out("deploy/swarm")]
KubernetesFolder = Annotated[str, _out("deploy/kubernetes")]


@deploy_app.command(name="compose", sort_key=1)
def deploy_compose(
    target: Target,
    /,
    *,
    out: ComposeFolder = "deploy/compose",
    up: Up = False,
    port: Port = None,
    scale: Scale = None,
    observe: Observe = False,
    store: Annotated[
        str | None,
        Parameter(help="Where releases are kept: s3://bucket/prefix, or a folder of this machine (a volume)."),
    ] = None,
    variant: Variant = "cpu",
) -> int:
    """Run an app on one machine with Docker Compose.

    Without --up, files are written and nothing is started. They say what they are for, and are yours to edit: one that
    you have edited is not written again.
    """
    from kapelle.cli.deploying import Request, run_compose

    request = Request(target, out, scale or [], observe, variant, options={"port": port, "store": store})
    return run_compose(request, up=up)


@deploy_app.command(name="swarm", sort_key=2)
def deploy_swarm(
    target: Target,
    /,
    *,
    out: SwarmFolder = "deploy/swarm",
    up: Up = False,
    port: Port = None,
    scale: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="How many containers, where not as declared: Encoder=4. May be repeated. Gateways are one on each machine.",
        ),
    ] = None,
    observe: Observe = False,
    store: Annotated[
        str | None,
        Parameter(
            help="Where releases are kept: s3://bucket/prefix, or a folder that is mounted at the same path on all "
            "machines. It has to be said, here or in kapelle.toml."
        ),
    ] = None,
    registry: Registry = "",
    variant: Variant = "cpu",
) -> int:
    """Run an app on several machines as a stack of a Docker Swarm.

    Without --up, files are written and nothing is started. Without --registry, each machine has to have the images already.
    A swarm updates one container at a time, and goes back by itself when the new ones fail.
    """
    from kapelle.cli.deploying import Request, run_swarm

    request = Request(target, out, scale or [], observe, variant, registry, {"port": port, "store": store})
    return run_swarm(request, up=up)


@deploy_app.command(name="kubernetes", sort_key=3)
def deploy_kubernetes(
    target: Target,
    /,
    *,
    out: KubernetesFolder = "deploy/kubernetes",
    up: Up = False,
    port: Annotated[
        Whole | None, Parameter(help="Port of the Service at which clients connect (8080); gRPC has the next one.")
    ] = None,
    scale: Scale = None,
    observe: Observe = False,
    store: Annotated[
        str | None, Parameter(help="Where releases are kept: s3://bucket/prefix (a PersistentVolumeClaim).")
    ] = None,
    registry: Registry = "",
    variant: Variant = "cpu",
) -> int:
    """Run an app on Kubernetes: manifests for kustomize, in a namespace of the app's own.

    Without --up, files are written and nothing is started; `kubectl apply -k` applies them, as --up does. Autoscaling,
    rebuilding on a schedule, Prometheus and Grafana are components to choose in kustomization.yaml.
    """
    from kapelle.cli.deploying import Request, run_kubernetes

    request = Request(target, out, scale or [], observe, variant, registry, {"port": port, "store": store})
    return run_kubernetes(request, up=up)


@down_app.command(name="compose", sort_key=1)
def down_compose(target: Target, /, *, out: ComposeFolder = "deploy/compose", volumes: Volumes = False) -> int:
    """Stop and remove the containers of an app on Docker Compose; what they have stored stays."""
    from kapelle.cli.taking_down import down_from_compose

    return down_from_compose(target, out, volumes=volumes)


@down_app.command(name="swarm", sort_key=2)
def down_swarm(target: Target, /, *, out: SwarmFolder = "deploy/swarm", volumes: Volumes = False) -> int:
    """Remove the stack of an app from a Docker Swarm; what it has stored stays."""
    from kapelle.cli.taking_down import down_from_swarm

    return down_from_swarm(target, out, volumes=volumes)


@down_app.command(name="kubernetes", sort_key=3)
def down_kubernetes(target: Target, /, *, out: KubernetesFolder = "deploy/kubernetes", volumes: Volumes = False) -> int:
    """Remove an app from Kubernetes; the volumes, the secrets and the namespace stay."""
    from kapelle.cli.taking_down import down_from_kubernetes

    return down_from_kubernetes(target, out, volumes=volumes)
