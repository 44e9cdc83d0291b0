"""Finding the app a person names: ``apps/search``, ``apps/search/app.py``, ``my.module`` or ``my.module:App``."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

import structlog

from kapelle.declare.apps import AppSpec, app_spec
from kapelle.errors import DeclarationError

_DECORATOR = re.compile(rb"^@(kapelle\.)?app\b", re.MULTILINE)
_LOOKED_AT = 500
_SHOWN = 3


def find_here() -> None:
    """Let this process find modules in the current folder, too: last, so that no file there is taken for another module."""
    sys.path.append(str(Path.cwd()))


class Target:
    """Where an app is declared: a module by its dotted name, the folder it is imported from, and the class if named."""

    def __init__(self, text: str) -> None:
        self.text = text
        place, _, self.class_name = text.partition(":")
        if not place:
            raise DeclarationError(
                f"{text!r} names no app; expected a folder, a file or a module that declares one{_that_exist(Path())}"
            )
        path = Path(place)
        if path.is_dir():
            path = next((path / name for name in ("app.py", "__init__.py") if (path / name).is_file()), path)
            if path.is_dir():
                raise DeclarationError(
                    f"{text}: the folder has no app.py; name the file that declares the app{_that_exist(path)}"
                )
        if path.suffix == ".py":
            if not path.is_file():
                raise DeclarationError(
                    f"{text}: no such file in {Path.cwd()}; name the one that declares the app{_that_exist(Path())}"
                )
            self._file: Path | None = path.resolve()
            self.root, self.module = _importable(self._file)
        elif path.is_file():
            start = f"; `jupyter nbconvert --to script {path}` makes a start" if path.suffix == ".ipynb" else ""
            raise DeclarationError(f"{text}: expected a file of Python (.py) that declares the app{start}")
        else:
            self._file = None
            self.root, self.module = Path.cwd(), place

    def load(self) -> AppSpec:
        """Import the module and return its app.

        Raises:
            DeclarationError: it cannot be imported, or declares no app, or several and none was named.
        """
        module = self._import()
        apps = {
            spec.name: spec
            for value in vars(module).values()
            if (spec := app_spec(value)) is not None and value.__module__ == module.__name__
        }
        if self.class_name:
            if self.class_name not in apps:
                raise DeclarationError(f"{self.text}: {self._why_not(module, list(apps))}")
            return apps[self.class_name]
        if len(apps) != 1:
            found = f"several: {', '.join(apps)}; name one, as in '{self.text}:{next(iter(apps))}'" if apps else "none"
            hint = "" if apps else f"; {_elsewhere(module) or 'decorate the class whose endpoints shall be served'}"
            raise DeclarationError(f"{self.text}: expected one class with @kapelle.app, found {found}{hint}")
        return next(iter(apps.values()))

    def _why_not(self, module: ModuleType, apps: list[str]) -> str:
        """Why the class that was named is no app of ``module``, and what to do."""
        name = self.class_name
        place = self.text.partition(":")[0]
        there_is = f"the apps there are {', '.join(apps)}: write '{place}:{apps[0]}'" if apps else "it declares no app"
        value = getattr(module, name, None)
        if value is None:
            return f"{module.__file__} has no {name!r}; {_elsewhere(module) or there_is}"
        if app_spec(value) is not None:
            return f"{module.__file__} only imports {name!r}; write '{value.__module__}:{value.__name__}'"
        return f"{name!r} is not decorated with @kapelle.app; {there_is}"

    @property
    def name(self) -> str:
        """A short name for what is meant, wherever it lies: ``apps.question_search`` for the ``app.py`` of that package."""
        return self._name_after([])

    @property
    def label(self) -> str:
        """Its name among all that is started from the current folder: with the way there, for apps beside each other."""
        return self._name_after([part for part in Path(os.path.relpath(self.root)).parts if part != os.pardir])

    def _name_after(self, way: list[str]) -> str:
        module = ".".join([*way, self.module]).removesuffix(".app")
        return f"{module}.{self.class_name}" if self.class_name else module

    @property
    def folder(self) -> Path:
        """The folder of the app's file."""
        if self._file is None:
            self._import()
            origin = sys.modules[self.module].__file__
            self._file = Path(origin) if origin else self.root / "app.py"
        return self._file.parent

    def _import(self) -> ModuleType:
        root = str(self.root)
        if root not in sys.path:
            sys.path.insert(0, root)
        try:
            with _own_log():
                module = importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            if error.name is not None and (self.module + ".").startswith(error.name + "."):
                raise DeclarationError(
                    f"{self.text}: there is no module {error.name!r}, in {root} or among what is installed, and no such "
                    f"file or folder; name the file that declares the app, or its module{_that_exist(self.root)}"
                ) from None
            raise
        if self._file is not None and module.__file__ is not None and not self._file.samefile(module.__file__):
            raise DeclarationError(
                f"{self.text}: a module {self.module!r} was already imported from {module.__file__}; "
                "give the file another name, or its folder an __init__.py"
            )
        return module


@contextmanager
def _own_log() -> Iterator[None]:
    """Modules may set up structlog for themselves when they are imported; where we have, the log stays one for all."""
    kept = structlog.get_config() if structlog.is_configured() else None
    try:
        yield
    finally:
        if kept is not None:
            structlog.configure(**kept)


def _that_exist(folder: Path) -> str:
    """``", as in 'app.py' or 'apps/search/app.py'"``: files in and near ``folder`` that seem to declare an app."""
    near: list[Path] = []
    with suppress(OSError):  # a folder that is removed meanwhile, as those of /proc are
        near = sorted(path for pattern in ("*.py", "*/*.py", "*/*/*.py") for path in folder.glob(pattern))
    apps = [path for path in near[:_LOOKED_AT] if _seems_to_declare(path)]
    shown = [str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path) for path in apps[:_SHOWN]]
    return f", as in {' or '.join(map(repr, shown))}" if shown else ""


def _seems_to_declare(path: Path) -> bool:
    try:
        return bool(_DECORATOR.search(path.read_bytes()))
    except OSError:
        return False  # a folder, a link to nowhere, a file that only others may read


def _elsewhere(module: ModuleType) -> str:
    """Where the apps are declared that ``module`` only imports; empty when it imports none."""
    found = [value for value in vars(module).values() if app_spec(value) and value.__module__ != module.__name__]
    return f"it only imports {found[0].__name__}: write '{found[0].__module__}:{found[0].__name__}'" if found else ""


def _importable(path: Path) -> tuple[Path, str]:
    """The folder to import from and the dotted name: packages are followed upwards as long as they are packages.

    Raises:
        DeclarationError: there is no such name.
    """
    parts = [path.stem] if path.stem != "__init__" else []
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    dotted = next((part for part in parts if "." in part), None)
    if dotted is not None:
        raise DeclarationError(
            f"{path}: {dotted!r} has a dot, which Python reads as a package and its module; rename it"
        )
    return folder, ".".join(parts)
