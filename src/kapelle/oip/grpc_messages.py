"""The messages of the Open Inference Protocol over gRPC, and of the extensions that its clients use.

They are described here by their fields, each with its number and type; ``*`` is a list, ``{}`` a map from text. Numbers and
types are the protocol's. The descriptions live in a pool of their own, so that a client's generated code, with the same
names, may live in the same process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
STATUS = "kapelle-status"
"""Beside the error of an inference: its status in HTTP, which tells apart what has one code in gRPC."""

_NAMED = {"name": (1, "string"), "version": (2, "string")}
_CONTROL = {"repository_name": (1, "string"), "model_name": (2, "string"), "parameters": (3, "InferParameter{}")}

_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {**_NAMED, "extensions": (3, "string*")},
    "ModelMetadataRequest": _NAMED,
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "int64*")},
    "ModelMetadataResponse": {
        "name": (1, "string"), "versions": (2, "string*"), "platform": (3, "string"),
        "inputs": (4, "TensorMetadata*"), "outputs": (5, "TensorMetadata*"),
    },
    "InferParameter": {
        "bool_param": (1, "bool"), "int64_param": (2, "int64"), "string_param": (3, "string"),
        "double_param": (4, "double"), "uint64_param": (5, "uint64"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "bool*"), "int_contents": (2, "int32*"), "int64_contents": (3, "int64*"),
        "uint_contents": (4, "uint32*"), "uint64_contents": (5, "uint64*"), "fp32_contents": (6, "float*"),
        "fp64_contents": (7, "double*"), "bytes_contents": (8, "bytes*"),
    },
    "InferInputTensor": {
        "name": (1, "string"), "datatype": (2, "string"), "shape": (3, "int64*"),
        "parameters": (4, "InferParameter{}"), "contents": (5, "InferTensorContents"),
    },
    "InferRequestedOutputTensor": {"name": (1, "string"), "parameters": (2, "InferParameter{}")},
    "ModelInferRequest": {
        "model_name": (1, "string"), "model_version": (2, "string"), "id": (3, "string"),
        "parameters": (4, "InferParameter{}"), "inputs": (5, "InferInputTensor*"),
        "outputs": (6, "InferRequestedOutputTensor*"), "raw_input_contents": (7, "bytes*"),
    },
    "InferOutputTensor": {
        "name": (1, "string"), "datatype": (2, "string"), "shape": (3, "int64*"),
        "parameters": (4, "InferParameter{}"), "contents": (5, "InferTensorContents"),
    },
    "ModelInferResponse": {
        "model_name": (1, "string"), "model_version": (2, "string"), "id": (3, "string"),
        "parameters": (4, "InferParameter{}"), "outputs": (5, "InferOutputTensor*"),
        "raw_output_contents": (6, "bytes*"),
    },
    "ModelStreamInferResponse": {"error_message": (1, "string"), "infer_response": (2, "ModelInferResponse")},
    "ModelConfigRequest": _NAMED,
    "ModelInput": {
        "name": (1, "string"), "data_type": (2, "DataType"), "dims": (4, "int64*"), "optional": (8, "bool"),
    },
    "ModelOutput": {"name": (1, "string"), "data_type": (2, "DataType"), "dims": (3, "int64*")},
    "ModelConfig": {
        "name": (1, "string"), "platform": (2, "string"), "max_batch_size": (4, "int32"), "input": (5, "ModelInput*"),
        "output": (6, "ModelOutput*"), "backend": (17, "string"),
    },
    "ModelConfigResponse": {"config": (1, "ModelConfig")},
    "ModelStatisticsRequest": _NAMED,
    "StatisticDuration": {"count": (1, "uint64"), "ns": (2, "uint64")},
    "InferStatistics": {
        "success": (1, "StatisticDuration"), "fail": (2, "StatisticDuration"), "queue": (3, "StatisticDuration"),
        "compute_input": (4, "StatisticDuration"), "compute_infer": (5, "StatisticDuration"),
        "compute_output": (6, "StatisticDuration"),
    },
    "InferBatchStatistics": {
        "batch_size": (1, "uint64"), "compute_input": (2, "StatisticDuration"), "compute_infer": (3, "StatisticDuration"),
        "compute_output": (4, "StatisticDuration"),
    },
    "ModelStatistics": {
        **_NAMED, "last_inference": (3, "uint64"), "inference_count": (4, "uint64"), "execution_count": (5, "uint64"),
        "inference_stats": (6, "InferStatistics"), "batch_stats": (7, "InferBatchStatistics*"),
    },
    "ModelStatisticsResponse": {"model_stats": (1, "ModelStatistics*")},
    "RepositoryIndexRequest": {"repository_name": (1, "string"), "ready": (2, "bool")},
    "ModelIndex": {**_NAMED, "state": (3, "string"), "reason": (4, "string")},
    "RepositoryIndexResponse": {"models": (1, "ModelIndex*")},
    "RepositoryModelLoadRequest": _CONTROL,
    "RepositoryModelUnloadRequest": _CONTROL,
    "SystemSharedMemoryStatusRequest": {"name": (1, "string")},
    "RegionStatus": {"name": (1, "string"), "key": (2, "string"), "offset": (3, "uint64"), "byte_size": (4, "uint64")},
    "SystemSharedMemoryStatusResponse": {"regions": (1, "RegionStatus{}")},
    "SystemSharedMemoryRegisterRequest": {
        "name": (1, "string"), "key": (2, "string"), "offset": (3, "uint64"), "byte_size": (4, "uint64"),
    },
    "SystemSharedMemoryRegisterResponse": {},
    "SystemSharedMemoryUnregisterRequest": {"name": (1, "string")},
    "SystemSharedMemoryUnregisterResponse": {},
    "CudaSharedMemoryStatusRequest": {"name": (1, "string")},
    "CudaSharedMemoryStatusResponse": {},
    "CudaSharedMemoryUnregisterRequest": {"name": (1, "string")},
    "CudaSharedMemoryUnregisterResponse": {},
}  # fmt: skip

_CHOICES = {"InferParameter": "parameter_choice"}
"""Messages of which one field alone is set."""

DATA_TYPES = (
    "TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64", "TYPE_INT8", "TYPE_INT16",
    "TYPE_INT32", "TYPE_INT64", "TYPE_FP16", "TYPE_FP32", "TYPE_FP64", "TYPE_STRING", "TYPE_BF16",
)  # fmt: skip
"""The enumeration ``DataType``, by its numbers."""

_Field = descriptor_pb2.FieldDescriptorProto


def _described() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="kapelle/inference.proto", package=PACKAGE, syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(DATA_TYPES):
        kinds.value.add(name=name, number=number)
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        if name in _CHOICES:
            message.oneof_decl.add(name=_CHOICES[name])
        for field, (number, kind) in fields.items():
            _add(message, field, number, kind)
            if name in _CHOICES:
                message.field[-1].oneof_index = 0
    return file


def _add(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number)
    many = kind.endswith(("*", "{}"))
    field.label = _Field.LABEL_REPEATED if many else _Field.LABEL_OPTIONAL
    base = kind.removesuffix("*").removesuffix("{}")
    if kind.endswith("{}"):
        # A map is a list of pairs, in a message that says that it is one.
        pair = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
        pair.options.map_entry = True
        pair.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
        value = pair.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_MESSAGE)
        value.type_name = f".{PACKAGE}.{base}"
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{message.name}.{pair.name}"
    elif base in _FIELDS:
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{base}"
    elif base == "DataType":
        field.type, field.type_name = _Field.TYPE_ENUM, f".{PACKAGE}.{base}"
    else:
        field.type = getattr(_Field, f"TYPE_{base.upper()}")


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_described())
_file = _pool.FindFileByName("kapelle/inference.proto")

MESSAGES: dict[str, Any] = {
    name: message_factory.GetMessageClass(descriptor) for name, descriptor in _file.message_types_by_name.items()
}
"""The class of each message, by its name."""
