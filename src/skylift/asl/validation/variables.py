"""Variables: the names that Assign may use, and which flows see them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from skylift.asl.validation.report import Report, show, suggestion

MAX_NAME = 80
RESERVED = "states"


class VariableScope:
    """The variables of one flow, and the names its expressions read."""

    __slots__ = ("around", "assigned", "closed", "reads")

    def __init__(self, around: VariableScope | None, *, closed: bool = False) -> None:
        self.around = around
        self.closed = closed
        """A Distributed Map's processor: it sees no variable of the flows around it."""
        self.assigned: dict[str, str] = {}
        self.reads: list[tuple[str, str]] = []

    def assign(self, name: str, pointer: str) -> None:
        self.assigned.setdefault(name, pointer)

    def read(self, name: str, pointer: str) -> None:
        self.reads.append((name, pointer))

    def visible(self) -> Iterable[VariableScope]:
        """This scope and those around it that it sees."""
        scope: VariableScope | None = self
        while scope is not None:
            yield scope
            scope = None if scope.closed else scope.around

    def hidden(self) -> Iterable[VariableScope]:
        """Those around it that it does not see."""
        scope: VariableScope | None = self
        seen = set(self.visible())
        while scope is not None:
            if scope not in seen:
                yield scope
            scope = scope.around


def check_name(name: str, pointer: str, report: Report) -> bool:
    """Whether a variable can have this name."""
    if name == RESERVED:
        reason, mend = "'states' is reserved for $states", "Choose another name"
    elif len(name) > MAX_NAME:
        reason, mend = f"the name has {len(name)} characters", f"Use at most {MAX_NAME}"
    elif not name.isidentifier():
        reason = f"{show(name)} is not a variable name"
        mend = "Begin with a letter or underscore, go on with letters, digits and underscores, without `$`"
    else:
        return True
    report.add("INVALID_VARIABLE_NAME", pointer, reason, mend)
    return False


def check_scopes(scopes: Iterable[VariableScope], report: Report) -> None:
    """After the whole document was read: shadowed names, and reads of what is not there."""
    for scope in scopes:
        for name, pointer in scope.assigned.items():
            _check_shadow(name, pointer, scope, report)
        for name, pointer in scope.reads:
            _check_read(name, pointer, scope, report)


def _check_shadow(name: str, pointer: str, scope: VariableScope, report: Report) -> None:
    for outer in scope.visible():
        if outer is not scope and name in outer.assigned:
            report.add(
                "VARIABLE_SHADOWED",
                pointer,
                f"variable {name!r} is assigned in the flow around this one too, at {outer.assigned[name]}",
                "Use another name inside, and hand the value out with the state's result",
            )
            return


def _check_read(name: str, pointer: str, scope: VariableScope, report: Report) -> None:
    if any(name in seen.assigned for seen in scope.visible()):
        return
    if any(name in unseen.assigned for unseen in scope.hidden()):
        report.add(
            "VARIABLE_OUT_OF_SCOPE",
            pointer,
            f"${name} is a variable of the flow around a Distributed Map, whose processor cannot see it",
            "Put the value into each item with ItemSelector",
        )
        return
    names = [f"${known}" for seen in scope.visible() for known in seen.assigned]
    guess = suggestion(f"${name}", names)
    report.add(
        "UNKNOWN_VARIABLE",
        pointer,
        f"no state assigns the variable ${name}",
        f"{guess[:1].upper()}{guess[1:]}Otherwise add it to an Assign before, or correct the name",
    )


_PATH_VARIABLE = re.compile(r"\$([^\W\d]\w*)")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def read_by_path(text: str) -> Iterable[str]:
    """Variables that a JSONPath or an intrinsic call reads."""
    if text.startswith("$"):
        found = _PATH_VARIABLE.match(text)
        return [found.group(1)] if found else []
    return _PATH_VARIABLE.findall(_QUOTED.sub("''", text))


_JSONATA_NOISE = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`|/\*.*?\*/', re.DOTALL)
_JSONATA_NAME = re.compile(r"\$([^\W\d]\w*)(\s*\()?")
_JSONATA_BOUND = re.compile(r"\$([^\W\d]\w*)\s*:=|(?:function|λ)\s*\(([^)]*)\)")


def without_literals(expression: str) -> str:
    """A JSONata expression with text, quoted names and comments blanked, so that names can be looked for."""
    return _JSONATA_NOISE.sub('""', expression)


def read_by_jsonata(bare: str) -> set[str]:
    """Variables that an expression (without its literals) reads and does not bind itself; calls are not counted."""
    bound: set[str] = set()
    for variable, parameters in _JSONATA_BOUND.findall(bare):
        bound.update([variable] if variable else _JSONATA_PARAMETER.findall(parameters))
    bound.update(_JSONATA_POSITION.findall(bare))
    return {name for name, call in _JSONATA_NAME.findall(bare) if not call} - bound - JSONATA_NAMES


_JSONATA_PARAMETER = re.compile(r"\$([^\W\d]\w*)")
_JSONATA_POSITION = re.compile(r"[@#]\s*\$([^\W\d]\w*)")

_FUNCTIONS = (
    "abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl "
    "decodeUrlComponent distinct each encodeUrl encodeUrlComponent error eval exists filter floor formatBase "
    "formatInteger formatNumber fromMillis hash join keys length lookup lowercase map match max merge millis min not "
    "now number pad parse parseInteger partition power random range reduce replace reverse round shuffle sift single "
    "sort split spread sqrt string substring substringAfter substringBefore sum toMillis trim type uppercase uuid zip"
)
JSONATA_NAMES = frozenset((RESERVED, *_FUNCTIONS.split()))
"""Functions that may be named without being called (`~> $sum`), and `$states`."""
