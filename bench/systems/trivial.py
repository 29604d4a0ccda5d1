"""The tasks that are measured, as plain functions."""

from __future__ import annotations


def increment(x: int) -> int:
    return x + 1


def total(numbers: list[int]) -> int:
    return sum(numbers)
