"""With what a system begins: the release that its store's pointer names, the one it was told, or the local artifacts."""

from __future__ import annotations

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
from kapelle.core.rollout_messages import Pointer, Shape, Terms
from kapelle.declare.apps import AppSpec
from kapelle.errors import StartError


def arrange(
    target: str, app: AppSpec, settings: Settings, stock: Stock, objects: Objects | None, *, runs: bool
) -> tuple[Plan, Conductor | None]:
    """What is to run, and who changes its release; ``runs`` is whether processes of it run already.

    Raises:
        ArtifactError, StoreError: what it should begin with is not there.
        StartError: another release is to be begun with than the one that runs.
    """
    if objects is None or settings.release == LOCAL:
        return make_plan(target, app, settings, stock), None
    begin = _begin(app, settings.release, objects, runs=runs)
    terms = Terms(prepare_timeout=settings.prepare_timeout, bake=settings.bake)
    return make_plan(target, app, settings, stock, begin), Conductor(app, objects, Cache(stock.cache), terms)


def _begin(app: AppSpec, wanted: str, objects: Objects, *, runs: bool) -> Shape | None:
    """The shape of the release to begin with; None for the local artifacts."""
    pointer_log, releases = PointerLog(objects), Releases(objects)
    pointer = pointer_log.read()
    if not wanted or wanted == pointer.release:
        if pointer.release is None:
            return None
        return shape(pointer.release, releases.get(pointer.release).manifest, app)
    found = shape(wanted, releases.get(wanted).manifest, app)
    if runs:
        raise StartError(
            f"{pointer.release or 'the folder of artifacts'} is served by processes that run; "
            f"start without --release, then `kapelle release publish {wanted}`"
        )
    entry = Pointer(pointer.epoch + 1, wanted, pointer.release, None, "kapelle serve")
    if not pointer_log.write(entry, f"begun with {wanted}", wall()):
        raise StartError(f"another controller has just moved the pointer of {objects}; start again")
    return found
