"""What a task's result depends on besides its inputs: a digest of its code and of the project code it uses."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any

from skylift.sdk.local_modules import is_local

_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def fingerprint(function: Callable[..., Any]) -> str:
    """Digest of a function and of all project functions, classes and constants it reaches by name. Comments, white
    space and docstrings do not matter; what is installed does not either (the environment's digest covers it)."""
    parts: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [("", function)]
    while waiting:
        name, found = waiting.pop()
        found = _unwrap(found)
        key = _key(name, found)
        if key is None or key in parts:
            continue
        code = _code(found)
        parts[key] = _constant(found) if code is None else code.text
        if code is not None:
            waiting += _reached(found, code.names)
    text = "\n".join(f"{key}={parts[key]}" for key in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()


def _unwrap(found: Any) -> Any:
    """The function inside a task or another decorator."""
    inner = getattr(found, "function", None)
    if isinstance(inner, FunctionType):
        return inner
    return inspect.unwrap(found) if callable(found) and not isinstance(found, type) else found


def _key(name: str, found: Any) -> str | None:
    if isinstance(found, (FunctionType, type)):
        module = sys.modules.get(found.__module__)
        if not is_local(getattr(module, "__file__", None)) and found.__module__ != "__main__":
            return None
        return f"{found.__module__}:{found.__qualname__}"
    return f"={name}" if _constant(found) else None


def _constant(found: Any) -> str:
    """Module constants of plain types, by value; other objects (connections, models) have no digest."""
    if isinstance(found, _PLAIN):
        return repr(found)
    if isinstance(found, (list, tuple)) and all(map(_constant, found)):
        return f"{type(found).__name__}({','.join(map(_constant, found))})"
    if isinstance(found, (set, frozenset)) and all(map(_constant, found)):
        return f"set({','.join(sorted(map(_constant, found)))})"
    if isinstance(found, dict) and all(_constant(key) and _constant(value) for key, value in found.items()):
        return f"dict({','.join(f'{_constant(key)}:{_constant(value)}' for key, value in found.items())})"
    return ""


@dataclass(frozen=True, slots=True)
class _Code:
    """What a function or class is made of: as text, and the names in it (`a`, or `a.b` in two parts), each once."""

    text: str
    names: tuple[tuple[str, str | None], ...]


@lru_cache(maxsize=4096)
def _code_of(found: Any) -> _Code | None:
    """Once for each object: many tasks reach the same ones."""
    tree = _tree(found)
    return None if tree is None else _Code(ast.dump(tree), tuple(dict.fromkeys(_named(tree))))


def _code(found: Any) -> _Code | None:
    return _code_of(found) if isinstance(found, (FunctionType, type)) else None


def _named(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id, None
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def _parsed(found: Any) -> ast.AST | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(found)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            _plain_body(node)
    return tree


def _tree(found: Any) -> ast.AST | None:
    tree = _parsed(found)
    if tree is None and isinstance(found, FunctionType):
        return ast.Constant(value=repr((found.__code__.co_code, found.__code__.co_consts)))
    return tree


def _plain_body(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    """Without docstring, and without what `@task` says of needs: more memory does not change a result."""
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:] or [ast.Pass()]
    node.decorator_list = [one for one in node.decorator_list if not _is_task(one)]


def _is_task(node: ast.expr) -> bool:
    name = node.func if isinstance(node, ast.Call) else node
    return (name.attr if isinstance(name, ast.Attribute) else getattr(name, "id", "")) in ("task", "pipeline")


def _reached(found: Any, named: tuple[tuple[str, str | None], ...]) -> Iterator[tuple[str, Any]]:
    """Objects that the code names: globals, closure variables, attributes of project modules, base classes."""
    if isinstance(found, FunctionType):
        names = dict(found.__globals__)
        cells = zip(found.__code__.co_freevars, found.__closure__ or (), strict=False)
        names.update({name: cell.cell_contents for name, cell in cells if _filled(cell)})
    else:
        names = dict(vars(sys.modules.get(found.__module__, found)))
    for name, attribute in named:
        if attribute is None:
            if name in names:
                yield name, names[name]
            continue
        owner = names.get(name)
        if isinstance(owner, ModuleType) and is_local(getattr(owner, "__file__", None)):
            yield f"{owner.__name__}.{attribute}", getattr(owner, attribute, None)


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
