"""What can go wrong before anything is served."""

from __future__ import annotations


class PipelineError(Exception):
    """The base of the others; its text is for whoever gave the command."""


class DatasetError(PipelineError):
    """The pictures to learn from are not there, or not what they should be."""


class ModelError(PipelineError):
    """The model is missing, damaged, or not one of pictures to labels."""
