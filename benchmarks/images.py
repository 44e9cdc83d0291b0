"""What images weigh and how long they take to build, beside the usual one-stage image.

    python benchmarks/images.py                              # both apps, with the engine that `docker` reaches
    python benchmarks/images.py --apps question_search -- --network=host

For each app, with the files that `kapelle build` writes:

- cold: all images, where a change of the first file that is copied leaves nothing to take from an earlier build. pip's
  downloads may come out of the mounted cache, as on any machine that has built before; the one-stage image has no such
  mount, and fetches.
- code: a line is added to the app's file and all images are built again, the median of several times.
- size: of the image that serves, and of the one-stage image, which has to have what the builder needs as well.
- new: bytes of the layers that the change of code makes anew; a registry and every host receive them.

The one-stage image is the file that most people write first: `COPY . .`, then `pip install`, with the same slim base, the
same files and the same packages. What follows `--` goes to `docker build`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kapelle.declare.loading import Target
from kapelle.deploy.building import Options, build_image
from kapelle.deploy.docker import Docker
from kapelle.deploy.dockerfile import INSTALLER
from kapelle.deploy.images import Image, Images, plan_images
from kapelle.deploy.layers import BASE, layers_of
from kapelle.deploy.naive import naive_context, plan_naive
from kapelle.deploy.preflight import BUILDER, check_engine
from kapelle.errors import DeployError
from machine import describe_machine
from targets.base import BENCHMARKS

APPS = ("question_search", "image_pipeline")


@dataclass(frozen=True)
class Figures:
    """Of one way to build an app: bytes of what serves, seconds cold and after a change of code, bytes made anew."""

    size: int
    cold: float
    code: float
    new: int


@dataclass(frozen=True)
class Way:
    """A context, the images that are made of it, the file that is copied first, and the one of the app's code."""

    context: Path
    images: Sequence[Image]
    first: Path
    code: Path


def own(images: Images) -> Way:
    """As Kapelle builds an app."""
    return Way(images.context, [*images.roles], Path(INSTALLER), Path("app", "code", images.place, "app.py"))


def naive(images: Images) -> Way:
    """As most people do at first."""
    image, code = plan_naive(images), Path(images.place, "app.py")
    return Way(naive_context(images), [image], code, code)


def seconds_to_build(docker: Docker, context: Path, way: Way, changed: Path, more: Sequence[str]) -> float:
    """How long all images of a way take after a change of one file."""
    with (context / changed).open("a") as file:
        file.write(f"# changed at {time.time()}\n")
    began = time.monotonic()
    for image in way.images:
        build_image(docker, context, image, Options(more=more))
    return time.monotonic() - began


def times(docker: Docker, way: Way, more: Sequence[str], changes: int) -> tuple[float, float]:
    """Seconds of a cold build, and of one after a change of code: in a copy, so that the app stays as it is."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder, "context")
        shutil.copytree(way.context, context)
        cold = seconds_to_build(docker, context, way, way.first, more)
        return cold, median(seconds_to_build(docker, context, way, way.code, more) for _ in range(changes))


def measure(docker: Docker, app: str, more: Sequence[str], changes: int) -> tuple[Figures, Figures]:
    """The figures of our images of an app, and of the usual one."""
    target = Target(f"apps/{app}")
    # A name of their own: what is built from changed files must not be taken for the app's images.
    images = plan_images(target, target.load(), name=f"kapelle-benchmark-{app.replace('_', '-')}")
    ours, usual = own(images), naive(images)
    cold, code = times(docker, ours, more, changes)
    layers = layers_of(docker, images.gateway.reference)
    base = sum(layer.size for layer in layers if layer.what == BASE)
    first = Figures(sum(layer.size for layer in layers), cold, code, layers[-1].size)
    cold, code = times(docker, usual, more, changes)
    size = sum(layer.size for layer in layers_of(docker, usual.images[0].reference))
    docker.run("image", "rm", *(image.reference for way in (ours, usual) for image in way.images))
    return first, Figures(size, cold, code, size - base)


def row(app: str, what: str, figures: Figures) -> str:
    """A line of the table."""
    new = f"{figures.new / 1e6:.1f} MB"
    return f"| {app} | {what} | {figures.size / 1e6:.0f} MB | {figures.cold:.1f} s | {figures.code:.1f} s | {new} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--apps", default=",".join(APPS), help="comma-separated; both, if not given")
    parser.add_argument("--changes", type=int, default=5, help="how often the code is changed")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder for images.md")
    parser.add_argument("more", nargs="*", help="options of docker build, after --")
    options = parser.parse_args()
    try:
        docker = Docker()
        version = check_engine(docker, BUILDER)
        lines = [
            "# What images weigh, and how long they take to build",
            "",
            f"Measured on {describe_machine()}, Docker {version}; the median of {options.changes} changes of code.",
            "",
            "| app | image | size | cold | code | new |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for app in options.apps.split(","):
            ours, usual = measure(docker, app, options.more, options.changes)
            lines += [row(app, "kapelle build, all images", ours), row(app, "one stage", usual)]
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    text = "\n".join(
        [*lines, "", 'What "cold", "code" and "new" mean, and how it was measured: `benchmarks/images.py`.', ""]
    )
    (options.results / "images.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
