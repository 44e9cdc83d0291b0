"""What a build is made from, as one digest: equal stamps mean equal artifacts."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from apps.question_search.weights import TOKENIZER_SHA256, WEIGHTS_SHA256

CODE = (
    "build.py",
    "corpus.py",
    "embedding.py",
    "encoder.py",
    "export.py",
    "index.py",
    "kmeans.py",
    "minilm.py",
    "onnx_graph.py",
    "precision.py",
    "recall.py",
    "shard.py",
    "weights.py",
)
LIBRARIES = ("faiss-cpu", "numpy", "onnx", "onnxruntime", "tokenizers")


def stamp(questions_sha256: str, clusters: int, seed: int, precision: str) -> str:
    """The digest of all that shapes the artifacts: questions, options, weights, code, libraries."""
    here = Path(__file__).parent
    parts = {
        "questions": questions_sha256,
        "clusters": clusters,
        "seed": seed,
        "precision": precision,
        "weights": [WEIGHTS_SHA256, TOKENIZER_SHA256],
        "code": {name: hashlib.sha256((here / name).read_bytes()).hexdigest() for name in CODE},
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
