"""A Python value as JSON, and back: what travels between the steps of a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import msgspec

from skylift.errors import SkyliftError
from skylift.ports.blobs import BlobStore
from skylift.values import formats
from skylift.values.annotations import Reader, reader_for
from skylift.values.records import RecordKind, kind_of
from skylift.values.resolver import ImportResolver, Resolver, program_name
from skylift.values.shrink import Shrinker
from skylift.values.stdlib import (
    DECODERS,
    ENCODERS,
    INT_MAX,
    INT_MIN,
    NotPlain,
    encode_float,
    encode_int,
    encode_str,
    utf8,
)
from skylift.values.tags import (
    ARTIFACT,
    TYPE,
    ValueNotLoadable,
    digest_of,
    direct_references,
    reference,
)

INLINE_LIMIT = 65_536

_SCALARS = frozenset({type(None), bool, int, float, str})
_to_json = msgspec.json.Encoder().encode


class ValueCodec:
    """Encodes values for the graph and decodes them for tasks.

    `dump(value)` gives JSON that equals the value wherever JSON can hold it; what it cannot hold is tagged or becomes a
    reference to a blob (see `skylift.values.tags`). `load(dump(value))` equals `value` with the same types, for values
    of the standard library, records (dataclass, NamedTuple, Enum, …) and all formats of `skylift.values.formats`.
    NumPy's numbers become Python's, so that the graph can compare them.

    Both may share parts with what they are given: do not change a value after it was dumped.

    With `allow_pickle=False` (servers) nothing is unpickled and no user code imported: loading a value that would need
    it raises ValueNotLoadable. A codec may be used by many threads.
    """

    def __init__(
        self,
        blobs: BlobStore,
        inline_limit: int = INLINE_LIMIT,
        *,
        allow_pickle: bool = True,
        resolver: Resolver | None = None,
    ) -> None:
        self.blobs = blobs
        self.inline_limit = inline_limit
        self.allow_pickle = allow_pickle
        self.resolver: Resolver | None = resolver or (ImportResolver(program_name()) if allow_pickle else None)
        self._records: dict[type, tuple[str, RecordKind] | None] = {}
        self._builders: dict[str, RecordKind] = {}
        self._encoders: dict[type, Callable[[Any], Any]] = {
            type(None): _same,
            bool: _same,
            int: encode_int,
            float: encode_float,
            str: encode_str,
            list: self._encode_list,
            dict: self._encode_dict,
            **{kind: self._standard(encode) for kind, encode in ENCODERS.items()},
            bytes: self._encode_bytes,
            bytearray: self._encode_bytes,
        }

    def dump(self, value: Any, annotation: Any = Any, *, inline: bool = False) -> Any:
        """JSON for `value`. What is larger than `inline_limit` bytes as JSON becomes a reference, at the smallest part
        that helps; with `inline` (the graph looks inside the value) only what has no JSON form does."""
        try:
            node = self._encode(value)
            if inline or type(node) not in (dict, list, str):
                return node
            if type(node) is str and len(node) * 6 + 2 < self.inline_limit:
                return node
            text = _to_json(node)
        except RecursionError:
            return self._encode_artifact(value, pickle_only=True)
        if len(text) <= self.inline_limit:
            return node
        return Shrinker(self.blobs, self.inline_limit).shrink(node)

    def load(self, node: Any, annotation: Any = Any, *, strict: bool = False) -> Any:
        """The value that `node` stands for.

        Plain JSON becomes the annotated type where it can (a dataclass from an object, a datetime from its text, a
        tuple from an array); tags win over annotations. Where it does not fit it stays as it is, as in Python, or with
        `strict` (input given by a person) raises ValueMismatch naming the place.
        """
        if annotation is Any:
            return self._decode(node)
        read = reader_for(annotation)
        return self._decode(node) if read is None else read(node, Reader(self._decode, strict), "")

    def references(self, node: Any) -> set[str]:
        """Digests of all blobs that the value needs, those that blobs refer to included."""
        found: set[str] = set()
        waiting = [node]
        while waiting:
            node = waiting.pop()
            if type(node) is dict:
                if ARTIFACT not in node:
                    waiting.extend(node.values())
                elif (digest := digest_of(node)) not in found:
                    found.add(digest)
                    if node.get("nested"):
                        waiting.append(msgspec.json.decode(self.blobs.get(digest)))
            elif type(node) is list:
                waiting.extend(node)
        return found

    def _encode(self, value: Any) -> Any:
        encode = self._encoders.get(type(value))
        return self._encode_other(value) if encode is None else encode(value)

    def _encode_list(self, value: list[Any]) -> Any:
        kinds = set(map(type, value))
        if kinds <= _SCALARS and _scalars_plain(value, kinds):
            return value
        encode = self._encode
        changed: list[Any] | None = None
        for index, item in enumerate(value):
            node = encode(item)
            if changed is not None:
                changed.append(node)
            elif node is not item:
                changed = value[:index]
                changed.append(node)
        return value if changed is None else changed

    def _encode_dict(self, value: dict[Any, Any]) -> Any:
        if TYPE in value or ARTIFACT in value or not all(type(key) is str and utf8(key) for key in value):
            return {TYPE: "dict", "items": [[self._encode(key), self._encode(part)] for key, part in value.items()]}
        encode = self._encode
        changed: dict[str, Any] | None = None
        for key, part in value.items():
            node = encode(part)
            if node is not part:
                if changed is None:
                    changed = dict(value)
                changed[key] = node
        return value if changed is None else changed

    def _encode_bytes(self, value: bytes | bytearray) -> Any:
        if len(value) * 4 <= self.inline_limit * 3:
            return ENCODERS[type(value)](value, self._encode)
        kind = type(value).__name__
        return reference(self.blobs.put(memoryview(value)), format="bytes", type=kind, size=len(value))

    def _standard(self, encode: Callable[[Any, Callable[[Any], Any]], Any]) -> Callable[[Any], Any]:
        def standard(value: Any) -> Any:
            try:
                return encode(value, self._encode)
            except NotPlain:
                return self._encode_artifact(value, pickle_only=True)

        return standard

    def _encode_other(self, value: Any) -> Any:
        cls = type(value)
        try:
            record = self._records[cls]
        except KeyError:
            record = self._records[cls] = self._record(cls)
        if record is None:
            return self._encode_artifact(value)
        tag, kind = record
        fields = kind.fields(value)
        if fields is None:
            return self._encode_artifact(value, pickle_only=True)
        encode = self._encode
        node = {TYPE: tag}
        for name, part in fields.items():
            node[name] = encode(part)
        return node

    def _record(self, cls: type) -> tuple[str, RecordKind] | None:
        kind = kind_of(cls)
        name = self.resolver.name(cls) if kind is not None and self.resolver is not None else None
        return None if kind is None or name is None else (name, kind)

    def _encode_artifact(self, value: Any, *, pickle_only: bool = False) -> Any:
        return formats.dump(value, self, pickle_only=pickle_only)

    def _decode(self, node: Any) -> Any:
        kind = type(node)
        if kind is dict:
            if TYPE in node:
                return self._decode_tagged(node)
            if ARTIFACT in node:
                return self._decode_reference(node)
            decode = self._decode
            return {key: part if type(part) in _SCALARS else decode(part) for key, part in node.items()}
        if kind is list:
            decode = self._decode
            return [part if type(part) in _SCALARS else decode(part) for part in node]
        return node

    def _decode_tagged(self, node: dict[str, Any]) -> Any:
        tag = node[TYPE]
        decode = DECODERS.get(tag)
        try:
            if decode is not None:
                return decode(node, self._decode)
            build = self._builders.get(tag) or self._builder(tag)
            return build.build({key: self._decode(part) for key, part in node.items() if key != TYPE})
        except SkyliftError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ValueNotLoadable(
                f"an object tagged {tag!r} is not as Skylift writes it: {type(error).__name__}: {error}",
                hint=f"an input of your own may not use the key {TYPE!r}",
            ) from error

    def _builder(self, tag: Any) -> RecordKind:
        if not isinstance(tag, str) or ":" not in tag:
            raise ValueNotLoadable(
                f"{tag!r} is no type that Skylift knows", hint=f"an input of your own may not use the key {TYPE!r}"
            )
        if self.resolver is None:
            raise ValueNotLoadable(f"a value of type {tag} cannot be made here: no user code is loaded by this process")
        cls = self.resolver.find(tag)
        kind = kind_of(cls) if isinstance(cls, type) else None
        if kind is None:
            raise ValueNotLoadable(
                f"{tag} is not a class with fields (dataclass, NamedTuple, Enum, …) any more",
                hint="the code has changed since the value was made; run the step that made it again",
            )
        self._builders[tag] = kind
        return kind

    def _decode_reference(self, node: dict[str, Any]) -> Any:
        kind = node.get("format")
        if kind == "json":
            return self._decode(msgspec.json.decode(self.blobs.get(digest_of(node))))
        return formats.load(node, self)


def _same(value: Any) -> Any:
    return value


def _scalars_plain(values: list[Any], kinds: set[type]) -> bool:
    """May a list of these stay as it is? Checked at the speed of C where all are of one type."""
    if kinds <= {bool, type(None)}:
        return True
    if len(kinds) == 1:
        if int in kinds:
            return bool(min(values) >= INT_MIN and max(values) <= INT_MAX)
        if float in kinds:
            return all(map(isfinite, values))
        return utf8("".join(values))
    return all(
        kind is bool
        or kind is type(None)
        or (INT_MIN <= value <= INT_MAX if kind is int else isfinite(value) if kind is float else utf8(value))
        for kind, value in zip(map(type, values), values, strict=True)
    )


__all__ = ["INLINE_LIMIT", "ValueCodec", "direct_references"]
