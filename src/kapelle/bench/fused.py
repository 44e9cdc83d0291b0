"""An app with all its services in one process: what ``inline=True`` at each of them would make of it."""

from __future__ import annotations

from dataclasses import replace

from kapelle.declare.apps import AppSpec, app_spec
from kapelle.declare.loading import Target
from kapelle.errors import DeclarationError


def obstacle(spec: AppSpec) -> str:
    """Why the services cannot live in one process; "" when they can."""
    sharded = [one.name for one in spec.services.values() if one.sharded]
    return f"{', '.join(sharded)} has shards, which live in processes of their own" if sharded else ""


def inlined(spec: AppSpec) -> AppSpec:
    """The same app, with every service inline.

    Raises:
        DeclarationError: one of them cannot be.
    """
    if obstacle(spec):
        raise DeclarationError(obstacle(spec))
    handles = tuple(replace(one, service=replace(one.service, inline=True, in_turn=False)) for one in spec.handles)
    return replace(spec, handles=handles)


def fuse(target: str, module: str) -> type:
    """A class that is the target's app with every service inline, as if ``module`` had declared it.

    Raises:
        DeclarationError: there is no such app, or one of its services cannot be inline.
    """
    spec = inlined(Target(target).load())
    made = type(spec.name, (spec.cls,), {"__module__": module})
    made.__kapelle_app__ = replace(spec, cls=made)  # type: ignore[attr-defined]  # what @app leaves on a class
    assert app_spec(made) is not None, "it is an app like any other"
    return made
