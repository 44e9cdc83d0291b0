"""Engines know services by names of their own form, and DNS by what the settings make of these."""

from __future__ import annotations

import pytest

from kapelle.config.engine import container_name, host_of
from kapelle.config.settings import Settings


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("Encoder", "encoder"),
        ("QuestionSearch", "question-search"),
        ("HTTPProxy", "http-proxy"),
        ("Encoder2", "encoder2"),
        ("V2Encoder", "v2-encoder"),
        ("_Private_Part", "private-part"),
        ("gateway", "gateway"),
        ("App", "app"),
        ("HTTPFront2", "http-front2"),
        ("my_app", "my-app"),
        ("GPT2", "gpt-2"),
    ],
)
def test_a_service_is_called_as_engines_take_it(service: str, name: str) -> None:
    assert container_name(service) == name


@pytest.mark.parametrize(
    ("peers", "host"),
    [("{service}", "question-search"), ("tasks.{service}", "tasks.question-search"), ("10.0.0.7", "10.0.0.7")],
)
def test_dns_has_it_where_the_settings_say(peers: str, host: str) -> None:
    assert host_of(Settings(peers=peers), "QuestionSearch") == host
