"""Files that a definition reads: small ones that become large, and places that are not what they look like."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from skylift.asl.commands import ReadItems
from skylift.engine import item_reader
from skylift.engine.buckets import Access, BucketError, open_bucket
from skylift.engine.item_reader import ReaderFailed, read_page
from skylift.engine.places import Places

ACCOUNT = "111122223333"


def read(bucket: str, key: str, access: Access, **config: Any) -> list[Any]:
    command = ReadItems(
        reader=1,
        resource="arn:aws:states:::s3:getObject",
        arguments={"Bucket": bucket, "Key": key},
        config=config,
        cursor=None,
        limit=10,
    )
    return read_page(command, access)[0]


def here(folder: Path) -> Access:
    return Access(account=ACCOUNT, places=Places(folders=(str(folder),)))


@pytest.mark.parametrize(
    ("config", "unit"),
    [
        ({"InputType": "JSON"}, b"[ "),
        ({"InputType": "JSONL"}, b"[ "),
        ({"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, b"ab"),
        ({"InputType": "MANIFEST"}, b"{ "),
        ({"ManifestType": "ATHENA_DATA", "InputType": "JSONL"}, b"ab"),
    ],
)
def test_what_unpacks_to_far_more(
    config: dict[str, Any], unit: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_reader, "MOST_WHOLE", 100_000)
    monkeypatch.setattr(item_reader, "MOST_LINE", 100_000)
    (tmp_path / "bomb").write_bytes(gzip.compress(unit * 5_000_000))
    assert (tmp_path / "bomb").stat().st_size < 100_000
    with pytest.raises(ReaderFailed, match="longer than 100000 bytes"):
        read(str(tmp_path), "bomb", here(tmp_path), **config)


def test_rows_with_line_ends_inside_quotes_are_whole(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('a,b\r\n1,"two\r\nlines"\n3,4\n', newline="")
    found = read(str(tmp_path), "rows.csv", here(tmp_path), InputType="CSV", CSVHeaderLocation="FIRST_ROW")
    assert found == [{"a": "1", "b": "two\r\nlines"}, {"a": "3", "b": "4"}]


@pytest.mark.parametrize(
    "bucket",
    [
        "/etc",
        "file:///etc",
        "file://etc",
        "local:///etc",
        "{here}/../..",
        "{here}/link",
        "{here}/a\0b",
        "..",
        "./in",
        "~/x",
        "in/../../etc",
        "simplecache::file:///etc",
        "s3://bucket::file:///etc",
        "s3://x::simplecache::file:///etc",
        "bucket::file:///etc",
        "filecache::/etc",
        "zip://x::file:///etc/x.zip",
        "reference://",
        "memory://x",
        "http://127.0.0.1/",
        "https://example.org",
        "S3://bucket",
        "ftp://x",
        "github://a:b@c",
        "data:,x",
        "dir::file:///etc",
        "{here}::/etc",
    ],
)
def test_places_that_no_administrator_named(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("/etc")
    places = Places(folders=(str(tmp_path),), services=("s3:getObject", "s3:putObject"))
    with pytest.raises(BucketError):
        opened = open_bucket(bucket.format(here=tmp_path), Access(account=ACCOUNT, places=places))
        opened.open("passwd").close()


@pytest.mark.parametrize(
    "key", ["../secret", "/etc/passwd", "a/../../secret", "link", "folder/passwd", "", ".", "a\0b"]
)
def test_keys_that_lead_out(key: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "folder").symlink_to("/etc")
    bucket = open_bucket(str(inside), here(inside))
    with pytest.raises(BucketError):
        bucket.open(key).close()
    if key not in ("", "."):
        with pytest.raises(BucketError):
            bucket.write(key, b"overwritten")
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_manifest_leads_nowhere_else(tmp_path: Path) -> None:
    """The places inside a file are the word of whoever wrote it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.jsonl").write_text('{"secret": 1}\n')
    for url in (f"{tmp_path}/secret.jsonl", f"file://{tmp_path}/secret.jsonl", "../secret.jsonl", "http://localhost/x"):
        (inside / "manifest").write_text(url)
        with pytest.raises(ReaderFailed):
            read(str(inside), "manifest", here(inside), ManifestType="ATHENA_DATA", InputType="JSONL")
    inventory = {"fileSchema": "a", "files": [{"key": "../secret.jsonl"}]}
    (inside / "inventory").write_text(json.dumps(inventory))
    with pytest.raises(ReaderFailed):
        read(str(inside), "inventory", here(inside), InputType="MANIFEST")
