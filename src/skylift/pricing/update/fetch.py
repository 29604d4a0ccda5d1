"""Price files from the network or from disk, as streams that are no longer than allowed."""

from __future__ import annotations

import gzip
import http.client
import io
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from skylift.errors import SetupError

TIMEOUT_S = 60.0
"""Without a byte."""
MIB = 1024 * 1024


class UpdateFailed(SetupError):
    """Newer prices could not be had: the network, the file, or what is in it."""

    code = "PRICES-UPDATE"


class Limited(io.RawIOBase):
    """Of a stream as much as is allowed. Longer ones, and such as end before they should, raise UpdateFailed."""

    def __init__(self, inner: BinaryIO, name: str, most: int, announced: int | None = None) -> None:
        self._inner = inner
        self._name = name
        self._left = most
        self._most = most
        self._missing = announced or 0
        """What the server has announced and not yet sent."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            piece = self._inner.read(len(buffer))
        except (OSError, EOFError, http.client.HTTPException) as problem:
            raise UpdateFailed(
                f"{self._name} broke off: {problem or type(problem).__name__}", hint="try again"
            ) from problem
        self._left -= len(piece)
        self._missing -= len(piece)
        if not piece and self._missing > 0:
            raise UpdateFailed(f"{self._name} broke off {self._missing} bytes before its end", hint="try again")
        if self._left < 0:
            raise UpdateFailed(
                f"{self._name} is larger than {self._most // MIB} MiB", hint="name fewer regions, or another file"
            )
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def opened(place: str, *, most: int, headers: Mapping[str, str] | None = None) -> Iterator[io.BufferedReader]:
    """A URL (https, http) or a path; gzip is undone. Raises UpdateFailed."""
    name = shown(place)
    if _scheme(place) in ("http", "https"):
        with _answer(place, name, headers or {}) as answer:
            yield _plain(answer, name, most, _announced(answer))
    else:
        try:
            file = Path(place).expanduser().open("rb")
        except (OSError, ValueError) as problem:
            why = getattr(problem, "strerror", None) or problem
            raise UpdateFailed(f"{name} cannot be read: {why}", hint=_hint(place)) from problem
        with file:
            yield _plain(file, name, most)


def _scheme(place: str) -> str:
    if not place.strip():
        raise UpdateFailed("--from is empty", hint="it takes a path or a URL")
    try:
        return urlsplit(place).scheme
    except ValueError as problem:
        raise UpdateFailed(f"{shown(place)} is no URL: {problem}", hint="--from takes a path or a URL") from problem


def _hint(place: str) -> str:
    """Of what is taken for a path and is none."""
    scheme, found, rest = place.partition("://")
    if not found:
        return "--from takes a path or a URL"
    if scheme.lower() == "file":
        return f"give the path itself: --from {unquote(rest.removeprefix('localhost'))}"
    return f"--from takes a path, or a URL of http or https; fetch what {scheme} has and give the file"


def _plain(inner: BinaryIO, name: str, most: int, announced: int | None = None) -> io.BufferedReader:
    buffered: io.BufferedReader = io.BufferedReader(Limited(inner, name, most, announced), MIB)
    if buffered.peek(2)[:2] != b"\x1f\x8b":
        return buffered
    return io.BufferedReader(Limited(gzip.GzipFile(fileobj=buffered), name, most), MIB)  # type: ignore[arg-type]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """To nothing but https, or from http to http: urllib would also follow to ftp, and out of what is encrypted."""

    def http_error_302(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (ValueError, UpdateFailed):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            scheme = urlsplit(newurl).scheme
        except ValueError:
            scheme = ""
        if scheme != "https" and (scheme, req.type) != ("http", "http"):
            raise UpdateFailed(
                f"{shown(req.full_url)} leads to {shown(newurl)}, which is not read", hint="give the file with --from"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _answer(url: str, name: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
    try:
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
        for key, value in headers.items():
            request.add_unredirected_header(key, value)  # a key goes to nobody whom the server names
        answer = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as problem:
        problem.close()
        raise _refused(name, problem) from problem
    except (OSError, ValueError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise UpdateFailed(
            f"{name} cannot be reached: {reason}",
            hint="this needs the network; a file that was fetched elsewhere can be given with --from",
        ) from problem
    with answer:
        yield answer


def _refused(name: str, problem: urllib.error.HTTPError) -> UpdateFailed:
    if problem.code in (401, 403):
        return UpdateFailed(
            f"{name} answers {problem.code} {problem.reason}",
            hint="a key of Google Cloud's billing API is missing or wrong",
        )
    if 300 <= problem.code < 400:
        target = problem.headers.get("Location")
        leads = (
            f"leads to {shown(target)!r:.80}, which is not read" if target else "leads elsewhere and does not say where"
        )
        if "infinite loop" in str(problem.reason):  # urllib's word for ten places, or one place four times
            leads = "leads from one address to the next and to no file"
        return UpdateFailed(f"{name} {leads} ({problem.code})", hint="give the address of the file itself with --from")
    return UpdateFailed(f"{name} answers {problem.code} {problem.reason}", hint="try later")


def _announced(answer: http.client.HTTPResponse) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def shown(place: str) -> str:
    """Without the query, which may hold a key."""
    return place.partition("?")[0]
