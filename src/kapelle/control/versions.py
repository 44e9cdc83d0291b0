"""Versions of the user's code: what is on the machine, and what releases bring along."""

from __future__ import annotations

from dataclasses import dataclass

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.manifest import CODE, Manifest
from kapelle.artifacts.objects import Objects
from kapelle.artifacts.releases import Releases
from kapelle.artifacts.sources import CachedSource
from kapelle.declare.outline import App, outline_of


@dataclass(frozen=True, slots=True)
class Version:
    """An app as some code declares it. ``code`` names that, "" what is on the machine; ``target`` is where it lies."""

    code: str
    target: str
    app: App


class Versions:
    """Finds the version that a release needs. ``local`` is that of the releases without code of their own."""

    def __init__(self, local: Version, objects: Objects, cache: Cache) -> None:
        self._objects = objects
        self._cache = cache
        self._known = {local.code: local}

    def code(self, manifest: Manifest) -> str:
        """The version that a release needs: only processes of that can hold it."""
        return manifest.code

    def of(self, release: str, manifest: Manifest) -> Version:
        """The version of a release; its code is fetched and imported in a process of its own, so this blocks.

        Raises:
            StoreError: it cannot be fetched.
            ArtifactError: it is damaged.
            DeclarationError: it cannot be imported.
        """
        code = self.code(manifest)
        if code:
            # Also when it is known: what nobody has used for long may have been taken away meanwhile.
            source = CachedSource(self._cache, Releases(self._objects), release, str(self._objects))
            target = f"{source.path(CODE)}/{manifest.entry}"
            if code not in self._known:
                self._known[code] = Version(code, target, outline_of(target))
        return self._known[code]

    def known(self, code: str) -> Version:
        """One that was found before."""
        return self._known[code]


class OneVersion(Versions):
    """Where an engine starts the processes, all run the code of their image, whatever releases they hold."""

    def code(self, manifest: Manifest) -> str:
        return ""
