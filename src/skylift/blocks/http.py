"""Sources on the web: ranged requests with what the standard library has."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import re
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from skylift.blocks.errors import SourceChanged, SourceInvalid
from skylift.blocks.origins import PIECE, Stat, Unreachable

_TIMEOUT_S = 30.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAFE = "%/:=&?~+!$,;'@()*[]"
_LONGEST_NUMBER = 18
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/")
_ENCODINGS = {"gzip": "gzip", "x-gzip": "gzip", "bzip2": "bz2", "x-bzip2": "bz2", "xz": "xz", "zstd": "zstd"}
_NOTHING = ("", "identity", "none", "aws-chunked", "utf-8", "utf8")
"""What stores keep under that name, or uploaders say there, and compresses nothing."""


class HttpOrigin:
    """A URL of a web server. Proxies come from the environment, as for all of Python."""

    def __init__(self, url: str, size: int | None = None) -> None:
        """`size`: of the source, if it is known; an answer that tells of another one is of another source."""
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise SourceInvalid(f"{url!r} is no URL: {error}", hint="write https://HOST/PATH") from error
        if not parts.hostname:
            raise SourceInvalid(f"{url!r} names no host", hint="write https://HOST/PATH")
        if parts.username is not None or parts.password is not None:
            raise SourceInvalid(
                f"a URL at {parts.hostname} holds a user's name or password, which would stay in the run's history",
                hint="use a signed URL that ends soon, or fetch it in a task that takes the password from `secrets`",
            )
        self.url = url
        self.tells = True
        self._size = size
        self._asked = parts._replace(path=quote(parts.path, _SAFE), query=quote(parts.query, _SAFE)).geturl()
        """With what is no ASCII, and spaces, as a request line has them."""

    def stat(self) -> Stat:
        """Asked by a range of one byte: not every server answers HEAD, and only this shows that ranges work."""
        try:
            with self._request(0, 1) as answer:
                return _stat_of(answer)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return Stat(size=0, version=_version(error.headers))
            raise _refused(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error

    def read(self, start: int, end: int, version: str) -> Iterator[bytes]:
        with self._guarded(), self._request(start, end) as answer:
            self._check(answer, version, start, end)
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
            if answer.status == 200 and end == self._size and answer.read(1):
                raise self._changed(f"{self._size} bytes then, more now")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except urllib.error.HTTPError as error:
            if error.code == 416:
                raise self._changed("it had these bytes then, and has not now") from error
            raise _refused(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error

    @contextlib.contextmanager
    def _request(self, start: int, end: int) -> Iterator[Any]:
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        request = urllib.request.Request(self._asked, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            raise
        except ValueError as error:
            raise Unreachable(f"{type(error).__name__}: {error}", final=True) from error
        with answer:
            yield answer

    def _check(self, answer: Any, version: str, start: int, end: int) -> None:
        """Whether this is an answer to what was asked, as far as it tells."""
        now = _version(answer.headers)
        if version and now and now != version:
            raise self._changed(f"{version} then, {now} now")
        size = _size_of(answer)
        if self._size is not None and size not in (-1, self._size):
            raise self._changed(f"{self._size} bytes then, {size} now")
        told = answer.headers.get("Content-Range", "")
        found = _RANGE.match(told) if answer.status == 206 else None
        if found is not None and (int(found[1]) != start or int(found[2]) >= end):  # fewer than asked for are in order
            raise Unreachable(f"bytes {start}-{end - 1} were asked for, and the answer is {told!r}", final=True)

    def _changed(self, what: str) -> SourceChanged:
        return SourceChanged(
            f"{self.url} has changed since it was split: {what}",
            hint="split it again: start a new run, or keep versions of the source under names of their own",
        )


def _stat_of(answer: Any) -> Stat:
    version, checksum = _version(answer.headers), _checksum(answer.headers)
    size, compression = _size_of(answer), _compression(answer)
    if answer.status == 206:
        return Stat(size=size, version=version, ranges=size >= 0, compression=compression)
    if size < 0:
        size = _counted(answer)
    return Stat(size=size, version=version, ranges=False, checksum=checksum, compression=compression)


def _size_of(answer: Any) -> int:
    """Of the whole source; -1 where the answer does not tell."""
    if answer.status == 206:
        told = answer.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        told = answer.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) <= _LONGEST_NUMBER else -1


def _compression(answer: Any) -> str | None:
    """What the server keeps compressed comes so, whatever a request says: then the name tells nothing of it."""
    given = [one.strip().lower() for one in answer.headers.get("Content-Encoding", "").split(",")]
    told = ", ".join(one for one in given if one not in _NOTHING)
    if not told:
        return None
    if told not in _ENCODINGS:
        raise SourceInvalid(
            f"{answer.url} comes with `Content-Encoding: {told}`, which cannot be read here",
            hint=f"have it sent as it is, or as one of {', '.join(_ENCODINGS)}",
        )
    return _ENCODINGS[told]


def _counted(answer: Any) -> int:
    """The size of what a server makes while it sends."""
    size = 0
    try:
        while piece := answer.read(PIECE):
            size += len(piece)
    except (OSError, http.client.HTTPException) as error:
        raise _broken(error) from error
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


def _broken(error: Exception) -> Unreachable:
    """A certificate or a URL that is wrong will be wrong the next time too."""
    reason = getattr(error, "reason", None)
    final = isinstance(error, http.client.InvalidURL) or isinstance(reason, ssl.SSLCertVerificationError)
    return Unreachable(f"{type(error).__name__}: {error}", final=final)


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
