"""What a release looks like to the rollout machine."""

from __future__ import annotations

from kapelle.artifacts.manifest import Manifest
from kapelle.core.rollout_messages import Shape
from kapelle.declare.outline import App
from kapelle.errors import ArtifactError


def shape(name: str, manifest: Manifest, app: App, code: str) -> Shape:
    """The shards that the services of ``app`` have in a release, by their bytes; ``code`` is what holds them.

    Raises:
        ArtifactError: the release is of another app, or lacks what this one needs.
    """
    needed = {app.artifact, *(one.artifact for one in app.services.values())} - {None}
    missing = sorted(one for one in needed if one is not None and one not in manifest.artifacts)
    if missing:
        there = ", ".join(sorted(manifest.artifacts)) or "nothing"
        raise ArtifactError(f"{name} has no artifact {', '.join(missing)}, which {app.name} needs; it has {there}")
    found: dict[str, tuple[int, ...]] = {one.name: () for one in app.services.values() if not one.inline}
    for one in app.services.values():
        if one.sharded and one.artifact is not None:
            shards = manifest.artifacts[one.artifact].shards
            if not shards:
                raise ArtifactError(
                    f"{name} has no shards of artifact {one.artifact!r}, which {one.name} is sharded by"
                )
            found[one.name] = tuple(sum(file.size for file in files) for files in shards)
    copies = {one.name: one.replicas for one in app.services.values() if one.sharded}
    in_turn = frozenset(one.name for one in app.services.values() if one.in_turn)
    return Shape(name, found, copies, in_turn, code)
