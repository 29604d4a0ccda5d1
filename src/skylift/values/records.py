"""Values with named fields: dataclasses, named tuples, enums, msgspec structs, attrs and pydantic classes.

Their fields stay visible in JSON. They are made again field by field, without calling `__init__`: what a constructor
computed or checked has happened once, where the value was made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from skylift.values.tags import TYPE, ValueNotLoadable

_OWN_PICKLING = ("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs__", "__getnewargs_ex__")


class RecordKind(msgspec.Struct, frozen=True):
    """How values of one class are taken apart and put together."""

    fields: Callable[[Any], Mapping[str, Any] | None]
    """The value's fields; None if this value holds more than its class declares."""
    build: Callable[[dict[str, Any]], Any]


def kind_of(cls: type) -> RecordKind | None:
    """None for a class that is no record or has its own way of being pickled."""
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(cls)
    if "__dataclass_fields__" in cls.__dict__ or hasattr(cls, "__dataclass_fields__"):
        return _plain_object(cls, tuple(_dataclass_fields(cls)))
    if issubclass(cls, msgspec.Struct):
        return _struct(cls)
    if hasattr(cls, "__attrs_attrs__"):
        return _plain_object(cls, tuple(field.name for field in cls.__attrs_attrs__))
    if hasattr(cls, "__pydantic_fields__") and hasattr(cls, "model_construct"):
        return _pydantic(cls)
    enum = sys.modules.get("enum")
    if enum is not None and issubclass(cls, enum.Enum):
        return _enum(cls)
    return None


def _dataclass_fields(cls: Any) -> list[str]:
    fields = cls.__dataclass_fields__.values()
    return [field.name for field in fields if field._field_type.name == "_FIELD"]


def _named_tuple(cls: Any) -> RecordKind | None:
    names: tuple[str, ...] = cls._fields
    if TYPE in names or cls.__new__.__qualname__.rpartition(".")[2] != "__new__" or _own_pickling(cls, tuple):
        return None

    def fields(value: Any) -> Mapping[str, Any] | None:
        return None if getattr(value, "__dict__", None) else dict(zip(names, value, strict=True))

    def build(parts: dict[str, Any]) -> Any:
        check_fields(cls, parts, names)
        return tuple.__new__(cls, [parts[name] for name in names])

    return RecordKind(fields, build)


def _plain_object(cls: Any, names: tuple[str, ...]) -> RecordKind | None:
    if cls.__new__ is not object.__new__ or TYPE in names or _own_pickling(cls, object):
        return None
    dictionary = bool(getattr(cls, "__dictoffset__", 0))

    def fields(value: Any) -> Mapping[str, Any] | None:
        held = value.__dict__ if dictionary else ()
        try:
            parts = {name: getattr(value, name) for name in names}
        except AttributeError:
            return None
        return parts if all(name in parts or _computed(cls, name) for name in held) else None

    def build(parts: dict[str, Any]) -> Any:
        check_fields(cls, parts, names)
        value = cls.__new__(cls)
        for name in names:
            object.__setattr__(value, name, parts[name])
        return value

    return RecordKind(fields, build)


def _computed(cls: Any, name: str) -> bool:
    """The result of a cached property: computed again when asked for."""
    return type(getattr(cls, name, None)).__name__ == "cached_property"


def _struct(cls: Any) -> RecordKind | None:
    names: tuple[str, ...] = cls.__struct_fields__
    if TYPE in names or _own_pickling(cls, msgspec.Struct):
        return None

    def fields(value: Any) -> Mapping[str, Any] | None:
        return {name: getattr(value, name) for name in names}

    def build(parts: dict[str, Any]) -> Any:
        check_fields(cls, parts, names)
        return cls(**parts)

    return RecordKind(fields, build)


def _pydantic(cls: Any) -> RecordKind | None:
    names = tuple(cls.__pydantic_fields__)
    if TYPE in names:
        return None

    def fields(value: Any) -> Mapping[str, Any] | None:
        hidden = getattr(value, "__pydantic_private__", None) or getattr(value, "__pydantic_extra__", None)
        return None if hidden or set(value.__dict__) != set(names) else dict(value.__dict__)

    def build(parts: dict[str, Any]) -> Any:
        check_fields(cls, parts, names)
        return cls.model_construct(**parts)

    return RecordKind(fields, build)


def _enum(cls: Any) -> RecordKind:
    members = cls.__members__

    def fields(value: Any) -> Mapping[str, Any]:
        return {"name": value.name, "value": value.value}

    def build(parts: dict[str, Any]) -> Any:
        name = parts.get("name")
        if name in members:
            return members[name]
        try:
            return cls(parts["value"])
        except (KeyError, ValueError) as error:
            raise ValueNotLoadable(
                f"{cls.__module__}:{cls.__qualname__} has no member {name!r} with value {parts.get('value')!r}",
                hint=f"its members are {', '.join(members)}; the class has changed since the value was made",
            ) from error

    return RecordKind(fields, build)


def check_fields(cls: Any, parts: dict[str, Any], names: tuple[str, ...]) -> None:
    if parts.keys() == set(names):
        return
    absent = [name for name in names if name not in parts]
    extra = [name for name in parts if name not in names]
    raise ValueNotLoadable(
        f"a stored {cls.__module__}:{cls.__qualname__} does not fit its class: "
        + "; ".join(
            text
            for text in (absent and f"missing {', '.join(absent)}", extra and f"unknown {', '.join(extra)}")
            if text
        ),
        hint="the class has changed since the value was made; run the step that made it again",
    )


def _own_pickling(cls: Any, base: type) -> bool:
    """Does the class say itself how it is pickled? Slotted frozen dataclasses do it the way we do."""
    for name in _OWN_PICKLING:
        own = getattr(cls, name, None)
        if own is None or own is getattr(base, name, None):
            continue
        if getattr(own, "__module__", None) in ("dataclasses", "attr._make", "msgspec") or _generated(cls, name, own):
            continue
        return True
    return False


def _generated(cls: Any, name: str, own: Any) -> bool:
    """`collections.namedtuple` writes `__getnewargs__`, msgspec `__reduce__`, attrs `slots_getstate`."""
    if name == "__getnewargs__" and hasattr(cls, "_fields"):
        return own.__module__ in ("collections", None) or own.__module__.startswith("namedtuple_")
    return getattr(own, "__name__", "") in ("slots_getstate", "slots_setstate") or not hasattr(own, "__code__")
