"""Static types of the graph's values: what annotations and operations tell, so that expressions stay simple."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import pathlib
import types
import typing
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SCALARS = ("none", "bool", "int", "float", "str")
NUMBERS = ("bool", "int", "float")
_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """One possibility: a scalar, `list` (element), `dict` (key, value), `tuple` (each), `data` (fields that the graph
    sees), `error`, `opaque` (a value without JSON form) or `any`."""

    name: str
    args: tuple[Type, ...] = ()
    cls: Any = None

    @property
    def spelling(self) -> str:
        return str(getattr(self.cls, "__name__", self.cls))


@dataclass(frozen=True, slots=True)
class Type:
    """A union of kinds. Empty while nothing is known yet (the compiler repeats until types are stable)."""

    kinds: frozenset[Kind] = frozenset()

    def only(self, *names: str) -> bool:
        return bool(self.kinds) and all(kind.name in names for kind in self.kinds)

    def may(self, *names: str) -> bool:
        return not self.kinds or any(kind.name in names or kind.name == "any" for kind in self.kinds)

    @property
    def unknown(self) -> bool:
        return not self.kinds or any(kind.name == "any" for kind in self.kinds)

    def kind(self, name: str) -> Kind | None:
        return next((kind for kind in self.kinds if kind.name == name), None)

    def without(self, name: str) -> Type:
        return Type(frozenset(kind for kind in self.kinds if kind.name != name))

    def element(self) -> Type:
        """Type of what iterating gives."""
        return join(_element(kind) for kind in self.kinds)

    def __str__(self) -> str:
        return " | ".join(sorted(_spell(kind) for kind in self.kinds)) or "unknown"


def scalar(name: str) -> Type:
    return Type(frozenset((Kind(name),)))


BOTTOM = Type()
ANY, NONE, BOOL, INT, FLOAT, STR = (scalar(name) for name in ("any", "none", "bool", "int", "float", "str"))
NUMBER = Type(INT.kinds | FLOAT.kinds)
ERROR = scalar("error")


def list_of(element: Type) -> Type:
    return Type(frozenset((Kind("list", (element,)),)))


def tuple_of(elements: Iterable[Type]) -> Type:
    return Type(frozenset((Kind("tuple", tuple(elements)),)))


def dict_of(key: Type, value: Type) -> Type:
    return Type(frozenset((Kind("dict", (key, value)),)))


def data(cls: Any) -> Type:
    return Type(frozenset((Kind("data", (), cls),)))


def opaque(cls: Any) -> Type:
    return Type(frozenset((Kind("opaque", (), cls),)))


def join(types_: Iterable[Type], depth: int = 0) -> Type:
    """The smallest known type that covers all; deep nesting widens to `any`, so that joining comes to an end."""
    merged: dict[tuple[str, Any], Kind] = {}
    for one in types_:
        for kind in one.kinds:
            key = (kind.name, kind.cls if kind.name != "tuple" else len(kind.args))
            there = merged.get(key)
            merged[key] = kind if there is None else _merge(there, kind, depth)
    kinds = frozenset(merged.values())
    if any(kind.name == "any" for kind in kinds):
        return ANY
    return Type(frozenset(_widen(kind, depth) for kind in kinds))


def union(*types_: Type) -> Type:
    return join(types_)


def of_constant(value: Any) -> Type:
    if value is None:
        return NONE
    if isinstance(value, (bool, int, float, str)):
        return scalar(type(value).__name__)
    if isinstance(value, list):
        return list_of(join(of_constant(item) for item in value))
    if isinstance(value, tuple):
        return tuple_of(of_constant(item) for item in value)
    if isinstance(value, dict):
        return dict_of(join(map(of_constant, value)), join(map(of_constant, value.values())))
    return ANY


def of_annotation(annotation: Any) -> Type:
    """What an evaluated annotation promises. Anything not understood is `any`: checked when the run gets there."""
    if annotation is None or annotation is type(None):
        return NONE
    if annotation in (Any, object) or isinstance(annotation, (str, typing.TypeVar)):
        return ANY
    origin = typing.get_origin(annotation)
    if origin is not None:
        return _of_generic(origin, typing.get_args(annotation))
    if isinstance(annotation, typing.NewType):
        return of_annotation(annotation.__supertype__)
    return _of_class(annotation) if isinstance(annotation, type) else ANY


def fields_of(cls: Any) -> dict[str, Type] | None:
    """Fields of a class whose values travel field by field, with their types."""
    hints = _hints(cls)
    if dataclasses.is_dataclass(cls):
        return {field.name: of_annotation(hints.get(field.name, Any)) for field in dataclasses.fields(cls)}
    names = getattr(cls, "_fields", None)
    if isinstance(names, tuple):
        return {name: of_annotation(hints.get(name, Any)) for name in names}
    names = getattr(cls, "__struct_fields__", None)
    if isinstance(names, tuple):
        return {name: of_annotation(hints.get(name, Any)) for name in names}
    return None


def has_own_truth(cls: Any) -> bool:
    return any(hasattr(cls, name) for name in ("__bool__", "__len__"))


@functools.lru_cache(maxsize=1024)
def class_hints(cls: Any) -> dict[str, Any]:
    """Evaluated once while a pipeline compiles; cleared between, as a notebook may define a named class anew."""
    return typing.get_type_hints(cls)


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return class_hints(cls)
    except Exception:  # noqa: BLE001 - an annotation that cannot be evaluated tells nothing
        return {}


def _of_class(cls: type) -> Type:
    for simple in (bool, int, float, str):
        if cls is simple:
            return scalar(simple.__name__)
    if cls in (list, collections.abc.Sequence):
        return list_of(ANY)
    if cls in (dict, collections.abc.Mapping):
        return dict_of(ANY, ANY)
    if cls is tuple:
        return ANY
    if typing.is_typeddict(cls):
        return dict_of(STR, ANY)
    if fields_of(cls) is not None:
        return data(cls)
    return opaque(cls)


def _of_generic(origin: Any, args: tuple[Any, ...]) -> Type:
    if origin in (typing.Union, types.UnionType):
        return join(map(of_annotation, args))
    if origin is typing.Literal:
        return join(map(of_constant, args))
    if origin is typing.Annotated:
        return of_annotation(args[0])
    if origin in (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection):
        return list_of(of_annotation(args[0])) if origin is list else ANY
    if origin in (dict, collections.abc.Mapping, collections.abc.MutableMapping):
        return dict_of(of_annotation(args[0]), of_annotation(args[1]))
    if origin is tuple and Ellipsis not in args:
        return tuple_of(map(of_annotation, args))
    if isinstance(origin, type) and fields_of(origin) is not None:
        return data(origin)
    return ANY


def _element(kind: Kind) -> Type:
    if kind.name == "list":
        return kind.args[0]
    if kind.name == "tuple":
        return join(kind.args)
    if kind.name == "dict":
        return kind.args[0]
    if kind.name == "str":
        return STR
    return ANY


def _merge(left: Kind, right: Kind, depth: int) -> Kind:
    args = tuple(join(pair, depth + 1) for pair in zip(left.args, right.args, strict=True))
    return Kind(left.name, args, left.cls)


def _widen(kind: Kind, depth: int) -> Kind:
    if not kind.args:
        return kind
    if depth >= _DEPTH:
        return Kind(kind.name, tuple(ANY for _ in kind.args), kind.cls)
    return Kind(kind.name, tuple(join((arg,), depth + 1) for arg in kind.args), kind.cls)


def _spell(kind: Kind) -> str:
    if kind.name in ("data", "opaque"):
        return getattr(kind.cls, "__name__", str(kind.cls))
    if kind.name == "none":
        return "None"
    if kind.args:
        return f"{kind.name}[{', '.join(map(str, kind.args))}]"
    return {"any": "anything", "error": "exception"}.get(kind.name, kind.name)


PLAIN_TEXT: tuple[type, ...] = (
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    pathlib.PurePath,
    uuid.UUID,
    decimal.Decimal,
    enum.Enum,
)
"""Classes that travel as tagged text: the graph carries them but does not look inside."""
