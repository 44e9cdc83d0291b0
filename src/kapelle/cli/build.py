"""``kapelle build``: the images of an app, what they weigh, and what each part of them costs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from kapelle.artifacts.stores import is_in_s3
from kapelle.cli.project import Project
from kapelle.deploy.building import Built, Options, build_image, build_images
from kapelle.deploy.docker import Docker
from kapelle.deploy.images import SERVICES, Images, Variant, plan_images
from kapelle.deploy.layers import BASE, Layer
from kapelle.deploy.naive import naive_context, plan_naive
from kapelle.deploy.preflight import BUILDER, check_engine

_INSTALLED = "dependencies"
_STAGES = {
    "dependencies": _INSTALLED,
    "kapelle": "package",
    "code": "code",
    "dependencies of the builder": "dependencies-build",
    "builder and data": "material",
    "dependencies of the tests": "dependencies-tests",
    "tests": "questions",
}
"""The stage that makes each layer."""
_POWERS = ("B", "kB", "MB", "GB")


def run_build_images(
    target: str, variant: Variant, name: str, options: Options, *, only_write: bool, compare: bool
) -> int:
    """Write the build context of an app, build its images, and print what they consist of; the exit status."""
    project = Project(target, {})
    app = project.load()
    images = plan_images(project.target, app, variant=variant, name=name, s3=is_in_s3(project.settings.store))
    console = Console(highlight=False)
    if only_write:
        console.print(f"written to {images.context}: {len(images.roles)} images", soft_wrap=True)
        for image, roles in images.roles.items():
            console.print(f"  {image.reference}  {', '.join(roles)}", soft_wrap=True)
        return 0
    docker = Docker()
    check_engine(docker, BUILDER)
    with console.status("building") as status:

        def hear(does: str) -> None:
            status.update(does[: console.width - 4])

        built = build_images(docker, images, options, hear)
        naive = build_image(docker, naive_context(images), plan_naive(images), options, hear) if compare else None
    _print(console, images, built, naive)
    return 0


def _print(console: Console, images: Images, built: Sequence[Built], naive: Built | None) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("image", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("took", justify="right")
    seen: set[Layer] = set()
    for one in built:
        table.add_row(f"[bold]{one.image.reference}[/]", size_in_words(one.size), f"{one.seconds:.1f} s")
        table.add_row(f"  for {', '.join(images.roles[one.image])}", "", "")
        for layer in one.layers:
            if layer not in seen:
                table.add_row(f"    {layer.what}", size_in_words(layer.size), _took(layer, one), style="dim")
        seen.update(one.layers)
    if naive is not None:
        table.add_row(f"[bold]{naive.image.reference}[/]", size_in_words(naive.size), f"{naive.seconds:.1f} s")
        table.add_row("  all of it in one stage, to compare", "", "")
    console.print(table)
    total = sum(layer.size for layer in seen)
    console.print(
        f"{size_in_words(total)} on disk: images share layers, each is listed where it comes first", soft_wrap=True
    )
    if naive is None:
        console.print(_beside_one_stage(total, built), soft_wrap=True)


def _beside_one_stage(total: int, built: Sequence[Built]) -> str:
    """What the usual file with one stage would cost, which has all of it in each container and installs after it copies."""
    sizes = {layer.what: layer.size for one in built for layer in one.layers}
    anew = total - sizes.get(BASE, 0)
    return (
        f"in one stage each container would have about {size_in_words(total)}, {size_in_words(anew)} of it anew at each "
        f"change of code, which is {size_in_words(sizes.get('code', 0))} here; --compare builds that, too"
    )


def _took(layer: Layer, one: Built) -> str:
    """How long the stage of a layer took, or that its result was there."""
    stage = _STAGES.get(layer.what)
    if stage is None:
        return ""
    if stage == _INSTALLED and one.image.target.startswith(SERVICES):
        stage += "-" + one.image.target.removeprefix(SERVICES)
    fresh = [step for step in one.steps if step.stage == stage and not step.cached]
    return f"{sum(step.seconds for step in fresh):.1f} s" if fresh else "was there"


def size_in_words(size: int) -> str:
    """Bytes as engines print them: 1 MB is 1,000,000 bytes."""
    power = min((len(str(size)) - 1) // 3, len(_POWERS) - 1)
    number = size / 1000**power
    return f"{number:.0f} {_POWERS[power]}" if not power or number >= 100 else f"{number:.1f} {_POWERS[power]}"
