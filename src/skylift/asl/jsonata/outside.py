"""Evaluation in another process: what goes there and what comes back, as JSON texts.

How they travel is the business of whoever uses `evaluated_by`: a server hands them to processes with little memory and
time, so that a hostile expression ends one of those and not the server.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skylift.asl.json_text import json_text
from skylift.asl.jsonata import library
from skylift.asl.scope import Scope
from skylift.asl.state import NO_VARIABLES

MOST_RESULT = 16 * 1024 * 1024
"""Characters of a result as JSON text."""
_RANDOM = frozenset({"random", "shuffle", "uuid"})
_TIMES = frozenset({"now", "millis"})


@contextmanager
def evaluated_by(carry: Callable[[str], str]) -> Iterator[None]:
    """Inside the block the library works where `carry` takes its requests to, on all threads of the process."""
    evaluator = _Outside(carry).evaluate
    library.evaluators.append(evaluator)
    try:
        yield
    finally:
        library.evaluators.remove(evaluator)


class _Outside:
    def __init__(self, carry: Callable[[str], str]) -> None:
        self._carry = carry

    def evaluate(self, work: library.Work, scope: Scope, root: Any, bindings: dict[str, Any] | None) -> Any:
        functions = set(work.functions)
        source = scope.random() if functions & _RANDOM else None
        request = {
            "source": work.source,
            "functions": work.functions,
            "root": root,
            "bindings": bindings,
            "context": scope.context() if functions & _TIMES else None,
            "random": None if source is None else source.getstate(),
        }
        reply: dict[str, Any] = json.loads(self._carry(json_text(request)))
        if source is not None and reply.get("random") is not None:
            version, words, rest = reply["random"]
            source.setstate((version, tuple(words), rest))
        if "error" in reply:
            raise library.JsonataError(reply["error"])
        return reply.get("result")


def answer(request: str) -> str:
    """The reply to one request: in the other process."""
    asked = json.loads(request)
    source = random.Random()
    if asked["random"] is not None:
        version, words, rest = asked["random"]
        source.setstate((version, tuple(words), rest))
    scope = Scope(input=None, variables=NO_VARIABLES, context=lambda: asked["context"] or {}, random=lambda: source)
    work = library.Work(asked["source"], tuple(asked["functions"]))
    reply: dict[str, Any] = {}
    try:
        reply["result"] = library.compute(work, scope, asked["root"], asked["bindings"])
        text = _encoded(reply, source if asked["random"] is not None else None)
    except (library.JsonataError, MemoryError, RecursionError) as problem:
        reply = {"error": str(problem) or f"D3012: The expression needs too much memory ({type(problem).__name__})"}
        text = _encoded(reply, source if asked["random"] is not None else None)
    return text


def _encoded(reply: dict[str, Any], source: random.Random | None) -> str:
    if source is not None:
        reply["random"] = source.getstate()
    try:
        text = json.dumps(reply, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise library.JsonataError("D1001: Number out of range") from None
    if len(text) > MOST_RESULT:
        raise library.JsonataError(f"D3012: The result has more than {MOST_RESULT} characters")
    return text
