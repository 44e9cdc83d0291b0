"""The work of a picture scenario without any server.

Started by `rounds.py` with the scenario and a number of seconds, in the environment that the servers get; prints the
CPU microseconds of each answer and the answers a second as JSON.
"""

from __future__ import annotations

import json
import sys
import time

import picture_model as model

from pictures import BRIGHT_BANDS, PICTURES

BEFORE = {"pipeline": model.preprocess, "relay": model.tensor_from}


def answer(scenario: str, body: bytes) -> int:
    """From a request's body to its answer, as every server does it."""
    return model.postprocess(model.infer(BEFORE[scenario](body)))


def run(scenario: str, seconds: float) -> dict[str, float]:
    """Do the work for the given time.

    Raises:
        ValueError: an answer is wrong.
    """
    bodies = [(PICTURES[scenario](bright), bright) for bright in BRIGHT_BANDS]
    done, cpu, started = 0, time.process_time(), time.monotonic()
    while not done or time.monotonic() < started + seconds:
        for body, bright in bodies:
            if answer(scenario, body) != bright:
                raise ValueError(f"expected band {bright}, got {answer(scenario, body)}")
            done += 1
    return {"cpu_us": (time.process_time() - cpu) / done * 1e6, "rate": done / (time.monotonic() - started)}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], float(sys.argv[2]))))
