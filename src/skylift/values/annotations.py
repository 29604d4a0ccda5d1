"""From plain JSON to an annotated type: what a person types on a command line, or what the graph has put together.

`reader_for(annotation)` is computed once for each annotation; None means that there is nothing to do but decode.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from skylift.values.records import RecordKind, kind_of
from skylift.values.tags import ARTIFACT, TYPE, ValueMismatch


class Reader:
    """What a reading function needs besides the JSON: how to decode tags, and what to do with a misfit."""

    __slots__ = ("decode", "strict")

    def __init__(self, decode: Callable[[Any], Any], strict: bool) -> None:
        self.decode = decode
        self.strict = strict

    def misfit(self, node: Any, wanted: str, pointer: str) -> Any:
        if self.strict:
            raise ValueMismatch(f"{pointer or 'the value'}: {wanted} is needed, not {_shown(node)}")
        return self.decode(node)


Read = Callable[[Any, Reader, str], Any]
"""(node, reader, JSON pointer) -> value"""

_known: dict[Any, Read | None] = {}


def reader_for(annotation: Any) -> Read | None:
    try:
        return _known[annotation]
    except KeyError:
        pass
    except TypeError:  # an annotation that cannot be hashed: Annotated[int, {}]
        return _build(annotation)
    _known[annotation] = _later(annotation)  # a class that contains itself
    read = _known[annotation] = _build(annotation)
    return read


def _later(annotation: Any) -> Read:
    def read(node: Any, reader: Reader, pointer: str) -> Any:
        real = _known[annotation]
        return reader.decode(node) if real is None else real(node, reader, pointer)

    return read


def _build(annotation: Any) -> Read | None:
    if isinstance(annotation, type) and annotation.__module__ != "types":
        return _build_class(annotation)
    import typing

    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return _scalar(type(None), "null")
    if origin is typing.Annotated or origin in (typing.Required, typing.NotRequired, typing.ClassVar, typing.Final):
        return reader_for(arguments[0])
    if origin is typing.Literal:
        return _literal(arguments)
    if origin is typing.Union or getattr(origin, "__qualname__", "") == "UnionType":
        return _union(arguments)
    if isinstance(annotation, typing.NewType):
        return reader_for(annotation.__supertype__)
    if isinstance(annotation, typing.TypeVar):
        return None if annotation.__bound__ is None else reader_for(annotation.__bound__)
    if hasattr(annotation, "__value__"):  # type X = …
        return reader_for(annotation.__value__)
    return _generic(origin, arguments)


def _build_class(cls: type) -> Read | None:
    simple = _simple(cls)
    if simple is not None:
        return simple()
    if hasattr(cls, "__total__") and hasattr(cls, "__required_keys__"):
        return _typed_dict(cls)
    kind = kind_of(cls)
    if kind is not None:
        enum = sys.modules.get("enum")
        return _enum(cls) if enum is not None and issubclass(cls, enum.Enum) else _record(cls, kind)
    return _generic(cls, ())


def _scalar(cls: type, wanted: str) -> Read:
    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if type(node) is cls:
            return node
        value = _decoded(node, reader)
        return value if isinstance(value, cls) else reader.misfit(node, wanted, pointer)

    return read


def _int() -> Read:
    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if type(node) is int:
            return node
        if type(node) is float and node.is_integer():
            return int(node)
        value = _decoded(node, reader)
        fits = isinstance(value, int) and not isinstance(value, bool)
        return value if fits else reader.misfit(node, "a whole number", pointer)

    return read


def _float() -> Read:
    def read(node: Any, reader: Reader, pointer: str) -> Any:
        """JSONata writes 1.0 as 1, so a whole number is taken for a float."""
        if type(node) is float:
            return node
        if type(node) is int:
            return float(node) if abs(node) <= 2**53 else node
        value = _decoded(node, reader)
        return value if isinstance(value, float) else reader.misfit(node, "a number", pointer)

    return read


def _parsed(cls: type, parse: Callable[[str], Any], wanted: str) -> Read:
    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if type(node) is str:
            try:
                return parse(node)
            except (ValueError, ArithmeticError):
                return reader.misfit(node, wanted, pointer)
        value = _decoded(node, reader)
        return value if isinstance(value, cls) else reader.misfit(node, wanted, pointer)

    return read


def _decimal() -> Read:
    from decimal import Decimal

    text = _parsed(Decimal, Decimal, "a decimal number")

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        return Decimal(str(node)) if type(node) in (int, float) else text(node, reader, pointer)

    return read


def _timedelta() -> Read:
    from datetime import timedelta

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if type(node) in (int, float):
            return timedelta(seconds=node)
        value = _decoded(node, reader)
        return value if isinstance(value, timedelta) else reader.misfit(node, "a number of seconds", pointer)

    return read


def _bytes() -> Read:
    from skylift.values.stdlib import from_base64

    return _parsed(bytes, lambda text: from_base64({"base64": text}), "bytes in base64")


def _path() -> Read:
    from pathlib import Path

    return _parsed(Path, Path, "a path")


def _file(name: str) -> Callable[[], Read]:
    def build() -> Read:
        from importlib import import_module

        cls = getattr(import_module("skylift.values.files"), name)
        return _parsed(cls, cls, f"the path of a {name.lower()}")

    return build


def _lazy(module: str, name: str, method: str | None, wanted: str) -> Callable[[], Read]:
    def build() -> Read:
        cls = getattr(__import__(module), name)
        return _parsed(cls, getattr(cls, method) if method else cls, wanted)

    return build


_NAMED: dict[tuple[str, str], Callable[[], Read]] = {
    ("datetime", "datetime"): _lazy("datetime", "datetime", "fromisoformat", "a date and time (ISO 8601)"),
    ("datetime", "date"): _lazy("datetime", "date", "fromisoformat", "a date (ISO 8601)"),
    ("datetime", "time"): _lazy("datetime", "time", "fromisoformat", "a time (ISO 8601)"),
    ("datetime", "timedelta"): _timedelta,
    ("decimal", "Decimal"): _decimal,
    ("uuid", "UUID"): _lazy("uuid", "UUID", None, "a UUID"),
    ("skylift.values.files", "File"): _file("File"),
    ("skylift.values.files", "Directory"): _file("Directory"),
    **{("pathlib", name): _path for name in ("Path", "PosixPath", "PurePath")},
}
"""By module and name, so that nothing is imported for a type that nobody uses."""

_BUILTIN: dict[type, Callable[[], Read]] = {
    bool: lambda: _scalar(bool, "true or false"),
    int: _int,
    float: _float,
    str: lambda: _scalar(str, "a string"),
    bytes: _bytes,
    type(None): lambda: _scalar(type(None), "null"),
}


def _simple(cls: type) -> Callable[[], Read] | None:
    module = "pathlib" if cls.__module__.startswith("pathlib") else cls.__module__
    return _BUILTIN.get(cls) or _NAMED.get((module, cls.__name__))


def _generic(origin: Any, arguments: tuple[Any, ...]) -> Read | None:
    """list[T], Sequence[T], tuple[…], dict[K, V], Generic classes; anything else is only decoded."""
    import collections.abc as abc

    if origin in (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection):
        return _array(list, arguments)
    if origin in (set, abc.Set, abc.MutableSet):
        return _array(set, arguments)
    if origin is frozenset:
        return _array(frozenset, arguments)
    if origin is tuple:
        if not arguments:
            return _array(tuple, ())
        return _array(tuple, arguments[:1]) if arguments[-1] is ... else _fixed_tuple(arguments)
    if origin in (dict, abc.Mapping, abc.MutableMapping):
        return _mapping(arguments)
    if isinstance(origin, type) and arguments:
        return reader_for(origin)
    return None


def _array(collect: Callable[[Any], Any], arguments: tuple[Any, ...]) -> Read:
    item = reader_for(arguments[0]) if arguments else None

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if type(node) is not list:
            value = _decoded(node, reader)
            fits = isinstance(value, (list, tuple, set, frozenset)) or not _is_json(node)
            return value if fits else reader.misfit(node, "an array", pointer)
        if item is None:
            return collect(reader.decode(node))
        return collect([item(part, reader, f"{pointer}/{index}") for index, part in enumerate(node)])

    return read


def _fixed_tuple(arguments: tuple[Any, ...]) -> Read:
    readers = [reader_for(argument) for argument in arguments]

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if type(node) is not list or len(node) != len(readers):
            value = _decoded(node, reader)
            fits = isinstance(value, tuple)
            return value if fits else reader.misfit(node, f"an array of {len(readers)} items", pointer)
        return tuple(
            reader.decode(part) if read_part is None else read_part(part, reader, f"{pointer}/{index}")
            for index, (part, read_part) in enumerate(zip(node, readers, strict=True))
        )

    return read


def _mapping(arguments: tuple[Any, ...]) -> Read:
    key_reader = reader_for(arguments[0]) if arguments else None
    item = reader_for(arguments[1]) if arguments else None
    key_type = arguments[0] if arguments else str

    def read_key(key: str, reader: Reader, pointer: str) -> Any:
        if key_reader is None or key_type is str:
            return key
        if key_type in (int, float):
            try:
                return key_type(key)
            except ValueError:
                return reader.misfit(key, "a number as key", pointer)
        return key_reader(key, reader, pointer)

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if not _is_object(node):
            value = _decoded(node, reader)
            fits = isinstance(value, dict) or not _is_json(node)
            return value if fits else reader.misfit(node, "an object", pointer)
        return {
            read_key(key, reader, f"{pointer}/{key}"): reader.decode(part)
            if item is None
            else item(part, reader, f"{pointer}/{key}")
            for key, part in node.items()
        }

    return read


def _typed_dict(cls: Any) -> Read:
    readers = {name: reader_for(hint) for name, hint in type_hints(cls).items()}

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if not _is_object(node):
            value = _decoded(node, reader)
            return value if isinstance(value, dict) else reader.misfit(node, "an object", pointer)
        absent = sorted(set(cls.__required_keys__) - node.keys())
        if absent and reader.strict:
            raise ValueMismatch(f"{pointer or 'the value'}: {cls.__name__} needs {', '.join(absent)} too")
        return {
            key: reader.decode(part)
            if (read_part := readers.get(key)) is None
            else read_part(part, reader, f"{pointer}/{key}")
            for key, part in node.items()
        }

    return read


def _record(cls: Any, kind: RecordKind) -> Read:
    """A class with fields from a plain object: its constructor runs, so defaults and checks apply."""
    readers: dict[str, Read | None] = {}
    ready = False

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        nonlocal ready
        if not _is_object(node):
            value = _decoded(node, reader)
            return value if isinstance(value, cls) else reader.misfit(node, f"an object ({cls.__name__})", pointer)
        if not ready:
            readers.update({name: reader_for(hint) for name, hint in type_hints(cls).items()})
            ready = True
        unknown = [key for key in node if key not in readers]
        if unknown:
            return reader.misfit(node, f"{cls.__name__}, which has no field {', '.join(unknown)},", pointer)
        parts = {}
        for key, part in node.items():
            read_part = readers[key]
            parts[key] = reader.decode(part) if read_part is None else read_part(part, reader, f"{pointer}/{key}")
        try:
            return cls(**parts)
        except (TypeError, ValueError) as error:
            if not reader.strict:
                return reader.decode(node)
            raise ValueMismatch(f"{pointer or 'the value'}: no {cls.__name__} can be made of it: {error}") from error

    return read


def _enum(cls: Any) -> Read:
    def read(node: Any, reader: Reader, pointer: str) -> Any:
        value = _decoded(node, reader)
        if isinstance(value, cls):
            return value
        try:
            return cls(value)
        except ValueError:
            if isinstance(value, str) and value in cls.__members__:
                return cls.__members__[value]
        choices = ", ".join(repr(member.value) for member in cls)
        return reader.misfit(node, f"one of {choices}", pointer)

    return read


def _literal(values: tuple[Any, ...]) -> Read:
    def read(node: Any, reader: Reader, pointer: str) -> Any:
        value = _decoded(node, reader)
        for choice in values:
            if value == choice and (type(value) is type(choice) or not isinstance(choice, bool)):
                return choice
        return reader.misfit(node, f"one of {', '.join(map(repr, values))}", pointer)

    return read


def _union(arguments: tuple[Any, ...]) -> Read | None:
    """The first member that fits exactly; else the value as it is."""
    exact = {argument for argument in arguments if argument in (bool, int, float, str, type(None))}
    if Any in arguments or len(exact) == len(arguments):
        return _scalar_union(arguments) if Any not in arguments else None
    readers = [(argument, reader_for(argument)) for argument in arguments]

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        if type(node) in exact and type(node) is not str:
            return node
        trial = Reader(reader.decode, strict=True)
        for _, read_part in sorted(readers, key=lambda pair: pair[0] is str):
            if read_part is None:
                return reader.decode(node)
            try:
                return read_part(node, trial, pointer)
            except ValueMismatch:
                continue
        return reader.misfit(node, " or ".join(getattr(kind, "__name__", str(kind)) for kind, _ in readers), pointer)

    return read


def _scalar_union(arguments: tuple[Any, ...]) -> Read:
    kinds = tuple(arguments)

    def read(node: Any, reader: Reader, pointer: str) -> Any:
        value = _decoded(node, reader)
        if type(value) in kinds:
            return value
        if type(value) is int and float in kinds:
            return float(value)
        fits = isinstance(value, kinds)
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        return value if fits else reader.misfit(node, wanted, pointer)

    return read


def type_hints(cls: Any) -> dict[str, Any]:
    """A class's field annotations; those that cannot be evaluated here count as Any."""
    import typing

    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        return dict.fromkeys(name for base in cls.__mro__ for name in getattr(base, "__annotations__", ()))


def _decoded(node: Any, reader: Reader) -> Any:
    return reader.decode(node) if type(node) in (dict, list) else node


def _is_object(node: Any) -> bool:
    return type(node) is dict and TYPE not in node and ARTIFACT not in node


def _is_json(node: Any) -> bool:
    return type(node) is not dict or _is_object(node)


def _shown(node: Any) -> str:
    text = repr(node)
    return text if len(text) <= 80 else text[:77] + "..."


__all__ = ["Read", "Reader", "reader_for", "type_hints"]
