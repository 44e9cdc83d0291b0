"""Building the images of a system, and bringing them to a registry."""

from __future__ import annotations

from kapelle.deploy.images import Image
from kapelle.deploy.programs import Program, Say
from kapelle.deploy.topology import Role, Topology


def build_images(docker: Program, system: Topology, say: Say, *, push: bool = False) -> None:
    """Build those that are missing; a tag is a digest of all that goes in, so that one which is there is right.

    Raises:
        DeployError: one cannot be built or pushed; the message has the builder's last lines.
    """
    for image in _distinct(system):
        if not docker.succeeds("image", "inspect", image.reference):
            say(f"building {image.reference}")
            context = system.images.context
            docker.run(
                "build", "--file", str(context / image.dockerfile), "--target", image.target, "--tag", image.reference,
                str(context),
            )  # fmt: skip
        if push:
            say(f"pushing {image.reference}")
            docker.run("push", "--quiet", image.reference)


def _distinct(system: Topology) -> list[Image]:
    parts = [part for part in system.parts if part.role is not Role.TESTS]
    return list({part.image.reference: part.image for part in parts}.values())
