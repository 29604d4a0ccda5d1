"""`pytest tests/simulation --seed N` runs the one story with that number."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="run the simulation with this seed only")
    parser.addoption("--seeds", type=int, default=None, help="run this many seeds instead of the default number")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("slow")
    one = metafunc.config.getoption("--seed", default=None)
    many = metafunc.config.getoption("--seeds", default=None)
    seeds = [one] if one is not None else range(many if many is not None else 200 if marker is None else 3_000)
    metafunc.parametrize("seed", seeds)
