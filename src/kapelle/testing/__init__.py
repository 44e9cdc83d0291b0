"""A whole system inside a test: ``async with running(App)``; in memory or, with ``running_processes``, for real, with faults."""  # noqa: E501 - a sentence

from kapelle.testing.faults import Faults
from kapelle.testing.memory import MemorySystem
from kapelle.testing.processes import ProcessSystem
from kapelle.testing.running import running, running_processes

__all__ = ["Faults", "MemorySystem", "ProcessSystem", "running", "running_processes"]
