"""``kapelle release``: releases are built, listed, compared, verified and thrown away."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from kapelle.artifacts.history import History
from kapelle.artifacts.manifest import CODE, Advance, File
from kapelle.artifacts.pointer import PointerLog
from kapelle.artifacts.releases import Release, differences
from kapelle.cli.builder import Builder, asks_for_help
from kapelle.cli.project import STATE, Project
from kapelle.control.awaiting import newest_release
from kapelle.core.rollout_messages import Outcome
from kapelle.declare.apps import AppSpec
from kapelle.declare.code import code_of
from kapelle.errors import ArtifactError, ConfigError
from kapelle.observe.logs import configure

_DIFFERENT = 1
_FEWEST = 1
_UNITS = ("B", "KiB", "MiB", "GiB")


def run_build(
    target: str, artifacts: str | None, store: str | None, options: Sequence[str] = (), *, once: bool = False
) -> int:
    """Store what the app needs, as it is there or, with ``options``, as the app's builder makes it; the exit status.

    With ``once`` nothing is done when the store has a release.
    """
    project = Project(target, {"artifacts": artifacts, "store": store})
    if once and (there := project.releases.names):
        _console().print(f"nothing to do: the store has {there[-1]} already")
        return 0
    names = _artifacts(project.load())
    builder = Builder(project.target.folder)
    if options:
        builder.check(options)
        if artifacts is not None:
            raise ConfigError(
                f"--artifacts {artifacts} and {shlex.join(options)}: a release is made of a folder that is there, or of "
                f"what {builder} makes; leave out one of them"
            )
        if asks_for_help(options):
            return builder.run(options)
    elif project.settings.artifacts or project.artifacts.is_dir() or not builder.exists:
        return _store(project, project.artifacts, names)
    command = shlex.join([str(builder), *options])
    _console().print(f"building with {command}", soft_wrap=True)
    with builder.built(_workplace(project), options) as folder:
        missing = ", ".join(sorted(name for name in names if not (folder / name).is_dir()))
        if missing:
            wrote = ", ".join(sorted(path.name for path in folder.iterdir()))
            raise ArtifactError(f"{builder} wrote {wrote}; {target} also needs the artifact {missing}")
        return _store(project, folder, names, command)


def _workplace(project: Project) -> Path:
    """Where a builder works: beside the cache, where that has a place of its own, as on a file system that is read-only."""
    cache = project.settings.cache
    return (Path(cache) if cache else STATE) / "build" / project.target.label


def run_list(target: str, store: str | None, *, as_json: bool) -> int:
    """Print a line for each release."""
    project = Project(target, {"store": store})
    found = project.releases
    releases = found.readable()
    states = _states(project)
    if as_json:
        _print_json([{**_about(one), "state": states.get(one.name, "")} for one in releases])
        return 0
    console = _console()
    unreadable = [name for name in found.names if name not in {one.name for one in releases}]
    if not releases and not unreadable:
        console.print(f"there are no releases; make one with `kapelle release build {target}`")
        return 0
    table = _table(("release", "built", "artifacts"), ("shards", "files", "size"))
    table.add_column("", overflow="fold")
    for one in releases:
        manifest = one.manifest
        shards = sum(len(artifact.shards) for artifact in manifest.artifacts.values())
        files = sum(1 for _ in manifest.files())
        names = ", ".join(name for name in manifest.artifacts if name != CODE)
        table.add_row(
            one.name, _when(manifest.made.at), names, str(shards or ""), str(files), _bytes(manifest.size),
            states.get(one.name, ""),
        )  # fmt: skip
    if releases:
        console.print(table)
    if unreadable:
        why = f"kapelle release show {unreadable[0]} --target {target}"
        console.print(f"cannot be read: {', '.join(unreadable)}; `{why}` says why")
    return 0


def run_show(name: str, target: str, store: str | None, *, as_json: bool) -> int:
    """Print what a release consists of."""
    release = Project(target, {"store": store}).releases.get(name)
    manifest = release.manifest
    if as_json:
        _print_json({**_about(release), "manifest": manifest})
        return 0
    console = _console()
    about = f" of {manifest.app}, built {_when(manifest.made.at)} by Kapelle {manifest.made.kapelle}"
    console.print(Text.assemble((name, "bold"), about))
    console.print(f"from {manifest.made.source}, content {manifest.identity[:12]}", style="dim")
    table = _table(("file", "sha256"), ("size",))
    for path, file in manifest.files():
        table.add_row(path, file.sha256[:12], _bytes(file.size))
    console.print(table)
    return 0


def run_diff(old: str, new: str, target: str, store: str | None) -> int:
    """Print in what two releases differ; the exit status."""
    releases = Project(target, {"store": store}).releases
    changes = differences(releases.get(old).manifest, releases.get(new).manifest)
    console = _console()
    if not changes:
        console.print(f"{old} and {new} have the same files")
        return 0
    table = _table(("file", "change"), (old, new))
    for one in changes:
        what = "added" if one.old is None else "removed" if one.new is None else "changed"
        table.add_row(one.path, what, _file_size(one.old), _file_size(one.new))
    console.print(table)
    return _DIFFERENT


def run_verify(name: str, target: str, store: str | None) -> int:
    """Read all of a release."""
    releases = Project(target, {"store": store}).releases
    release = releases.get(name)
    console = _console()
    with _progress(console, "verifying", release.manifest.size) as advance:
        releases.verify(release, advance)
    console.print(f"{name} is whole: {_bytes(release.manifest.size)} read")
    return 0


def run_wait(target: str, store: str | None) -> int:
    """Return when the store has a release."""
    project = Project(target, {"store": store})
    settings = project.settings
    configure(format=settings.log_format, level=settings.log_level, service="release", replica=socket.gethostname())
    name = newest_release(project.objects, target)
    _console().print(f"{project.objects} has {name}")
    return 0


def run_gc(target: str, keep: int, store: str | None, *, dry_run: bool) -> int:
    """Remove all but the newest releases, those that are in use, and the one to go back to."""
    if keep < _FEWEST:
        raise ConfigError(f"--keep is {keep}; expected at least {_FEWEST}")
    project = Project(target, {"store": store})
    releases = project.releases
    old = releases.all()[:-keep]
    pointer = PointerLog(project.objects).read()
    aside = pointer.side.release if pointer.side is not None else None
    doomed = [one for one in old if one.name not in (pointer.release, pointer.previous, aside)]
    console = _console()
    names = ", ".join(one.name for one in doomed)
    if not doomed:
        console.print("there is nothing to remove")
    elif dry_run:
        console.print(f"would remove {names}")
    else:
        freed = releases.delete(doomed)
        console.print(f"removed {names}: {_bytes(freed)} are free again")
    return 0


def _console() -> Console:
    """Prints what users have named, and what their code has raised, as it is: brackets in that are no markup."""
    return Console(highlight=False, markup=False, emoji=False)


def _store(project: Project, folder: Path, names: set[str], source: str = "") -> int:
    console = _console()
    code = code_of(project.target)
    with _progress(console, "reading", _size(folder, names)) as advance:
        release, new = project.releases.build(project.target.name, folder, names, advance, source, code)
    if not new:
        console.print(f"nothing has changed: this is {release.name}")
        return 0
    with _progress(console, "verifying", release.manifest.size) as advance:
        project.releases.verify(release, advance)
    files = sum(1 for _ in release.manifest.files())
    console.print(
        Text.assemble((release.name, "bold"), f": {_count(files)}, {_bytes(release.manifest.size)}, verified")
    )
    where = f" --store {project.settings.store}" if project.settings.store else ""
    console.print(f"  serve it  kapelle serve {project.target.text} --release {release.name}{where}")
    return 0


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _states(project: Project) -> dict[str, str]:
    """What became of each release: current, the one before, or why it did not come so far."""
    states = {
        name: f"{ending.outcome}: {ending.reason}"
        for name, ending in History(project.objects).latest().items()
        if ending.outcome != Outcome.COMMITTED
    }
    pointer = PointerLog(project.objects).read()
    if pointer.previous is not None:
        states.setdefault(pointer.previous, "the one before")
    if pointer.release is not None:
        states[pointer.release] = "current"
    return states


def _artifacts(app: AppSpec) -> set[str]:
    named = {app.artifact, *(service.artifact for service in app.services.values())}
    return {one for one in named if one is not None}


def _size(folder: Path, names: set[str]) -> int:
    with suppress(OSError):  # only for the bar; whoever reads them says what is wrong
        return sum(path.stat().st_size for name in names for path in (folder / name).rglob("*") if path.is_file())
    return 0


@contextmanager
def _progress(console: Console, what: str, total: int) -> Iterator[Advance]:
    """A bar on a terminal, nothing elsewhere."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console,
        transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=total)
        yield partial(bar.advance, task)


def _table(texts: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in texts:
        table.add_column(title, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right")
    return table


def _about(release: Release) -> dict[str, object]:
    manifest = release.manifest
    return {"name": release.name, "identity": manifest.identity, "size": manifest.size, "made": manifest.made}


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


def _file_size(file: File | None) -> str:
    return "" if file is None else _bytes(file.size)


def _bytes(count: int) -> str:
    power = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    size = count / 1024**power
    return f"{size:.0f} {_UNITS[power]}" if not power or size >= 100 else f"{size:.1f} {_UNITS[power]}"
