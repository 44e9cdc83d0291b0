"""Hooks are found on the class, inherited ones included, and stay ordinary methods."""

from __future__ import annotations

from kapelle.declare.lifecycle import HookSpec, hooks_of, on_shutdown, on_startup


class Base:
    @on_startup
    def open(self) -> str:
        return "opened"

    @on_shutdown
    async def close(self) -> None: ...

    @on_startup()
    def check(self) -> None: ...

    @on_shutdown()
    def part(self) -> None: ...


class Derived(Base):
    @on_startup(background=True)
    async def refresh(self) -> None: ...

    def check(self) -> None:
        """Overridden without the mark: no hook any more."""


def test_hooks_with_when_and_how() -> None:
    assert hooks_of(Base) == (
        HookSpec("check", "startup", background=False),
        HookSpec("close", "shutdown", background=False),
        HookSpec("open", "startup", background=False),
        HookSpec("part", "shutdown", background=False),
    )


def test_inherited_hooks_count_until_they_are_overridden() -> None:
    assert hooks_of(Derived) == (
        HookSpec("close", "shutdown", background=False),
        HookSpec("open", "startup", background=False),
        HookSpec("part", "shutdown", background=False),
        HookSpec("refresh", "startup", background=True),
    )


def test_a_hook_is_still_a_method() -> None:
    assert Derived().open() == "opened"


def test_a_class_without_hooks() -> None:
    assert hooks_of(object) == ()
