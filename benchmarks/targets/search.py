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


def _recall(target: str) -> str:
    """How often it finds what an exact search with the float32 model finds, as text."""
    about = SEARCH / "about.json"
    return f"recall@1 {json.loads(about.read_text())['recall'][target]:.3f}" if about.exists() else "no recall measured"


def _check_data() -> None:
    if not (SEARCH / "about.json").exists():
        raise NotInstalled("there is nothing to search in; run `python benchmarks/search_data.py`")


class KapelleSearch:
    name = "kapelle"
    scenarios: Sequence[str] = SCENARIOS
    packages: Sequence[str] = ("kapelle", "onnxruntime", "tokenizers", "faiss-cpu", "numpy")

    @property
    def tuning(self) -> str:
        return (
            f"{_recall(self.name)}; apps/question_search as `make run` serves it: one gateway, two int8 encoders that batch, "
            "clusters in processes of their own in two copies, 3 probes; access log off as for all"
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
    """``precision`` is fp32 or int8, the model of the plain server; ``tuned`` gives each request one thread."""

    scenarios: Sequence[str] = SCENARIOS
    packages: Sequence[str] = ("fastapi", "uvicorn", "onnxruntime", "tokenizers", "faiss-cpu", "numpy")

    def __init__(self, precision: str, *, tuned: bool = False) -> None:
        self.name = f"plain-{precision}{'-tuned' if tuned else ''}"
        self._folder = SEARCH / precision
        self._threads = "1" if tuned else ""

    @property
    def tuning(self) -> str:
        threads = (
            "one thread of ONNX Runtime and FAISS a request, without spinning" if self._threads else "their defaults"
        )
        return (
            f"{_recall(f'plain-{self._folder.name}')}; one uvicorn process (uvloop, httptools), a `def` endpoint in FastAPI's "
            f"threads, the {self._folder.name} model in ONNX Runtime and one flat FAISS index with {threads}; access log off"
        )

    def python(self) -> Path:
        _check_data()
        return peer_python("search")

    def commands(self, scene: Scene) -> Sequence[Command]:
        uvicorn: list[str | Path] = [self.python(), "-m", "uvicorn", "--app-dir", PEERS / "search", "plain_search:app"]
        options: list[str | Path] = ["--port", str(scene.port), "--no-access-log", "--log-level", "warning"]
        # All cores, as it would have by itself: the common setting of one is for a 4x3 product.
        cores = str(os.cpu_count())
        environment = {"FOLDER": str(self._folder), "OMP_NUM_THREADS": cores, "THREADS": self._threads}
        return [Command([*uvicorn, *options], environment)]

    def dialogue(self, _scenario: str) -> Dialogue:
        return _dialogue(f"plain-{self._folder.name}")
