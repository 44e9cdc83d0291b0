"""Steps that run once for given inputs: each leaves a stamp with the digest of what it was made from."""

from __future__ import annotations

import fcntl
import hashlib
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Step:
    """Commands to run again when ``digest`` differs from the one in ``stamp``, or when ``product`` is missing.

    A step without commands is always done.
    """

    title: str
    stamp: Path
    digest: str
    commands: Sequence[Sequence[str]]
    product: Path

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do."""
        if not self.commands:
            return True
        try:
            return self.product.exists() and self.stamp.read_text() == self.digest
        except FileNotFoundError:
            return False


def digest(*parts: str | bytes) -> str:
    """One digest of several parts; each part's length is hashed too, so that their borders count."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()


def digest_files(paths: Iterable[Path]) -> str:
    """The digest of the files' names, relative to the repository, and of their contents."""
    return digest(*(part for path in sorted(paths) for part in (str(path.relative_to(ROOT)), path.read_bytes())))


def run_steps(steps: Sequence[Step]) -> None:
    """Run those steps that are not done, in order; exit with the status of the first command that fails."""
    if all(step.is_done for step in steps):
        return
    try:
        with _alone():
            for step in steps:
                # Asked again for each: another `make` may have done it, and recreating .venv removes the later stamps.
                if not step.is_done:
                    _run(step)
    except KeyboardInterrupt:
        sys.exit("\n==> Interrupted. The next `make` goes on from the step that was not finished.")


def _run(step: Step) -> None:
    print(f"==> {step.title}", flush=True)
    began = time.monotonic()
    step.stamp.unlink(missing_ok=True)
    for command in step.commands:
        status = subprocess.call(command, cwd=ROOT)
        if status:
            sys.exit(f"==> {step.title}: failed with exit status {status}\n    {shlex.join(command)}")
    step.stamp.parent.mkdir(parents=True, exist_ok=True)
    step.stamp.write_text(step.digest)
    print(f"    done in {time.monotonic() - began:.1f} s", flush=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Two `make` at once must not install into one environment; the second waits and finds the work done."""
    with (ROOT / ".make.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("==> Waiting for another `make` in this folder to finish its set-up", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
