"""The whole pipeline: a file in, its label out, each stage alone, and files that are no pictures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from apps.image_pipeline.app import Classifier, ImagePipeline, Postprocess, Preprocess
from apps.image_pipeline.golden import sample_picture
from apps.image_pipeline.images import decode, prepare
from kapelle.testing import running, running_processes
from kapelle.testing.memory import MemorySystem
from tests.apps.image_pipeline.conftest import noise, saved

PICTURE = sample_picture()


@pytest.fixture
async def system(artifacts: Path) -> AsyncIterator[MemorySystem]:
    async with running(ImagePipeline, artifacts=artifacts) as found:
        yield found


async def test_a_picture_is_named(system: MemorySystem) -> None:
    answer = (await system.client.post("/finalize", files={"file": PICTURE})).json()
    assert set(answer) == {"index", "label", "probability", "top"}
    assert answer["top"][0] == {name: answer[name] for name in ("index", "label", "probability")}
    assert len(answer["top"]) == 3
    best = [guess["probability"] for guess in answer["top"]]
    assert best == sorted(best, reverse=True)
    every = (await system.client.post("/finalize?count=10", files={"file": PICTURE})).json()["top"]
    assert {guess["index"] for guess in every} == set(range(10))
    assert sum(guess["probability"] for guess in every) == pytest.approx(1, abs=0.01)


async def test_stages_can_be_called_alone(system: MemorySystem) -> None:
    picture = (await system.client.post("/services/preprocess", files={"file": PICTURE})).json()
    assert np.allclose(picture, prepare(decode(PICTURE)))
    (probabilities,) = (await system.client.post("/services/classifier", json={"pictures": [picture]})).json()
    found = await system.client.post("/services/postprocess", json={"probabilities": probabilities})
    assert found.json() == (await system.client.post("/finalize", files={"file": PICTURE})).json()
    for service in ("preprocess", "classifier", "postprocess"):
        assert (await system.client.get(f"/services/{service}/readyz")).status_code == 200


async def test_many_pictures_at_once_keep_apart(system: MemorySystem) -> None:
    files = [saved(noise(40, 40, seed), "PNG") for seed in range(12)]

    async def ask(file: bytes) -> object:
        return (await system.client.post("/finalize", files={"file": file})).json()

    alone = [await ask(file) for file in files]
    together = await asyncio.gather(*map(ask, files))
    for one, other in zip(alone, together, strict=True):
        assert one == other or _close(one, other)


def _close(one: object, other: object) -> bool:
    """Whether two findings differ by a rounding of the last digit alone."""
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    return bool(one["index"] == other["index"] and abs(one["probability"] - other["probability"]) < 1e-3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"no picture", "not a picture"),
        (PICTURE[:100], "damaged"),
        (b"P6 30000 30000 255\n", "too large"),
    ],
    ids=["empty", "text", "cut", "bomb"],
)
async def test_what_is_no_picture_is_refused_and_harms_nobody(system: MemorySystem, content: bytes, said: str) -> None:
    for path in ("/finalize", "/services/preprocess"):
        answer = await system.client.post(path, files={"file": ("x.jpg", content)})
        assert answer.status_code == 422
        assert said in answer.json()["detail"]
        assert answer.json()["errors"][0]["path"] == "$.file"
    assert (await system.client.post("/finalize", files={"file": PICTURE})).status_code == 200


async def test_shapes_are_checked_before_the_model_sees_them(system: MemorySystem) -> None:
    answer = await system.client.post("/services/classifier", json={"pictures": [[[[0.5] * 8] * 8] * 3]})
    assert answer.status_code == 422
    assert "expected an array of shape 3 x 32 x 32, got 3 x 8 x 8" in answer.json()["detail"]
    answer = await system.client.post("/services/postprocess", json={"probabilities": [0.5, 0.5]})
    assert answer.status_code == 422


async def test_the_classes_work_without_a_server(artifacts: Path) -> None:
    picture = await Preprocess().prepare(PICTURE)
    probabilities = await Classifier(artifacts / "classifier").classify(picture)
    finding = await Postprocess(artifacts / "classifier").finish(probabilities, 2)
    assert finding.index == int(np.argmax(probabilities))
    assert len(finding.top) == 2


async def test_its_golden_query_finds_a_model_of_another_build(system: MemorySystem) -> None:
    await system.app.knows_its_sample()
    golden = system.app._golden
    system.app._golden = type(golden)(golden.picture, (golden.index + 1) % 10, golden.probability)
    with pytest.raises(ValueError, match="expected label"):
        await system.app.knows_its_sample()


async def test_in_processes_of_their_own_all_three_answer_and_the_log_shows_the_way(
    artifacts: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running_processes(ImagePipeline, artifacts=artifacts, access_log=True, log_format="json") as system:
        assert {name.partition("-")[0] for name in system.processes} == {
            "Preprocess",
            "Classifier",
            "Postprocess",
            "gateway",
        }
        answer = await system.client.post("/finalize", files={"file": PICTURE}, headers={"x-request-id": "the-way"})
        assert answer.status_code == 200
    (line,) = [one for one in capfd.readouterr().err.splitlines() if '"request": "the-way"' in one]
    calls = json.loads(line)["calls"].split(" > ")
    assert [one.split(" at ")[0] for one in calls] == [
        "Preprocess.prepare",
        "Classifier.classify",
        "Postprocess.finish",
    ]
