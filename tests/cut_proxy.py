"""A proxy between a client and a server that cuts connections at a chosen message."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Literal

Cut = Literal["before", "after"]


class CutProxy:
    """Passes bytes on, until `arm` says which piece of what clients send is their last: thrown away (`before`), or
    delivered without its answer (`after`). A context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self.refusing = False
        """Are new connections ended at once?"""
        self._lock = threading.Lock()
        self._left: int | None = None
        self._how: Cut = "after"
        self._refuse_then = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, pieces: int, how: Cut, *, refuse: bool = False) -> None:
        """Cut at the `pieces`-th piece from now, on whichever connection; with `refuse` nobody gets in afterwards."""
        with self._lock:
            self._left, self._how, self._refuse_then = pieces, how, refuse

    def disarm(self) -> None:
        with self._lock:
            self._left, self.refusing = None, False

    def __enter__(self) -> CutProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for one in list(self._open):
            self._end(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(client, server), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                cut = self._cut_now()
                if cut == "after":
                    self._end(client)  # first, so that no answer gets through
                    server.sendall(data)
                if cut is not None:
                    break
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)
        self._end(client)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                with contextlib.suppress(OSError):
                    client.sendall(data)
        self._end(server)
        self._end(client)

    def _cut_now(self) -> Cut | None:
        with self._lock:
            if self._left is None:
                return None
            self._left -= 1
            if self._left:
                return None
            self._left = None
            self.cuts += 1
            self.refusing = self._refuse_then
            return self._how

    def _end(self, one: socket.socket) -> None:
        self._open.discard(one)
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
