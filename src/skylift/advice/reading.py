"""A file of answers becomes a project: every refusal names the line, what stands there and what was meant."""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec

from skylift.advice.amounts import Amount
from skylift.advice.project import Project
from skylift.advice.questions import count_of, near, question, questions
from skylift.advice.refusals import in_words, taken_apart
from skylift.advice.told import told
from skylift.config.fields import meant
from skylift.errors import SetupError

MOST_CHARACTERS = 200_000
_TEXT, _DATE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp"
_FLAT = "answers are lines of `name: value`, in tables such as `data:`; see examples/advice"
DEEPEST = 5
"""Levels of a file of answers: three, and a list."""


class ProjectInvalid(SetupError):
    """The answers about a project cannot be read, or contradict each other."""

    code = "PROJECT"


def read_project(text: str, name: str) -> Project:
    """From YAML (or JSON, which is YAML too). `name` is the file, for messages. Raises ProjectInvalid."""
    return to_project(*parsed(text, name), name)


def to_project(answers: Any, lines: dict[str, int], name: str) -> Project:
    """From what a file holds; `lines` says where each path stands in it."""
    try:
        project = msgspec.convert(answers, Project, dec_hook=_amount)
    except msgspec.ValidationError as problem:
        raise _refused(str(problem), answers, lines, name) from None
    known = [one.path for one in questions()]
    for path in project.skipped:
        if path not in known:
            like = difflib.get_close_matches(path, known, n=1)
            said = f"{_where(name, 'skipped', lines)}: skipped holds {told(path)}: there is no such question"
            raise ProjectInvalid(said, hint=f"did you mean {like[0]}?" if like else "write for example data.size")
    return project


def parsed(text: str, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    """What the file holds, and the line of each path (`data.size`). No key may come twice."""
    if len(text) > MOST_CHARACTERS:
        raise ProjectInvalid(
            f"{name}: {len(text):,} characters or more are more than a file of answers has",
            hint="give the file that `skylift advise --save` wrote, or one like it",
        )
    root = _composed(text, name)
    if root is None:
        return {}, {}
    lines: dict[str, int] = {}
    _walk(root, "", lines, name, 1)
    held = _yaml().constructor.SafeConstructor().construct_document(root)
    if not isinstance(held, dict):
        raise ProjectInvalid(f"{name}: holds {told(held)}, no answers", hint="begin with `project: NAME`")
    return held, lines


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as missing:
        raise SetupError(
            "files of answers are YAML, and pyyaml is not installed", hint="pip install 'skylift[plan]'", code="NO-YAML"
        ) from missing
    return yaml


def _composed(text: str, name: str) -> Any:
    """The tree of nodes. Aliases are refused: nobody needs them here, and a few of them make a tree without end."""
    yaml = _yaml()
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):
                raise ProjectInvalid(
                    f"{name}, line {token.start_mark.line + 1}: *{token.value} points elsewhere in the file",
                    hint="write the answer out",
                )
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ProjectInvalid(f"{name}: is nested too deeply for a file of answers", hint=_FLAT) from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        said = getattr(problem, "problem", None) or " ".join(str(problem).split())
        raise ProjectInvalid(f"{name}{where}: not valid YAML: {said}", hint=_FLAT) from None


def _walk(node: Any, path: str, lines: dict[str, int], name: str, depth: int) -> None:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if depth > DEEPEST:
        raise ProjectInvalid(f"{name}, line {line}: {path} is nested too deeply for an answer", hint=_FLAT)
    if node.id != "mapping":
        if node.tag.startswith("!") or node.tag.startswith("tag:yaml.org,2002:python"):
            raise ProjectInvalid(f"{name}, line {line}: the tag {node.tag} has no meaning here", hint="leave it out")
        if node.id == "scalar":
            _check(node, name)
        for item in node.value if node.id == "sequence" else ():
            _walk(item, path, lines, name, depth + 1)
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        here = key.start_mark.line + 1
        if key.tag != "tag:yaml.org,2002:str":
            hint = "answers are not merged from elsewhere: write them out" if key.value == "<<" else _FLAT
            raise ProjectInvalid(f"{name}, line {here}: {_key(key)} is no name: names are text", hint=hint)
        if key.value in seen:
            raise ProjectInvalid(
                f"{name}, line {here}: {key.value!r} stands there for the second time, first in line {seen[key.value]}",
                hint="keep one of them",
            )
        seen[key.value] = here
        below = f"{path}.{key.value}" if path else str(key.value)
        lines[below] = here
        _walk(value, below, lines, name, depth + 1)


def _check(node: Any, name: str) -> None:
    """A date is a text like others here. What YAML can make nothing of is refused."""
    yaml, line = _yaml(), node.start_mark.line + 1
    if node.tag == _DATE:
        node.tag = _TEXT
    try:
        yaml.constructor.SafeConstructor().construct_document(node)
    except (yaml.YAMLError, ValueError, AttributeError, OverflowError):
        kind = node.tag.rpartition(":")[2]
        said = f"{name}, line {line}: {node.value!r:.60} is no {kind}"
        raise ProjectInvalid(said, hint=f"write it as text: {str(node.value)[:40]!r}, without !!{kind}") from None


def _key(key: Any) -> str:
    """A key as it is written; not a whole table that is one."""
    return repr(key.value)[:60] if key.id == "scalar" else f"a {key.id}"


def _amount(kind: type[Any], given: Any) -> Any:
    if issubclass(kind, Amount):
        return kind.parse(given)
    raise NotImplementedError(kind)  # pragma: no cover - all other types are msgspec's own


_MISSING = re.compile(r"missing required field `(?P<field>[^`]*)`")
_UNKNOWN = re.compile(r"unknown field `(?P<field>[^`]*)`")


def _refused(problem: str, answers: Any, lines: dict[str, int], name: str) -> ProjectInvalid:
    said, path = taken_apart(problem)
    unknown, missing = _UNKNOWN.search(said), _MISSING.search(said)
    if unknown:
        path = f"{path}.{unknown['field']}".lstrip(".")
        return ProjectInvalid(f"{_where(name, path, lines)}: there is no question {path}", hint=meant(problem, Project))
    if missing:
        return ProjectInvalid(f"{name}: `{missing['field']}` is missing", hint="begin with `project: NAME`")
    value = _value(answers, path)
    text = f"{_where(name, path, lines)}: {path} is {told(value)}: {in_words(said)}"
    return ProjectInvalid(text, hint=_number_hint(value, said) or _text_hint(value, said) or _choices(path, value))


def _text_hint(value: Any, said: str) -> str | None:
    """YAML takes `2024` for a number and `on` for true."""
    scalar = isinstance(value, (bool, int, float))
    return f'write it in quotes: "{told(value)}"' if scalar and said.startswith("Expected `str`") else None


_NUMBER = re.compile(r"[-+]?\d[\d ,_.]*(?:[eE][-+]?\d+)?")


def _number_hint(value: Any, said: str) -> str | None:
    """YAML takes `1e9`, `500,000` and `"3"` for texts."""
    if "got `str`" not in said or "array" in said or not isinstance(value, str):
        return None
    counted = count_of(value)
    if counted is not None:
        return f"write the whole number in digits: {counted}"
    if not _NUMBER.fullmatch(value):
        return None
    return "write a number with digits and at most one point, without quotes, commas or an e: 500000"


def placed(problem: ProjectInvalid, lines: dict[str, int], name: str) -> ProjectInvalid:
    """A refusal of answers that can be read, with the file, and with the line of the answer that it begins with."""
    path = problem.message.partition(" ")[0].rstrip(",")
    return ProjectInvalid(f"{_where(name, path, lines)}: {problem.message}", hint=problem.hint)


def _where(name: str, path: str, lines: dict[str, int]) -> str:
    """File and line of a path; of what holds it where it is in a list."""
    outer = re.sub(r"\[[^\]]*\].*", "", path)
    return f"{name}, line {lines[outer]}" if outer in lines else name


def _value(answers: Any, path: str) -> Any:
    for step in re.sub(r"\[[^\]]*\].*", "", path).split(".") if path else []:
        answers = answers.get(step) if isinstance(answers, dict) else None
    return answers


def _choices(path: str, value: Any) -> str | None:
    asked = question(re.sub(r"\[[^\]]*\].*", "", path))
    return None if asked is None else near(asked, value)
