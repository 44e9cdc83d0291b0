"""Question search end to end: Kapelle's application beside the same job written plainly in FastAPI."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dialogue import Dialogue, Exchange
from targets.base import BENCHMARKS, PEERS, Command, NotInstalled, Scene, peer_python

SEARCH = BENCHMARKS / ".search"
SCENARIOS = ("question-search", "question-search-busy")


def _dialogue(target: str) -> Dialogue:
    about = json.loads((SEARCH / "about.json").read_text())
    pairs = zip(about["queries"], about["expected"][target], strict=True)
    exchanges = [Exchange(json.dumps({"instances": [query]}).encode(), ("match",), answer) for query, answer in pairs]
    return Dialogue("/process", exchanges)


def _check_data() -> None:
    if not (SEARCH / "about.json").exists():
        raise NotInstalled("there is nothing to search in; run `python benchmarks/search_data.py`")


class KapelleSearch:
    name = "kapelle"
    scenarios: Sequence[str] = SCENARIOS
    packages: Sequence[str] = ("kapelle", "onnxruntime", "tokenizers", "faiss-cpu", "numpy")
    tuning = (
        "apps/question_search as `make run` serves it: one gateway, two int8 encoders that batch, clusters in processes "
        "of their own in two copies, 3 probes; access log off as for all"
    )

    def python(self) -> Path:
        _check_data()
        return Path(sys.executable)

    def commands(self, scene: Scene) -> Sequence[Command]:
        root = BENCHMARKS.parent
        serve: list[str | Path] = [self.python().parent / "kapelle", "serve", root / "apps" / "question_search"]
        options: list[str | Path] = ["--artifacts", SEARCH / "artifacts", "--port", str(scene.port)]
        environment = {
            "KAPELLE_ACCESS_LOG": "false",
            "KAPELLE_RUN_DIR": str(scene.folder / "run"),
            "PYTHONPATH": str(root),
        }
        return [Command([*serve, *options], environment)]

    def dialogue(self, _scenario: str) -> Dialogue:
        return _dialogue(self.name)


class PlainSearch:
    """``precision`` is fp32 or int8, the model of the plain server."""

    scenarios: Sequence[str] = SCENARIOS
    packages: Sequence[str] = ("fastapi", "uvicorn", "onnxruntime", "tokenizers", "faiss-cpu", "numpy")

    def __init__(self, precision: str) -> None:
        self.name = f"plain-{precision}"
        self._folder = SEARCH / precision
        self.tuning = (
            f"one uvicorn process (uvloop, httptools), a `def` endpoint in FastAPI's threads, the {precision} model with "
            "ONNX Runtime's own defaults, one flat FAISS index; access log off"
        )

    def python(self) -> Path:
        _check_data()
        return peer_python("search")

    def commands(self, scene: Scene) -> Sequence[Command]:
        uvicorn: list[str | Path] = [self.python(), "-m", "uvicorn", "--app-dir", PEERS / "search", "plain_search:app"]
        options: list[str | Path] = ["--port", str(scene.port), "--no-access-log", "--log-level", "warning"]
        # All cores, as it would have by itself: the common setting of one is for a 4x3 product.
        return [Command([*uvicorn, *options], {"FOLDER": str(self._folder), "OMP_NUM_THREADS": str(os.cpu_count())})]

    def dialogue(self, _scenario: str) -> Dialogue:
        return _dialogue(self.name)
