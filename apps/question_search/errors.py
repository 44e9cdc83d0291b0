"""What can go wrong offline. Each message says what was seen, what was expected, and what to do next."""

from __future__ import annotations


class QuestionSearchError(Exception):
    """Base of this application's errors."""


class CorpusError(QuestionSearchError):
    """The questions cannot be read, or there are too few of them."""


class ModelError(QuestionSearchError):
    """The encoder's weights or files are missing, damaged or wrong."""


class ArtifactError(QuestionSearchError):
    """A built folder is missing, damaged or in the way."""


class VectorError(QuestionSearchError, ValueError):
    """A vector does not have the form that an index expects."""
