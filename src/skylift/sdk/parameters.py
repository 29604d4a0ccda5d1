"""A pipeline's parameters: bound to a run's input, checked, and read from the command line's texts."""

from __future__ import annotations

import difflib
import inspect
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.errors import SetupError
from skylift.sdk.hints import evaluate_hints
from skylift.values.files import Directory, File

if TYPE_CHECKING:
    from skylift.sdk.definition import Definition
    from skylift.values.codec import ValueCodec

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


class ParameterInvalid(SetupError):
    """An argument that a pipeline does not take, lacks, or cannot read."""

    code = "PARAMETER"


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a pipeline."""

    name: str
    annotation: Any = Any
    default: Any = msgspec.UNSET
    """UNSET: required."""
    help: str = ""


def parameters_of(function: Any) -> tuple[Parameter, ...]:
    """From the signature, with help texts from the docstring's `name: text` lines."""
    hints = evaluate_hints(function)
    helps = _helps(function.__doc__ or "")
    return tuple(
        Parameter(
            name=name,
            annotation=hints.get(name, Any),
            default=msgspec.UNSET if p.default is inspect.Parameter.empty else p.default,
            help=helps.get(name, ""),
        )
        for name, p in inspect.signature(function).parameters.items()
    )


def bind_input(
    pipeline: Definition[..., Any], values: Mapping[str, Any], codec: ValueCodec | None = None
) -> dict[str, Any]:
    """All arguments by name, defaults filled in. Raises ParameterInvalid naming what is missing or unknown.

    With a codec the result is JSON, the run's input: plain JSON is checked against the annotations first.
    """
    names = [parameter.name for parameter in pipeline.parameters]
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {pipeline.name}({', '.join(names)})"
            raise ParameterInvalid(f"{pipeline.name} has no parameter {name!r}", hint=hint)
    bound = {}
    for parameter in pipeline.parameters:
        value = values.get(parameter.name, parameter.default)
        if value is msgspec.UNSET:
            signature = f"{pipeline.name}({', '.join(names)})"
            raise ParameterInvalid(f"{pipeline.name}: {parameter.name} is missing", hint=f"it takes {signature}")
        bound[parameter.name] = value if codec is None else _encoded(codec, parameter, value)
    return bound


def _encoded(codec: ValueCodec, parameter: Parameter, value: Any) -> Any:
    from skylift.values.tags import ValueMismatch

    if type(value) in (dict, list, str, int, float, bool) and parameter.annotation is not Any:
        try:
            value = codec.load(value, parameter.annotation, strict=True)
        except ValueMismatch as problem:
            raise ParameterInvalid(f"{parameter.name}: {problem.message}", hint=problem.hint) from problem
    return codec.dump(value, parameter.annotation, inline=True)


def parse_argument(annotation: Any, text: str | Sequence[str], name: str = "value") -> Any:
    """A command line's text (for lists: several) as the value that the annotation asks for. Raises ParameterInvalid.

    >>> parse_argument(list[float], ["0.1", "0.01"])
    [0.1, 0.01]
    """
    try:
        return _parse(annotation, text if isinstance(text, str) else list(text))
    except (ValueError, TypeError) as problem:
        shown = text if isinstance(text, str) else " ".join(text)
        raise ParameterInvalid(f"{name}: {shown!r} is not {_spell(annotation)}: {problem}") from None


def _parse(annotation: Any, text: str | list[str]) -> Any:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _parse(args[0], text)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(args, text)
    if annotation in (list, tuple, set) or origin in (list, tuple, set):
        return _parse_list(annotation if origin is None else origin, args, text)
    if isinstance(text, list):
        if len(text) != 1:
            raise ValueError(f"{len(text)} values given, one expected")
        text = text[0]
    if origin is typing.Literal:
        for choice in args:
            if str(choice) == text:
                return choice
        raise ValueError(f"choose one of {', '.join(map(str, args))}")
    if annotation is str:
        return text
    return _parse_scalar(annotation, text)


def _parse_scalar(annotation: Any, text: str) -> Any:
    import enum

    if annotation is bool:
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise ValueError("write true or false")
    if annotation in (int, float):
        return annotation(text)
    if annotation in (None, type(None)):
        if text.lower() in ("none", "null", ""):
            return None
        raise ValueError("write null")
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        if text in annotation.__members__:
            return annotation[text]
        raise ValueError(f"choose one of {', '.join(annotation.__members__)}")
    if isinstance(annotation, type) and annotation.__module__ in ("pathlib", "decimal", "uuid"):
        return annotation(text)
    if isinstance(annotation, type) and annotation.__module__ == "datetime" and hasattr(annotation, "fromisoformat"):
        return annotation.fromisoformat(text)
    if annotation is dict or typing.get_origin(annotation) is dict:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("write a JSON object")
        return value
    if annotation is Any or isinstance(annotation, (str, typing.TypeVar)) or annotation is object:
        try:
            return json.loads(text)
        except ValueError:
            return text
    if annotation in (File, Directory):
        return _located(annotation, text)
    return msgspec.convert(json.loads(text), annotation)


def _located(kind: type[File | Directory], text: str) -> File | Directory:
    found = kind(text)
    there = found.path.is_file() if kind is File else found.path.is_dir()
    if not there:
        raise ValueError(f"no such {'file' if kind is File else 'folder'}")
    return found


def _parse_union(args: tuple[Any, ...], text: str | list[str]) -> Any:
    ordered = sorted(args, key=lambda one: (one is str, one in (None, type(None))))
    if isinstance(text, str) and type(None) in args and text.lower() in ("none", "null"):
        return None
    problem: Exception = ValueError("no alternative fits")
    for one in ordered:
        try:
            return _parse(one, text)
        except (ValueError, TypeError) as caught:
            problem = caught
    raise problem


def _parse_list(kind: Any, args: tuple[Any, ...], text: str | list[str]) -> Any:
    texts = [text] if isinstance(text, str) else text
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        values = json.loads(texts[0])
        return kind(msgspec.convert(value, args[0]) if args and args[0] is not Any else value for value in values)
    if kind is tuple and args and Ellipsis not in args:
        if len(args) != len(texts):
            raise ValueError(f"{len(args)} values expected")
        return tuple(_parse(one, value) for one, value in zip(args, texts, strict=True))
    element = args[0] if args else Any
    return kind(_parse(element, value) for value in texts)


def _spell(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)


def _helps(doc: str) -> dict[str, str]:
    helps = {}
    for line in doc.splitlines():
        name, colon, text = line.strip().partition(":")
        if colon and name.strip("`").isidentifier() and text.strip():
            helps[name.strip("`")] = text.strip()
    return helps
