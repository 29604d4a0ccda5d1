"""Packages small enough to be built by a test, as the shipped suites make them."""

from skylift.testing.wheels import make_wheel

__all__ = ["make_wheel"]
