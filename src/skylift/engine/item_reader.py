"""Reads the items of a Distributed Map, page by page: JSON, JSON Lines, CSV, Parquet, S3 inventories and Athena's
manifests, listings.

A cursor is the number of items given so far. The iterator behind a page is kept for the next one, so that reading on is
cheap; after a restart it is opened again and skips.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import IO, Any, AnyStr, cast

import msgspec
from msgspec.structs import replace

from skylift.asl.commands import ReadItems
from skylift.engine.buckets import Access, Bucket, BucketError, open_bucket

HERE = Access()

KEPT = 16
"""Iterators kept open between pages."""

MOST_WHOLE = 512 * 1024 * 1024
"""Bytes of a file that is read as a whole, unpacked: a few that are packed may stand for any number."""
MOST_LINE = 64 * 1024 * 1024
"""Of a file that is read by lines."""

DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


class ReaderFailed(Exception):
    """States.ItemReaderFailed, with the service's message where it has one."""


Items = Iterator[Any]


def read_page(command: ReadItems, access: Access = HERE) -> tuple[list[Any], int | None]:
    """The next page, and the cursor for the one after; None when this was the last. Raises ReaderFailed."""
    given = command.cursor or 0
    key = _key(command, access, given)
    try:
        items = _kept.take(key)
        if items is None:
            items = itertools.islice(_open(command, access), given, None)
        page = list(itertools.islice(items, max(1, command.limit)))
        following = list(itertools.islice(items, 1))
    except BucketError as problem:
        raise ReaderFailed(str(problem)) from problem
    except (UnicodeDecodeError, OSError, EOFError, csv.Error) as problem:
        raise ReaderFailed(f"The items of {_place(command)} cannot be read: {problem}") from problem
    if not following:
        return page, None
    cursor = given + len(page)
    _kept.put(_key(command, access, cursor), itertools.chain(following, items))
    return page, cursor


def _key(command: ReadItems, access: Access, cursor: int) -> bytes:
    return msgspec.json.encode([access.account, command.resource, command.arguments, command.config, cursor])


def read_items(data: bytes, config: dict[str, Any]) -> list[Any]:
    """All items of a file that is at hand. Raises ValueError, which says what is wrong with it."""
    kind = config.get("InputType", "JSON")
    reader = _IN_ONE_FILE.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise ValueError(f"InputType must be one of {', '.join(_IN_ONE_FILE)}, not {kind!r}")
    try:
        return list(reader(_NO_BUCKET, io.BytesIO(data), config, "the data"))
    except (ReaderFailed, UnicodeDecodeError, csv.Error) as problem:
        raise ValueError(str(problem)) from problem


class _Kept:
    """Iterators by the page that they give next. Each is taken by one reader only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._items: OrderedDict[bytes, Items] = OrderedDict()

    def take(self, key: bytes) -> Items | None:
        with self._lock:
            return self._items.pop(key, None)

    def put(self, key: bytes, items: Items) -> None:
        with self._lock:
            self._items[key] = items
            while len(self._items) > KEPT:
                self._items.popitem(last=False)


_kept = _Kept()


def _open(command: ReadItems, access: Access) -> Items:
    resource, arguments = command.resource, command.arguments
    listing = resource.endswith(":s3:listObjectsV2")
    bucket = open_bucket(arguments.get("Bucket"), replace(access, action="s3:listObjectsV2") if listing else access)
    if listing:
        prefix = str(arguments.get("Prefix") or "")
        if command.config.get("Transformation") == "LOAD_AND_FLATTEN":
            return _flattened(bucket, prefix, command.config, access)
        return map(_listed, bucket.list(prefix))
    if not resource.endswith(":s3:getObject"):
        raise ReaderFailed(
            f"An ItemReader of resource {resource} is not known; use arn:aws:states:::s3:getObject or "
            "arn:aws:states:::s3:listObjectsV2."
        )
    key = arguments.get("Key")
    if not isinstance(key, str) or not key:
        raise ReaderFailed(f"ItemReader needs Key as text, not {key!r}.")
    return _items_of(bucket, key, arguments.get("VersionId"), command.config, access)


def _items_of(bucket: Bucket, key: str, version: str | None, config: dict[str, Any], access: Access) -> Items:
    manifest = config.get("ManifestType")
    if manifest == "ATHENA_DATA":
        return _athena_items(bucket, key, version, config, access)
    kind = "MANIFEST" if manifest == "S3_INVENTORY" else config.get("InputType")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise ReaderFailed(f"ReaderConfig.InputType must be one of {', '.join(_READERS)}, not {kind!r}.")
    file = _unpacked(bucket.open(key, version))
    try:
        return reader(bucket, file, config, key)
    except BaseException:
        file.close()
        raise


def _athena_items(bucket: Bucket, key: str, version: str | None, config: dict[str, Any], access: Access) -> Items:
    """The manifest of an UNLOAD: a URL on each line, of a file of InputType."""
    with _unpacked(bucket.open(key, version)) as file:
        urls = [line.strip().strip('"') for line in _whole(file, key).decode().splitlines()]
    inner = {name: value for name, value in config.items() if name != "ManifestType"}
    for url in filter(None, urls):
        folder, _, name = url.rpartition("/")
        place = (open_bucket(folder, access), name) if "://" in url else (bucket, url)
        yield from _items_of(*place, None, inner, access)


def _flattened(bucket: Bucket, prefix: str, config: dict[str, Any], access: Access) -> Items:
    for listed in bucket.list(prefix):
        if listed.size and not listed.key.endswith("/"):
            yield from _items_of(bucket, listed.key, None, config, access)


def _listed(listed: Any) -> dict[str, Any]:
    return {
        "Etag": listed.etag,
        "Key": listed.key,
        "LastModified": listed.modified_s,
        "Size": listed.size,
        "StorageClass": "STANDARD",
    }


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """Decompressed where it is gzip, whatever its name says."""
    buffered = file if hasattr(file, "peek") else io.BufferedReader(file)  # type: ignore[type-var]
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        return cast("IO[bytes]", _Unpacked(buffered))
    return buffered


class _Unpacked(gzip.GzipFile):
    """Closes what it unpacks."""

    def __init__(self, packed: IO[bytes]) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self._packed = packed

    def close(self) -> None:
        super().close()
        self._packed.close()


def _whole(file: IO[bytes], key: str) -> bytes:
    data = file.read(MOST_WHOLE + 1)
    if len(data) > MOST_WHOLE:
        raise ReaderFailed(f"{key} is longer than {MOST_WHOLE} bytes; JSON Lines, CSV and Parquet may be.")
    return data


def _lines(file: IO[AnyStr], key: str) -> Iterator[AnyStr]:
    while line := file.readline(MOST_LINE + 1):
        if len(line) > MOST_LINE:
            raise ReaderFailed(f"{key} has a line that is longer than {MOST_LINE} bytes.")
        yield line


def _read_json(bucket: Bucket, file: IO[bytes], config: dict[str, Any], key: str) -> Items:
    with file:
        data = _whole(file, key)
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as problem:
        raise ReaderFailed(f"{key} is not valid JSON: {problem}") from problem
    pointer = config.get("ItemsPointer")
    if pointer:
        value = _pointed(value, str(pointer), key)
    if isinstance(value, dict) and pointer:
        return iter([{"Key": name, "Value": item} for name, item in value.items()])
    if not isinstance(value, list):
        raise ReaderFailed("Attempting to map over non-iterable node.")
    return iter(value)


def _pointed(value: Any, pointer: str, key: str) -> Any:
    for part in pointer.removeprefix("/").split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, ValueError, IndexError, TypeError):
            raise ReaderFailed(f"ItemsPointer {pointer} leads nowhere in {key}.") from None
    return value


def _read_lines(bucket: Bucket, file: IO[bytes], config: dict[str, Any], key: str) -> Items:
    decode = msgspec.json.Decoder().decode
    with file:
        for number, line in enumerate(_lines(file, key), 1):
            if not line.strip():
                continue
            try:
                yield decode(line)
            except msgspec.DecodeError as problem:
                raise ReaderFailed(f"{key}, line {number}, is not valid JSON: {problem}") from problem


def _read_csv(bucket: Bucket, file: IO[bytes], config: dict[str, Any], key: str) -> Items:
    delimiter = DELIMITERS.get(str(config.get("CSVDelimiter", "COMMA")))
    if delimiter is None:
        raise ReaderFailed(f"CSVDelimiter must be one of {', '.join(DELIMITERS)}, not {config['CSVDelimiter']!r}.")
    location, given = config.get("CSVHeaderLocation"), config.get("CSVHeaders")
    if location not in ("FIRST_ROW", "GIVEN"):
        raise ReaderFailed(f"CSVHeaderLocation must be FIRST_ROW or GIVEN, not {location!r}.")
    if location == "GIVEN" and not (isinstance(given, list) and given):
        raise ReaderFailed(f"CSVHeaderLocation GIVEN needs CSVHeaders, a list of names, not {given!r}.")
    return _csv_rows(file, delimiter, given if location == "GIVEN" else None, key)


def _csv_rows(file: IO[bytes], delimiter: str, headers: list[Any] | None, key: str) -> Items:
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(_lines(text, key), delimiter=delimiter)
        names = [str(name) for name in (next(rows, []) if headers is None else headers)]
        if len(set(names)) < len(names):
            raise ReaderFailed("CSV headers cannot contain duplicates.")
        missing = [""] * len(names)
        for row in rows:
            if row:
                yield dict(zip(names, row + missing[len(row) :], strict=False))


def _read_parquet(bucket: Bucket, file: IO[bytes], config: dict[str, Any], key: str) -> Items:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ReaderFailed("InputType PARQUET needs the package pyarrow: pip install pyarrow") from None
    try:
        with file:
            for batch in ParquetFile(file).iter_batches(batch_size=1_000):
                for row in batch.to_pylist():
                    yield msgspec.to_builtins(row)
    except ArrowException as problem:
        raise ReaderFailed(f"{key} is not valid Parquet: {problem}") from problem


def _read_manifest(bucket: Bucket, file: IO[bytes], config: dict[str, Any], key: str) -> Items:
    """An S3 inventory: a list of CSV files without headers; `fileSchema` names their columns."""
    with file:
        data = _whole(file, key)
    try:
        manifest = msgspec.json.decode(data)
        names = [name.strip() for name in manifest["fileSchema"].split(",")]
        keys = [str(part["key"]) for part in manifest["files"]]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as problem:
        raise ReaderFailed(f"{key} is no S3 inventory manifest with fileSchema and files: {problem!r}") from problem
    if str(manifest.get("fileFormat", "CSV")).upper() != "CSV":
        raise ReaderFailed(f"Inventories of format {manifest['fileFormat']} are not supported; use CSV.")
    return itertools.chain.from_iterable(_csv_rows(_unpacked(bucket.open(part)), ",", names, part) for part in keys)


_READERS: dict[str, Callable[[Bucket, IO[bytes], dict[str, Any], str], Items]] = {
    "CSV": _read_csv,
    "JSON": _read_json,
    "JSONL": _read_lines,
    "MANIFEST": _read_manifest,
    "PARQUET": _read_parquet,
}


_IN_ONE_FILE = {kind: _READERS[kind] for kind in ("CSV", "JSON", "JSONL")}
_NO_BUCKET = cast("Bucket", None)
"""What these do not look at."""


def _place(command: ReadItems) -> str:
    return f"{command.arguments.get('Bucket')}/{command.arguments.get('Key', command.arguments.get('Prefix', ''))}"
