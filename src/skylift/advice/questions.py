"""The questions of the questionnaire, read off the types of the answers; and the file that it saves."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from skylift.advice.amounts import Amount
from skylift.advice.project import SECTIONS, Project

_COUNTED = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)\s*(k|thousand|m|million|bn|billion)", re.IGNORECASE)
_THOUSANDS = {"k": 10**3, "thousand": 10**3, "m": 10**6, "million": 10**6, "bn": 10**9, "billion": 10**9}
Kind = Literal["text", "number", "whole number", "yes or no", "choice", "choices", "amount"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the answers."""

    path: str
    text: str
    kind: Kind
    choices: tuple[str, ...] = ()
    example: str = ""

    @property
    def allowed(self) -> str:
        """What can be answered, in words."""
        if self.kind == "choices":
            return f"some of {', '.join(self.choices)}, with commas between"
        return ", ".join(self.choices) if self.kind == "choice" else self.example or self.kind


@cache
def questions() -> tuple[Question, ...]:
    """All, in the order in which they are asked."""
    first = ("project", "description", "purpose", "cloud", "region")
    found = [one for name in first for one in _of(Project, name, name)]
    for section in SECTIONS:
        kind = type(getattr(Project(project="-"), section))
        found += [one for field in kind.__struct_fields__ for one in _of(kind, field, f"{section}.{field}")]
    return tuple(found)


def question(path: str) -> Question | None:
    return next((one for one in questions() if one.path == path), None)


def amount_of(path: str) -> type[Amount] | None:
    """The kind of amount that answers it; None for words, numbers and what is no question."""
    return _amounts().get(path)


@cache
def _amounts() -> dict[str, type[Amount]]:
    found: dict[str, type[Amount]] = {}
    for section in SECTIONS:
        holder = type(getattr(Project(project="-"), section))
        for field, annotated in get_type_hints(holder, include_extras=True).items():
            kind = _without_none(get_args(annotated)[0]) if get_origin(annotated) is Annotated else annotated
            if isinstance(kind, type) and issubclass(kind, Amount):
                found[f"{section}.{field}"] = kind
    return found


def near(asked: Question, value: Any) -> str:
    """What may have been meant by an answer that is none."""
    given = value if isinstance(value, (list, tuple)) else [value]
    for one in given:
        if one in asked.choices:
            continue
        found = difflib.get_close_matches(str(one).lower(), asked.choices, n=1)
        if found:
            return f"did you mean {found[0]}? ({asked.path}: {asked.allowed})"
    return f"{asked.path}: {asked.allowed}"


def next_open(answers: Mapping[str, Any]) -> Question | None:
    """The first that is neither answered nor skipped, and that these answers do not make pointless."""
    skipped = answers.get("skipped") or ()
    for one in questions():
        if one.path not in skipped and get(answers, one.path) is None and concerns(one.path, answers):
            return one
    return None


def before(asked: Question, answers: Mapping[str, Any]) -> Question | None:
    """The one that is asked before it, answered or not; None before the first."""
    earlier = questions()[: questions().index(asked)]
    return next((one for one in reversed(earlier) if concerns(one.path, answers)), None)


def answered(answers: Mapping[str, Any]) -> int:
    """How many questions have an answer."""
    return sum(get(answers, one.path) is not None for one in questions())


def concerns(path: str, answers: Mapping[str, Any]) -> bool:
    """Nobody is asked about requests where nothing is served, nor how many GPUs where none is needed."""
    purpose = answers.get("purpose")
    if path.startswith("requests.") and purpose is not None and "inference" not in purpose:
        return False
    gpu = get(answers, "hardware.gpu")
    return not (path == "hardware.gpus" and gpu is not None and str(gpu).lower() == "none")


def get(answers: Mapping[str, Any], path: str) -> Any:
    if path in answers:
        return answers[path]
    section, _, field = path.partition(".")
    held = answers.get(section)
    return held if not field else held.get(field) if isinstance(held, Mapping) else None


def skip(answers: dict[str, Any], path: str) -> None:
    """Leave a question open on purpose: it is not asked again."""
    answers["skipped"] = [*(answers.get("skipped") or ()), path]


def clear(answers: dict[str, Any], path: str) -> None:
    """Neither answered nor skipped."""
    section, _, field = path.partition(".")
    held = answers.get(section)
    if not field:
        answers.pop(section, None)
    elif isinstance(held, dict):
        held.pop(field, None)
        if not held:
            del answers[section]
    skipped = [one for one in answers.get("skipped") or () if one != path]
    answers.pop("skipped", None)
    if skipped:
        answers["skipped"] = skipped


def put(answers: dict[str, Any], path: str, value: Any) -> None:
    section, _, field = path.partition(".")
    if field:
        answers.setdefault(section, {})[field] = value
    else:
        answers[section] = value


def typed(asked: Question, text: str) -> Any:
    """What somebody typed, as the file would hold it; whether it is an answer, the reading of the file decides."""
    text = text.strip()
    if asked.kind == "choices":
        return [part.strip().lower() for part in text.split(",") if part.strip()]
    if asked.kind == "choice":
        return text.lower()
    if asked.kind == "yes or no":
        return {"yes": True, "y": True, "true": True, "no": False, "n": False, "false": False}.get(text.lower(), text)
    if asked.kind in ("number", "whole number"):
        counted, digits = count_of(text), text.replace(",", "").replace("_", "").replace(" ", "")
        return _number(digits, text) if counted is None else counted
    return text


def count_of(text: str) -> int | None:
    """`3M`, `10 million`, `2.5k`: a count that is written with a word; None for anything else."""
    found = _COUNTED.fullmatch(text.strip())
    if found is None or len(text) > 40:
        return None
    count = Fraction(found[1].replace(",", "")) * _THOUSANDS[found[2].lower()]
    return int(count) if count.denominator == 1 else None


def _number(digits: str, text: str) -> Any:
    try:
        return int(digits)
    except ValueError:
        pass
    try:
        found = float(digits)
    except ValueError:
        return text
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def _of(holder: type[Any], field: str, path: str) -> list[Question]:
    annotated = get_type_hints(holder, include_extras=True)[field]
    text = next((meta.description for meta in getattr(annotated, "__metadata__", ()) if meta.description), None)
    if text is None:
        return []
    kind = _without_none(get_args(annotated)[0])
    return [Question(path=path, text=text, **_asked(kind))]


def _asked(kind: Any) -> dict[str, Any]:
    if get_origin(kind) is tuple:
        return {"kind": "choices", "choices": get_args(get_args(kind)[0])}
    if get_origin(kind) is Literal:
        return {"kind": "choice", "choices": get_args(kind)}
    if isinstance(kind, type) and issubclass(kind, Amount):
        return {"kind": "amount", "example": f"{kind.kind}, for example {kind.example}"}
    return {"kind": {bool: "yes or no", int: "whole number", float: "number"}.get(kind, "text")}


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(one for one in get_args(kind) if one is not type(None))
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind
