"""Question search as one writes it first: FastAPI, one process, one model, one index. FOLDER has what search_data.py made."""

from __future__ import annotations

import json
import os
from pathlib import Path

import faiss
import numpy as np
from fastapi import FastAPI
from onnxruntime import InferenceSession, SessionOptions
from pydantic import BaseModel, Field
from tokenizers import Tokenizer

folder = Path(os.environ["FOLDER"])
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(128)
tokenizer.enable_padding()
options = SessionOptions()
if os.environ.get("THREADS"):
    # One thread a request: requests run beside each other anyway, and the libraries' own pools would fight for the cores.
    options.intra_op_num_threads = int(os.environ["THREADS"])
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    faiss.omp_set_num_threads(int(os.environ["THREADS"]))
session = InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
questions = json.loads((folder / "questions.json").read_text())
vectors = np.load(folder / "vectors.npy")
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
app = FastAPI()


class Ask(BaseModel):
    instances: list[str] = Field(min_length=1, max_length=1000)
    count: int = Field(1, ge=1, le=100)


class Match(BaseModel):
    question: str
    score: float
    instance: int


class Answer(BaseModel):
    match: str
    matches: list[Match]


def embed(sentences: list[str]) -> np.ndarray:
    encoded = tokenizer.encode_batch(sentences)
    feed = {
        "input_ids": np.array([one.ids for one in encoded], np.int64),
        "attention_mask": np.array([one.attention_mask for one in encoded], np.int64),
    }
    return session.run(["sentence_embedding"], feed)[0]


@app.post("/process")
def process(ask: Ask) -> Answer:
    scores, rows = index.search(embed(ask.instances), ask.count)
    matches = [
        Match(question=questions[row], score=round(float(score), 4), instance=instance)
        for instance, found in enumerate(zip(scores, rows, strict=True))
        for score, row in zip(*found, strict=True)
    ]
    return Answer(match=matches[0].question, matches=matches)
