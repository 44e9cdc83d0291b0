"""Everything a gateway can be asked for over HTTP, each as an ``Ask``."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec
import numpy as np
from numpy.typing import NDArray

from kapelle.client.asking import Answer, Ask, Options
from kapelle.client.events import Items
from kapelle.client.form import Files, body_of, encoded, json_of
from kapelle.client.reading import decoded, value_of
from kapelle.errors import ContractError, InvalidInput
from kapelle.types.hooks import to_plain

Query = Mapping[str, Any]
Method = Literal["GET", "POST"]

_JSON = {"content-type": "application/json"}
_METHOD = re.compile(r"\w+(\.\w+)?")


class _Embedding(msgspec.Struct):
    index: int
    embedding: str


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


def request(
    method: Method, path: str, body: Any, returns: Any, query: Query | None, files: Files | None, options: Options
) -> Ask[Any]:
    """An endpoint of the app."""
    content, headers = body_of(body, files)
    return Ask(method, _target(path, query), lambda answer: value_of(answer, returns), content, headers, options)


def call(
    name: str, body: Any, parameters: Mapping[str, Any], returns: Any, shard: int | None, options: Options
) -> Ask[Any]:
    """A method of a service."""
    if body is not None and parameters:
        raise InvalidInput("expected the arguments as one body or by their names, got both")
    query = None if shard is None else {"shard": shard}
    return request("POST", _method_path(name), parameters or body, returns, query, None, options)


def stream(method: Method, path: str, body: Any, item: Any, query: Query | None, options: Options) -> Ask[Items]:
    """A stream, of an endpoint or of a method; what is read first is its head."""
    content, headers = body_of(body, None)
    target = _target(_method_path(path), query)
    return Ask(method, target, lambda head: Items(head, item), content, headers, options)


def predict(model: str, instances: Sequence[Any], returns: Any, options: Options) -> Ask[Any]:
    """Rows by KServe's protocol, version 1."""

    def read(answer: Answer) -> Any:
        # The field's type is the caller's; a class of this module cannot name it.
        found = decoded(answer.body, dict[str, msgspec.Raw])
        if "predictions" not in found:
            raise ContractError(f"expected predictions, got {', '.join(found) or 'an empty object'}")
        return decoded(bytes(found["predictions"]), returns)

    rows = [_row(one) for one in instances] if isinstance(instances, list | tuple) else instances
    body = json_of({"instances": rows})
    return Ask("POST", f"/v1/models/{quote(model, safe='')}:predict", read, body, _JSON, options)


def embed(model: str, texts: Sequence[str], options: Options) -> Ask[NDArray[np.float32]]:
    """Texts by OpenAI's protocol: a row for each."""
    if isinstance(texts, str):
        raise InvalidInput("expected a list of texts, got one text", path="texts")
    body = json_of({"model": model, "input": texts, "encoding_format": "base64"})
    return Ask("POST", "/v1/embeddings", lambda answer: _rows(answer, len(texts)), body, _JSON, options)


def _row(value: Any) -> Any:
    """A row with its bytes as the protocol has them in JSON, which holds text only."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return {name: _row(one) for name, one in value.items()} if isinstance(value, dict) else value


def _method_path(name: str) -> str:
    """Where the method ``Service.method`` is served, or the only one of a service; a path is taken as it is.

    Raises:
        InvalidInput: it is none of these.
    """
    if name.startswith("/"):
        return name
    if not _METHOD.fullmatch(name):
        raise InvalidInput(f"expected Service.method, or a path that begins with /, got {name!r}")
    return f"/services/{name.replace('.', '/')}"


def _target(path: str, query: Query | None) -> str:
    if not path.startswith("/"):
        raise InvalidInput(f"expected a path that begins with /, got {path!r}", path="path")
    if not query:
        return path
    given = msgspec.to_builtins({name: value for name, value in query.items() if value is not None}, enc_hook=to_plain)
    texts = {
        _text(name): [_text(one) for one in value] if isinstance(value, list) else _text(value)
        for name, value in given.items()
    }
    return f"{path}{'&' if '?' in path else '?'}{urlencode(texts, doseq=True)}"


def _text(value: Any) -> bytes:
    return encoded("query", value) if isinstance(value, str) else json_of(value)


def _rows(answer: Answer, count: int) -> NDArray[np.float32]:
    found = decoded(answer.body, _Embeddings).data
    if [one.index for one in found] != list(range(count)):
        raise ContractError(f"expected {count} embeddings in their order, got {len(found)}")
    try:
        rows = [np.frombuffer(base64.b64decode(one.embedding, validate=True), "<f4") for one in found]
        return np.stack(rows) if rows else np.empty((0, 0), np.float32)
    except ValueError as error:
        raise ContractError(f"the embeddings are no array: {error}") from None
