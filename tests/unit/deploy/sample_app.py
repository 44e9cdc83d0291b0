"""A small app in a folder of its own, for tests of what its images are made of."""

from __future__ import annotations

from pathlib import Path

from kapelle.declare.apps import AppSpec
from kapelle.declare.loading import Target
from kapelle.deploy.images import Images, plan_images

APP = """
import kapelle

@kapelle.service({encoder})
class Encoder:
    @kapelle.method
    def embed(self, text: str) -> int:
        return len(text)

@kapelle.service(inline=True)
class Near:
    @kapelle.method
    def find(self, text: str) -> int:
        return 1

@kapelle.app
class SmallSearch:
    encoder: Encoder
    near: Near

    @kapelle.get("/")
    async def root(self) -> int:
        return await self.encoder.embed("a")
"""


class SampleApp:
    """The app ``shop/search`` in a project's folder, which is to be the current one."""

    def __init__(self, project: Path, encoder: str = "") -> None:
        self.project = project
        self.folder = project / "shop" / "search"
        self.write("app.py", APP.format(encoder=encoder))
        self.write("requirements.txt", "numpy>=1\nonnxruntime>=1.20\n")
        for package in (self.folder, self.folder.parent):
            (package / "__init__.py").touch()

    def write(self, name: str, text: str = "") -> None:
        """A file in the app's folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def with_all(self) -> None:
        """Give it a builder, data and tests."""
        self.write("build.py", "from shop import parts\nfrom . import app\n")
        (self.project / "shop" / "parts.py").write_text("")
        self.write("corpus/questions.txt", "Why?")
        self.write("tests/test_served.py", "def test_it() -> None: ...")
        self.write("requirements-build.txt", "onnx>=1.17\n")
        self.write("requirements-build-nodeps.txt", "weights==1\n")
        self.write("artifacts/index/data", "made")
        self.write(".hidden", "not for images")
        self.write("README.md", "about it")

    def load(self) -> tuple[Target, AppSpec]:
        """Import it."""
        target = Target(str(self.folder))
        return target, target.load()

    def plan(self, **options: object) -> Images:
        """Its images, written."""
        target, app = self.load()
        return plan_images(target, app, **options)  # type: ignore[arg-type]  # the tests' own options
