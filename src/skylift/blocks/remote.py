"""Sources behind any file system that fsspec knows: S3, GCS, Azure, HDFS, SFTP, …"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from skylift.blocks.errors import SourceInvalid
from skylift.blocks.origins import Stat, Unreachable
from skylift.errors import SetupError

_PART = 4 << 20
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError)
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "hdfs": "pyarrow",
    "sftp": "paramiko",
}


class FsspecOrigin:
    """A URL of a file system. How to sign in comes from the environment or fsspec's own configuration, never from the
    URL's owner: it would stay in the run's history."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tells = False
        self._fs, self._path = open_system(url)

    def stat(self) -> Stat:
        try:
            self._fs.invalidate_cache()
            info = self._fs.info(self._path)
        except _FINAL as error:
            raise Unreachable(_said(error), final=True) from error
        except Exception as error:  # whatever the store's client raises
            raise Unreachable(_said(error)) from error
        size = info.get("size")
        return Stat(size=-1 if size is None else int(size), version=_version(info), checksum=_checksum(info))

    def read(self, start: int, end: int, version: str) -> Iterator[bytes]:
        for at in range(start, end, _PART):
            until = min(at + _PART, end)
            try:
                piece = bytes(self._fs.cat_file(self._path, start=at, end=until))
            except _FINAL as error:
                raise Unreachable(_said(error), final=True) from error
            except Exception as error:  # whatever the store's client raises
                raise Unreachable(_said(error)) from error
            if len(piece) != until - at:
                raise Unreachable(f"{len(piece)} bytes came of {until - at} at {at}")
            yield piece


def open_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    import fsspec  # slow to import, and only needed here

    protocol = url.partition("://")[0]
    if "::" in url:
        raise SourceInvalid(f"{url!r} names one place inside another", hint="give the URL of the file itself")
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(protocol, f"what fsspec needs for {protocol}://")
        raise SetupError(f"{url} cannot be opened: {error}", hint=f"pip install {package}") from error
    except ValueError as error:
        raise SourceInvalid(
            f"{url!r} cannot be opened: {error}", hint="s3://, gs://, abfs://, hdfs://, https:// and paths can be"
        ) from error
    return system, str(path)


def _version(info: dict[str, Any]) -> str:
    for key in ("ETag", "etag", "generation", "md5Hash", "checksum"):
        if info.get(key):
            return f"{key.lower()}:{info[key]}"
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return f"modified:{value.timestamp()}"
        if value:
            return f"modified:{value}"
    return ""


def _checksum(info: dict[str, Any]) -> str | None:
    """Stores that keep an MD5 of the content: Google's as text, Azure's as bytes."""
    found = info.get("md5Hash")
    settings = info.get("content_settings")
    if found is None and isinstance(settings, dict):
        found = settings.get("content_md5")
    if isinstance(found, (bytes, bytearray)):
        return f"md5:{bytes(found).hex()}"
    return f"md5:{b64decode(found).hex()}" if isinstance(found, str) and found else None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
