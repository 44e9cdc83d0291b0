"""The page at /docs in a real browser: what a person does there, and what the page must not do behind their back."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright, expect

import kapelle
from kapelle.testing import MemorySystem, running
from scripts.packages import BROWSERS

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@kapelle.app
class Greeter:
    """Greets people."""

    def __init__(self) -> None:
        self.more = asyncio.Event()

    @kapelle.post("/greet")
    async def greet(self, name: str, times: int = 1) -> dict[str, list[str]]:
        """Greet somebody.

        Args:
            name: whom to greet.
        """
        return {"greetings": [f"Hello {name}"] * times}

    @kapelle.get("/rooms/{room}")
    async def room(self, room: int, loud: bool = False) -> str:
        return f"room {room}, {'loud' if loud else 'quiet'}"

    @kapelle.post("/stream")
    async def stream(self, text: str) -> AsyncIterator[str]:
        yield f"{text} at once"
        await self.more.wait()
        yield f"{text} later"

    @kapelle.post("/files")
    async def files(self, file: kapelle.Upload, note: str = "") -> str:
        return f"{file.filename}: {len(file.data)} bytes, {note}"

    @kapelle.post("/raw")
    async def raw(self, data: bytes) -> bytes:
        return data * 2


class Visit:
    """A browser on the page; ``messages`` are what it complained of, ``hosts`` those it asked."""

    def __init__(self, system: MemorySystem, page: Page) -> None:
        self.system = system
        self.page = page
        self.messages: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))


def chromium() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail("no chromium on this machine, and REQUIRE_BROWSER=1 asks for it")
    if found is None:
        pytest.skip("no chromium on this machine; install it to test the page in a browser")
    return found


@asynccontextmanager
async def visit(*, width: int = 1280) -> AsyncIterator[Visit]:
    path = chromium()
    async with running(Greeter, access_log=False) as system, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        page = await browser.new_page(viewport={"width": width, "height": 900})
        here = Visit(system, page)
        await page.goto(f"{system.url}/docs")
        await expect(page.locator("article")).to_have_count(5)
        yield here
        await browser.close()


async def test_a_person_reads_edits_sends_and_sees_the_answer() -> None:
    async with visit() as here:
        page = here.page
        await expect(page).to_have_title("Greeter")
        await expect(page.locator("#summary")).to_have_text("Greets people.")
        await expect(page.locator("#readiness")).to_have_attribute("data-state", "ready")
        card = page.locator("#endpoint-greet")
        await expect(card.locator(".fields").first).to_contain_text("whom to greet.")
        editor = card.get_by_label("Body")
        await expect(editor).to_have_value('{"name": "text", "times": 1}')
        await editor.fill('{"name": "Ada\'s cat", "times": 2}')
        await card.get_by_role("button", name="Send").click()
        await expect(card.locator(".status")).to_have_text("200 OK")
        await expect(card.locator(".answer pre")).to_contain_text('"Hello Ada\'s cat", "Hello Ada\'s cat"')
        await expect(card.locator(".facts")).to_contain_text(" ms")
        assert here.messages == []
        assert here.hosts == {urlsplit(here.system.url).netloc}


async def test_the_line_for_curl_does_the_same() -> None:
    async with visit() as here:
        card = here.page.locator("#endpoint-greet")
        await card.get_by_label("Body").fill('{\n "name": "Ada\'s cat",\n "times": 2}')
        line = await card.locator(".curl code").text_content()
        assert line is not None
        assert "\n" not in line
        process = await asyncio.create_subprocess_shell(f"{line} --silent", stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        assert output == b'{"greetings":["Hello Ada\'s cat","Hello Ada\'s cat"]}'


async def test_the_line_for_curl_has_what_serve_would_print() -> None:
    async with visit() as here:
        url = here.system.url
        stream = here.page.locator("#endpoint-stream .curl code")
        await expect(stream).to_have_text(f'curl -d \'{{"text":"text"}}\' -N {url}/stream')
        files = here.page.locator("#endpoint-files")
        await expect(files.locator(".curl code")).to_have_text(f"curl -F file=@FILE {url}/files")
        await files.locator("input[type=file]").first.set_input_files(
            {"name": "a.txt", "mimeType": "text/plain", "buffer": b"some text"}
        )
        await expect(files.locator(".curl code")).to_have_text(f"curl -F file=@a.txt {url}/files")


async def test_a_refusal_names_the_field() -> None:
    async with visit() as here:
        card = here.page.locator("#endpoint-greet")
        await card.get_by_label("Body").fill('{"name": 7}')
        await card.get_by_role("button", name="Send").click()
        await expect(card.locator(".status")).to_have_text("422 Unprocessable Content")
        await expect(card.locator(".problem")).to_contain_text("$.name Expected str, got int")


async def test_broken_json_is_seen_before_it_is_sent_and_can_be_taken_back() -> None:
    async with visit() as here:
        card = here.page.locator("#endpoint-greet")
        await card.get_by_label("Body").fill('{"name": ')
        await expect(card.locator(".trouble")).to_contain_text("Not JSON")
        await card.get_by_role("button", name="Reset").click()
        await expect(card.locator(".trouble")).to_be_empty()
        await expect(card.get_by_label("Body")).to_have_value('{"name": "text", "times": 1}')


async def test_parameters_of_path_and_query_are_filled_in() -> None:
    async with visit() as here:
        card = here.page.locator("#endpoint-room")
        await card.get_by_role("textbox", name="room").fill("12")
        await card.get_by_role("combobox", name="loud").select_option("true")
        await card.get_by_role("button", name="Send").click()
        await expect(card.locator(".answer pre")).to_have_text("room 12, loud")
        await expect(card.locator(".curl")).to_contain_text("/rooms/12?loud=true")


async def test_events_are_shown_as_they_come_by_keyboard_alone() -> None:
    async with visit() as here:
        card = here.page.locator("#endpoint-stream")
        await card.get_by_label("Body").focus()
        await here.page.keyboard.press("Control+Enter")
        await expect(card.locator(".events li")).to_have_count(1)
        await expect(card.get_by_role("button", name="Stop")).to_be_visible()
        here.system.app.more.set()
        await expect(card.locator(".events li")).to_have_count(2)
        await expect(card.locator(".events li").nth(1)).to_contain_text('"text later"')
        await expect(card.locator(".answer")).to_contain_text("2 events, complete")
        await expect(card.get_by_role("button", name="Stop")).to_be_hidden()


async def test_a_stream_can_be_stopped() -> None:
    async with visit() as here:
        card = here.page.locator("#endpoint-stream")
        await card.get_by_role("button", name="Send").click()
        await expect(card.locator(".events li")).to_have_count(1)
        await card.get_by_role("button", name="Stop").click()
        await expect(card.locator(".answer")).to_contain_text("Stopped.")


async def test_files_and_bytes_are_sent() -> None:
    async with visit() as here:
        card = here.page.locator("#endpoint-files")
        await card.locator("input[type=file]").first.set_input_files(
            {"name": "a.txt", "mimeType": "text/plain", "buffer": b"some text"}
        )
        await card.get_by_role("textbox", name="note").fill("short")
        await card.get_by_role("button", name="Send").click()
        await expect(card.locator(".answer pre")).to_have_text("a.txt: 9 bytes, short")
        card = here.page.locator("#endpoint-raw")
        await card.get_by_role("textbox", name="or text").fill("12345")
        await card.get_by_role("button", name="Send").click()
        await expect(card.locator(".answer")).to_contain_text("10 bytes.")


async def test_the_dot_tells_when_the_gateway_is_gone() -> None:
    async with visit() as here:
        await expect(here.page.locator("#readiness")).to_have_attribute("data-state", "ready")
        await here.page.context.set_offline(True)
        await expect(here.page.locator("#readiness")).to_have_attribute("data-state", "lost")


async def test_a_phone_needs_no_scrolling_sideways() -> None:
    async with visit(width=390) as here:
        assert await here.page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_every_control_has_a_name() -> None:
    async with visit() as here:
        for control in await here.page.locator("input, select, textarea, button, a").all():
            name = await control.evaluate("node => (node.labels?.[0] ?? node).textContent.trim()")
            assert name, await control.evaluate("node => node.outerHTML")
