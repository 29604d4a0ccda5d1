"""Compiled documents lean on no quirk of ours: the same cases with every expression evaluated by the library alone, and
by the reference implementation of JSONata."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonata_reference
import pytest
from hypothesis import HealthCheck, given, reject, settings

from skylift import CompileError
from skylift.asl.jsonata.parser import NotCovered
from skylift.testing.parity import alike, assert_same

PROGRAMS = Path(__file__).parents[2] / "property" / "test_compiler_programs.py"
_spec = importlib.util.spec_from_file_location("random_programs", PROGRAMS)
assert _spec is not None and _spec.loader is not None
random_programs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(random_programs)

SUITES = ("test_python_semantics", "test_changes_in_place", "test_realistic_pipelines")


def cases() -> list[Any]:
    found = []
    for suite in SUITES:
        for flow, values in importlib.import_module(suite).CASES:
            inputs = values if isinstance(values, list) else [values]
            found += [pytest.param(flow, one, id=f"{flow.name}-{index}") for index, one in enumerate(inputs)]
    return found


@pytest.fixture(scope="module")
def reference() -> Iterator[jsonata_reference.Reference]:
    started = jsonata_reference.start()
    yield started
    started.close()


def never(tokens: Any) -> Any:
    raise NotCovered


@pytest.fixture
def slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skylift.asl.jsonata.compile_fast", never)


@pytest.mark.slow
@pytest.mark.usefixtures("slow_path")
@pytest.mark.parametrize(("flow", "values"), cases())
def test_library_agrees(flow: Any, values: dict[str, Any]) -> None:
    assert_same(flow, **values)


@pytest.mark.usefixtures("slow_path")
@pytest.mark.parametrize(("flow", "values"), cases())
def test_reference_agrees(
    flow: Any, values: dict[str, Any], reference: jsonata_reference.Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    jsonata_reference.use(reference, monkeypatch)
    monkeypatch.setattr("skylift.testing.parity.alike", alike_but_for_numbers_as_keys)
    assert_same(flow, **values)


def alike_but_for_numbers_as_keys(left: Any, right: Any) -> bool:
    """A dict of JavaScript has keys that are whole numbers first, in their order."""
    return alike(in_order(left), in_order(right))


def in_order(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)([in_order(item) for item in value])
    if isinstance(value, dict):
        numbers = sorted((key for key in value if key.isdecimal()), key=int)
        return {key: in_order(value[key]) for key in [*numbers, *(key for key in value if key not in numbers)]}
    return value


def check_by_reference(reference: jsonata_reference.Reference, source: str, values: dict[str, Any]) -> None:
    flow = random_programs.build(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skylift.asl.jsonata.compile_fast", never)
        patch.setattr("skylift.testing.parity.alike", alike_but_for_numbers_as_keys)
        jsonata_reference.use(reference, patch)
        try:
            assert_same(flow, **values)
        except CompileError:
            reject()
        except AssertionError as problem:
            raise AssertionError(f"{source}\n{problem}") from None


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=random_programs.programs(), values=random_programs.inputs)
def test_random_programs_agree(reference: jsonata_reference.Reference, source: str, values: dict[str, Any]) -> None:
    check_by_reference(reference, source, values)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=random_programs.programs(), values=random_programs.inputs)
def test_many_random_programs_agree(
    reference: jsonata_reference.Reference, source: str, values: dict[str, Any]
) -> None:
    check_by_reference(reference, source, values)
