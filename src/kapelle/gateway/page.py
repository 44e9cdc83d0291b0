"""The page at ``/docs``."""

from __future__ import annotations


def page(title: str) -> str:
    return f"<!doctype html><title>{title}</title>"
