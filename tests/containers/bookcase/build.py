"""Makes a book of one edition: some of it is new in each edition, the binding never is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

PAGES = 3
NEW, SAME = 2_000_000, 5_000_000
"""Bytes of each part, new in every edition or the same in all."""


def main(arguments: Sequence[str]) -> int:
    """Write the artifacts; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--edition", default="one")
    given = parser.parse_args(arguments)
    for part in ("book", *(f"pages/shards/{number:03}" for number in range(PAGES))):
        folder = given.out / part
        folder.mkdir(parents=True)
        (folder / "edition").write_text(given.edition)
        (folder / "text").write_bytes(f"{part} {given.edition} ".encode().ljust(100, b".") * (NEW // 100))
        (folder / "binding").write_bytes(part.encode().ljust(100, b".") * (SAME // 100))
    return 0
