"""Building the images of an app with Docker, one after the other: what was done, what was there, and how long it took."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kapelle.deploy.docker import Docker
from kapelle.deploy.dockerfile import MOMENT
from kapelle.deploy.images import Image, Images
from kapelle.deploy.layers import Layer, layers_of
from kapelle.deploy.pip_secrets import pip_secrets
from kapelle.deploy.steps import Step, Steps
from kapelle.errors import DeployError

Hear = Callable[[str], None]
"""Hears what is done now, for people."""


@dataclass(frozen=True, slots=True)
class Options:
    """``platform`` such as linux/arm64, empty for the engine's own; ``more`` goes to `docker build` as it is."""

    platform: str = ""
    more: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """An image that the engine has now; ``steps`` are what its build went through."""

    image: Image
    layers: list[Layer]
    seconds: float
    steps: list[Step] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(layer.size for layer in self.layers)


def build_images(
    docker: Docker, images: Images, options: Options = Options(), hear: Hear = lambda _: None
) -> list[Built]:
    """Build all images of an app. What they share is built once.

    Raises:
        DeployError: one cannot be built; those before it are there.
    """
    return [build_image(docker, images.context, image, options, hear) for image in images.roles]


def build_image(
    docker: Docker, context: Path, image: Image, options: Options = Options(), hear: Hear = lambda _: None
) -> Built:
    """Build one image.

    Raises:
        DeployError: it cannot be built; the message has the instruction that failed and what it said last.
    """
    began = time.monotonic()
    steps = Steps()
    try:
        for line in docker.lines(*_arguments(context, image, options)):
            step = steps.hear(line)
            if step is not None:
                hear(f"{step.stage}: {step.does}")
    except DeployError as error:
        raise _explained(error, image, steps) from None
    seconds = time.monotonic() - began
    return Built(image, layers_of(docker, image.reference), seconds, steps.all)


def _arguments(context: Path, image: Image, options: Options) -> list[str]:
    platform = [f"--platform={options.platform}"] if options.platform else []
    return [
        "build", "--progress=plain", f"--file={context / image.dockerfile}", f"--target={image.target}",
        f"--tag={image.reference}", f"--build-arg=SOURCE_DATE_EPOCH={MOMENT}", *platform,
        *pip_secrets(os.environ, [*options.more]), *options.more, str(context),
    ]  # fmt: skip


def _explained(error: DeployError, image: Image, steps: Steps) -> DeployError:
    """Which instruction failed and its last words: pip's, mostly."""
    step = steps.failed
    if step is None:
        return DeployError(f"{image.reference} was not built: {error.detail}")
    said = "\n".join(f"    {line}" for line in step.said)
    return DeployError(
        f"{image.reference} cannot be built: the stage {step.stage!r} failed\n{said}\n{_next_step(step)}"
    )


def _next_step(step: Step) -> str:
    said = "\n".join(step.said)
    if "CERTIFICATE_VERIFY_FAILED" in said or "CA certificate bundle" in said:
        return "pip does not trust the network here: set PIP_CERT to the file with your network's certificates"
    if "NewConnectionError" in said or "Name or service not known" in said or "name resolution" in said:
        return "nothing was reached from inside the build: check the engine's network, or try `-- --network=host`"
    if "No matching distribution" in said or "ResolutionImpossible" in said or "conflicting dependencies" in said:
        return "mend the requirements*.txt beside the app's file, and try again"
    return "mend what it says, and try again; `-- --no-cache` builds without what was kept"
