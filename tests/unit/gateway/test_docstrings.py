from __future__ import annotations

import pytest

from kapelle.gateway.docstrings import Docstring, parse


def test_nothing_is_said() -> None:
    assert parse("") == Docstring()


def test_the_first_paragraph_is_the_summary_on_one_line() -> None:
    doc = parse("Find what is\n    near.\n\n    Look well.\n\n    And long.\n    ")
    assert (doc.summary, doc.description) == ("Find what is near.", "Look well.\n\nAnd long.")


@pytest.mark.parametrize("heading", ["Args", "Arguments", "Parameters"])
def test_parameters_have_notes_over_several_lines(heading: str) -> None:
    doc = parse(
        f"""Find.

        {heading}:
            text: what to find;
                all of it.
            count (int): how many: one or more
            **rest: whatever else.
        """
    )
    assert doc.parameters == {
        "text": "what to find; all of it.",
        "count": "how many: one or more",
        "rest": "whatever else.",
    }
    assert doc.description == ""


@pytest.mark.parametrize("heading", ["Returns", "Yields"])
def test_results_are_described(heading: str) -> None:
    assert parse(f"Find.\n\n{heading}:\n    Matches,\n    best first.").returns == "Matches, best first."


def test_other_sections_and_what_follows_stay_in_the_description() -> None:
    doc = parse("Find.\n\nArgs:\n    text: words.\n\nRaises:\n    InvalidInput: no words.\n\nThe end.")
    assert doc.parameters == {"text": "words."}
    assert doc.description == "Raises:\n    InvalidInput: no words.\n\nThe end."


def test_prose_below_a_heading_is_no_parameter() -> None:
    assert parse("Find.\n\nArgs:\n    just words").parameters == {}
