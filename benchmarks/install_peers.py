"""Install the peers that the benchmarks measure Kapelle against, each in an environment of its own.

    python benchmarks/install_peers.py            # all of them
    python benchmarks/install_peers.py mosec ray  # some of them

`benchmarks/peers/<peer>/requirements.txt` pins the versions, `benchmarks/.peers/<peer>` is the environment. A second
run installs nothing: an environment is made anew only when its requirements or this Python changed.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "peers"
ENVIRONMENTS = HERE / ".peers"


def fingerprint(requirements: Path) -> str:
    """What an environment was made from: the pins and the Python that runs them."""
    return hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()


def is_current(environment: Path, wanted: str) -> bool:
    stamp = environment / "fingerprint"
    return stamp.exists() and stamp.read_text() == wanted


def install(peer: str) -> None:
    """Make the peer's environment, unless it is there already.

    Raises:
        subprocess.CalledProcessError: pip could not install what requirements.txt pins.
    """
    requirements = REQUIREMENTS / peer / "requirements.txt"
    environment = ENVIRONMENTS / peer
    wanted = fingerprint(requirements)
    if is_current(environment, wanted):
        print(f"{peer}: up to date")
        return
    print(f"{peer}: installing {', '.join(requirements.read_text().split())} ...", flush=True)
    started = time.monotonic()
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    quietly = ["-qq", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", "install", *quietly, "--requirement", requirements], check=True)
    # Written last, so that an interrupted installation is not taken for a finished one.
    (environment / "fingerprint").write_text(wanted)
    print(f"{peer}: installed in {time.monotonic() - started:.0f} s", flush=True)


def main() -> int:
    peers = sorted(path.parent.name for path in REQUIREMENTS.glob("*/requirements.txt"))
    parser = argparse.ArgumentParser(description="Install the peers, each in an environment of its own.")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"any of {', '.join(peers)}; all, if none is named")
    chosen = parser.parse_args().peers or peers
    if unknown := sorted(set(chosen) - set(peers)):
        parser.error(f"unknown peers: {', '.join(unknown)}; there are {', '.join(peers)}")
    failed: list[str] = []
    for peer in chosen:
        try:
            install(peer)
        except subprocess.CalledProcessError as error:
            failed.append(peer)
            print(f"{peer}: {error}", file=sys.stderr)
    if failed:
        print(f"not installed: {', '.join(failed)}; pip's own message is above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
