"""What the documents say of the code is what the code says."""

from __future__ import annotations

import re

import pytest

import kapelle
from tests.docs.regions import REGIONS, pattern, renewed
from tests.house.sources import ROOT, files


@pytest.mark.parametrize("name", REGIONS)
def test_the_region_is_up_to_date(name: str) -> None:
    document, make = REGIONS[name]
    markdown = (ROOT / document).read_text()
    assert renewed(markdown, name, make()) == markdown, "renew it with: .venv/bin/python -m tests.docs.regions"


def test_every_region_is_known() -> None:
    documents = [ROOT / "README.md", *files("*.md", "docs")]
    marked = [name for path in documents for name in re.findall(r"<!-- begin (\S+) -->", path.read_text())]
    assert sorted(marked) == sorted(REGIONS)


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs/reference/api.md").read_text()
    missing = [name for name in kapelle.__all__ if not re.search(rf"^### `kapelle\.{name}\b", page, re.MULTILINE)]
    assert missing == []


def test_a_region_is_replaced_and_nothing_else() -> None:
    markdown = "a\n<!-- begin x -->\n\nold \\1\n\n<!-- end x -->\nb\n"
    assert renewed(markdown, "x", "new \\1") == "a\n<!-- begin x -->\n\nnew \\1\n\n<!-- end x -->\nb\n"
    assert pattern("y").search(markdown) is None


def test_a_missing_region_is_noticed() -> None:
    with pytest.raises(ValueError, match="0 regions 'x'"):
        renewed("nothing here", "x", "text")
