"""Parts of the documents that are made from the code: ``python -m tests.docs.regions`` renews them.

A region lies between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; all around it is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.docs import commands, metrics, signatures, tables
from tests.house.sources import ROOT

REGIONS: dict[str, tuple[str, Callable[[], str]]] = {
    "figures": ("README.md", tables.figures),
    "settings": ("docs/reference/settings.md", tables.settings),
    "commands": ("docs/reference/cli.md", commands.commands),
    "errors": ("docs/reference/errors.md", tables.errors),
    "messages": ("docs/reference/wire.md", tables.messages),
    "metrics": ("docs/reference/metrics.md", metrics.metrics),
    "declaring": ("docs/reference/api.md", signatures.declaring),
    "requests": ("docs/reference/api.md", signatures.requests),
    "raised": ("docs/reference/api.md", signatures.raised),
    "testing": ("docs/reference/api.md", signatures.testing),
    "client": ("docs/reference/api.md", signatures.client),
}
"""By name: the document, and what makes the text."""


def pattern(name: str) -> re.Pattern[str]:
    """The region with its markers; group 1 is its text."""
    return re.compile(rf"(?<=<!-- begin {name} -->\n)(.*?)(?=<!-- end {name} -->)", re.DOTALL)


def renewed(markdown: str, name: str, text: str) -> str:
    """The document with the region's text replaced."""
    found, count = pattern(name).subn(lambda _: f"\n{text}\n\n", markdown)
    if count != 1:
        raise ValueError(f"{count} regions {name!r}; expected one")
    return found


def main() -> None:
    for name, (document, make) in REGIONS.items():
        path = ROOT / document
        path.write_text(renewed(path.read_text(), name, make()))


if __name__ == "__main__":
    main()
