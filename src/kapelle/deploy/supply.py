"""The images of a system where its engine gets them: built where they are missing, and pushed to a registry."""

from __future__ import annotations

from collections.abc import Iterable

from kapelle.deploy.building import build_image
from kapelle.deploy.docker import Docker
from kapelle.deploy.programs import Say
from kapelle.deploy.topology import Part, Topology


def supply(docker: Docker, system: Topology, parts: Iterable[Part], say: Say, *, push: bool = False) -> None:
    """Build the images of parts that are missing; a tag is a digest of all that goes in, so one that is there is right.

    Raises:
        DeployError: an image cannot be built or pushed; the message has the reason.
    """
    for image in dict.fromkeys(part.image for part in parts):
        if not docker.has(image.reference):
            say(f"building {image.reference}")
            build_image(docker, system.images.context, image)
        if push:
            say(f"pushing {image.reference}")
            for _ in docker.lines("push", "--quiet", image.reference):
                pass
