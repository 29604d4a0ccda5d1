"""Checks of what is evaluated: paths, intrinsic calls, JSONata expressions and the templates that hold them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from msgspec import UNSET, UnsetType

from skylift.asl.intrinsics import compile_intrinsic
from skylift.asl.jsonata import compile_jsonata
from skylift.asl.jsonpath import compile_path, compile_reference
from skylift.asl.validation.check import Check
from skylift.asl.validation.fields import JSONATA, Fields
from skylift.asl.validation.report import escape, show
from skylift.asl.validation.variables import check_name, read_by_jsonata, read_by_path, without_literals


def syntax_problem(compiler: Callable[[str], object], text: str) -> str | None:
    """What the compiler says is wrong with a text, None if nothing is."""
    try:
        _compiled(compiler, text)
    except Exception as error:  # noqa: BLE001 - whatever a compiler stumbles over, the text is what has to change
        return str(error).strip().rstrip(".") or type(error).__name__
    return None


@lru_cache(maxsize=2048)
def _compiled(compiler: Callable[[str], object], text: str) -> object:
    return compiler(text)


def is_jsonata(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}") and len(value) >= 4


def path(fields: Fields, name: str, *, null: bool = False, intrinsic: bool = False) -> Any:
    """A JSONPath field. `null` allows null (no input at all), `intrinsic` a call of a States function."""
    value = fields.raw(name)
    if value is UNSET or (value is None and null):
        return value
    if not isinstance(value, str):
        fields.wrong_type(name, "a JSONPath or null" if null else "a JSONPath")
        return UNSET
    check_path(value, fields.at(name), fields.check, intrinsic=intrinsic)
    return value


def reference(fields: Fields, name: str) -> Any:
    """A path that names one place: in the input, a variable or the context object."""
    value = path(fields, name)
    if isinstance(value, str) and _MANY.search(value):
        _not_reference(value, fields.at(name), fields.check)
    return value


def result_path(fields: Fields) -> Any:
    """ResultPath: null, or a path that names one place in the input."""
    value = fields.raw("ResultPath")
    if value is UNSET or value is None:
        return value
    if not isinstance(value, str):
        fields.wrong_type("ResultPath", "a reference path or null")
        return UNSET
    pointer = fields.at("ResultPath")
    if not re.match(r"\$(?:$|[.\[])", value) or _MANY.search(value):
        _not_reference(value, pointer, fields.check)
    elif problem := syntax_problem(compile_reference, value):
        _bad_path(value, problem, pointer, fields.check)
    return value


_MANY = re.compile(r"\.\.|\[\s*\*|\.\*|\[\s*\?|\[[^\]'\"]*[:,]|@")


def _not_reference(value: str, pointer: str, check: Check) -> None:
    check.report.add(
        "INVALID_REFERENCE_PATH",
        pointer,
        f"{show(value)} does not name exactly one place",
        "Use a path like $.a.b[0], without wildcards, filters, slices or `..`; ResultPath cannot begin with `$$`",
        service_message="Value is not a Reference Path",
    )


def check_path(text: str, pointer: str, check: Check, *, intrinsic: bool = False) -> None:
    """A JSONPath, or where `intrinsic` says so a call of an intrinsic function."""
    for name in read_by_path(text):
        check.scope.read(name, pointer)
    if text.startswith("$"):
        if problem := syntax_problem(compile_path, text):
            _bad_path(text, problem, pointer, check)
    elif intrinsic and text.startswith("States."):
        if problem := syntax_problem(compile_intrinsic, text):
            check.report.add(
                "INVALID_INTRINSIC",
                pointer,
                f"{show(text)}: {problem}",
                "Write States.Name(argument, …) with paths, numbers, 'text', true, false, null or further calls",
                service_message=_must_be_path(pointer) if intrinsic else None,
            )
    else:
        _bad_path(text, "it does not begin with `$`", pointer, check, intrinsic=intrinsic)


def _bad_path(text: str, problem: str, pointer: str, check: Check, *, intrinsic: bool = False) -> None:
    check.report.add(
        "INVALID_PATH",
        pointer,
        f"{show(text)} is not a JSONPath: {problem}",
        "Write a path like $.a.b, $$.Execution.Id or $variable.a"
        + (", or an intrinsic call like States.Format('{}', $.a)" if intrinsic else ""),
        service_message=_must_be_path(pointer) if intrinsic else None,
    )


def _must_be_path(pointer: str) -> str | None:
    name = pointer.rpartition("/")[2]
    if not name.endswith(".$"):
        return None
    return f"The value for the field '{name}' must be a valid JSONPath or a valid intrinsic function call"


def check_jsonata(text: str, pointer: str, check: Check, *, caught: bool = False) -> None:
    """A `{% … %}` text. `caught` where $states.errorOutput exists: in a Catcher's Assign and Output."""
    inner = text[2:-2].strip()
    problem = syntax_problem(compile_jsonata, text) if inner else "the expression is empty"
    if problem:
        check.report.add(
            "INVALID_JSONATA", pointer, f"{show(text)}: {problem}", "Mend the expression between {% and %}"
        )
        return
    bare = without_literals(inner)
    for name in read_by_jsonata(bare):
        check.scope.read(name, pointer)
    _check_top_level(bare, pointer, check)
    _check_states_members(bare, pointer, check, caught)


_FIRST_NAME = re.compile(r"([^\W\d]\w*)\s*(?!\s|\w|\()")
_WORDS = ("true", "false", "null", "function")


def _check_top_level(bare: str, pointer: str, check: Check) -> None:
    """An expression that begins with a field's name: there is no document whose field it could be."""
    first = _FIRST_NAME.match(bare)
    if first is None or first.group(1) in _WORDS:
        return
    name = first.group(1)
    check.report.add(
        "UNSUPPORTED_JSONATA",
        pointer,
        f"{name!r} is a field of nothing: an expression has no input document of its own",
        f"Write $states.input.{name}, or ${name} for a variable",
        service_message=f"Reference to '{name}' at the top level is not supported.",
    )


_MEMBER = re.compile(r"\$states\s*\.\s*(\w+)")
_STATES_MEMBERS = ("input", "result", "errorOutput", "context")


def _check_states_members(bare: str, pointer: str, check: Check, caught: bool) -> None:
    if re.search(r"\$\$(?!\w)", bare):
        check.report.add(
            "UNSUPPORTED_JSONATA",
            pointer,
            "`$$` has no meaning here: an expression has no input document of its own",
            "Read $states.input, $states.context or a variable",
        )
    for member in set(_MEMBER.findall(bare)):
        if member == "errorOutput" and not caught:
            check.report.add(
                "UNSUPPORTED_JSONATA",
                pointer,
                "$states.errorOutput exists only in the Assign and Output of a Catcher",
                "Read it there, and keep it in a variable",
            )
        elif member not in _STATES_MEMBERS:
            check.report.add(
                "UNKNOWN_VARIABLE",
                pointer,
                f"$states has no {member!r}",
                f"It has {', '.join(_STATES_MEMBERS)}",
            )


def is_half_open(text: str) -> bool:
    """Whether it has one of the delimiters only."""
    return text.startswith("{%") != text.endswith("%}") and not is_jsonata(text.strip())


def check_jsonata_text(text: str, pointer: str, check: Check, *, caught: bool = False) -> None:
    """Text of a JSONata state: an expression, or plain text; anything half-way is an error."""
    if is_jsonata(text):
        check_jsonata(text, pointer, check, caught=caught)
    elif is_half_open(text):
        check.report.add(
            "INVALID_JSONATA",
            pointer,
            f"{show(text)} is neither plain text nor an expression",
            "An expression is the whole text: it begins with {% and ends with %}",
        )
    elif is_jsonata(text.strip()):
        check.report.add(
            "NOT_EVALUATED",
            pointer,
            f"{show(text)} has spaces outside of {{% and %}}, so it is plain text",
            "Remove the spaces outside if it is to be evaluated",
        )


def template(fields: Fields, name: str, *, caught: bool = False) -> Any:
    """A field whose value is filled in at run time: any JSON, with expressions inside."""
    value = fields.raw(name)
    if value is not UNSET:
        check_template(value, fields.at(name), fields.check, fields.language, caught=caught)
    return value


def check_template(value: Any, pointer: str, check: Check, language: str, *, caught: bool = False) -> None:
    if isinstance(value, dict):
        for key, child in value.items():
            place = f"{pointer}/{escape(key)}"
            if language == JSONATA:
                _check_jsonata_key(key, place, check)
                check_template(child, place, check, language, caught=caught)
            elif key.endswith(".$"):
                _check_dollar(value, key, place, check)
            else:
                _check_static(key, child, place, check)
                check_template(child, place, check, language)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            check_template(child, f"{pointer}/{index}", check, language, caught=caught)
    elif isinstance(value, str) and language == JSONATA:
        check_jsonata_text(value, pointer, check, caught=caught)


def _check_dollar(holder: dict[str, Any], key: str, pointer: str, check: Check) -> None:
    """`"name.$": path` in a JSONPath template."""
    value = holder[key]
    if not isinstance(value, str):
        check.report.add(
            "INVALID_TEMPLATE",
            pointer,
            f"a key that ends in `.$` needs a path or an intrinsic call, this is {show(value)}",
            "Write a path like $.a, or take `.$` off the key for a fixed value",
            service_message=_must_be_path(pointer),
        )
        return
    if key[:-2] in holder:
        check.report.add(
            "INVALID_TEMPLATE",
            pointer,
            f"both {show(key)} and {show(key[:-2])} would give the field {show(key[:-2])}",
            "Keep one of them",
        )
    check_path(value, pointer, check, intrinsic=True)


_PATH_LIKE = re.compile(r"\$(?:\$?[.\[]|\$?$)|States\.\w+\(")


def _check_static(key: str, value: Any, pointer: str, check: Check) -> None:
    """A fixed value in a JSONPath template that looks as if it were meant to be evaluated."""
    if not isinstance(value, str):
        return
    if _PATH_LIKE.match(value):
        check.report.add(
            "NO_DOLLAR",
            pointer,
            f"{show(value)} looks like a path, but the key does not end in `.$`, so it is a fixed text",
            f"Name the key {show(key + '.$')} if it is to be evaluated",
        )
    elif is_jsonata(value):
        check.report.add(
            "NOT_EVALUATED",
            pointer,
            f"{show(value)} looks like JSONata, but the query language here is JSONPath, so it is a fixed text",
            'Set "QueryLanguage": "JSONata" on the state, or use a path',
        )


def _check_jsonata_key(key: str, pointer: str, check: Check) -> None:
    if key.endswith(".$"):
        check.report.add(
            "NOT_EVALUATED",
            pointer,
            f"{show(key)} ends in `.$`, which means nothing in JSONata: it is a plain key",
            "Take `.$` off and write the value as {% … %}",
        )


def assign(fields: Fields, *, caught: bool = False) -> dict[str, Any] | UnsetType:
    """Assign: variable names and their values. Both query languages have it."""
    value = fields.object("Assign")
    if value is UNSET:
        return UNSET
    pointer = fields.at("Assign")
    check_template(value, pointer, fields.check, fields.language, caught=caught)
    for key in value:
        name = key.removesuffix(".$") if fields.language != JSONATA else key
        place = f"{pointer}/{escape(key)}"
        if check_name(name, place, fields.report):
            fields.check.scope.assign(name, place)
    return value


def number_or_expression(fields: Fields, name: str, least: int, most: int | None = None) -> Any:
    """A whole number in a range, or in a JSONata state an expression that gives one."""
    if expression(fields, name):
        return fields.raw(name)
    return fields.whole(name, least, most)


def text_or_expression(fields: Fields, name: str) -> str | UnsetType:
    value = fields.text(name)
    if isinstance(value, str) and fields.language == JSONATA:
        check_jsonata_text(value, fields.at(name), fields.check)
    return value


def expression(fields: Fields, name: str) -> bool:
    """Whether the field is text of a JSONata state that is meant as an expression; checks it if so."""
    value = fields.raw(name)
    if fields.language != JSONATA or not isinstance(value, str) or not (is_jsonata(value) or is_half_open(value)):
        return False
    check_jsonata_text(value, fields.at(name), fields.check)
    return True
