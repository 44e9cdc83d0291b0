"""An app's builder: ``main(arguments)`` of the ``build.py`` beside the app's file, which makes its artifacts from data."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kapelle.declare.loading import Target
from kapelle.errors import ArtifactError, ConfigError

_HELP = frozenset({"--help", "-h"})
_OUT = "--out"
_INTERRUPTED = 130
_GRACE = 3.0  # seconds for a builder to end by itself, and again when told to


class Builder:
    """The builder of the app whose file is in ``folder``; it need not exist."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "build.py"

    def __str__(self) -> str:
        return os.path.relpath(self.file) if self.file.is_relative_to(Path.cwd()) else str(self.file)

    @property
    def exists(self) -> bool:
        """Whether the app has one."""
        return self.file.is_file()

    def check(self, options: Sequence[str]) -> None:
        """Refuse options that no builder would get, or that are not the caller's to give.

        Raises:
            ConfigError: there is no builder for them, or one of them names the folder to write to.
        """
        if not self.exists:
            raise ConfigError(
                f"{shlex.join(options)}: no option of Kapelle's, and the app has no builder to give it to: looked for "
                f"{self}; `kapelle release build --help` lists the options there are"
            )
        if any(option.split("=")[0] == _OUT for option in options):
            raise ConfigError(f"{_OUT} is set by Kapelle, to the folder that the release is made of; leave it out")

    @contextmanager
    def built(self, root: Path, options: Sequence[str]) -> Iterator[Path]:
        """The folder, below ``root``, of the artifacts that the builder makes with these options; then it is removed.

        Raises:
            ConfigError: ``root`` cannot be written.
            ArtifactError: the builder did not succeed, or wrote nothing.
        """
        try:
            root.mkdir(parents=True, exist_ok=True)
            # The builder's folder is one level below, so that what it puts beside it while it works goes away, too.
            aside = tempfile.TemporaryDirectory(dir=root, ignore_cleanup_errors=True)
        except OSError as error:
            raise ConfigError(f"cannot write to {root}: {error.strerror}") from error
        with aside as name:
            folder = Path(name).absolute() / "artifacts"
            folder.mkdir()
            status = self.run([_OUT, str(folder), *options])
            if status:
                raise ArtifactError(f"{self} {_ending(status)}; nothing was stored")
            if not any(folder.iterdir()):
                raise ArtifactError(f"{self} wrote nothing to its {_OUT}; nothing was stored")
            yield folder

    def run(self, arguments: Sequence[str]) -> int:
        """Call its ``main`` in a process of its own, on this terminal; the exit status, negative for a signal.

        However this is left, by Ctrl-C or SIGTERM, the process has ended.
        """
        named = Target(str(self.file))
        # Its imports are found where the app's are: not in the current folder, which -m alone would put first.
        command = [sys.executable, "-P", "-m", __name__, str(named.root), named.module, *arguments]
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            process = subprocess.Popen(command)  # noqa: S603 - the app's own code, as its app file is
            try:
                return process.wait()
            finally:
                _end(process)
        finally:
            signal.signal(signal.SIGTERM, before)


def asks_for_help(options: Sequence[str]) -> bool:
    """Whether the builder is to explain its options instead of building."""
    return not _HELP.isdisjoint(options)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C on a terminal has reached the builder as well: it may clear up. Pressed again, nothing is waited for."""
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    finally:
        process.kill()
        process.wait()


def _ending(status: int) -> str:
    return f"ended with exit status {status}" if status > 0 else f"was ended by {signal.Signals(-status).name}"


def _call(root: str, name: str, arguments: list[str]) -> int:
    """Be the builder: import the module from ``root``, and call its ``main``."""
    sys.path.insert(0, root)
    sys.argv = [name, *arguments]
    module = importlib.import_module(name)
    if not callable(getattr(module, "main", None)):
        print(f"{module.__file__} has no function main(arguments), with which a builder begins", file=sys.stderr)
        return 1
    return int(module.main(arguments) or 0)


if __name__ == "__main__":
    try:
        sys.exit(_call(sys.argv[1], sys.argv[2], sys.argv[3:]))
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
