"""The runner of the documents' code notices when a document is wrong."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.documents import Block, Document, blocks
from tests.docs.shell import Shell, commands, pattern

SERVER = """
```python title="server.py"
import http.server, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\\n")

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print(f"serving on http://127.0.0.1:{sys.argv[1]}")
try:
    server.serve_forever()
except KeyboardInterrupt:
    server.server_close()
```

```console server
$ python server.py 8080
serving on http://127.0.0.1:8080
```

```console
$ curl --silent http://127.0.0.1:8080
hello
```
"""

Run = Callable[[str], None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path)
    with asyncio.Runner() as runner:
        yield lambda markdown: Document("sample.md", tmp_path, shell, runner).run(textwrap.dedent(markdown))
    for left in shell.background:
        left.stop()


def test_finds_blocks() -> None:
    markdown = 'Text\n\n```python title="a/b.py"\nx = 1\n```\n- item\n  ```console\n  $ ls\n  ```\n'
    assert list(blocks(markdown)) == [
        Block(("python",), "a/b.py", "x = 1\n", 4),
        Block(("console",), None, "$ ls\n", 8),
    ]


def test_blocks_share_names_and_may_await(run: Run) -> None:
    run("```python\nimport asyncio\nx = 1\n```\n```python\nawait asyncio.sleep(0)\nassert x == 1\n```\n")


def test_the_default_port_is_one_that_is_free(run: Run) -> None:
    run(
        SERVER
        + """
```python
import urllib.request
assert urllib.request.urlopen("http://127.0.0.1:8080").read() == b"hello\\n"
```
"""
    )


def test_code_that_fails_names_its_line(run: Run) -> None:
    with pytest.raises(AssertionError) as caught:
        run("Text\n\n```python\nx = 1\nassert x == 2\n```\n")
    assert caught.traceback[-1].lineno == 4  # counted from 0


def test_fragments_must_parse(run: Run) -> None:
    run("```python fragment\nawait unknown(...)\n```\n")
    with pytest.raises(SyntaxError):
        run("```python fragment\nx = = 1\n```\n")


def test_words_it_does_not_know_are_refused(run: Run) -> None:
    with pytest.raises(pytest.fail.Exception, match="expected title"):
        run("```python notest\nx = 1\n```\n")


def test_a_server_in_the_background_answers_and_ends(run: Run) -> None:
    run(SERVER)


def test_a_second_server_takes_the_place_of_the_first(run: Run) -> None:
    run(SERVER + SERVER.replace("hello", "again"))


def test_a_wrong_answer_is_noticed(run: Run) -> None:
    with pytest.raises(pytest.fail.Exception, match="printed\nhello"):
        run(SERVER.replace("\nhello\n", "\ngoodbye\n"))


def test_a_server_that_ends_early_is_noticed(run: Run) -> None:
    with pytest.raises(pytest.fail.Exception, match="but the document shows"):
        run("```console server\n$ echo started\nready\n```\n")


def test_a_background_command_that_fails_is_noticed(run: Run) -> None:
    with pytest.raises(pytest.fail.Exception, match="exited with 3"):
        run("```console server\n$ sh -c 'trap \"\" INT; echo started; exit 3'\nstarted\n```\n")


def test_a_document_may_kill_what_it_started(run: Run) -> None:
    killing = """
```console server
$ sh -c 'sleep 20 & echo $! > child; echo $$ > server; echo ready; wait'
ready
```

```console
$ kill -9 $(cat server)
```

```console
$ kill -9 $(cat child)
```
"""
    run(killing)


def test_a_failing_command_is_noticed(run: Run) -> None:
    with pytest.raises(pytest.fail.Exception, match="exited with 1"):
        run("```console\n$ false\n```\n")


def test_commands_and_what_they_print() -> None:
    session = "$ curl -d x \\\n    localhost\nanswer\nmore\n$ cat <<END\n> text\n> END\ntext\n"
    assert list(commands(session)) == [
        ("curl -d x \\\n    localhost", "answer\nmore"),
        ("cat <<END\ntext\nEND", "text"),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a ... d", "a b c d", True),
        ('{"score": 0.6...}', '{"score": 0.61}', True),
        ("a\n...\nz", "a\nb\nz", True),
        ("a b", "a   b\n", True),
        ("a", "a b", False),
        ("a...", "b", False),
    ],
)
def test_three_dots_stand_for_any_text(shown: str, printed: str, same: bool) -> None:
    assert bool(pattern(shown, whole=True).search(printed)) is same
