"""Methods as functions that a request calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kapelle.declare.apps import Sharded
from kapelle.errors import InvalidInput
from tests.unit.gateway.protocols.zoo import Animals, Cages, Doubler, Zoo, exposed


class App:
    """What the handles of an app are filled with."""

    doubler = Doubler()
    animals = Animals()


def test_every_method_is_there_in_order() -> None:
    names = [one.name for one in exposed()]
    assert names[0] == "Doubler.double"
    assert {"Animals.plain", "Animals.stream", "Animals.echo"} <= set(names)


async def test_a_method_is_called_as_it_was_written() -> None:
    functions = {one.name: one.function(App()) for one in exposed(Zoo)}
    rows = np.ones((3, 4), np.float32)
    assert (await functions["Doubler.double"](rows)).tolist() == [[2.0] * 4] * 3
    assert await functions["Animals.raw"](data=b"abc") == b"cba"


async def test_shards_are_chosen_by_their_number() -> None:
    class Shard:
        def __init__(self, number: int) -> None:
            self.number = number

        async def look(self, x: Any) -> Any:
            return x + self.number

    class Many:
        cage: Any = Sharded([Shard(0), Shard(10)])

    (look,) = [one.function(Many()) for one in exposed(Cages)]
    assert await look(5, shard=1) == 15
    for number in (-1, 2):
        with pytest.raises(InvalidInput, match="shards 0 to 1"):
            look(5, shard=number)
