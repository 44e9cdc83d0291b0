from __future__ import annotations

import pytest

from kapelle.client import infer_grpc, infer_rest
from kapelle.client.inference import parameters, speech
from kapelle.client.terms import Terms
from kapelle.errors import ConfigError


def terms(address: str) -> Terms:
    return Terms(address, grpc=None, timeout=1, retries=0, headers=None, trust=None)


def test_the_address_says_how_unless_the_caller_does() -> None:
    assert speech(terms("http://a:1")) is infer_rest
    assert speech(terms("grpc://a:1")) is infer_grpc
    assert speech(terms("http://a:1"), "grpc") is infer_grpc
    with pytest.raises(ConfigError, match="expected http or grpc"):
        speech(terms("http://a:1"), "soap")  # type: ignore[arg-type]  # what the test is about


def test_what_is_missing_is_said_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kapelle.client.inference.grpc_is_installed", lambda: False)
    with pytest.raises(ConfigError, match=r"pip install 'kapelle\[grpc\]'"):
        speech(terms("grpc://a:1"))


def test_parameters() -> None:
    assert parameters(None) == {}
    assert parameters(0) == {"shard": 0}
