"""Attempts in the process of the engine itself: for tests and debugging."""

from skylift.compute.inline.backend import InlineBackend

__all__ = ["InlineBackend"]
