from __future__ import annotations

import sys
from pathlib import Path

# The benchmarks are scripts: they see each other as Python shows a script its neighbours.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# The servers find the models like this, and so does the work without a server.
sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "model"))
