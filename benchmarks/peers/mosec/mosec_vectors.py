"""Rows of a sharded array, and the version it is of, on mosec: the folder is named by ARTIFACTS, all of it in one worker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from mosec import Server, Worker


class Find(Worker):
    def __init__(self) -> None:
        folders = sorted(Path(os.environ["ARTIFACTS"], "vectors", "shards").iterdir())
        self.version = int((folders[0] / "version").read_text())
        self.shards = [np.load(folder / "rows.npy") for folder in folders]

    def forward(self, data: Any) -> dict[str, Any]:
        row = int(data["row"])
        rows = self.shards[row % len(self.shards)]
        return {"version": self.version, "value": float(rows[row % len(rows)].sum())}


if __name__ == "__main__":
    server = Server()
    server.append_worker(Find, num=1, route="/find")
    server.run()
