"""Pipeline parameters on the command line."""

from __future__ import annotations

import enum
from typing import Any, Literal

import click
import pytest

from skylift.cli.parameters import add_params, help_rows, split_arguments
from skylift.sdk.parameters import Parameter, ParameterInvalid

RATES = Parameter(name="rates", annotation=list[float])
SOURCE = Parameter(name="data_source", annotation=str, default="lfw", help="Where from.")
DEEP = Parameter(name="deep", annotation=bool, default=False)
NAME = Parameter(name="name", annotation=str)
ALL = (RATES, SOURCE, DEEP, NAME)
OWN: list[click.Parameter] = [click.Option(["--name"]), click.Option(["--json"], is_flag=True)]


@pytest.mark.parametrize(
    ("line", "given", "rest"),
    [
        ("f.py --rates 0.1 0.01", {"rates": ["0.1", "0.01"]}, ["f.py"]),
        ("f.py --rates -0.1 -.5 --json", {"rates": ["-0.1", "-.5"]}, ["f.py", "--json"]),
        ("--rates=1 --rates=2 f.py", {"rates": ["1", "2"]}, ["f.py"]),
        ("f.py --data-source x --name n", {"data_source": ["x"]}, ["f.py", "--name", "n"]),
        ("f.py --data_source=x", {"data_source": ["x"]}, ["f.py"]),
        ("f.py --deep", {"deep": ["true"]}, ["f.py"]),
        ("f.py --no-deep", {"deep": ["false"]}, ["f.py"]),
        ("f.py --unknown 3", {}, ["f.py", "--unknown", "3"]),
    ],
)
def test_splitting(line: str, given: dict[str, list[str]], rest: list[str]) -> None:
    assert split_arguments(ALL, OWN, line.split()) == (given, rest)


def test_a_scalar_takes_one_value() -> None:
    assert split_arguments(ALL, OWN, ["--data-source", "x", "f.py"]) == ({"data_source": ["x"]}, ["f.py"])


@pytest.mark.parametrize("line", [["--rates"], ["--rates", "--json"], ["--data-source"]])
def test_an_option_without_value_is_refused(line: list[str]) -> None:
    with pytest.raises(ParameterInvalid, match="needs a value"):
        split_arguments(ALL, OWN, line)


def test_param_reaches_a_parameter_hidden_by_an_option() -> None:
    given: dict[str, list[str]] = {}
    add_params(given, ["name=Ada", "data-source=a=b"], ALL)
    assert given == {"name": ["Ada"], "data_source": ["a=b"]}


@pytest.mark.parametrize(("pair", "said"), [("rate=1", "no such parameter"), ("rates", "has no '='")])
def test_bad_param(pair: str, said: str) -> None:
    with pytest.raises(ParameterInvalid, match=said) as caught:
        add_params({}, [pair], ALL)
    assert caught.value.hint


class Mode(enum.Enum):
    fast = 1
    slow = 2


def test_help_of_a_flag_shows_both_ways() -> None:
    parameter = Parameter(name="deep_scan", annotation=bool, default=False, help="")
    assert help_rows([parameter]) == [("--deep-scan, --no-deep-scan", "[default: False]")]


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (list[float], "FLOAT..."),
        (str, "STR"),
        (Any, "VALUE"),
        (list, "VALUE..."),
        (None, "VALUE"),
        (Literal["a", "b"], "a|b"),
        (int | None, "INT"),
        (Mode, "fast|slow"),
    ],
)
def test_help_names_types_and_defaults(annotation: Any, shown: str) -> None:
    parameter = Parameter(name="x", annotation=annotation, default=3, help="An x.")
    assert help_rows([parameter]) == [(f"--x {shown}", "An x.  [default: 3]")]
