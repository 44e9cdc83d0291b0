"""``kapelle release``: what its commands are called, and what they take."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from kapelle.cli.parameters import AppOption, Json, OptionalTarget, RunDirectory, Store, Target, Whole

release_app = App(
    name="release",
    sort_key=6,
    help="Build, list, compare and verify releases: the files of an app's artifacts, kept together under one name.",
)


@release_app.command(name="build", sort_key=1)
def build_release(
    target: Target,
    /,
    *options: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    artifacts: Annotated[str | None, Parameter(help="Folder of artifacts (artifacts/ beside the app's file).")] = None,
    store: Store = None,
    once: Annotated[
        bool, Parameter(negative="", show_default=False, help="Do nothing when the store has a release already.")
    ] = False,
) -> int:
    """Store the app's artifacts and its Python files as a release, and verify it.

    The same files are the same release: building it again adds nothing, and mends what was damaged in the store.
    `kapelle serve TARGET --release r1` serves it.

    An app may bring a builder, a build.py beside its file. Options that are not listed here, and all that follow `--`,
    go to it, and the release is made of what it builds: `kapelle release build TARGET --questions new.csv`.
    `kapelle release build TARGET -- --help` explains its options.
    """
    from kapelle.cli.release import run_build

    return run_build(target, artifacts, store, options, once=once)


@release_app.command(name="list", sort_key=2)
def list_(target: Target, /, *, store: Store = None, json: Json = False) -> int:
    """List the releases of an app."""
    from kapelle.cli.release import run_list

    return run_list(target, store, as_json=json)


@release_app.command(sort_key=3)
def show(
    release: Annotated[str, Parameter(help="The release, such as r7.")],
    /,
    *,
    target: AppOption,
    store: Store = None,
    json: Json = False,
) -> int:
    """Show the files of a release."""
    from kapelle.cli.release import run_show

    return run_show(release, target, store, as_json=json)


@release_app.command(sort_key=4)
def diff(
    old: Annotated[str, Parameter(help="A release, such as r6.")],
    new: Annotated[str, Parameter(help="Another one, such as r7.")],
    /,
    *,
    target: AppOption,
    store: Store = None,
) -> int:
    """Show the files in which two releases differ. The exit status is 0 when there are none, else 1."""
    from kapelle.cli.release import run_diff

    return run_diff(old, new, target, store)


@release_app.command(sort_key=5)
def verify(
    release: Annotated[str, Parameter(help="The release, such as r7.")], /, *, target: AppOption, store: Store = None
) -> int:
    """Read every file of a release in the store, and compare it with the manifest."""
    from kapelle.cli.release import run_verify

    return run_verify(release, target, store)


@release_app.command(sort_key=6)
def wait(target: Target, /, *, store: Store = None) -> int:
    """Wait until the store has a release, however long that is built elsewhere."""
    from kapelle.cli.release import run_wait

    return run_wait(target, store)


@release_app.command(sort_key=10)
def gc(
    *,
    target: AppOption,
    keep: Annotated[Whole, Parameter(help="How many releases to keep, the newest.")] = 3,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="Only say what would be removed.")
    ] = False,
    store: Store = None,
) -> int:
    """Remove old releases, and the files that no other release has; never the current one, the one before, or a canary."""
    from kapelle.cli.release import run_gc

    return run_gc(target, keep, store, dry_run=dry_run)


@release_app.command(sort_key=7)
def publish(
    release: Annotated[str, Parameter(help="The release, such as r7.")],
    target: OptionalTarget = None,
    /,
    *,
    canary: Annotated[
        str, Parameter(show_default=False, help="First let it answer a part of the requests, such as 5%.")
    ] = "",
    shadow: Annotated[
        str, Parameter(show_default=False, help="First ask it a part of the requests besides, such as 5%, and compare.")
    ] = "",
    run_dir: RunDirectory = None,
) -> int:
    """Make a release the current one of a running system, without a request that fails.

    Its files are verified, every process loads it beside what it serves, the golden queries are asked; only then do new
    requests see it, all of them in all services. For a while it is watched beside the release before, and rolled back
    when it does worse; with --canary or --shadow that is done before the switch, too. What goes wrong before the switch
    leaves traffic as it is. The exit status is 0 when the release is the current one in the end.
    """
    from kapelle.cli.publish import run_publish

    return run_publish(release, target, run_dir, canary=canary, shadow=shadow)


@release_app.command(sort_key=8)
def rollback(target: OptionalTarget = None, /, *, run_dir: RunDirectory = None) -> int:
    """Go back to the release before the current one: at once while that is still loaded, else it is published again."""
    from kapelle.cli.publish import run_rollback

    return run_rollback(target, run_dir)


@release_app.command(sort_key=9)
def cancel(target: OptionalTarget = None, /, *, run_dir: RunDirectory = None) -> int:
    """Give up the publish that runs, as long as it is not committed."""
    from kapelle.cli.publish import run_cancel

    return run_cancel(target, run_dir)
