"""The runtime whose runs are a server's: the same face, driven by nobody here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from skylift.asl import events as e
from skylift.asl.status import ENDED
from skylift.config import Config
from skylift.engine.names import new_run_id
from skylift.errors import SetupError, SkyliftError
from skylift.reader import RunReader
from skylift.remote.blobs import RemoteBlobs
from skylift.remote.client import ServerClient
from skylift.remote.journal import RemoteJournal
from skylift.remote.keys import signer_of
from skylift.remote.logs import RemoteLogs
from skylift.remote.problems import OnServerOnly
from skylift.remote.recent import RecentRuns
from skylift.remote.wire import WAIT_S, Registered, Registration, StartRequest
from skylift.runtime import Runtime, Submission, WrongStatus, attributes_of
from skylift.units import parse_usd

if TYPE_CHECKING:
    from skylift.collecting import Freed
    from skylift.engine.thread import EngineThread
    from skylift.ports.blobs import BlobStore
    from skylift.ports.journal import Journal, RunRecord
    from skylift.ports.tasks import TaskSpec

EARLY_S = 0.1
"""An answer that comes sooner than this is of a server that is ending: it is not asked again at once."""
LACKING = ("DOCUMENT-MISSING",)
"""Codes of a refusal that is mended by putting documents again."""
PAUSING_S = 0.5
"""How often a run that may be paused is asked for."""


class RemoteRuntime(Runtime):
    """Runs on the server at `config.url`. Requests wait while it restarts; `on_trouble` is told, and with None when it
    is back."""

    def __init__(self, config: Config, *, on_trouble: Callable[[SetupError | None], None] | None = None) -> None:
        """Raises SetupError for an address that is none. Nothing is asked of the server yet."""
        super().__init__(config)
        assert config.url is not None
        self.client = ServerClient(config.url, signer_of(), on_trouble=on_trouble)
        self._recent = RecentRuns()
        self._remote = RemoteJournal(self.client, self._recent)

    def _prepare(self) -> None:
        """Nothing is kept here but copies of artifacts and code, whose folder is made when there are some."""

    @property
    def journal(self) -> Journal:
        return self._remote

    @cached_property
    def blobs(self) -> BlobStore:
        return RemoteBlobs(self.client, self._recent, self.config.home / "cache" / "server")

    @cached_property
    def reader(self) -> RunReader:
        """Looks at runs. The server drives all that are open, or will again when it is back."""
        return RunReader(self._remote, RemoteLogs(self.client), lambda _owner: True)

    @property
    def engine(self) -> EngineThread:
        raise OnServerOnly("the engine of these runs is the server's")

    @property
    def trouble(self) -> SkyliftError | None:
        """Told to `on_trouble` when it comes, which is while a request waits."""
        return None

    def warm_up(self) -> None:
        """The server's workers are its own affair."""

    def leased(self) -> NoReturn:
        raise OnServerOnly("what a server's tasks run on is swept by the server itself")

    sweep = leased

    def close(self) -> None:
        self.closed = True
        self.client.close()

    # -- driving runs --------------------------------------------------------------------------------------------------

    def submit(
        self,
        submission: Submission,
        value: Any,
        *,
        name: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> RunRecord:
        run_id = new_run_id()
        try:
            record = self._start_there(submission, value, name, attributes, run_id)
        except SkyliftError as problem:
            if problem.code not in LACKING:
                raise
            self._forget()  # what we put has been collected there since
            record = self._start_there(submission, value, name, attributes, run_id)
        return self.resume(record) if name is not None else record

    def put_documents(self, submission: Submission) -> tuple[str, str | None]:
        """Digests of definition and task table, on the server; no table for a bare document."""
        bare = not submission.table.tasks and not submission.machines
        definition, tasks = self._documents(submission)
        return definition, None if bare else tasks

    def register(
        self,
        name: str,
        submission: Submission,
        *,
        parameters: dict[str, Any],
        defaults: dict[str, Any],
        result: dict[str, Any],
        description: str,
    ) -> Registered:
        """Make or replace the state machine of this name on the server. Schemas are JSON Schema."""
        definition, tasks = self.put_documents(submission)
        registration = Registration(
            definition=definition,
            tasks=tasks,
            parameters=parameters,
            defaults=defaults,
            result=result,
            description=description,
        )
        return self.client.json(Registered, "PUT", f"/v1/pipelines/{name}", registration)

    def _start_there(
        self, submission: Submission, value: Any, name: str | None, attributes: Mapping[str, str] | None, run_id: str
    ) -> RunRecord:
        definition, tasks = self.put_documents(submission)
        return self._remote.start(
            StartRequest(
                pipeline=submission.pipeline,
                definition=definition,
                tasks=tasks,
                input=value,
                name=name,
                run_id=run_id,
                attributes=attributes_of(submission, attributes),
            )
        )

    def _forget(self) -> None:
        self._submitted = None
        self._remote.forget_documents()

    def execute(self, submission: Submission, value: Any) -> RunRecord:
        return self.wait(self.submit(submission, value).run_id)

    def wait(self, run_id: str, *, timeout_s: float | None = None, pausing: threading.Event | None = None) -> RunRecord:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            asked = time.monotonic()
            left = WAIT_S if deadline is None else deadline - asked
            record = self._remote.wait(run_id, min(left, WAIT_S if pausing is None else PAUSING_S))
            if record.status in ENDED or (pausing is not None and pausing.is_set() and record.status == "PAUSED"):
                return record
            if record.status == "PAUSED" and self._waits_for_money(record, pausing is None):
                return record
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"run {run_id} is still {record.status} after {timeout_s} s")
            if time.monotonic() - asked < EARLY_S:
                time.sleep(EARLY_S)

    def check(self, record: RunRecord) -> None:
        """A server's run goes on as soon as the server does."""

    def is_quiet(self, record: RunRecord) -> bool:
        """Paused; tasks that run are the server's."""
        return record.status == "PAUSED"

    def drives(self, record: RunRecord) -> bool:
        return False

    def send(self, record: RunRecord, event: e.AnyEvent) -> None:
        self._remote.send(record.run_id, event)

    def resume(self, record: RunRecord, *, budget: str | None = None) -> RunRecord:
        if record.status in ENDED or (record.status != "PAUSED" and budget is None):
            return record
        self.send(record, e.ResumeRequested(budget=None if budget is None else parse_usd(budget, "budget")))
        return self._must(record.run_id)

    def redrive(self, record: RunRecord) -> RunRecord:
        if record.status not in ENDED or record.status == "SUCCEEDED":
            raise WrongStatus(
                f"run {record.run_id} is {record.status}",
                hint="only a run that failed, timed out or was stopped can be redriven",
            )
        self.send(record, e.RedriveRequested())
        return self._must(record.run_id)

    def collect_garbage(self, *, older_than_ms: int, keep: int = 0, dry_run: bool = False) -> Freed:
        _not_from_here("runs and artifacts of a server are deleted", "skylift gc")

    def _functions(self) -> dict[str, TaskSpec]:
        """`[functions]` are the server's."""
        return {}


def _not_from_here(what: str, command: str) -> NoReturn:
    raise OnServerOnly(
        f"{what} where it runs, not through SKYLIFT_URL",
        hint=f"in the server's folder, without SKYLIFT_URL: {command}",
    )
