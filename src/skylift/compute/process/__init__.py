"""Attempts in warm worker processes on this machine."""

from skylift.compute.process.backend import ProcessBackend

__all__ = ["ProcessBackend"]
