from __future__ import annotations

import re

from kapelle.gateway.page import CONTENT_SECURITY_POLICY, assets, page

LOADED = re.compile(r"""(?:src|href)="([^"]+)"|from "\./([^"]+)";""")


def test_the_name_of_the_app_is_text_and_nothing_else() -> None:
    html = page("<Search> & 'find'")
    assert html.count("&lt;Search&gt; &amp; &#x27;find&#x27;") == 2
    assert "{{" not in html


def test_everything_the_page_loads_is_there() -> None:
    found = assets()
    texts = [page("App"), *(asset.content.decode() for asset in found.values())]
    loaded = {one for text in texts for pair in LOADED.findall(text) for one in pair if one}
    files = {one.removeprefix("docs/") for one in loaded} - {"readyz", "openapi.json", "metrics", "#endpoints"}
    assert files == set(found)


def test_nothing_is_loaded_from_elsewhere() -> None:
    for text in [page("App"), *(asset.content.decode() for asset in assets().values())]:
        addresses = re.findall(r"https?://[^\s\"']+|[\"'(]//", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_the_page_keeps_to_its_policy() -> None:
    html = page("App")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html)
    assert not re.search(r"<script(?![^>]*\ssrc=)", html)
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_files_have_the_types_that_browsers_ask_for() -> None:
    kinds = {name.rpartition(".")[2]: asset.media_type for name, asset in assets().items()}
    assert kinds == {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }


def test_the_page_is_small() -> None:
    assert len(page("App")) + sum(len(asset.content) for asset in assets().values()) < 40_000
