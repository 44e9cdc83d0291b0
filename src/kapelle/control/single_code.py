"""The conductor of processes whose code is that of their image: releases bring files, and are checked against that code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.objects import Objects
from kapelle.artifacts.releases import Releases
from kapelle.clock import steady
from kapelle.control.conductor import Conductor, Say
from kapelle.control.remote import Remote
from kapelle.control.versions import OneVersion, Version
from kapelle.core.rollout_messages import Side, Terms
from kapelle.declare.apps import AppSpec
from kapelle.errors import KapelleError
from kapelle.wire import wishes


class ImageConductor(Conductor):
    """Carries out releases among processes that an engine starts, and replaces when their code changes.

    ``fleet`` gives those that are there.
    """

    def __init__(self, target: str, app: AppSpec, objects: Objects, cache: Cache, terms: Terms) -> None:
        super().__init__(OneVersion(Version("", target, app), objects, cache), objects, cache, terms)
        self.fleet: Callable[[], Sequence[Remote]] = list
        self._made_of = Releases(objects)

    async def publish(self, release: str, say: Say, side: Side | None = None) -> wishes.Over:
        """As the conductor does it, unless the release was built from other code than what runs."""
        reason = ""
        if release != self.current:
            with suppress(KapelleError):  # what is wrong with it is said where it is verified
                code = await self._blocking(partial(self._code_of, release))
                reason = self._mismatch(release, code)
        if reason:
            return wishes.Over(release, wishes.DENIED, reason)
        return await super().publish(release, say, side)

    def leaving(self, process: Remote) -> None:
        """It is to end, and waits until it may."""
        known = self._roster.get(process)
        if known is not None:
            self._do(self._rollout.leaving(known.name, known.incarnation, steady()))

    def may_go(self, process: Remote) -> bool:
        """Whether nobody needs what it holds any more."""
        known = self._roster.get(process)
        return known is None or self._rollout.may_go(known.name, known.incarnation)

    def _code_of(self, release: str) -> str:
        return self._made_of.get(release).manifest.code

    def _mismatch(self, release: str, code: str) -> str:
        """Why a release that was built from ``code`` must not come to the code that runs; "" when it may."""
        others = sorted({one.image_code for one in self.fleet()} - {code})
        if not code or not others:
            return ""
        return (
            f"{release} was built from code {code}, and containers run {', '.join(others)}: bring them to its code first "
            f"(`kapelle build` and `kapelle deploy` with the code that {release} was built from), or build a release "
            "from the code that runs"
        )
