"""The messages are those of the field's clients: the same numbers, types and names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from kapelle.oip.grpc_messages import DATA_TYPES, MESSAGES, SERVICE


def within(messages: Iterable[Any]) -> list[Any]:
    """Descriptors, those within others included."""
    return [each for message in messages for each in (message, *within(message.nested_types))]


THEIRS = within(
    [
        *service_pb2.DESCRIPTOR.message_types_by_name.values(),
        *model_config_pb2.DESCRIPTOR.message_types_by_name.values(),
    ]
)


@pytest.mark.parametrize("name", MESSAGES)
def test_each_field_is_as_others_have_it(name: str) -> None:
    ours = MESSAGES[name].DESCRIPTOR.fields
    same_name = [{field.name: field for field in one.fields} for one in THEIRS if one.name == name]
    # Two of theirs may have one name, within different messages.
    (theirs, *_) = [one for one in same_name if one.keys() >= {field.name for field in ours}]
    for field in ours:
        other = theirs[field.name]
        assert (field.number, field.type, field.is_repeated) == (other.number, other.type, other.is_repeated)


def test_datatypes_have_the_same_numbers() -> None:
    theirs = model_config_pb2.DataType.DESCRIPTOR.values_by_number
    assert list(DATA_TYPES) == [theirs[number].name for number in range(len(DATA_TYPES))]


def test_the_service_has_the_name_that_clients_call() -> None:
    assert SERVICE in {one.full_name for one in service_pb2.DESCRIPTOR.services_by_name.values()}


def test_messages_are_read_by_others() -> None:
    ours = MESSAGES["ModelInferRequest"](model_name="m", raw_input_contents=[b"abc"])
    ours.parameters["n"].int64_param = 3
    ours.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert (theirs.model_name, theirs.parameters["n"].int64_param) == ("m", 3)
    assert (list(theirs.inputs[0].shape), list(theirs.raw_input_contents)) == ([1, 4], [b"abc"])
    assert MESSAGES["ModelInferRequest"].FromString(theirs.SerializeToString()) == ours
