"""Names of images are such that engines take them."""

from __future__ import annotations

import pytest

from kapelle.deploy.names import image_name, tag_of
from kapelle.errors import DeployError


@pytest.mark.parametrize("name", ["search", "registry.example.org:5000/team/search", "a/b_c/d.e"])
def test_names_with_registries(name: str) -> None:
    assert image_name(name, "App") == name


def test_the_app_gives_its_name() -> None:
    assert image_name("", "SmallSearch") == "small-search"


@pytest.mark.parametrize("name", ["Search", "a//b", "search:1", "-a", "a b"])
def test_names_that_no_engine_takes(name: str) -> None:
    with pytest.raises(DeployError, match="images cannot be called"):
        image_name(name, "App")


def test_a_tag_is_short() -> None:
    assert tag_of("0123456789abcdef") == "0123456789ab"
