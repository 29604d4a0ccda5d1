"""Two names for one list: a change through one would show through the other in Python, but not in a graph.

The body is followed statement by statement over an abstract heap. A change is refused where another variable that is
still read may hold the changed object.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from skylift.sdk.compiler.heap import NOTHING, Heap, Objects
from skylift.sdk.compiler.mutation import CHANGES
from skylift.sdk.compiler.refuse import Refusal
from skylift.sdk.compiler.source import FunctionSource
from skylift.sdk.compiler.types import Type, fields_of, join

_MUTABLE = ("list", "dict", "data", "opaque")
_MOST_WAYS = 24
_WITH_ITS_ITEMS = ("list", "dict", "sorted", "reversed", "tuple")
_GIVING_SCALARS = ("len", "int", "float", "str", "bool", "sum", "abs", "round", "isinstance", "any", "all", "range")
_IN_PAIRS = ("enumerate", "zip")
_LAZY = ("enumerate", "zip", "reversed")
_RETURNED = "the returned value"
_VIEWS = ("items", "keys", "values")


def check_aliases(source: FunctionSource, types: dict[str, Type]) -> None:
    """Refuse every change of a value that something else that is still used may share."""
    if not any(_is_change(part, types) for part in ast.walk(source.node)):
        return
    follower = _Follower(source, types)
    follower.block(source.node.body, [follower.start()])


class _Loop:
    """States of the heap at `break` and `continue`."""

    def __init__(self) -> None:
        self.breaks: list[Heap] = []
        self.continues: list[Heap] = []


class _Follower:
    def __init__(self, source: FunctionSource, types: dict[str, Type]) -> None:
        self._source = source
        self._types = types
        arguments = source.node.args
        self._parameters = {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)}
        self._read = _reads(source.node)
        self._loops: list[_Loop] = []
        self._around: list[ast.stmt] = []
        self._watched: list[list[Heap]] = []
        """For each `try` around: the heap after every statement in it."""
        self._finals: list[list[Heap]] = []
        """For each `finally` around: the heaps it may begin with."""
        self._shared: dict[Any, ast.expr] = {}
        """Where an object got a second holder."""

    def start(self) -> Heap:
        heap = Heap()
        for name in self._parameters:
            kind = self._types.get(name)
            place = f"parameter {name}"
            if kind is None or not _may_change(kind):
                heap.variables[name] = NOTHING
            elif kind.only("list") and not _may_change(kind.element()):
                heap.variables[name] = heap.make(place)
            else:
                heap.variables[name] = heap.make_tree(place)
        return heap

    # -- statements: how the heap may be after them, way by way; nothing where nothing goes on

    def block(self, statements: list[ast.stmt], heaps: list[Heap]) -> list[Heap]:
        for node in statements:
            heaps = _few([after for heap in heaps for after in self._statement(node, heap.copy())])
            for watching in self._watched:
                watching += heaps
        return heaps

    def _statement(self, node: ast.stmt, heap: Heap) -> list[Heap]:
        match node:
            case ast.Assign():
                self._assign(node, heap)
            case ast.AnnAssign() if node.value is not None:
                self._bind(node.target, self.value(node.value, heap), heap, node, node.value)
            case ast.AugAssign():
                self._augment(node, heap)
            case ast.Delete():
                for target in node.targets:
                    if isinstance(target, (ast.Subscript, ast.Attribute)):
                        self._change(target.value, heap, node)
            case ast.Expr():
                self.value(node.value, heap)
            case ast.If():
                self.value(node.test, heap)
                return [*self.block(node.body, [heap]), *self.block(node.orelse, [heap])]
            case ast.While() | ast.For():
                return self._loop(node, heap)
            case ast.Try():
                return self._try(node, heap)
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                self._leave(node, heap)
                return []
        return [heap]

    def _leave(self, node: ast.stmt, heap: Heap) -> None:
        for watching in self._watched:
            watching.append(heap)
        if isinstance(node, ast.Return) and node.value is not None and self._finals:
            self._return(node.value, heap)
        if isinstance(node, ast.Break):
            self._loops[-1].breaks.append(heap)
        elif isinstance(node, ast.Continue):
            self._loops[-1].continues.append(heap)

    def _return(self, value: ast.expr, heap: Heap) -> None:
        """The `finally` around runs with the returned value at hand."""
        returned = heap.copy()
        objects = self.value(value, returned)
        self._note(objects, returned, value)
        returned.variables[_RETURNED] = objects
        self._finals[-1].append(returned)

    def _assign(self, node: ast.Assign, heap: Heap) -> None:
        first = node.targets[0]
        if len(node.targets) == 1 and isinstance(first, ast.Tuple) and isinstance(node.value, ast.Tuple):
            self._bind_each(first, node.value, heap, node)
            return
        objects = self.value(node.value, heap)
        for target in node.targets:
            self._bind(target, objects, heap, node, node.value)

    def _bind_each(self, targets: ast.Tuple, values: ast.Tuple, heap: Heap, node: ast.Assign) -> None:
        """`a, b = b, a`: all values before any name."""
        held = [self.value(part, heap) for part in values.elts]
        if len(held) != len(targets.elts) or any(isinstance(one, ast.Starred) for one in targets.elts):
            self._bind(targets, heap.make(id(values), *held), heap, node, values)
            return
        for target, objects, part in zip(targets.elts, held, values.elts, strict=True):
            self._bind(target, objects, heap, node, part)

    def _bind(self, target: ast.expr, objects: Objects, heap: Heap, node: ast.stmt, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                self._note(objects, heap, value)
                heap.variables[name] = objects if _may_change(self._types.get(name)) else NOTHING
            case ast.Starred(value=inner):
                self._bind(inner, heap.make(id(target), objects), heap, node, value)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._bind(part, heap.inside(objects), heap, node, value)
            case ast.Subscript(value=holder) | ast.Attribute(value=holder):
                self._note(objects, heap, value)
                key = _key(target.slice) if isinstance(target, ast.Subscript) else None
                heap.put(self._change(holder, heap, node), objects, key)

    def _augment(self, node: ast.AugAssign, heap: Heap) -> None:
        added = self.value(node.value, heap)
        if isinstance(node.target, ast.Name):
            if _may_be_list(self._types.get(node.target.id)):
                heap.put(self._change(node.target, heap, node), heap.inside(added))
        elif isinstance(node.target, (ast.Subscript, ast.Attribute)):
            key = _key(node.target.slice) if isinstance(node.target, ast.Subscript) else None
            if added:
                heap.put(self._change(node.target, heap, node), heap.inside(added))
            heap.put(self._change(node.target.value, heap, node), heap.inside(added), key)

    def _loop(self, node: ast.While | ast.For, heap: Heap) -> list[Heap]:
        if isinstance(node, ast.For):
            self._check_iterated(node)
        self._around.append(node)
        seen: list[Heap] = []
        waiting, breaks = [heap], list[Heap]()
        while waiting:
            seen = _few([*seen, *waiting])
            again: list[Heap] = []
            for head in seen if len(seen) == 1 else waiting:
                again += self._round(node, head.copy(), breaks)
            together = _few([*seen, *again])
            waiting = [one for one in together if one not in seen]
        self._around.pop()
        return _few([*self.block(node.orelse, seen), *breaks])

    def _round(self, node: ast.While | ast.For, heap: Heap, breaks: list[Heap]) -> list[Heap]:
        """Once through the loop: how the heap may be when it begins again."""
        loop = _Loop()
        self._loops.append(loop)
        if isinstance(node, ast.For):
            self._bind(node.target, heap.inside(self.value(node.iter, heap)), heap, node, node.iter)
        else:
            self.value(node.test, heap)
        ends = self.block(node.body, [heap])
        self._loops.pop()
        breaks += loop.breaks
        return [*ends, *loop.continues]

    def _try(self, node: ast.Try, heap: Heap) -> list[Heap]:
        every, seen = [heap], [heap]
        self._watched += [every, seen]
        if node.finalbody:
            self._finals.append(every)
        ends = self.block(node.body, [heap])
        self._watched.pop()
        ends = self.block(node.orelse, ends)
        raised = _few(seen)
        for handler in node.handlers:
            ends = [*ends, *self.block(handler.body, raised)]
        self._watched.pop()
        if not node.finalbody:
            return _few(ends)
        self._finals.pop()
        self.block(node.finalbody, _few(every))
        return self.block(node.finalbody, _few(ends))

    # -- expressions: the objects that they may be

    def value(self, node: ast.expr, heap: Heap) -> Objects:
        found = self._value(node, heap)
        return NOTHING if found and self._is_immutable(node) else found

    def _is_immutable(self, node: ast.expr) -> bool:
        """Certainly a number, a text or the like."""
        match node:
            case ast.BinOp(left=left, right=right, op=ast.Add()):
                return self._is_immutable(left) or self._is_immutable(right)
            case ast.BinOp(left=left, right=right, op=ast.Mult()):
                return self._is_immutable(left) and self._is_immutable(right)
            case ast.Constant() | ast.JoinedStr() | ast.Compare() | ast.UnaryOp() | ast.BinOp():
                return True
            case ast.Call(func=ast.Name(id=name)):
                return name in _GIVING_SCALARS
        known = self._type_of(node)
        return known is not None and bool(known.kinds) and not _may_change(known)

    def _type_of(self, node: ast.expr) -> Type | None:
        match node:
            case ast.Name(id=name):
                return self._types.get(name)
            case ast.Attribute(value=holder, attr=name):
                kind = self._type_of(holder)
                data = kind.kind("data") if kind is not None and kind.only("data") else None
                return (fields_of(data.cls) or {}).get(name) if data is not None else None
            case ast.Subscript(value=holder, slice=part) if not isinstance(part, ast.Slice):
                kind = self._type_of(holder)
                if kind is None or not kind.only("list", "dict"):
                    return None
                return join(one.args[-1] for one in kind.kinds)
        return None

    def _value(self, node: ast.expr, heap: Heap) -> Objects:
        match node:
            case ast.Name(id=name):
                return self._named(name, heap)
            case ast.Subscript(value=holder, slice=part):
                if isinstance(part, ast.Slice):
                    return heap.make(id(node), heap.inside(self.value(holder, heap)))
                return heap.inside(self.value(holder, heap), _key(part))
            case ast.Attribute(value=holder):
                return heap.inside(self.value(holder, heap))
            case ast.IfExp(body=first, orelse=second):
                return self.value(first, heap) | self.value(second, heap)
            case ast.BoolOp(values=parts):
                return NOTHING.union(*(self.value(part, heap) for part in parts))
            case ast.List() | ast.Tuple() | ast.Dict():
                return self._display(node, heap)
            case ast.BinOp(left=left, right=right, op=operator):
                inside = heap.inside(self.value(left, heap) | self.value(right, heap))
                return heap.make(id(node), inside, *([inside] if isinstance(operator, ast.Mult) else []))
            case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node, heap)
            case ast.Call():
                return self._call(node, heap)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, heap)
        return NOTHING

    def _named(self, name: str, heap: Heap) -> Objects:
        if name in heap.variables:
            return heap.variables[name]
        if isinstance(self._source.lookup(name), (list, dict)):
            place = f"module {name}"
            return frozenset(((place, 0),)) if (place, 0) in heap.contents else heap.make_tree(place)
        return NOTHING

    def _display(self, node: ast.List | ast.Tuple | ast.Dict, heap: Heap) -> Objects:
        held: list[Objects] = []
        keys: list[str | None] = []
        parts: list[tuple[ast.expr | None, ast.expr]] = (
            [(key, item) for key, item in zip(node.keys, node.values, strict=True)]
            if isinstance(node, ast.Dict)
            else [(item, item) for item in node.elts]
        )
        for key, item in parts:
            objects = self.value(item.value if isinstance(item, ast.Starred) else item, heap)
            if key is None or isinstance(item, ast.Starred):
                objects = heap.inside(objects)
            self._note(objects, heap, item)
            held.append(objects)
            keys.append(None if key is None else _key(key))
        known = [key for key in keys if key is not None]
        if isinstance(node, ast.Dict) and len(set(known)) == len(keys):
            return heap.make_dict(id(node), dict(zip(known, held, strict=True)))
        return heap.make(id(node), *held)

    def _comprehension(self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp, heap: Heap) -> Objects:
        hidden = dict(heap.variables)
        places = set(heap.contents)
        for generator in node.generators:
            items = heap.inside(self.value(generator.iter, heap))
            for leaf in _leaves(generator.target):
                if isinstance(leaf, ast.Name):
                    heap.variables[leaf.id] = items if leaf is generator.target else items | heap.inside(items)
        element = node.value if isinstance(node, ast.DictComp) else node.elt
        made = self.value(element, heap)
        self._note(made, heap, element)
        stored = {name for generator in node.generators for name in _names_of(generator.target)}
        for place, age in set(heap.contents) - places:
            if age == 0:
                heap.age(place)
        held = frozenset((place, 1) if (place, age) not in places and age == 0 else (place, age) for place, age in made)
        for name in stored:
            heap.variables.pop(name, None)
            if name in hidden:
                heap.variables[name] = hidden[name]
        outer = frozenset(one for one in held if one in places and one not in self._elements(node, heap))
        return heap.make(id(node), held, outer)

    def _elements(self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp, heap: Heap) -> Objects:
        """What a comprehension takes each once from what it goes over."""
        if len(node.generators) > 1:
            return NOTHING
        return heap.reach(heap.inside(self.value(node.generators[0].iter, heap)))

    def _call(self, node: ast.Call, heap: Heap) -> Objects:
        if isinstance(node.func, ast.Attribute):
            method = self._method(node, node.func, heap)
            if method is not None:
                return method
        given = [self.value(part, heap) for part in (*node.args, *(keyword.value for keyword in node.keywords))]
        together = NOTHING.union(*given)
        found = self._resolve(node.func)
        name = getattr(found, "__name__", "")
        if found in (min, max):
            return heap.inside(given[0]).union(*given[1:]) if len(node.args) == 1 else together
        if name in _WITH_ITS_ITEMS:
            return heap.make(id(node), heap.inside(together))
        if name in _IN_PAIRS:
            pairs = heap.make(f"pairs {id(node)}", heap.inside(together))
            return heap.make(id(node), pairs)
        if name == "parallel" or dataclasses.is_dataclass(found):
            return heap.make(id(node), *given)
        if isinstance(found, FunctionType):
            return heap.reach(together) | heap.make_tree(id(node))
        return heap.make_tree(id(node))

    def _method(self, node: ast.Call, function: ast.Attribute, heap: Heap) -> Objects | None:
        """Of a list or dict of the graph; None: no such method."""
        if self._resolve(function) is not None:
            return None
        name = function.attr
        if name in CHANGES:
            given = [self.value(argument, heap) for argument in node.args]
            for argument, objects in zip(node.args, given, strict=True):
                self._note(objects, heap, argument)
            holder = self._change(function.value, heap, node)
            added = NOTHING.union(*given)
            inside = heap.inside(holder)
            if name in ("append", "insert", "setdefault"):
                heap.put(holder, added)
            elif name in ("extend", "update"):
                heap.put(holder, heap.inside(added))
            return inside | added if name in ("pop", "setdefault") else NOTHING
        holder = self.value(function.value, heap)
        given = [self.value(argument, heap) for argument in node.args]
        if name == "get":
            return heap.inside(holder).union(*given)
        if name == "items":
            return heap.make(id(node), heap.make(f"pairs {id(node)}", heap.inside(holder)))
        if name in ("copy", "values"):
            return heap.make(id(node), heap.inside(holder))
        return heap.make_tree(id(node))

    def _resolve(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            bound = node.id in self._types or node.id in self._parameters
            return None if bound else self._source.lookup(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._resolve(node.value)
            return None if owner is None else getattr(owner, node.attr, None)
        return None

    # -- changes

    def _change(self, holder: ast.expr, heap: Heap, node: ast.AST) -> Objects:
        """The objects that are changed in place, after it was made sure that nobody else sees it."""
        changed = self.value(holder, heap)
        root = holder
        while isinstance(root, (ast.Subscript, ast.Attribute)):
            root = root.value
        if not isinstance(root, ast.Name) or not changed:
            return changed
        if root is holder and not _may_change(self._types.get(root.id)):
            return NOTHING
        for place, _ in changed:
            if isinstance(place, str) and place.split()[-2:-1] == ["parameter"]:
                self._refuse_parameter(place.split()[-1], root.id, node)
            if isinstance(place, str) and place.split()[-2:-1] == ["module"]:
                message = f"{place.split()[-1]} belongs to the module: a change would not reach it"
                raise Refusal(node, message, f"copy it first: {root.id} = {self._copy_of(root.id)}")
        start = heap.variables.get(root.id, NOTHING)
        for one in changed:
            if root is not holder and heap.ways_to(one, start) > 1:
                self._refuse_shared(root.id, one, node, None)
        for name, held in heap.variables.items():
            if name != root.id and held and self._is_read_after(name, node):
                for one in heap.reach(held) & changed:
                    self._refuse_shared(root.id, one, node, name)
        return changed

    def _refuse_parameter(self, parameter: str, name: str, node: ast.AST) -> None:
        raise Refusal(
            node,
            f"{parameter} is the caller's: a change would not reach it",
            f"copy it first: {name} = {self._copy_of(name)}",
        )

    def _refuse_shared(self, name: str, one: Any, node: ast.AST, other: str | None) -> None:
        place = self._shared.get(one[0])
        line = getattr(place, "lineno", 0)
        shown = ast.unparse(place) if isinstance(place, (ast.Name, ast.Subscript, ast.Attribute)) else name
        with_ = other if other == _RETURNED else f"{other}, which is used later," if other else "another value"
        since = f" since line {line}" if line else ""
        kind = self._types.get(name) if shown == name else None
        copied = f"dict({shown})" if kind is not None and kind.only("dict") else f"list({shown})"
        raise Refusal(
            node,
            f"{name} may be shared with {with_}{since}: a change would show in both",
            f"share a copy{f' in line {line}' if line else ''}: {copied}",
        )

    def _note(self, objects: Objects, heap: Heap, value: ast.expr) -> None:
        """This gives objects that others hold a further holder."""
        if isinstance(value, (ast.Name, ast.Subscript, ast.Attribute, ast.IfExp, ast.BoolOp)):
            for place, _ in heap.reach(objects):
                self._shared[place] = value

    def _is_read_after(self, name: str, node: ast.AST) -> bool:
        if name == _RETURNED:
            return True
        here = (getattr(node, "end_lineno", 0) or 0, getattr(node, "end_col_offset", 0) or 0)
        outermost = self._around[0] if self._around else None
        for place in self._read.get(name, ()):
            if (place.lineno, place.col_offset) >= here:
                return True
            if outermost is not None and outermost.lineno <= place.lineno <= (outermost.end_lineno or 0):
                return True
        return False

    def _check_iterated(self, loop: ast.For) -> None:
        """What a loop goes over may not grow or shrink under it."""
        over = set(_iterated(loop.iter))
        for part in ast.walk(loop):
            holder = _holder(part, self._types)
            if isinstance(holder, ast.Name) and holder.id in over and _may_change(self._types.get(holder.id)):
                raise Refusal(
                    part,
                    f"{holder.id} is changed while the loop goes over it",
                    f"loop over a copy: {self._copy_of(holder.id)}",
                )

    def _copy_of(self, name: str) -> str:
        kind = self._types.get(name)
        return f"dict({name})" if kind is not None and kind.only("dict") else f"list({name})"


def _key(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _few(heaps: list[Heap]) -> list[Heap]:
    """Each once; so many that following them would take long are followed as one."""
    different: list[Heap] = []
    for heap in heaps:
        if heap not in different:
            different.append(heap)
    if len(different) <= _MOST_WAYS:
        return different
    joined = different[0]
    for heap in different[1:]:
        joined = joined.join(heap)
    return [joined]


def _is_change(part: ast.AST, types: dict[str, Type]) -> bool:
    return _holder(part, types) is not None


def _holder(part: ast.AST, types: dict[str, Type]) -> ast.expr | None:
    """What a statement or call changes in place."""
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr in CHANGES:
        return part.func.value
    if isinstance(part, (ast.Subscript, ast.Attribute)) and isinstance(part.ctx, (ast.Store, ast.Del)):
        return part.value
    if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
        return part.target if _may_be_list(types.get(part.target.id)) else None
    return None


def _iterated(node: ast.expr) -> Iterator[str]:
    """Variables that this iterates over without making a list of them first."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _LAZY:
        for argument in node.args:
            yield from _iterated(argument)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS:
        yield from _iterated(node.func.value)


def _reads(node: ast.AST) -> dict[str, list[ast.Name]]:
    found: dict[str, list[ast.Name]] = {}
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            found.setdefault(part.id, []).append(part)
    return found


def _leaves(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for one in target.elts:
            yield from _leaves(one)
    elif isinstance(target, ast.Starred):
        yield from _leaves(target.value)
    else:
        yield target


def _names_of(target: ast.expr) -> Iterator[str]:
    return (leaf.id for leaf in _leaves(target) if isinstance(leaf, ast.Name))


def _may_change(kind: Type | None) -> bool:
    return kind is not None and kind.may(*_MUTABLE)


def _may_be_list(kind: Type | None) -> bool:
    return kind is not None and kind.may("list")
