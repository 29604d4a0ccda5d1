"""Two names for one list: a change through one would show through the other in Python, but not in a graph. Refused."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skylift.sdk.compiler.mutation import CHANGES
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.types import Type

_MUTABLE = ("list", "dict", "data", "opaque")
_SHARING_METHODS = ("get", "pop", "setdefault")
_SHARING_FUNCTIONS = ("min", "max", "next")


def check_aliases(node: ast.FunctionDef, types: dict[str, Type]) -> None:
    """Refuse every change of a variable whose value another name or container may share."""
    changes = dict(_changes(node, types))
    if not changes:
        return
    parameters = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    rebound = {name for part in ast.walk(node) if isinstance(part, ast.Assign) for name in _rebound(part)}
    for name, place in changes.items():
        if name in parameters and name not in rebound and _may_change(types.get(name)):
            raise Refusal(
                place, f"{name} is the caller's: a change would not reach it", f"copy it first: {_copied(name, types)}"
            )
    for name, shared in _sharing(node):
        if name in changes and _may_change(types.get(name)):
            line = getattr(shared, "lineno", 0)
            raise Refusal(
                changes[name],
                f"{name} may be shared with another value since line {line}, and a change would show in both",
                f"share a copy in line {line}: {_copy_of(types.get(name), name)}",
            )
    _check_iterated(node, types)


def _changes(node: ast.AST, types: dict[str, Type]) -> Iterator[tuple[str, ast.AST]]:
    """Variables that are changed in place, each with one such place."""
    for part in ast.walk(node):
        targets: list[ast.expr] = []
        if isinstance(part, (ast.Assign, ast.Delete)):
            targets = list(part.targets)
        elif isinstance(part, (ast.AugAssign, ast.AnnAssign, ast.For)):
            targets = [part.target]
        for target in targets:
            for leaf in _leaves(target):
                if isinstance(leaf, (ast.Subscript, ast.Attribute)) and isinstance(leaf.value, ast.Name):
                    yield leaf.value.id, leaf
        if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
            kind = types.get(part.target.id)
            if kind is not None and kind.may("list"):
                yield part.target.id, part
        name = _changed_by(part)
        if name is not None:
            yield name, part


def _changed_by(part: ast.AST) -> str | None:
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in CHANGES:
        return part.func.value.id if isinstance(part.func.value, ast.Name) else None
    return None


def _sharing(node: ast.FunctionDef) -> Iterator[tuple[str, ast.AST]]:
    """Names whose value comes from, or goes into, something else that keeps it."""
    for part in _before_the_end(node):
        if isinstance(part, ast.Assign):
            for target in part.targets:
                yield from _assigned(target, part.value)
            if len(part.targets) > 1 and not _immutable(part.value):
                for target in part.targets:
                    yield from ((leaf.id, part) for leaf in _leaves(target) if isinstance(leaf, ast.Name))
        elif isinstance(part, ast.AnnAssign) and part.value is not None:
            yield from _assigned(part.target, part.value)
        elif isinstance(part, ast.For):
            yield from ((leaf.id, part) for leaf in _leaves(part.target) if isinstance(leaf, ast.Name))
        elif isinstance(part, (ast.List, ast.Tuple, ast.Dict)) and not isinstance(
            getattr(part, "ctx", None), ast.Store
        ):
            items = part.values if isinstance(part, ast.Dict) else part.elts
            for item in items:
                yield from _kept(item)
        elif isinstance(part, (ast.ListComp, ast.GeneratorExp)):
            yield from _kept(part.elt)
        elif isinstance(part, ast.DictComp):
            yield from _kept(part.value)
        elif _changed_by(part) is not None:
            assert isinstance(part, ast.Call)
            assert isinstance(part.func, ast.Attribute)
            if part.func.attr not in ("extend", "update", "remove", "pop"):
                for argument in part.args:
                    yield from _kept(argument)


def _before_the_end(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """All parts, but not what is returned: nothing changes after that, unless a `finally` does."""
    waiting: list[tuple[ast.AST, bool]] = [(node, False)]
    while waiting:
        part, lasting = waiting.pop(0)
        yield part
        if isinstance(part, ast.Try) and part.finalbody:
            lasting = True
        if lasting or not isinstance(part, ast.Return):
            waiting.extend((child, lasting) for child in ast.iter_child_nodes(part))


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for one, part in zip(target.elts, value.elts, strict=False):
            yield from _assigned(one, part)
        return
    yield from _kept(value)
    if isinstance(target, ast.Name):
        if not _fresh(value):
            yield target.id, value
    else:
        if not _is_task_like(value):
            yield from ((leaf.id, value) for leaf in _leaves(target) if isinstance(leaf, ast.Name))


def _kept(value: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    """Names whose own value (not a copy) this expression gives."""
    if isinstance(value, ast.Name):
        yield value.id, value
    elif isinstance(value, ast.IfExp):
        yield from _kept(value.body)
        yield from _kept(value.orelse)
    elif isinstance(value, ast.BoolOp):
        for part in value.values:
            yield from _kept(part)
    elif isinstance(value, ast.Starred):
        yield from _kept(value.value)


def _fresh(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return _fresh(value.body) and _fresh(value.orelse)
    if isinstance(value, ast.BoolOp):
        return all(map(_fresh, value.values))
    if isinstance(value, ast.Subscript):
        return isinstance(value.slice, ast.Slice)
    if isinstance(value, ast.Call):
        return _is_task_like(value)
    return not isinstance(value, (ast.Name, ast.Attribute))


def _is_task_like(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    if isinstance(value.func, ast.Attribute):
        return value.func.attr not in _SHARING_METHODS
    return not (isinstance(value.func, ast.Name) and value.func.id in _SHARING_FUNCTIONS)


def _immutable(value: ast.expr) -> bool:
    return isinstance(value, (ast.Constant, ast.JoinedStr, ast.Compare))


def _check_iterated(node: ast.FunctionDef, types: dict[str, Type]) -> None:
    for loop in ast.walk(node):
        if not isinstance(loop, ast.For):
            continue
        names = {part.id for part in ast.walk(loop.iter) if isinstance(part, ast.Name)}
        for name, place in (pair for statement in loop.body for pair in _changes(statement, types)):
            if name in names and _may_change(types.get(name)):
                raise Refusal(
                    place,
                    f"{name} is changed while the loop goes over it",
                    f"loop over a copy: {_copy_of(types.get(name), name)}",
                )


def _rebound(part: ast.Assign) -> Iterator[str]:
    """Parameters that get a copy of their own."""
    for target in part.targets:
        if isinstance(target, ast.Name) and _fresh(part.value):
            yield target.id


def _leaves(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for one in target.elts:
            yield from _leaves(one)
    elif isinstance(target, ast.Starred):
        yield from _leaves(target.value)
    else:
        yield target


def _may_change(kind: Type | None) -> bool:
    return kind is not None and kind.may(*_MUTABLE)


def _copied(name: str, types: dict[str, Type]) -> str:
    return f"{name} = {_copy_of(types.get(name), name)}"


def _copy_of(kind: Type | None, name: str) -> str:
    return f"dict({name})" if kind is not None and kind.only("dict") else f"list({name})"
