"""The image that most people write first, to compare with: everything copied, then everything installed, in one stage."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from kapelle.deploy.context import digest_of, write_context
from kapelle.deploy.images import Image, Images
from kapelle.deploy.names import tag_of

DOCKERFILE = "Dockerfile"
_FOLDERS = ("app/code/", "app/release/", "app/tests/", "requirements/", "wheels/")


def plan_naive(images: Images) -> Image:
    """Write the context of the naive image beside that of the images, with the same files in it; its name.

    It is as good as such a file usually is: based on the same slim image, with nothing installed that is not needed by
    the builder, the services or the tests. Artifacts that lie beside the app's file are not copied, which ``COPY . .``
    would do.

    Raises:
        DeployError: the context cannot be written.
    """
    own = images.context
    inside = {
        path.relative_to(own).as_posix(): path
        for path in sorted(own.rglob("*"))
        if path.is_file() and path.relative_to(own).as_posix().startswith(_FOLDERS)
    }
    moved = {_moved(name): path for name, path in inside.items()}
    lists = [name for name in moved if name.startswith("requirements/") and "/cuda/" not in name]
    text = _dockerfile(lists, next(name for name in moved if name.startswith("wheels/")), images.place).encode()
    digest = hashlib.sha256(text)
    for name, path in moved.items():
        digest.update(f"{name} {digest_of(path)}\n".encode())
    write_context(naive_context(images), {**moved, DOCKERFILE: text})
    name = images.gateway.reference.rpartition(":")[0]
    return Image(f"{name}-naive:{tag_of(digest.hexdigest())}", DOCKERFILE, "naive")


def naive_context(images: Images) -> Path:
    """The folder of the naive image's context."""
    return images.context.with_name(f"{images.context.name}-naive")


def _moved(name: str) -> str:
    """Code, data and tests in one folder, as they are in a project."""
    return name.split("/", 2)[2] if name.startswith("app/") else name


def _dockerfile(lists: list[str], wheel: str, place: str) -> str:
    together = " ".join(f"-r {name}" for name in lists if not name.endswith("-nodeps.txt"))
    alone = " ".join(f"-r {name}" for name in lists if name.endswith("-nodeps.txt"))
    commands = [
        f"pip install {together}",
        *([f"pip install --no-deps {alone}"] if alone else []),
        f"pip install {wheel}",
    ]
    return f"""\
# The usual image, to compare with: one stage, the code before what it needs, everybody's packages, root.
FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim AS naive
WORKDIR /app
COPY . .
# What pip needs to reach packages here is lent to it as in the other images; a base of Debian's own Python wants to be told.
ENV PIP_BREAK_SYSTEM_PACKAGES=1
RUN --mount=type=secret,id=ca --mount=type=secret,id=pip \\
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \\
    if [ -f /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi; \\
    {" && ".join(commands)}
CMD ["kapelle", "serve", "{place}"]
"""
