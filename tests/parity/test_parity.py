"""Every shape of graph, with every behaviour of a step, on every backend: the same result as plain Python gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import parity_shapes as shapes
import pytest
from parity_places import MIXED, NEEDS, PLACES, Place, open_place, plainly

from skylift.config.backends import BackendsSettings, RaySettings
from skylift.sdk.pipeline import Pipeline

SLOW = pytest.mark.slow


@pytest.fixture(scope="module", params=["process", *(pytest.param(name, marks=SLOW) for name in (*PLACES[1:], MIXED))])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    name = request.param
    settings = BackendsSettings()
    if name in NEEDS:
        there = request.getfixturevalue(NEEDS[name])
        if name == "ray":
            settings = BackendsSettings(ray=RaySettings(address=there.address))
    with open_place(name, tmp_path_factory.mktemp(name), settings) as opened:
        yield opened


@pytest.mark.parametrize("how", shapes.BEHAVIOURS)
@pytest.mark.parametrize("shape", shapes.FOLDED, ids=lambda shape: shape.name)
def test_the_same_as_plain_python(shape: Pipeline[..., Any], how: str, place: Place) -> None:
    expected = plainly(shape, how=how)
    ended, run_id = place.run(shape, how=how)
    assert ended == expected
    if how == "prints":
        record = place.runtime.reader.record(run_id)
        assert any("working on" in line.text for line in place.runtime.reader.log_lines(record))


@pytest.mark.parametrize("how", ["plain", "times out"])
def test_a_time_limit_is_caught(how: str, place: Place) -> None:
    ended, _ = place.run(shapes.timed, how=how)
    assert ended == plainly(shapes.timed, how=how)


@pytest.mark.parametrize("how", ["plain", "big"])
def test_a_big_value_goes_by_reference(how: str, place: Place) -> None:
    ended, run_id = place.run(shapes.big_artifact, how=how)
    assert ended == plainly(shapes.big_artifact, how=how)
    if how == "big":
        view = place.runtime.reader.view(place.runtime.reader.record(run_id))
        assert all(len(str(attempt.output)) < 10_000 for attempt in view.attempts)


def test_where_each_step_ran_is_recorded(place: Place) -> None:
    _, run_id = place.run(shapes.fan_out, how="plain")
    view = place.runtime.reader.view(place.runtime.reader.record(run_id))
    ran = {attempt.label: attempt.usage.backend for attempt in view.attempts if attempt.usage is not None}
    assert len(ran) == 5
    assert set(ran.values()) == place.backends
