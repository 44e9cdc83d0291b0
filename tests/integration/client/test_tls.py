"""Gateways with certificates that only their clients know."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kapelle.errors import Unavailable
from kapelle.testing import running_processes
from tests.certificates import make_certificate
from tests.integration.client.either import KINDS
from tests.integration.client.gallery import Gallery


async def test_a_certificate_is_trusted_over_http_and_grpc(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with running_processes(Gallery, **certificate.settings) as system:
        grpcs = f"grpcs://127.0.0.1:{(urlsplit(system.url).port or 0) + 1}"
        for kind in KINDS:
            for address, protocol in ((system.url, "http"), (system.url, "grpc"), (grpcs, "grpc")):
                client = kind(address, trust=certificate.chain)
                found = await client.ask("infer", "Scaler.name", {"words": ["a"]}, protocol=protocol)
                assert found["output"].tolist() == [b"A"]
                await client.close()
            for address in (system.url, grpcs):
                stranger = kind(address, retries=0)
                with pytest.raises(Unavailable):
                    await stranger.ask("infer", "Scaler.name", {"words": ["a"]})
                await stranger.close()
