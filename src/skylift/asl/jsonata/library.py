"""Evaluation by the library: everything of JSONata, with what the States Language adds, forbids and bounds.

`$states` and variables from outside become paths into the root document (`{"states": …, "vars": …}`), since the
library converts a bound variable at each call. A name that the expression also binds itself stays as written
and is bound. Compiled expressions belong to the thread that made them.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import UNSET

from skylift.asl.intrinsic_functions import IntrinsicError, digest, is_number, random_uuid
from skylift.asl.json_text import parse_json
from skylift.asl.jsonata.names import Names
from skylift.asl.jsonata.tokens import JsonataSyntaxError, Token
from skylift.asl.scope import Scope

MOST_DEPTH = 400
"""Levels of calls; the library's own stack would hold more on some machines and fewer on others."""
MOST_SEQUENCE = 10_000_000
MOST_CALLS = 1_000_000
"""Calls of functions that the expression defines: the only way to a long loop. Counted, so that the answer is the same
on every machine."""
MOST_TEXT_MADE = 10_000_000
LAST_RESORT_MS = 60_000
"""Ends what none of the counts bounds."""
MOST_SECONDS = 1.0
"""Of processor time, for all expressions of one event together, where they are evaluated by a process of their own."""
STEPS_HERE = 200_000
"""Of the closures, for all expressions of one event together, where the library works in a process of its own: what
takes more is better done there."""
_MOST_EXPRESSIONS = 10_000


class JsonataError(Exception):
    """The expression failed; the text is `code: message`."""


NOTHING: Any = type("Nothing", (), {"__repr__": lambda self: "NOTHING"})()
"""JSONata's undefined."""


class Work(NamedTuple):
    """What is to be evaluated."""

    source: str
    functions: tuple[str, ...]
    """Names of those of ours that it uses."""


Evaluator = Callable[[Work, Scope, Any, dict[str, Any] | None], Any]


class _Local(threading.local):
    def __init__(self) -> None:
        self.expressions: dict[str, Any] = {}
        self.scope: Scope | None = None
        self.calls_left = 0
        self.evaluations = 0
        self.spent_s = 0.0
        self.steps = [STEPS_HERE]


_local = _Local()
evaluators: list[Evaluator] = []
"""Who evaluates, on all threads: the last one, `compute` if there is none."""


def library_evaluations() -> int:
    """How often this thread has needed the library."""
    return _local.evaluations


def begin_event() -> int:
    """The same; what the expressions of one event may take together begins anew."""
    _local.spent_s = 0.0
    _local.steps[0] = STEPS_HERE
    return _local.evaluations


def event_steps() -> list[int]:
    """What is left of the steps that closures may take in this event."""
    return _local.steps


def seconds_left() -> float:
    """Of the processor time that the expressions of this event may take, where an evaluator counts it."""
    return MOST_SECONDS - _local.spent_s


def spend_seconds(seconds: float) -> None:
    _local.spent_s += seconds


class LibraryExpression:
    __slots__ = ("_ambiguous", "_names", "_plain", "_work")

    def __init__(self, text: str, tokens: list[Token], names: Names) -> None:
        self._names = names
        self._ambiguous = tuple(sorted(names.free & (names.bound | FUNCTION_NAMES)))
        used = names.called | names.free
        functions = tuple(name for name in _FUNCTIONS if name in used)
        places, counted = _places(tokens, names), _counted_bodies(tokens)
        if counted:
            functions = (*functions, _COUNT)
        self._plain = _edited(text, places)
        self._work = Work('{"v":(' + _edited(text, [*places, *counted]) + "\n)}", functions)

    def check(self) -> None:
        """Raises JsonataSyntaxError. The bare text is tried too: `1), (2` would fit into the wrapping."""
        _compile(self._plain, {})
        _compile(self._work.source, _overrides(self._work))

    def evaluate(self, scope: Scope) -> Any:
        """The value or NOTHING; raises JsonataError."""
        root = {"states": states_object(scope, self._names.reads), "vars": self._variables(scope)}
        bindings = {name: scope.variables[name] for name in self._ambiguous if name in scope.variables}
        _local.evaluations += 1
        evaluator = evaluators[-1] if evaluators else compute
        result = evaluator(self._work, scope, root, bindings or None)
        value = result.get("v", NOTHING) if isinstance(result, dict) else NOTHING
        if isinstance(value, float) and not math.isfinite(value):
            raise JsonataError("D1001: Number out of range")
        return value

    def _variables(self, scope: Scope) -> dict[str, Any]:
        variables = scope.variables
        return {name: variables[name] for name in self._names.free if name in variables}


def compute(work: Work, scope: Scope, root: Any, bindings: dict[str, Any] | None) -> Any:
    """What the expression gives, here and now. Raises JsonataError."""
    outer, _local.scope = _local.scope, scope
    _local.calls_left = MOST_CALLS
    try:
        return _compiled(work.source, _overrides(work)).evaluate(root, bindings)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:  # noqa: BLE001 the library's panics are no Exceptions
        raise JsonataError(str(problem).replace("host function raised IntrinsicError: ", "")) from None
    finally:
        _local.scope = outer


def _overrides(work: Work) -> dict[str, Callable[..., Any]]:
    return {name: _count_call if name == _COUNT else _FUNCTIONS[name] for name in work.functions}


def _compiled(source: str, overrides: dict[str, Callable[..., Any]]) -> Any:
    """Compiled once for each thread: the library's expressions belong to the thread that made them."""
    found = _local.expressions.get(source)
    if found is None:
        if len(_local.expressions) >= _MOST_EXPRESSIONS:
            _local.expressions.clear()
        found = _local.expressions[source] = _compile(source, overrides)
    return found


def _compile(source: str, overrides: dict[str, Callable[..., Any]]) -> Any:
    import jsonatapy  # slow to import, and most documents never need it

    try:
        compiled = jsonatapy.compile(
            source, timeout=LAST_RESORT_MS, max_stack_depth=MOST_DEPTH, max_sequence_length=MOST_SEQUENCE
        )
    except Exception as problem:  # noqa: BLE001
        raise JsonataSyntaxError(str(problem).removeprefix("Parse error: ")) from None
    for name, function in overrides.items():
        (compiled.register_override if name in _BUILTIN else compiled.register)(name, function)
    return compiled


Edit = tuple[int, int, str]
"""From, to, and what stands there instead."""


def _edited(text: str, edits: list[Edit]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, replacement in sorted(edits):
        parts += [text[at:start], replacement]
        at = end
    return "".join(parts) + text[at:]


def _places(tokens: list[Token], names: Names) -> list[Edit]:
    """`$states` and variables from outside become paths into the root document."""
    edits: list[Edit] = []
    for index, token in enumerate(tokens):
        if token.kind != "variable" or not token.text or token.text == "$":
            continue
        following = tokens[index + 1]
        if following.text == "(" and following.kind == "operator":
            continue
        if token.text == "states":
            place = "($$.states)"
        elif token.text in names.bound or token.text in FUNCTION_NAMES:
            continue
        else:
            place = f"($$.vars.`{token.text}`)"
        edits.append((token.start, token.end, place))
    return edits


_COUNT = "skyliftCall"


def _counted_bodies(tokens: list[Token]) -> list[Edit]:
    """`function($x){ body }` becomes `function($x){($skyliftCall(); body )}`."""
    edits: list[Edit] = []
    for index, token in enumerate(tokens[:-1]):
        if token.text not in ("function", "λ") or token.kind not in ("name", "operator"):
            continue
        if tokens[index + 1].text != "(" or tokens[index + 1].kind != "operator":
            continue
        opened = _next_operator(tokens, _closing(tokens, index + 1), "{")
        closed = _closing(tokens, opened)
        edits += [(tokens[opened].end, tokens[opened].end, f"(${_COUNT}();"), (tokens[closed].start,) * 2 + (")",)]
    return edits


def _next_operator(tokens: list[Token], index: int, text: str) -> int:
    while index < len(tokens) - 1 and (tokens[index].kind, tokens[index].text) != ("operator", text):
        index += 1
    return index


def _closing(tokens: list[Token], index: int) -> int:
    """Index of the bracket that closes the one at the index; of the last token where none does."""
    depth = 0
    for at in range(index, len(tokens) - 1):
        if tokens[at].kind == "operator":
            depth += (tokens[at].text in "([{") - (tokens[at].text in ")]}")
            if depth == 0:
                return at
    return len(tokens) - 1


def _count_call() -> None:
    _local.calls_left -= 1
    if _local.calls_left < 0:
        raise IntrinsicError(f"D1012: The expression calls its functions more than {MOST_CALLS} times")


def states_object(scope: Scope, reads: frozenset[str]) -> dict[str, Any]:
    """`$states`, with only the members that are read."""
    states: dict[str, Any] = {}
    if "input" in reads:
        states["input"] = scope.input
    if "result" in reads and scope.result is not UNSET:
        states["result"] = scope.result
    if "errorOutput" in reads and scope.error_output is not UNSET:
        states["errorOutput"] = scope.error_output
    if "context" in reads:
        states["context"] = scope.context()
    return states


def _current() -> Scope:
    if _local.scope is None:
        raise IntrinsicError("no evaluation is under way")
    return _local.scope


def _number(value: Any, name: str) -> Any:
    if not is_number(value):
        raise IntrinsicError(f"T0410: An argument of function {name} must be a number")
    return value


def _whole(value: Any, name: str) -> int:
    number = _number(value, name)
    if number != int(number):
        raise IntrinsicError(f"T0410: An argument of function {name} must be a whole number")
    return int(number)


def _partition(array: Any = None, size: Any = None) -> Any:
    size = _whole(size, "$partition")
    if size <= 0:
        raise IntrinsicError("T0410: The chunk size of $partition must be greater than 0")
    items = array if isinstance(array, list) else [] if array is None else [array]
    return [items[at : at + size] for at in range(0, len(items), size)]


def _range(first: Any = None, last: Any = None, step: Any = None) -> Any:
    first, last, step = _number(first, "$range"), _number(last, "$range"), _number(step, "$range")
    if step == 0:
        raise IntrinsicError("T0410: The step of $range must not be 0")
    count = math.floor((last - first) / step) + 1
    if count > 1_000_000:
        raise IntrinsicError(f"D2014: $range would give {count} items, the most is 1000000")
    return [first + index * step for index in range(max(count, 0))]


def _hash(data: Any = None, algorithm: Any = None) -> str:
    return digest(data, algorithm)


def _random(seed: Any = None) -> float:
    if seed is None:
        return _current().random().random()
    import random

    return random.Random(_number(seed, "$random")).random()


def _parse(text: Any = None) -> Any:
    if not isinstance(text, str):
        raise IntrinsicError("T0410: Argument 1 of function $parse must be a string")
    try:
        return parse_json(text)
    except ValueError as problem:
        raise IntrinsicError(f"D3030: $parse was given text that is not JSON: {problem}") from None


def _eval(*arguments: Any) -> Any:
    raise IntrinsicError("T1006: The function $eval is not supported; use $parse to read JSON")


def _now_text() -> str:
    state = _current().context().get("State")
    return str(state.get("EnteredTime")) if isinstance(state, dict) else "1970-01-01T00:00:00.000Z"


def _millis() -> int:
    try:
        return round(datetime.fromisoformat(_now_text()).timestamp() * 1000)
    except ValueError:
        return 0


def _now(*arguments: Any) -> Any:
    if not arguments:
        return _now_text()
    return _compiled("$fromMillis(m, p, z)", {}).evaluate(
        {"m": _millis(), "p": arguments[0], **({"z": arguments[1]} if len(arguments) > 1 else {})}
    )


def _format_integer(value: Any = None, picture: Any = None) -> Any:
    """The library's own can end the process for huge numbers, or numbers that are none."""
    if value is not None and not abs(_number(value, "$formatInteger")) <= 10**15:
        raise IntrinsicError("D3130: $formatInteger formats numbers up to 10^15 only")
    return None if value is None else _compiled("$formatInteger(n, p)", {}).evaluate({"n": value, "p": picture})


def _pad(text: Any = None, width: Any = None, char: Any = " ") -> Any:
    """The library's own pads to any width, and takes all memory there is."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise IntrinsicError("T0410: Argument 1 of function $pad must be a string")
    wanted = _whole(width, "$pad")
    if abs(wanted) > MOST_TEXT_MADE:
        raise IntrinsicError(f"D3012: $pad makes texts of up to {MOST_TEXT_MADE} characters")
    missing = max(0, abs(wanted) - len(text))
    padding = (str(char or " ") * missing)[:missing]
    return text + padding if wanted > 0 else padding + text


def _shuffle(array: Any = None) -> Any:
    items = list(array) if isinstance(array, list) else [array]
    _current().random().shuffle(items)
    return items


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": lambda: random_uuid(_current().random()),
    "parse": _parse,
    "eval": _eval,
    "now": _now,
    "millis": _millis,
    "shuffle": _shuffle,
    "formatInteger": _format_integer,
    "pad": _pad,
}
_BUILTIN = frozenset({"random", "eval", "now", "millis", "shuffle", "formatInteger", "pad"})
FUNCTION_NAMES = frozenset(_FUNCTIONS) | frozenset(
    re.findall(
        r"\w+",
        """
        abs append assert average base64decode base64encode boolean ceil clone contains count decodeUrl
        decodeUrlComponent distinct each encodeUrl encodeUrlComponent error exists filter floor formatBase
        formatInteger formatNumber fromMillis join keys length lookup lowercase map match max merge min not number
        pad parseInteger power reduce replace reverse round sift single sort split spread sqrt string substring
        substringAfter substringBefore sum toMillis trim type uppercase zip
        """,
    )
)
"""Names that mean a function unless a variable has them."""
