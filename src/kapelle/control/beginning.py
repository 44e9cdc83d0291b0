"""With what a system begins: the release that its store's pointer names, the one it was told, or the local artifacts."""

from __future__ import annotations

from dataclasses import dataclass

from kapelle.artifacts.cache import Cache
from kapelle.artifacts.objects import Objects
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Releases
from kapelle.clock import wall
from kapelle.config.orders import LOCAL
from kapelle.config.settings import Settings
from kapelle.control.conductor import Conductor
from kapelle.control.plan import Plan, Stock, make_plan
from kapelle.control.shape import shape
from kapelle.control.versions import Version, Versions
from kapelle.core.rollout_messages import Pointer, Terms
from kapelle.declare.apps import AppSpec
from kapelle.errors import ArtifactError, KapelleError, StartError


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What is to run: ``plan``, and ``beside`` it what may still run of the release before, where that has other code.

    ``conductor`` changes the release; None where there is only what lies in the folder of artifacts.
    """

    plan: Plan
    conductor: Conductor | None = None
    beside: tuple[Plan, ...] = ()


def arrange(
    target: str, app: AppSpec, settings: Settings, stock: Stock, objects: Objects | None, *, runs: bool
) -> Arrangement:
    """What is to run; ``runs`` is whether processes of it run already.

    Raises:
        ArtifactError, StoreError: what it should begin with is not there.
        DeclarationError: the code of the release cannot be imported.
        StartError: another release is to be begun with than the one that runs.
    """
    if objects is None or settings.release == LOCAL:
        return Arrangement(make_plan(target, app, settings, stock))
    cache = Cache(stock.cache)
    versions = Versions(Version("", target, app), objects, cache)
    terms = Terms(prepare_timeout=settings.prepare_timeout, bake=settings.bake)
    pointer = _begin(settings.release, objects, runs=runs)
    conductor = Conductor(versions, objects, cache, terms)
    if pointer.release is None:
        try:
            return Arrangement(make_plan(target, app, settings, stock), conductor)
        except ArtifactError as error:
            names = Releases(objects).names
            if not names:
                raise
            raise ArtifactError(
                f"{error.detail}; or begin with a release that was built: --release {names[-1]}"
            ) from None

    def plan(release: str, *, resting: bool) -> Plan:
        manifest = Releases(objects).get(release).manifest
        version = versions.of(release, manifest)
        found = shape(release, manifest, version.app, version.code)
        return make_plan(version.target, version.app, settings, stock, found, resting=resting, named=target)

    current = plan(pointer.release, resting=False)
    if pointer.previous is None or not runs:
        return Arrangement(current, conductor)
    try:
        before = plan(pointer.previous, resting=True)
    except KapelleError:  # it may have been removed since; what still runs of it ends
        return Arrangement(current, conductor)
    return Arrangement(current, conductor, () if before.code == current.code else (before,))


def _begin(wanted: str, objects: Objects, *, runs: bool) -> Pointer:
    """The entry of the pointer to begin with."""
    pointer_log, releases = PointerLog(objects), Releases(objects)
    pointer = pointer_log.read()
    if not wanted or wanted == pointer.release:
        return pointer
    releases.get(wanted)
    if runs:
        raise StartError(
            f"{pointer.release or 'the folder of artifacts'} is served by processes that run; "
            f"start without --release, then `kapelle release publish {wanted}`"
        )
    entry = Pointer(pointer.epoch + 1, wanted, pointer.release, None, "kapelle serve")
    if not pointer_log.write(entry, f"begun with {wanted}", wall()):
        raise StartError(f"another controller has just moved the pointer of {objects}; start again")
    return entry
