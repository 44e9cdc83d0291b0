from __future__ import annotations

import importlib.util

import pytest

from kapelle.oip.libraries import grpc_is_installed


def test_here_they_are() -> None:
    assert grpc_is_installed()


@pytest.mark.parametrize("missing", ["grpc", "google", "google.protobuf"])
def test_all_of_them_are_needed(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def find(name: str) -> object:
        if missing == "google" and name == "google.protobuf":
            raise ModuleNotFoundError(name)
        return None if name == missing else importlib.util.find_spec("kapelle")

    monkeypatch.setattr("kapelle.oip.libraries.find_spec", find)
    assert not grpc_is_installed()
