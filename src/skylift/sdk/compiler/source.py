"""From a function to its syntax tree, with the file's line numbers and the names it sees outside itself."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skylift.errors import AuthorError
from skylift.sdk.compiler.refuse import SourceText
from skylift.sdk.hints import evaluate_hints

MISSING = object()


class SourceMissing(AuthorError):
    """A pipeline's source cannot be read."""

    code = "NO-SOURCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSource:
    """A parsed function."""

    function: Callable[..., Any]
    node: ast.FunctionDef
    text: SourceText

    def lookup(self, name: str) -> Any:
        """The object a name means outside the function: closure, module, builtin; MISSING if nothing."""
        function = self.function
        if name in function.__code__.co_freevars and function.__closure__:
            cell = function.__closure__[function.__code__.co_freevars.index(name)]
            try:
                return cell.cell_contents
            except ValueError:
                return MISSING
        if name in function.__globals__:
            return function.__globals__[name]
        return getattr(builtins, name, MISSING)

    def hints(self) -> dict[str, Any]:
        """Evaluated annotations of parameters and result; one that cannot be evaluated is left out."""
        return evaluate_hints(self.function)


def read_function(function: Callable[..., Any]) -> FunctionSource:
    """Parse a function's source. Raises SourceMissing when there is none (a lambda, `exec`, an interactive prompt)."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as problem:
        raise SourceMissing(
            f"the source of {function.__qualname__} cannot be read ({problem})",
            hint="define the pipeline in a file or a notebook cell; it is compiled from its source",
        ) from problem
    text = "".join(lines)
    tree = ast.parse(textwrap.dedent(text))
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise SourceMissing(
            f"{function.__qualname__} is not a plain function", hint="write `@pipeline` above `def name(...):`"
        )
    ast.increment_lineno(node, first - 1)
    indent = len(lines[0]) - len(lines[0].lstrip())
    return FunctionSource(
        function=function,
        node=node,
        text=SourceText(file=code.co_filename, lines=tuple(lines), first_line=first, indent=indent),
    )
