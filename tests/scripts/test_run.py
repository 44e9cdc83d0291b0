"""`make run` becomes the server, with the address it was given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.run import main
from tests.house.sources import ROOT

# Everything but the preparation is the real thing; the server is a script that shows how it was started.
RUN = """
import sys
from pathlib import Path
from scripts import run

run.VENV = Path(sys.argv.pop(1))
run.app_names = lambda: ["sample"]
run.serving = lambda name: []
run.main(sys.argv[1:])
"""


def test_the_server_takes_the_place_of_the_script(tmp_path: Path) -> None:
    kapelle = tmp_path / "bin" / "kapelle"
    kapelle.parent.mkdir()
    kapelle.write_text('#!/bin/sh\necho $$ "$@" $KAPELLE_LOG_LEVEL $KAPELLE_PORT\n')
    kapelle.chmod(0o755)
    started = subprocess.Popen(
        [sys.executable, "-c", RUN, tmp_path, "sample", "--gateways", "2"],
        cwd=ROOT,
        env={**os.environ, "KAPELLE_LOG_LEVEL": "debug", "PORT": "9000"},
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = started.communicate()
    assert output == f"{started.pid} serve apps/sample --gateways 2 debug 9000\n"


def test_an_unknown_application_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"there is no folder apps/nothing; expected one of: .*question_search"):
        main(["nothing"])
