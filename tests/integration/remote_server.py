"""`skylift server` in a process of its own, to be killed and started again, with keys for any account."""

from __future__ import annotations

import http.client
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from free_ports import free_port

from skylift.server.auth.keys import Keys
from skylift.server.auth.sealing import open_sealer
from skylift.server.caller import Role
from skylift.stores.open import open_store

SETTINGS = """
[functions]
hello = "handlers:hello"

[server]
auth = "required"
log_level = "warning"
allow_code = {allowed}
"""
HANDLER = "def hello(event, context):\n    return {'said': f\"hello {event['who']}\"}\n"
ALONE = "000000000000"
"""An account whose code does not run."""


class ApiServer:
    """Listens on a free port of the loopback interface, the same one after a restart."""

    def __init__(self, folder: Path, *, allowed: str = '["*"]') -> None:
        self.folder = folder
        (folder / "skylift.toml").write_text(SETTINGS.format(allowed=allowed))
        (folder / "handlers.py").write_text(HANDLER)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._keys: dict[tuple[str, str], tuple[str, str]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ApiServer:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SKYLIFT_", "AWS_"))}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "skylift.cli", "server", "--port", str(self.port)],
                cwd=self.folder,
                env=kept,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._await()
        return self

    def kill(self) -> None:
        """At once, with its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def environment(self, account: str | None = None, role: str = "admin") -> dict[str, str]:
        """What makes commands talk to it, in an account of their own."""
        key_id, secret = self.key(account or new_account(), role)
        return {"SKYLIFT_URL": self.url, "SKYLIFT_ACCESS_KEY_ID": key_id, "SKYLIFT_SECRET_ACCESS_KEY": secret}

    def key(self, account: str, role: str = "admin") -> tuple[str, str]:
        """Id and secret, as `skylift keys create` issues them; the same ones each time."""
        known = self._keys.get((account, role))
        if known is None:
            home = self.folder / ".skylift"
            store = open_store(None, home=home)
            keys = Keys(store.resources, lambda: open_sealer(home, {}))
            issued = keys.create(account=account, role=Role[role.upper()], now_ms=int(time.time() * 1000))
            store.close()
            known = self._keys[account, role] = (issued.key_id, issued.secret)
        return known

    def _await(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                connection.request("GET", "/health/live")
                connection.getresponse().read()
                return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
                time.sleep(0.05)
            finally:
                connection.close()


def new_account() -> str:
    return f"{random.randrange(10**11, 10**12)}"
