from __future__ import annotations

import picture_model
import pytest

from bare import run
from dialogue import Exchange
from pictures import BRIGHT_BANDS, PICTURES, TENSOR_SHAPE, ask_for_bands, jpeg, tensor
from rounds import measure_bare
from targets.litserve import BOUNDARY, as_file
from targets.mlserver import as_base64


@pytest.mark.parametrize("scenario", list(PICTURES))
def test_each_input_has_the_answer_it_is_said_to_have(scenario: str) -> None:
    # `run` raises when the model sees another band than the one that was drawn.
    assert run(scenario, seconds=0.0)["rate"] > 0
    assert len(set(BRIGHT_BANDS)) == 3


def test_pictures_are_of_the_size_told_and_the_same_every_time() -> None:
    bodies = [jpeg(bright) for bright in BRIGHT_BANDS]
    assert all(25_000 < len(body) < 35_000 for body in bodies)
    assert bodies == [jpeg(bright) for bright in BRIGHT_BANDS]
    assert {len(tensor(bright)) for bright in BRIGHT_BANDS} == {602_112}


def test_both_sides_mean_the_same_tensors() -> None:
    assert picture_model.SHAPE == TENSOR_SHAPE
    assert picture_model.preprocess(jpeg(2)).flags.c_contiguous


def test_every_number_of_a_tensor_matters() -> None:
    values = picture_model.tensor_from(tensor(2)).copy()
    values[:, 5:] = 0.0  # all but the first rows are lost
    values[-1, -1, -30:] += 1000.0
    assert picture_model.postprocess(picture_model.infer(values)) == 9


def test_a_binary_body_is_sent_as_it_is() -> None:
    dialogue = ask_for_bands("relay")
    request = dialogue.request(dialogue.exchanges[0], 80)
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == tensor(BRIGHT_BANDS[0])
    assert b"content-type: application/octet-stream" in head
    assert b"content-length: 602112" in head


def test_the_answer_of_another_caller_is_wrong() -> None:
    first, second, _ = ask_for_bands("relay").exchanges
    assert first.accepts(b'{"band":2}')
    assert not second.accepts(b'{"band":2}')


def test_bodies_are_wrapped_for_those_who_take_no_bytes() -> None:
    wrapped: Exchange = ask_for_bands("pipeline", wrap=as_file).exchanges[0]
    assert wrapped.body.startswith(f"--{BOUNDARY}\r\n".encode())
    assert jpeg(2) in wrapped.body
    assert BOUNDARY.encode() not in jpeg(2)
    assert len(as_base64(tensor(2))) > 4 / 3 * 602_112


def test_the_bare_work_is_measured_in_a_process_of_its_own() -> None:
    bare = measure_bare("relay", 0.05)
    assert 0 < bare.cpu_us < 1e6
    assert bare.rate > 0
