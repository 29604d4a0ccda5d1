"""Flytekit's local runner: only its start can be compared."""

from __future__ import annotations

from flytekit import task, workflow
from measuring import measure
from measuring import stamp as write_stamp


@task
def stamp() -> None:
    write_stamp()


@workflow
def first() -> None:
    stamp()


if __name__ == "__main__":
    measure(lambda: None, first)
