"""The reference implementation of JSONata (JavaScript), in the place of ours: what the hosted service would compute."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.asl.jsonata.library import NOTHING, JsonataError, states_object
from skylift.asl.jsonata.names import Names
from skylift.asl.jsonata.tokens import JsonataSyntaxError, Token
from skylift.asl.scope import Scope

PACKAGE = Path(__file__).parents[3] / "build" / "jsonata-reference"
_STATES = frozenset({"input", "result", "errorOutput", "context"})


class Reference:
    """A process of node that evaluates expressions."""

    def __init__(self, node: str) -> None:
        program = str(Path(__file__).with_name("reference.mjs"))
        self._process = subprocess.Popen(
            [node, program, str(PACKAGE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(question).decode() + "\n")
        self._process.stdin.flush()
        answer = msgspec.json.decode(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        self._process.communicate()


@cache
def missing() -> str | None:
    """Why the reference cannot be asked; None if it can."""
    if shutil.which("node") is None:
        return "the JSONata reference needs node"
    if not (PACKAGE / "node_modules" / "jsonata").is_dir():
        return "the JSONata reference is not installed: npm install --prefix build/jsonata-reference jsonata@2.2.2"
    return None


def start() -> Reference:
    """Skips the test where there is none."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    return Reference(shutil.which("node") or "node")


def use(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the machine asks the reference for every expression."""

    class Asking:
        def __init__(self, text: str, tokens: list[Token], names: Names) -> None:
            self._text = text

        def check(self) -> None:
            answer = reference.ask(text=self._text)
            if "error" in answer:
                raise JsonataSyntaxError(answer["error"])

        def evaluate(self, scope: Scope) -> Any:
            states = states_object(scope, _STATES)
            answer = reference.ask(text=self._text, states=states, variables=dict(scope.variables))
            if "error" in answer:
                raise JsonataError(answer["error"])
            return answer.get("value", NOTHING)

    monkeypatch.setattr("skylift.asl.jsonata.LibraryExpression", Asking)
