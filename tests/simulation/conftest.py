"""`pytest tests/simulation --seed N` runs the one story with that number."""

from __future__ import annotations

import pytest

DEFAULT = 200
"""Stories that a test tells, unless `@pytest.mark.seeds(N)` says otherwise."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="run the simulation with this seed only")
    parser.addoption("--seeds", type=int, default=None, help="run this many seeds instead of the default number")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("seeds")
    one = metafunc.config.getoption("--seed", default=None)
    many = metafunc.config.getoption("--seeds", default=None)
    usual = DEFAULT if marker is None else marker.args[0]
    seeds = [one] if one is not None else range(many if many is not None else usual)
    metafunc.parametrize("seed", seeds)
