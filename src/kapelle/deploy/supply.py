"""The images of a system where its engine gets them: built where they are missing, and pushed to a registry."""

from __future__ import annotations

from kapelle.deploy.building import build_image
from kapelle.deploy.docker import Docker
from kapelle.deploy.images import Images
from kapelle.deploy.programs import Say


def supply(docker: Docker, images: Images, say: Say, *, push: bool = False) -> None:
    """Build what is missing; a tag is a digest of all that goes in, so that an image which is there is right.

    Raises:
        DeployError: an image cannot be built or pushed; the message has the reason.
    """
    for image in images.roles:
        if not docker.has(image.reference):
            say(f"building {image.reference}")
            build_image(docker, images.context, image)
        if push:
            say(f"pushing {image.reference}")
            for _ in docker.lines(["push", "--quiet", image.reference]):
                pass
