from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from kapelle.bench.cpu import cpu_seconds, spent

linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of other processes")


@linux
def test_counts_what_this_process_uses() -> None:
    before = cpu_seconds([os.getpid()])
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    used = spent(before, cpu_seconds([os.getpid()]))
    assert used is not None
    assert used >= 0.02


@linux
def test_a_process_that_is_gone_is_an_error_with_its_number() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(ProcessLookupError, match=f"process {ended.pid} is gone"):
        cpu_seconds([ended.pid])


def test_says_nothing_where_the_system_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cpu_seconds([1]) is None
    assert spent(None, {1: 1.0}) is None
