"""One connection to a client, with deadlines: who sends or reads slowly holds a socket for a while, nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds; and how many connections there may be."""

    head_s: float
    """For the whole head of a request."""
    body_s: float
    """For the next piece of its body, and for the client to take the next piece of the answer."""
    connections: int


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which waits for a head, a body and a reader for ever."""

    deadlines: Deadlines

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        """That came after the piece in which the head began: that piece may hold the end of a request before it."""
        self._began = False
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > self.deadlines.connections:
            self._refuse(b"503 Service Unavailable", b"too many connections")
            return
        self._reading = self.loop.call_later(self.deadlines.head_s, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reading_timer()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._in_head = not self._in_body  # blank lines before a request are no request yet, and take its time
        self._began = False
        super().data_received(data)
        if self.transport is None or self.transport.is_closing():
            self._stop_reading_timer()
            return
        if self._in_head:
            self._head_received(0 if self._began else len(data))
        elif self._in_body:
            self._stop_reading_timer()
            self._reading = self.loop.call_later(self.deadlines.body_s, self._too_slow)
        else:
            self._stop_reading_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._in_body, self._began, self._head_bytes = True, False, True, 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head, self._in_body = False, True

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_body = False

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self.deadlines.body_s, self._not_taken)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def timeout_keep_alive_handler(self) -> None:
        """Closing waits until the client has taken everything: one that does not is cut off."""
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _head_received(self, length: int) -> None:
        """The head is not complete: its end may not be put off."""
        self._head_bytes += length
        if self._head_bytes > HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", b"the head of the request is too long")
        elif self._reading is None:
            self._reading = self.loop.call_later(self.deadlines.head_s, self._too_slow)

    def _too_slow(self) -> None:
        self._reading = None
        if self.flow.read_paused:  # it is we who do not read
            self._reading = self.loop.call_later(self.deadlines.body_s, self._too_slow)
        elif not self.transport.is_closing():
            self._refuse(b"408 Request Timeout", b"the request did not come in time")

    def _not_taken(self) -> None:
        self._writing = None
        self.transport.abort()

    def _refuse(self, status: bytes, reason: bytes) -> None:
        self._stop_reading_timer()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            head = b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (status, len(reason)) + reason)
        self.transport.close()

    def _stop_reading_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def guarded(deadlines: Deadlines) -> type[GuardedProtocol]:
    """The protocol of one server."""
    return type("ServerProtocol", (GuardedProtocol,), {"deadlines": deadlines})
