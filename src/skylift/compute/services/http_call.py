"""`http:invoke` and `apigateway:invoke`: requests to HTTP APIs, and their answers as results."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from skylift.compute.services.encoding import ARRAY_FORMATS, form, query
from skylift.compute.services.failure import ServiceFailure, not_startable
from skylift.compute.services.request import json_text
from skylift.compute.services.result import text_of
from skylift.compute.services.transport import HttpAnswer

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
_FORBIDDEN = re.compile(
    r"a-im|accept-charset|accept-datetime|accept-encoding|cache-control|connection|content-encoding|content-length"
    r"|content-md5|date|expect|forwarded|from|host|http2-settings|if-.*|keep-alive|max-forwards|origin|pragma|proxy-.*"
    r"|referer|server|te|trailer|transfer-encoding|upgrade|via|warning|x-amz.*|x-forwarded-.*"
)
_BAD_TEXT = re.compile(r"[\r\n\0]")
_FORM = "application/x-www-form-urlencoded"


class Parameters:
    """The state's arguments, read field by field; what is wrong is collected."""

    def __init__(self, given: Any, known: frozenset[str]) -> None:
        self._given: dict[str, Any] = given if isinstance(given, dict) else {}
        self.problems = [
            f'The field "{name}" is not supported by Step Functions' for name in self._given if name not in known
        ]

    def text(self, name: str, *, required: bool = True) -> str:
        value = self._given.get(name)
        if isinstance(value, str) and not _BAD_TEXT.search(value):
            return value
        if value is not None or required:
            self.problems.append(f"The value for the field '{name}' must be a STRING")
        return ""

    def table(self, name: str) -> dict[str, Any]:
        value = self._given.get(name)
        if value is not None and not isinstance(value, dict):
            self.problems.append(f"The value for the field '{name}' must be an OBJECT")
        return value if isinstance(value, dict) else {}

    def any(self, name: str) -> Any:
        return self._given.get(name)

    def method(self) -> str:
        value = self.text("Method")
        if value and value not in METHODS:
            self.problems.append(f"The value for the field 'Method' must be one of {', '.join(METHODS)}")
        return value

    def headers(self) -> dict[str, str]:
        found = {}
        for name, value in self.table("Headers").items():
            said = ", ".join(map(_plain, value)) if isinstance(value, list) else _plain(value)
            if _FORBIDDEN.fullmatch(name.lower()) or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                self.problems.append(f"The header '{name}' is not allowed")
            elif _BAD_TEXT.search(said) or not said.isascii():
                self.problems.append(f"The value of the header '{name}' is not allowed")
            elif value is not None:
                found[name] = said
        return found

    def done(self) -> None:
        """Raises ServiceFailure if anything was wrong."""
        if self.problems:
            raise not_startable(json_text(self._given), self.problems)


def checked_url(parameters: Parameters, text: str, more: Mapping[str, Any]) -> SplitResult:
    """The URL with further query parameters. What is no URL becomes a problem of the parameters."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError as problem:
        parameters.problems.append(f"The value for the field 'ApiEndpoint' is no URL: {problem}")
        return urlsplit("")
    if url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc:
        parameters.problems.append("The value for the field 'ApiEndpoint' must be an https:// URL without credentials")
    joined = "&".join(part for part in (url.query, query(more)) if part)
    return url._replace(
        path=quote(url.path, safe="/%:@!$&'()*+,;=~-._"), query=quote(joined, safe="/%:@!$&'()*+,;=~-._?[]")
    )


def body_of(parameters: Parameters, headers: dict[str, str], body: Any) -> bytes | None:
    """The request's body as `Transform` wants it; sets the content type where the state does not."""
    transform = parameters.table("Transform")
    encoding = transform.get("RequestBodyEncoding", "NONE")
    arrays = (transform.get("RequestEncodingOptions") or {}).get("ArrayFormat", "INDICES")
    if encoding not in ("NONE", "URL_ENCODED"):
        parameters.problems.append("The value for the field 'RequestBodyEncoding' must be URL_ENCODED or NONE")
    if arrays not in ARRAY_FORMATS:
        parameters.problems.append(f"The value for the field 'ArrayFormat' must be one of {', '.join(ARRAY_FORMATS)}")
    if body is None or parameters.problems:
        return None
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    if encoding == "URL_ENCODED" and isinstance(body, dict):
        if kind is None:
            headers["Content-Type"] = _FORM
        return form(body, arrays).encode()
    if kind is None:
        headers["Content-Type"] = "application/json"
    is_json = kind is None or "json" in kind.lower()
    return (body if isinstance(body, str) and not is_json else json_text(body)).encode()


def result_of(answer: HttpAnswer) -> dict[str, Any]:
    """What the state gets of a good answer."""
    return {
        "Headers": dict(sorted(answer.headers.items(), key=lambda pair: pair[0].lower())),
        "ResponseBody": _body(answer),
        "StatusCode": answer.status,
        "StatusText": answer.reason or _phrase(answer.status),
    }


def check_status(answer: HttpAnswer, prefix: str) -> None:
    """Raises ServiceFailure `PREFIX.404` for anything but success; a redirect is none, as it is not followed."""
    if not 200 <= answer.status < 300:
        cause = text_of(answer.body) or answer.reason or _phrase(answer.status)
        raise ServiceFailure(f"{prefix}.{answer.status}", cause)


def _body(answer: HttpAnswer) -> Any:
    text = text_of(answer.body)
    if "json" in answer.header("content-type").lower():
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)
