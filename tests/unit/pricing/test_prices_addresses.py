"""Addresses of price files that lead nowhere: empty, of another kind, malformed, or from one place to the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from skylift.pricing.catalogue import catalogue
from skylift.pricing.update.fetch import UpdateFailed
from skylift.pricing.update.make import Wanted, update

PAGE = b'{"Items": [], "NextPageLink": "http://[::1/next"}'
LEADS = {"/loop": "/loop", "/long": None, "/file": "file:///etc/passwd", "/nowhere": "", "/bad": "http://[::1"}
"""Where the server sends whoever asks; `/long` always one place further."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        leads = LEADS.get(self.path.partition("?")[0], PAGE)
        self.send_response(200 if leads is PAGE else 302)
        if not isinstance(leads, bytes) and leads != "":
            self.send_header("Location", leads or f"{self.path}?{len(self.path)}")
        self.send_header("Content-Length", str(len(PAGE) if leads is PAGE else 0))
        self.end_headers()
        if leads is PAGE:
            self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def refused(place: str, folder: Path, cloud: str | None = "aws") -> UpdateFailed:
    with pytest.raises(UpdateFailed) as caught:
        update(Wanted(cloud=cloud, place=place, into=folder / "prices", today="2026-11-21"), catalogue())
    assert not (folder / "prices").exists()
    return caught.value


@pytest.mark.parametrize(
    ("place", "said", "hint"),
    [
        ("file:///tmp/no%20such.csv", "file:///tmp/no%20such.csv cannot be read", "--from /tmp/no such.csv"),
        ("FILE://localhost/no.csv", "cannot be read", "give the path itself: --from /no.csv"),
        ("s3://bucket/prices.csv", "s3://bucket/prices.csv cannot be read", "fetch what s3 has"),
        ("", "--from is empty", "a path or a URL"),
        ("  ", "--from is empty", "a path or a URL"),
        ("http://[::1/prices", "http://[::1/prices is no URL", "a path or a URL"),
        ("a\0b", "cannot be read: embedded null byte", "a path or a URL"),
        ("/", "/ cannot be read: Is a directory", "a path or a URL"),
    ],
)
@pytest.mark.parametrize("cloud", [None, "aws"])
def test_a_place_that_is_none_is_told_with_the_mend(
    place: str, said: str, hint: str, cloud: str | None, tmp_path: Path
) -> None:
    error = refused(place, tmp_path, cloud)
    assert said in error.message and hint in (error.hint or "")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/loop", "leads from one address to the next and to no file (302)"),
        ("/long", "leads from one address to the next and to no file (302)"),
        ("/file", "leads to 'file:///etc/passwd', which is not read (302)"),
        ("/nowhere", "leads elsewhere and does not say where (302)"),
        ("/bad", "cannot be reached"),
    ],
)
def test_a_server_that_leads_nowhere_is_no_matter_of_trying_later(
    url: str, path: str, said: str, tmp_path: Path
) -> None:
    error = refused(url + path, tmp_path)
    assert said in error.message and "\n" not in error.message
    assert "--from" in (error.hint or "")


def test_a_next_page_that_is_no_address_is_told(url: str, tmp_path: Path) -> None:
    assert "leads to what is no address: 'http://[::1/next'" in refused(url + "/page", tmp_path, "azure").message
