from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from kapelle.deploy.yaml import Alias, Anchor, Mode, Note, Variable, document, literal

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" \n#:-{}[]&*!'\"~")),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcyn01-_.: ", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["a", "on", "no", "1", "a b", "<"]), values, max_size=4))
def test_reads_back_as_it_was(value: dict[str, Any]) -> None:
    assert (yaml.safe_load(document("A comment.", value)) or {}) == value


@pytest.mark.parametrize(
    "word",
    [
        "yes",
        "no",
        "on",
        "null",
        "~",
        "1.5",
        "1e3",
        "0x10",
        "12:30",
        "2026-11-21",
        "10m",
        "0400",
        "=",
        ".5",
        "a: b",
        "a #b",
        "- a",
        "*a",
        "&a",
        "!a",
        "@a",
        "%a",
        ">",
        "|",
        "",
        " a",
        "a ",
    ],
)
def test_text_stays_text(word: str) -> None:
    assert yaml.safe_load(document("", {"key": word, "keys": [word], word: 1})) == {
        "key": word,
        "keys": [word],
        word: 1,
    }


def test_comments_stand_above_what_they_explain() -> None:
    value = {
        "shared": Anchor("shared", {"init": True}),
        "items": [Note("The first.", {"name": "a", "mode": Mode(0o400)}), {"name": "b", "held": []}],
        "door": Note("Two\nlines.", {"<<": Alias("shared"), "empty": {}, "words": ["kapelle", "start"]}),
        "script": "one\ntwo\n",
        "text": "a\nb\nc",
    }
    text = document("What it is.", value)
    assert text == snapshot("""\
# What it is.

shared: &shared
  init: true
items:
  # The first.
  - name: a
    mode: 0400
  - name: b
    held: []
# Two
# lines.
door:
  <<: *shared
  empty: {}
  words: [kapelle, start]
script: |
  one
  two
text: |
  a
  b
  c
""")
    read = yaml.safe_load(text)
    assert read["door"] == {"init": True, "empty": {}, "words": ["kapelle", "start"]}
    assert read["items"][0]["mode"] == 0o400


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="has no form in YAML"):
        document("", {"key": object()})


def test_engines_fill_in_variables_and_nothing_else() -> None:
    content = {
        "image": Variable("IMAGE"),
        "command": ["echo", "$HOME", Note("Paid.", "$5")],
        "shared": Anchor("all", {"price": ("$", 1)}),
        "again": Alias("all"),
    }
    assert yaml.safe_load(document("", literal(content))) == snapshot(
        {
            "image": "${IMAGE}",
            "command": ["echo", "$$HOME", "$$5"],
            "shared": {"price": ["$$", 1]},
            "again": {"price": ["$$", 1]},
        }
    )
