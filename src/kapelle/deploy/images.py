"""The images of an app: which there are, what is in each, and their names; written as a build context with a Dockerfile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.errors import DeployError

Variant = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its name, whose tag is a digest of all that goes in; the Dockerfile below the context, and its stage."""

    reference: str
    dockerfile: str
    target: str


@dataclass(frozen=True, slots=True)
class Images:
    """The images of an app.

    ``services`` has one by the name of each service's class; ``gateway`` is the controller's, too. ``door`` has the same
    runtime without the app's code, so that a change of code does not change it. ``release`` has what the app's builder
    needs as well. ``tests`` has pytest and the app's own tests; there is none where the app has none.
    """

    context: Path
    services: dict[str, Image]
    gateway: Image
    door: Image
    release: Image
    tests: Image | None


def plan_images(
    target: Target, app: AppSpec, *, variant: Variant = "cpu", name: str = "", s3: bool = False
) -> Images:
    """Write the build context of an app's images to ``.kapelle/images/<app>``, and say which they are.

    ``name`` is what the images are called, a registry's name before it included (the app's, in kebab-case); ``s3`` adds
    what a store in S3 needs. Writing again changes no file that is as it should be.

    Raises:
        DeployError: a file is missing, or the context cannot be written.
    """
    raise DeployError(f"{target.text}: {app.name} has no images yet")
