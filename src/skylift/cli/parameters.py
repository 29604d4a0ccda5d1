"""A pipeline's parameters as command-line options: made from its signature, with its types, defaults and help."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from skylift.sdk.parameters import Parameter, ParameterInvalid


def option(parameter: Parameter) -> str:
    """`--learning-rate` for `learning_rate`."""
    return "--" + parameter.name.replace("_", "-")


def is_list(parameter: Parameter) -> bool:
    """Whether it takes several values."""
    return (
        re.match(r"(builtins\.|typing\.)?(list|List|Sequence|tuple|set)\b", _spelled(parameter.annotation)) is not None
    )


def is_flag(parameter: Parameter) -> bool:
    """Whether it takes none: `--verbose`, `--no-verbose`."""
    return parameter.annotation is bool


def split_arguments(
    parameters: Sequence[Parameter], own: Sequence[click.Parameter], arguments: Sequence[str]
) -> tuple[dict[str, list[str]], list[str]]:
    """Divide a command line into the pipeline's own options, as raw texts by parameter name, and the rest for click.

    A list takes all values up to the next option (`--rates 0.1 0.01`). Options of the command win over a parameter of
    the same name, which `--param NAME=VALUE` still reaches.
    """
    taken = {name for defined in own for name in defined.opts}
    known = {option(p): p for p in parameters if option(p) not in taken}
    known |= {"--" + p.name: p for p in parameters if "--" + p.name not in taken}
    negated = {"--no-" + p.name.replace("_", "-"): p for p in parameters if is_flag(p)}
    given: dict[str, list[str]] = {}
    rest: list[str] = []
    queue = list(arguments)
    while queue:
        word = queue.pop(0)
        flag, equals, value = word.partition("=")
        if flag in negated and not equals:
            given[negated[flag].name] = ["false"]
        elif flag in known:
            parameter = known[flag]
            values = [value] if equals else _values(parameter, queue)
            given.setdefault(parameter.name, []).extend(values)
        else:
            rest.append(word)
    return given, rest


def add_params(given: dict[str, list[str]], pairs: Sequence[str], parameters: Sequence[Parameter]) -> None:
    """Put the `--param NAME=VALUE` pairs in as well. Raises ParameterInvalid for an unknown name."""
    names = {p.name for p in parameters}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ParameterInvalid(f"--param {pair!r} has no '='", hint="write --param NAME=VALUE")
        if name not in names:
            raise ParameterInvalid(
                f"--param {name}: the pipeline has no such parameter", hint=nearest(name, parameters)
            )
        given.setdefault(name, []).append(value)


def nearest(name: str, parameters: Sequence[Parameter]) -> str:
    import difflib

    near = difflib.get_close_matches(name, [p.name for p in parameters], n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"it takes: {', '.join(p.name for p in parameters)}" if parameters else "it takes none"


def help_rows(parameters: Sequence[Parameter]) -> list[tuple[str, str]]:
    """Rows for the help page: option with its type; description, default or that it is required."""
    rows = []
    for p in parameters:
        left = f"{option(p)}, --no{option(p)[1:]}" if is_flag(p) else f"{option(p)} {_metavar(p)}"
        default = "required" if p.default is msgspec.UNSET else f"default: {p.default!r}"
        rows.append((left, f"{p.help}  [{default}]" if p.help else f"[{default}]"))
    return rows


_NUMBER = re.compile(r"-(\d|\.\d)")


def _values(parameter: Parameter, queue: list[str]) -> list[str]:
    if is_flag(parameter):
        return ["true"]
    values = []
    while queue and (not queue[0].startswith("-") or queue[0] == "-" or _NUMBER.match(queue[0])):
        values.append(queue.pop(0))
        if not is_list(parameter):
            break
    if not values:
        raise ParameterInvalid(f"{option(parameter)} needs a value", hint=f"it takes {_metavar(parameter)}")
    return values


def _metavar(parameter: Parameter) -> str:
    annotation = _without_none(parameter.annotation)
    choices = _choices(annotation)
    if choices:
        return "|".join(choices)
    spelled = _spelled(annotation)
    inner = re.search(r"\[(\w+)", spelled)
    if is_list(parameter):
        return f"{inner.group(1).upper()}..." if inner else "VALUE..."
    return spelled.rpartition(".")[2].upper() or "VALUE"


def _without_none(annotation: Any) -> Any:
    """`int` for `int | None`: the default says that it may be left out."""
    alternatives = [one for one in typing.get_args(annotation) if one is not type(None)]
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return alternatives[0] if is_union and len(alternatives) == 1 else annotation


def _choices(annotation: Any) -> list[str]:
    """What may be written for a Literal or an enum."""
    import enum

    if typing.get_origin(annotation) is typing.Literal:
        return [str(one) for one in typing.get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return list(annotation.__members__)
    return []


def _spelled(annotation: Any) -> str:
    if annotation is None or annotation is Any:
        return "value"
    return annotation.__name__ if isinstance(annotation, type) and "[" not in repr(annotation) else str(annotation)
