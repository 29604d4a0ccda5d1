"""Item readers and result writers, run beside the engine's thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import msgspec

from skylift.asl.commands import ReadItems, WriteResults
from skylift.asl.events import AnyEvent, ItemsRead, ItemsReadFailed, ResultsWriteFailed, ResultsWritten
from skylift.engine.places import Places

THREADS = 2
IDLE_S = 5.0


class Job(msgspec.Struct, frozen=True):
    """One page to read, or one set of results to write."""

    command: ReadItems | WriteResults
    run_id: str
    account: str = ""


Done = Callable[[AnyEvent], None]


def carry_out(job: Job, places: Places) -> AnyEvent:
    """Do the job here and now; whatever goes wrong becomes the event for it."""
    command = job.command
    return _read(command, job, places) if type(command) is ReadItems else _write(command, job, places)  # type: ignore[arg-type]


def _read(command: ReadItems, job: Job, places: Places) -> AnyEvent:
    from skylift.engine.buckets import Access
    from skylift.engine.item_reader import ReaderFailed, read_page  # most runs never read: a start without it is faster

    try:
        items, cursor = read_page(command, Access(account=job.account, places=places))
    except ReaderFailed as problem:
        return ItemsReadFailed(reader=command.reader, error="States.ItemReaderFailed", cause=str(problem))
    except Exception as problem:  # noqa: BLE001  # a run must not wait for ever for a page that nobody reads
        return ItemsReadFailed(reader=command.reader, error="States.ItemReaderFailed", cause=repr(problem))
    return ItemsRead(reader=command.reader, items=items, cursor=cursor)


def _write(command: WriteResults, job: Job, places: Places) -> AnyEvent:
    from skylift.engine.buckets import Access
    from skylift.engine.result_writer import WriterFailed, write_results

    try:
        details = write_results(command, Access(account=job.account, places=places, action="s3:putObject"))
    except WriterFailed as problem:
        return ResultsWriteFailed(writer=command.writer, error="States.ResultWriterFailed", cause=str(problem))
    except Exception as problem:  # noqa: BLE001  # as above
        return ResultsWriteFailed(writer=command.writer, error="States.ResultWriterFailed", cause=repr(problem))
    return ResultsWritten(writer=command.writer, details=details)


class ItemStore:
    """A few threads, started when first needed and gone when idle. `submit` never blocks."""

    def __init__(self, threads: int = THREADS, *, places: Places | None = None) -> None:
        """`places` are what runs of an account may use; nothing without it."""
        self.places = places if places is not None else Places()
        self._most = threads
        self._jobs: queue.SimpleQueue[tuple[Job, Done]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running = 0

    def submit(self, job: Job, done: Done) -> None:
        """Call `done` once with the event that tells how the job ended, from another thread."""
        self._jobs.put((job, done))
        with self._lock:
            if self._running >= self._most:
                return
            self._running += 1
        threading.Thread(target=self._work, name="skylift-items", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job, done = self._jobs.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if not self._jobs.empty():
                        continue
                    self._running -= 1
                    return
            done(carry_out(job, self.places))


class InlineItems(ItemStore):
    """Does each job at once, in the caller's thread: for simulations."""

    def submit(self, job: Job, done: Done) -> None:
        done(carry_out(job, self.places))
