"""`split`: sources of any size as a list of blocks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from skylift.blocks.block import Block, Format
from skylift.blocks.checksums import hasher
from skylift.blocks.dialect import Dialect
from skylift.blocks.errors import SourceInvalid
from skylift.blocks.locate import check_allowed, name_of, sources
from skylift.blocks.planning import MOST_BLOCKS, Wish, plan, too_many
from skylift.units import parse_bytes

_AT_ONCE = 16
_FORMATS = ("csv", "jsonl", "parquet", "text")


def split(
    url: str | list[str],
    block: str | int = "128 MiB",
    *,
    format: Format | None = None,
    quoted_newlines: bool = True,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    quote: str | None = '"',
    escape: str | None = None,
    columns: list[str] | None = None,
    mirrors: list[str] | None = None,
    checksum: str | None = None,
    allow: list[str] | None = None,
) -> list[Block]:
    """Cut CSV, JSON Lines, Parquet or plain text into blocks of whole records, about `block` bytes each.

    url: a path, `https://`, `s3://`, `gs://`, `abfs://`, `hdfs://` or whatever else fsspec opens; a folder, a pattern
    (`s3://bucket/2026/*.csv.gz`), or a list of all these. format: `csv`, `jsonl`, `parquet`, `text`; by default as the
    name tells. quoted_newlines: False if no field of a CSV holds a newline; then only the cuts are looked at, not every
    byte. encoding, delimiter, quote, escape, columns: of CSV, `columns` where it has no header line. mirrors: further
    places of one source. checksum: `sha256:…` or `md5:…` of one source, which is then read whole. allow: folders and
    URLs that sources must be in, for a `url` that somebody else gives.

    Every record is in exactly one block. Raises SourceInvalid, SourceUnavailable.
    """
    urls = _listed("url", url)
    size = parse_bytes(block, "block")
    if format is not None and format not in _FORMATS:
        raise SourceInvalid(f"format={format!r} is not known", hint=f"one of {', '.join(_FORMATS)}")
    separator = "," if delimiter is None else delimiter
    dialect = Dialect(encoding=encoding, delimiter=separator, quote=quote, escape=escape, columns=columns)
    dialect.check()
    mirrors, allow = _listed("mirrors", mirrors or []), None if allow is None else _listed("allow", allow)
    wish = Wish(
        block=size,
        format=format,
        dialect=dialect,
        quoted_newlines=quoted_newlines,
        mirrors=tuple(mirrors),
        checksum=checksum,
    )
    found = _found(urls, allow, every=format is not None)
    _check_single(found, mirrors, checksum, allow)
    with ThreadPoolExecutor(min(_AT_ONCE, len(found)) or 1, thread_name_prefix="skylift-split") as pool:
        planned = pool.map(lambda one: plan(one, _named(one, wish, delimiter)), found)
        blocks = [block for part in planned for block in part]
    if len(blocks) > MOST_BLOCKS:
        raise too_many(len(blocks), block)
    return blocks


def _listed(name: str, value: Any) -> list[str]:
    """One place or several. Each letter of a text would be a place otherwise: `/` for one."""
    given = [value] if isinstance(value, str | os.PathLike) else value
    if not isinstance(given, list | tuple):
        raise SourceInvalid(f"{name}={value!r} is neither a URL nor a list of them", hint="give a path or a URL")
    return [os.fspath(one) if isinstance(one, os.PathLike) else one for one in given]


def _found(urls: list[str], allow: list[str] | None, *, every: bool) -> list[str]:
    found: list[str] = []
    for url in urls:
        _check_url(url)
        if allow is not None:
            check_allowed(url, allow)
        found += sources(url, every=every)
    if allow is not None:
        for one in found:
            check_allowed(one, allow)
    return list(dict.fromkeys(found))


def _check_url(url: Any) -> None:
    if not isinstance(url, str) or not url.strip() or "\0" in url:
        raise SourceInvalid(f"{url!r} is no URL", hint="give a path or a URL")
    try:
        urlsplit(url if "://" in url else "")
    except ValueError as error:
        raise SourceInvalid(f"{url!r} is no URL: {error}", hint="write https://HOST/PATH") from error


def _check_single(found: list[str], mirrors: list[str], checksum: str | None, allow: list[str] | None) -> None:
    for name, value in (("mirrors", mirrors), ("checksum", checksum)):
        if value and len(found) != 1:
            raise SourceInvalid(f"{name}= is for one source, and there are {len(found)}", hint="split each by itself")
    if checksum is not None:
        hasher(checksum)
    for mirror in mirrors:
        _check_url(mirror)
        if allow is not None:
            check_allowed(mirror, allow)


def _named(url: str, wish: Wish, delimiter: str | None) -> Wish:
    """What the name tells beside the format: `.tsv` has tabs."""
    suffixes = PurePosixPath(name_of(url).lower()).suffixes[-2:]
    if delimiter is not None or ".tsv" not in suffixes:
        return wish
    return replace(wish, dialect=replace(wish.dialect, delimiter="\t"))
