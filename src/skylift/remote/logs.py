"""The logs of a server's attempts."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from skylift.errors import RunNotFound
from skylift.remote.client import ServerClient
from skylift.remote.wire import LogPositions

_MOST_TOKENS = 5_000
"""In one request, so that it stays small."""


class RemoteLogs:
    """The AttemptLogs port of `skylift.run_logs`."""

    def __init__(self, client: ServerClient) -> None:
        self._client = client

    def read(self, run_id: str, positions: Mapping[str, int]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        tokens = list(positions)
        for start in range(0, len(tokens), _MOST_TOKENS):
            known = {token: positions[token] for token in tokens[start : start + _MOST_TOKENS]}
            while added := self._added(run_id, known):
                for token, data in added.items():
                    found[token] = found.get(token, b"") + data
                    known[token] += len(data)
        return found

    def begun(self, run_id: str, token: str) -> bool:
        try:
            self._client.request("GET", f"/v1/runs/{run_id}/logs/{token}", query={"limit": 1})
        except RunNotFound:
            return False
        return True

    def _added(self, run_id: str, positions: dict[str, int]) -> dict[str, bytes]:
        answer = self._client.request(
            "POST",
            f"/v1/runs/{run_id}/logs",
            body=msgspec.json.encode(LogPositions(positions=positions)),
            content_type="application/json",
        )
        return msgspec.msgpack.decode(answer.body, type=dict[str, bytes])
