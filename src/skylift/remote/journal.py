"""A server's journal, read over HTTP. Runs are started and asked for things there; nothing is written from here."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NoReturn

import msgspec

from skylift.asl import events as e
from skylift.errors import RunNotFound
from skylift.ports.journal import (
    Batch,
    CacheEntry,
    Entry,
    OfferedTask,
    RunRecord,
    Signal,
    Snapshot,
)
from skylift.remote.client import ServerClient
from skylift.remote.problems import OnServerOnly
from skylift.remote.recent import RecentRuns
from skylift.remote.wire import (
    ENTRIES_PAGE,
    Fail,
    Pause,
    Redrive,
    Resume,
    RunPage,
    RunState,
    SignalRequest,
    StartRequest,
    Stop,
    Succeed,
)

MOST_KEPT = 4
"""Runs whose entries are kept: what is journaled never changes, so a follower reads only what is new."""
LONGEST_KEPT = 50_000
"""Entries of one run that are kept."""
_PAGE = 500

_entry_decoder = msgspec.json.Decoder(Entry)


class RemoteJournal:
    """The reading side of the Journal port, `put_document` and `send`. What only an engine does is refused."""

    def __init__(self, client: ServerClient, recent: RecentRuns) -> None:
        self._client = client
        self._recent = recent
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, list[Entry]] = OrderedDict()
        self._known: set[str] = set()

    # -- documents -----------------------------------------------------------------------------------------------------

    def put_document(self, text: bytes) -> str:
        import hashlib

        digest = hashlib.sha256(text).hexdigest()
        if digest not in self._known:
            self._client.request("PUT", f"/v1/documents/{digest}", body=text, content_type="application/json")
            self._known.add(digest)
        return digest

    def forget_documents(self) -> None:
        """Put them again when they are needed again."""
        self._known.clear()

    def document(self, digest: str) -> bytes:
        return self._client.request("GET", f"/v1/documents/{digest}", query={"runs": self._recent.hint(digest)}).body

    # -- runs ----------------------------------------------------------------------------------------------------------

    def start(self, request: StartRequest) -> RunRecord:
        """Durably; the record of the run that was started, or found by its name."""
        return self._met(self._client.json(RunState, "POST", "/v1/runs", request))

    def run(self, run_id: str) -> RunRecord | None:
        try:
            found = self._client.json(RunState, "GET", f"/v1/runs/{run_id}", query={"exact": "true"})
        except RunNotFound:
            return None
        self._recent.opened(found.run_id)
        return self._met(found)

    def wait(self, run_id: str, timeout_s: float) -> RunRecord:
        """The record when the run has ended, or as it is after that time."""
        query = {"timeout": f"{max(0.0, timeout_s):.3f}"}
        found = self._client.json(RunState, "GET", f"/v1/runs/{run_id}/wait", query=query, timeout_s=timeout_s)
        self._recent.opened(found.run_id)
        return self._met(found)

    def run_named(self, pipeline: str, name: str) -> RunRecord | None:
        page = self._page({"pipeline": pipeline, "name": name, "limit": 1})
        return page.runs[0] if page.runs else None

    def runs(
        self,
        *,
        pipeline: str | None = None,
        account: str | None = None,
        status: Sequence[str] | None = None,
        parent: str | None = None,
        before: tuple[int, str] | None = None,
        limit: int = 100,
    ) -> list[RunRecord]:
        """Those of our own account, whatever `account` says."""
        found: list[RunRecord] = []
        while len(found) < limit:
            page = self._page(
                {
                    "pipeline": pipeline,
                    "status": ",".join(status) if status else None,
                    "parent": parent,
                    "before": None if before is None else f"{before[0]}-{before[1]}",
                    "limit": min(_PAGE, limit - len(found)),
                }
            )
            found += page.runs
            if page.next is None or not page.runs:
                break
            before = (page.runs[-1].created_ms, page.runs[-1].run_id)
        return found

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        return list(self._page({"prefix": prefix, "limit": limit}).runs)

    def entries(self, run_id: str, after: int = 0) -> Iterator[Entry]:
        self._recent.opened(run_id)
        kept = self._entries_of(run_id)
        for entry in kept[after:] if len(kept) > after else ():
            yield entry
            after = entry.sequence
        while True:
            page = self._entry_page(run_id, after)
            self._keep(kept, page)
            for entry in page:
                yield entry
                after = entry.sequence
            if len(page) < ENTRIES_PAGE:
                return

    def send(self, run_id: str, event: e.AnyEvent) -> int:
        """Not repeated where that could do something twice. There is no number: the server has taken it in."""
        request = _signal(event)
        repeatable = not isinstance(request, Redrive)
        self._client.json(RunState, "POST", f"/v1/runs/{run_id}/signals", request, repeatable=repeatable)
        return 0

    def snapshot(self, run_id: str) -> Snapshot | None:
        return None

    def changed(self) -> bool:
        return True

    def cached(self, key: str) -> CacheEntry | None:
        return None

    def close(self) -> None:
        self._client.close()

    # -- what only an engine does --------------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        _refuse()

    def claim(self, run_id: str, owner: str, expected: str | None) -> bool:
        _refuse()

    def owners(self) -> list[str | None]:
        _refuse()

    def adopt(self, owner: str, expected: str | None, limit: int) -> list[str]:
        _refuse()

    def take(self, queue: str, worker: str | None) -> OfferedTask | None:
        _refuse()

    def release(self, owner: str) -> None:
        _refuse()

    def signals(self, owner: str) -> list[Signal]:
        _refuse()

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        _refuse()

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _page(self, query: dict[str, object]) -> RunPage:
        page = self._client.json(RunPage, "GET", "/v1/runs", query=query)
        for record in page.runs:
            self._recent.met(record)
        return page

    def _met(self, record: RunRecord) -> RunRecord:
        self._recent.met(record)
        return record

    def _entry_page(self, run_id: str, after: int) -> list[Entry]:
        query = {"after": after, "limit": ENTRIES_PAGE}
        body = self._client.request("GET", f"/v1/runs/{run_id}/entries", query=query).body
        return [_entry_decoder.decode(line) for line in body.splitlines()]

    def _entries_of(self, run_id: str) -> list[Entry]:
        with self._lock:
            kept = self._kept.setdefault(run_id, [])
            self._kept.move_to_end(run_id)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return kept

    def _keep(self, kept: list[Entry], page: list[Entry]) -> None:
        """Entry N stands at place N - 1; readers that are further than what is kept leave it alone."""
        with self._lock:
            if page and page[0].sequence == len(kept) + 1 and len(kept) + len(page) <= LONGEST_KEPT:
                kept += page


def _refuse() -> NoReturn:
    raise OnServerOnly("only the server's own engine writes its journal")


def _signal(event: e.AnyEvent) -> SignalRequest:
    match event:
        case e.StopRequested():
            return Stop(error=event.error, cause=event.cause)
        case e.PauseRequested():
            return Pause()
        case e.ResumeRequested():
            return Resume(budget=event.budget)
        case e.RedriveRequested():
            return Redrive()
        case e.TaskSucceeded():
            return Succeed(token=event.token, output=event.output)
        case e.TaskFailed():
            return Fail(token=event.token, error=event.error, cause=event.cause)
        case _:
            raise OnServerOnly(f"{type(event).__name__} cannot be sent to a server's run")
