"""Sources on the web: ranged requests with what the standard library has."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from skylift.blocks.errors import SourceChanged, SourceInvalid
from skylift.blocks.origins import PIECE, Stat, Unreachable

_TIMEOUT_S = 30.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class HttpOrigin:
    """A URL of a web server. Proxies come from the environment, as for all of Python."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname:
            raise SourceInvalid(f"{url!r} names no host", hint="write https://HOST/PATH")
        if parts.username is not None or parts.password is not None:
            raise SourceInvalid(
                f"a URL at {parts.hostname} holds a user's name or password, which would stay in the run's history",
                hint="use a signed URL that ends soon, or fetch it in a task that takes the password from `secrets`",
            )
        self.url = url
        self.tells = True

    def stat(self) -> Stat:
        """Asked by a range of one byte: not every server answers HEAD, and only this shows that ranges work."""
        try:
            with self._request(0, 1) as answer:
                return _stat_of(answer)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return Stat(size=0, version=_version(error.headers))
            raise _refused(error) from error

    def read(self, start: int, end: int, version: str) -> Iterator[bytes]:
        with self._guarded(), self._request(start, end) as answer:
            self._check(answer, version)
            skip = start if answer.status == 200 else 0
            left = end - start
            while left > 0:
                piece = answer.read(min(PIECE, left + skip))
                if not piece:
                    raise Unreachable(f"the connection ended {left} bytes too soon")
                if skip:
                    piece, skip = piece[skip:], max(0, skip - len(piece))
                left -= len(piece)
                if piece:
                    yield piece

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error

    @contextlib.contextmanager
    def _request(self, start: int, end: int) -> Iterator[Any]:
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        request = urllib.request.Request(self.url, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        with answer:
            yield answer

    def _check(self, answer: Any, version: str) -> None:
        now = _version(answer.headers)
        if version and now and now != version:
            raise SourceChanged(
                f"{self.url} has changed since it was split: {version} then, {now} now",
                hint="split it again: start a new run, or keep versions of the source under names of their own",
            )


def _stat_of(answer: Any) -> Stat:
    version, checksum = _version(answer.headers), _checksum(answer.headers)
    if answer.status == 206:
        size = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return Stat(size=int(size) if size.isdigit() else -1, version=version, ranges=size.isdigit())
    length = answer.headers.get("Content-Length", "")
    size = int(length) if length.isdigit() else _counted(answer)
    return Stat(size=size, version=version, ranges=False, checksum=checksum)


def _counted(answer: Any) -> int:
    """The size of what a server makes while it sends."""
    size = 0
    try:
        while piece := answer.read(PIECE):
            size += len(piece)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error
    return size


def _version(headers: Any) -> str:
    tag = headers.get("ETag")
    if tag:
        return f"etag:{tag}"
    changed = headers.get("Last-Modified")
    return f"modified:{changed}" if changed else ""


def _checksum(headers: Any) -> str | None:
    text = headers.get("Content-MD5")
    try:
        return None if not text else f"md5:{b64decode(text, validate=True).hex()}"
    except ValueError:
        return None


def _refused(error: urllib.error.HTTPError) -> Unreachable:
    again = error.code in _AGAIN
    return Unreachable(f"HTTP {error.code} {error.reason}", final=not again, wait_s=_retry_after(error.headers))


def _retry_after(headers: Any) -> float | None:
    """Seconds, or a date."""
    text = headers.get("Retry-After") if headers is not None else None
    if not text:
        return None
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None
