"""What a value will be, as far as inputs tell: expressions are evaluated where everything they read is known.

`UNKNOWN` stands for what only a task can tell. It may be a part of a value: a list of three unknown results has a
known length. An expression that reads anything unknown is unknown as a whole, except where it only counts, names or
picks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

import msgspec

from skylift.asl.jsonata import JsonataSyntaxError, compile_jsonata
from skylift.asl.jsonpath import compile_path
from skylift.asl.scope import EvaluationFailed, Scope
from skylift.asl.template import compile_template, expression_in


class _Unknown:
    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __deepcopy__(self, memo: object) -> _Unknown:
        return self


UNKNOWN: Final = _Unknown()

_NAME = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_PICKED = re.compile(r"\$([A-Za-z_]\w*)\[\$([A-Za-z_]\w*)\]")
_COUNTED = re.compile(r"\$count\(\$([A-Za-z_]\w*)\)")
_STATES = re.compile(r"\$states\.(input|result)((?:\.[A-Za-z_]\w*)*)")
_ITEM = re.compile(r"\$states\.context\.Map\.Item\.(Value|Index)((?:\.[A-Za-z_]\w*)*)")
_CONTEXT = re.compile(r"\$states\.context(?!\.Map\.Item\.(?:Value|Index)\b)")
_RANDOM = re.compile(r"\$(random|now|millis|uuid|shuffle)\(")
_DOTTED = re.compile(r"\$((?:\.[A-Za-z_]\w*)*)")


class Seen(msgspec.Struct, kw_only=True):
    """What an expression of a state can see."""

    input: Any = UNKNOWN
    result: Any = UNKNOWN
    variables: dict[str, Any] = {}
    item: Any = UNKNOWN
    """Of the Map around it."""
    index: int | None = None


def is_known(value: Any) -> bool:
    """Through and through."""
    if isinstance(value, dict):
        return all(is_known(part) for part in value.values())
    if isinstance(value, list):
        return all(is_known(part) for part in value)
    return value is not UNKNOWN


def merged(one: Any, other: Any) -> Any:
    """What both have in common."""
    if one is other:
        return one
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {key: merged(value, other[key]) for key, value in one.items()}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [merged(left, right) for left, right in zip(one, other, strict=True)]
    if type(one) is type(other) and one == other:
        return one
    return UNKNOWN


def evaluated(template: Any, language: str, seen: Seen) -> Any:
    """A field that may hold expressions."""
    return _jsonata_template(template, seen) if language == "JSONata" else _payload(template, seen)


def condition(text: Any, seen: Seen) -> Any:
    """True, False or UNKNOWN."""
    if isinstance(text, bool):
        return text
    inner = expression_in(text)
    value = UNKNOWN if inner is None else expression(inner, seen)
    return value if isinstance(value, bool) else UNKNOWN


def _jsonata_template(value: Any, seen: Seen) -> Any:
    if isinstance(value, dict):
        return {key: _jsonata_template(part, seen) for key, part in value.items()}
    if isinstance(value, list):
        return [_jsonata_template(part, seen) for part in value]
    text = expression_in(value)
    return value if text is None else expression(text, seen)


def expression(text: str, seen: Seen) -> Any:
    """Of JSONata, without its delimiters."""
    simple = _simple(text.strip(), seen)
    if simple is not None:
        return simple[0]
    text = _COUNTED.sub(lambda found: _count(found, seen), text)
    if _RANDOM.search(text) or _CONTEXT.search(text):
        return UNKNOWN
    try:
        compiled = compile_jsonata(text)
    except JsonataSyntaxError:
        return UNKNOWN
    if not _readable(compiled.variables, compiled.reads, seen):
        return UNKNOWN
    return _tried(lambda: compiled.evaluate(scope_of(seen)))


def _simple(text: str, seen: Seen) -> tuple[Any] | None:
    """Names and picks: the only ones that may hand on what is known in part."""
    if (found := _NAME.fullmatch(text)) is not None:
        return (seen.variables.get(found[1], UNKNOWN),) if found[1] != "states" else None
    if (found := _STATES.fullmatch(text)) is not None:
        return (_at(seen.input if found[1] == "input" else seen.result, found[2]),)
    if (found := _ITEM.fullmatch(text)) is not None:
        root = seen.item if found[1] == "Value" else UNKNOWN if seen.index is None else seen.index
        return (_at(root, found[2]),)
    if (found := _PICKED.fullmatch(text)) is not None:
        values, place = (seen.variables.get(found[number], UNKNOWN) for number in (1, 2))
        if isinstance(values, list) and isinstance(place, int) and 0 <= place < len(values):
            return (values[place],)
    return None


def _at(value: Any, path: str) -> Any:
    for name in path.split(".")[1:]:
        if not isinstance(value, dict):
            return UNKNOWN
        value = value.get(name, UNKNOWN)
    return value


def _count(found: re.Match[str], seen: Seen) -> str:
    value = seen.variables.get(found[1])
    return str(len(value)) if isinstance(value, list) else found[0]


def _readable(names: frozenset[str], reads: frozenset[str], seen: Seen) -> bool:
    roots = {"input": seen.input, "result": seen.result, "errorOutput": UNKNOWN, "context": seen.item}
    return all(is_known(seen.variables.get(name, UNKNOWN)) for name in names if name != "states") and all(
        is_known(roots[name]) for name in reads
    )


class _Variables:
    """As expressions of the States Language see them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def as_mapping(self) -> Mapping[str, Any]:
        return {name: value for name, value in self._values.items() if is_known(value)}


def scope_of(seen: Seen) -> Scope:
    item = {"Value": seen.item, "Index": 0 if seen.index is None else seen.index}
    return Scope(
        input=None if seen.input is UNKNOWN else seen.input,
        context=lambda: {"Map": {"Item": item}},
        variables=_Variables(seen.variables),
        random=lambda: Random(0),  # never asked: what is random is unknown
        **({} if seen.result is UNKNOWN else {"result": seen.result}),
    )


def _tried(evaluate: Callable[[], Any]) -> Any:
    """What cannot be evaluated would fail the run; what that costs is not known."""
    try:
        return evaluate()
    except (EvaluationFailed, ArithmeticError, LookupError, TypeError, ValueError):
        return UNKNOWN


# -- JSONPath ----------------------------------------------------------------------------------------------------------


def _payload(value: Any, seen: Seen) -> Any:
    if isinstance(value, list):
        return [_payload(part, seen) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key.removesuffix(".$"): at_path(part, seen) if key.endswith(".$") else _payload(part, seen)
        for key, part in value.items()
    }


def at_path(path: Any, seen: Seen) -> Any:
    """What a JSONPath, a variable or an intrinsic gives."""
    text = str(path)
    if (found := _DOTTED.fullmatch(text)) is not None:
        return _at(seen.input, found[1])
    if (found := _NAME.fullmatch(text)) is not None:
        return seen.variables.get(found[1], UNKNOWN)
    if text.startswith("$$.Map.Item.Value"):
        return _at(seen.item, text.removeprefix("$$.Map.Item.Value"))
    if "$$" in text or ("States." in text and ("Random" in text or "UUID" in text)):
        return UNKNOWN
    if not is_known(seen.input) or not all(is_known(value) for value in seen.variables.values()):
        return UNKNOWN
    if text.startswith("$"):
        return _tried(lambda: compile_path(text).get(scope_of(seen)))
    return _tried(lambda: compile_template({"x.$": text}, "JSONPath").evaluate(scope_of(seen))["x"])


def read_path(path: Any, seen: Seen) -> Any:
    """InputPath, OutputPath, ItemsPath: absent or `$` is all of the input, null an empty object."""
    if path is msgspec.UNSET or path == "$":
        return seen.input
    return {} if path is None else at_path(path, seen)


def placed(path: Any, raw: Any, result: Any) -> Any:
    """ResultPath."""
    if path is msgspec.UNSET or path == "$":
        return result
    if path is None:
        return raw
    names = str(path).split(".")[1:]
    if not isinstance(raw, dict) or not names or any("[" in name for name in names):
        return UNKNOWN
    return _written(raw, names, result)


def _written(raw: Any, names: list[str], result: Any) -> Any:
    if not names:
        return result
    base = raw if isinstance(raw, dict) else {}
    return {**base, names[0]: _written(base.get(names[0]), names[1:], result)}
