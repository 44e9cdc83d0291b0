"""``kapelle release``: the words of the command line come to what is meant."""

from __future__ import annotations

from typing import Any

import pytest

from kapelle.cli import publish, release
from kapelle.cli.releases import release_app


@pytest.mark.parametrize(
    ("words", "module", "verb", "given", "options"),
    [
        ("build app.py --once", release, "run_build", ("app.py", None, None, ()), {"once": True}),
        ("build app.py --epochs 3", release, "run_build", ("app.py", None, None, ("--epochs", "3")), {"once": False}),
        ("list app.py --json", release, "run_list", ("app.py", None), {"as_json": True}),
        ("show r1 -t app.py", release, "run_show", ("r1", "app.py", None), {"as_json": False}),
        ("diff r1 r2 -t app.py --store s3://b/p", release, "run_diff", ("r1", "r2", "app.py", "s3://b/p"), {}),
        ("verify r1 -t app.py", release, "run_verify", ("r1", "app.py", None), {}),
        ("wait app.py", release, "run_wait", ("app.py", None), {}),
        ("gc -t app.py --keep 2", release, "run_gc", ("app.py", 2, None), {"dry_run": False}),
        ("publish r1 --canary 5%", publish, "run_publish", ("r1", None, None), {"canary": "5%", "shadow": ""}),
        ("rollback", publish, "run_rollback", (None, None), {}),
        ("cancel app.py", publish, "run_cancel", ("app.py", None), {}),
    ],
)
def test_each_verb_has_its_command(
    words: str, module: Any, verb: str, given: tuple[Any, ...], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def run(*arguments: Any, **named: Any) -> int:
        called.append((arguments, named))
        return 0

    monkeypatch.setattr(module, verb, run)
    assert release_app(words, result_action="return_value") == 0
    assert called == [(given, options)]
