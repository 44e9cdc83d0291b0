"""``kapelle deploy`` and ``kapelle down``: a system on Docker Compose, on a Docker Swarm, on Kubernetes."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

deploy_app = App(
    name="deploy", sort_key=7, help="Write what an engine needs to run an app in containers; --up starts or updates it."
)
down_app = App(name="down", sort_key=8, help="Take away what `kapelle deploy` has started.")

Target = Annotated[
    str,
    Parameter(help="The app: a folder with an app.py, a file, or a module; add :Class where it declares several."),
]
Variant = Annotated[
    Literal["cpu", "cuda"], Parameter(help="The images' libraries: for processors, or for NVIDIA's GPUs.")
]
Up = Annotated[
    bool,
    Parameter(
        negative="", show_default=False,
        help="Build what is missing, start it, and wait until it serves; what runs is updated with no failed request.",
    ),
]  # fmt: skip
Observe = Annotated[
    bool, Parameter(negative="", show_default=False, help="Prometheus and Grafana, with a dashboard, beside it.")
]
Scale = Annotated[
    list[str] | None,
    Parameter(negative="", help="Another number of containers, as in Encoder=4 or gateway=3; may be repeated."),
]
Port = Annotated[int | None, Parameter(help="Port of the machine to serve at (8080).")]
Volumes = Annotated[
    bool,
    Parameter(negative="", show_default=False, help="Remove its volumes and secrets, too: all that it has stored."),
]
Registry = Annotated[
    str, Parameter(help="What the images' names begin with, such as registry.example.org/team; --up pushes them there.")
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
        str | None, Parameter(help="Where releases are kept: s3://bucket/prefix, or a folder (a volume of its own).")
    ] = None,
    variant: Variant = "cpu",
) -> int:
    """Run an app on one machine with Docker Compose.

    The files say what they are for, and are yours to edit: one that you have edited is not written again.
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
    scale: Scale = None,
    observe: Observe = False,
    store: Annotated[
        str | None,
        Parameter(help="Where releases are kept: s3://bucket/prefix, or a folder mounted alike on all machines."),
    ] = None,
    registry: Registry = "",
    variant: Variant = "cpu",
) -> int:
    """Run an app on several machines as a stack of a Docker Swarm.

    Without a registry, each machine has to have the images already. A swarm updates one container at a time, and goes back
    by itself when the new ones fail.
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
    port: Annotated[int | None, Parameter(help="Port of the Service to serve at (8080).")] = None,
    scale: Scale = None,
    observe: Observe = False,
    store: Annotated[
        str | None, Parameter(help="Where releases are kept: s3://bucket/prefix (a PersistentVolumeClaim).")
    ] = None,
    registry: Registry = "",
    variant: Variant = "cpu",
) -> int:
    """Run an app on Kubernetes: manifests for kustomize, in a namespace of the app's own.

    --up applies them with kubectl. Autoscaling, rebuilding on a schedule, Prometheus and Grafana are components to choose
    in kustomization.yaml.
    """
    from kapelle.cli.deploying import Request, run_kubernetes

    request = Request(target, out, scale or [], observe, variant, registry, {"port": port, "store": store})
    return run_kubernetes(request, up=up)


@down_app.command(name="compose", sort_key=1)
def down_compose(target: Target, /, *, out: ComposeFolder = "deploy/compose", volumes: Volumes = False) -> int:
    """Take a system away from Docker Compose; what it has stored stays."""
    from kapelle.cli.taking_down import down_from_compose

    return down_from_compose(target, out, volumes=volumes)


@down_app.command(name="swarm", sort_key=2)
def down_swarm(target: Target, /, *, out: SwarmFolder = "deploy/swarm", volumes: Volumes = False) -> int:
    """Take a system away from a Docker Swarm; what it has stored stays."""
    from kapelle.cli.taking_down import down_from_swarm

    return down_from_swarm(target, out, volumes=volumes)


@down_app.command(name="kubernetes", sort_key=3)
def down_kubernetes(target: Target, /, *, out: KubernetesFolder = "deploy/kubernetes", volumes: Volumes = False) -> int:
    """Take a system away from Kubernetes; what it has stored stays."""
    from kapelle.cli.taking_down import down_from_kubernetes

    return down_from_kubernetes(target, out, volumes=volumes)
