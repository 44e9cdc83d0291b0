"""Make what the question-search benchmark serves and asks, in benchmarks/.search.

    python benchmarks/search_data.py                                  # the application's own corpus
    python benchmarks/search_data.py --questions titles.txt           # any text, CSV or TSV file

A query is a title of the corpus with every fourth word left out. Its right answer is the nearest title by exact search
with the float32 model; what each server must answer is what its own model and index give when asked without a server.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.base import BENCHMARKS
from targets.search import SEARCH

ROOT = BENCHMARKS.parent
sys.path.insert(0, str(ROOT))

from apps.question_search import corpus  # noqa: E402 - found beside this folder
from apps.question_search.embedding import embed  # noqa: E402 - as above
from apps.question_search.encoder import Encoder  # noqa: E402 - as above
from apps.question_search.export import export  # noqa: E402 - as above
from apps.question_search.precision import Float32  # noqa: E402 - as above
from apps.question_search.shard import Shard  # noqa: E402 - as above

QUERIES = 500
PROBES = 3

Vectors = NDArray[np.float32]


def reword(title: str) -> str:
    """The title without every fourth word; without its last one if it has fewer."""
    words = title.split()
    kept = [word for place, word in enumerate(words, 1) if place % 4]
    return " ".join(kept if len(kept) < len(words) else words[:-1] or words)


def exact(queries: Vectors, vectors: Vectors) -> list[int]:
    """The row nearest to each query."""
    return [int(row) for row in (queries @ vectors.T).argmax(axis=1)]


def probed(queries: Vectors, artifact: Path) -> list[str]:
    """What the application finds for each query: the best of the nearest clusters."""
    centroids = np.load(artifact / "centroids.npy")
    shards = [Shard(one) for one in sorted((artifact / "shards").iterdir())]
    answers = []
    for vector in queries:
        nearest = np.argsort(centroids @ vector)[::-1][:PROBES]
        answers.append(max((shards[one].nearest(vector)[0] for one in nearest), key=lambda match: match[1])[0])
    return answers


def plain(folder: Path, encoder: Path, questions: Sequence[str], vectors: Vectors) -> None:
    """What the plain server reads."""
    folder.mkdir(parents=True)
    for file in encoder.iterdir():
        shutil.copy(file, folder / file.name)
    np.save(folder / "vectors.npy", vectors)
    (folder / "questions.json").write_text(json.dumps(questions))


def make(questions: Path | None, column: str | None, say: Callable[[str], None]) -> None:
    """Build everything anew."""
    shutil.rmtree(SEARCH, ignore_errors=True)
    artifacts = SEARCH / "artifacts"
    options = ["--out", str(artifacts)]
    options += ["--questions", str(questions)] if questions else []
    options += ["--column", column] if column else []
    subprocess.run([sys.executable, "-m", "apps.question_search.build", *options], cwd=ROOT, check=True)
    say("embedding the corpus with the float32 model, and both for the plain servers")
    source = questions or ROOT / "apps" / "question_search" / "corpus"
    titles = corpus.read(source, column).questions
    export(SEARCH / "float32", Float32())
    models = {"fp32": SEARCH / "float32", "int8": artifacts / "encoder"}
    asked = [reword(titles[row]) for row in np.random.default_rng(7).permutation(len(titles))[:QUERIES]]
    expected: dict[str, list[str]] = {}
    cores = os.cpu_count() or 1
    truth: list[str] = []
    for name, model in models.items():
        encoder = Encoder(model)
        vectors = embed(encoder, titles, cores, lambda _: None)
        queries = encoder.embed(asked)
        plain(SEARCH / name, model, titles, vectors)
        expected[f"plain-{name}"] = [titles[row] for row in exact(queries, vectors)]
        truth = truth or expected[f"plain-{name}"]
        if name == "int8":
            expected["kapelle"] = probed(queries, artifacts / "index")
    recall = {
        name: sum(answer == right for answer, right in zip(answers, truth, strict=True)) / len(truth)
        for name, answers in expected.items()
    }
    about = {"titles": len(titles), "queries": asked, "expected": expected, "recall": recall}
    (SEARCH / "about.json").write_text(json.dumps(about))
    say(f"{len(titles):,} titles, {len(asked)} queries, recall@1 to exact float32 search: {recall}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--questions", type=Path, help="a file of titles; else the application's own corpus")
    parser.add_argument("--column", help="of a CSV or TSV file")
    options = parser.parse_args()
    make(options.questions, options.column, print)


if __name__ == "__main__":
    main()
