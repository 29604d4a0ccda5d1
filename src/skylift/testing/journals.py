"""The contract of `skylift.ports.journal.Journal` as tests: subclass and supply one fixture.

class TestMyJournal(JournalConformance):
    @pytest.fixture
    def journal(self): ...
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from skylift.asl.events import (
    PauseRequested,
    RunStarted,
    StopRequested,
    TaskFailed,
    TaskStarted,
    TaskSucceeded,
    TimerFired,
    Usage,
)
from skylift.errors import JournalDamaged, NotOwner, RunAlreadyExists, RunNotFound
from skylift.ports.journal import (
    Append,
    Batch,
    CacheEntry,
    Entry,
    Journal,
    OfferedTask,
    RunRecord,
    RunUpdate,
    Signal,
    Snapshot,
)


def record(run_id: str = "r1", *, owner: str | None = "me", **columns: Any) -> RunRecord:
    """A run's record with what a test does not care about filled in."""
    filled: dict[str, Any] = {"name": f"name-{run_id}", "pipeline": "p", "definition": "d" * 64}
    filled |= {"input_digest": "i" * 64, "created_ms": 1_000, "engine_version": "0"}
    return RunRecord(run_id=run_id, owner=owner, **(filled | columns))


def timers(first: int, count: int = 1) -> list[Entry]:
    """Entries with the sequences `first`, `first` + 1, …"""
    return [Entry(number, 1_000 + number, TimerFired(timer=number)) for number in range(first, first + count)]


def append(run_id: str, first: int, count: int = 1, update: RunUpdate | None = None) -> Append:
    return Append(run_id=run_id, entries=timers(first, count), update=update)


def offer(token: str, *, run_id: str = "r1", queue: str = "q", offered_ms: int = 5) -> OfferedTask:
    return OfferedTask(queue=queue, token=f"{run_id}:{token}", run_id=run_id, input='{"a": 1}', offered_ms=offered_ms)


def sequences(journal: Journal, run_id: str, after: int = 0) -> list[int]:
    return [entry.sequence for entry in journal.entries(run_id, after)]


class JournalConformance:
    """Every journal passes these."""

    def test_a_record_comes_back_whole(self, journal: Journal) -> None:
        whole = record(
            tasks="t" * 64,
            status="FAILED",
            stopped_ms=2_000,
            output={"a": [1, None, "ü\u2028", 1.5, True]},
            error="E",
            cause="c",
            parent="r0/t3",
            attributes={"file": "faces.py"},
            account="123456789012",
            type="EXPRESS",
            limits="service",
        )
        journal.commit(Batch(owner="me", created=[whole]))
        assert journal.run("r1") == whole
        assert journal.run_named("p", "name-r1") == whole
        assert journal.run_named("q", "name-r1") is None
        assert journal.run("r2") is None

    def test_events_come_back_in_order_and_equal(self, journal: Journal) -> None:
        usage = Usage(started_ms=5, duration_ms=1.25, backend="process")
        events: list[Any] = [
            RunStarted(input={"x": [1, {"y": None}]}, seed=2**63, context={"Execution": {"Id": "r1"}}),
            TaskSucceeded(token="t1", output="ä\ud7ff", usage=usage),
            TaskFailed(token="t2", error="ValueError", cause="{}", classes=("ValueError", "Exception")),
            StopRequested(),
        ]
        entries = [Entry(number, number * 10, event) for number, event in enumerate(events, start=1)]
        appends = [Append(run_id="r1", entries=entries[:3]), Append(run_id="r1", entries=entries[3:])]
        journal.commit(Batch(owner="me", created=[record()], appends=appends))
        assert list(journal.entries("r1")) == entries
        assert list(journal.entries("nobody")) == []

    @pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 9, 10, 11, 100])
    def test_entries_after(self, journal: Journal, after: int) -> None:
        journal.commit(Batch(owner="me", created=[record()], appends=[append("r1", 1, 3), append("r1", 4, 6)]))
        journal.commit(Batch(owner="me", appends=[append("r1", 10)]))
        assert sequences(journal, "r1", after) == list(range(after + 1, 11))

    def test_an_update_replaces_the_columns_of_the_ending(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record()]))
        ended = RunUpdate(status="FAILED", stopped_ms=9, error="E", cause="c")
        journal.commit(Batch(owner="me", appends=[append("r1", 1, update=ended)]))
        found = journal.run("r1")
        assert found is not None
        assert (found.status, found.stopped_ms, found.error, found.cause) == ("FAILED", 9, "E", "c")
        again = RunUpdate(status="SUCCEEDED", stopped_ms=10, output=[1])
        journal.commit(Batch(owner="me", appends=[Append(run_id="r1", entries=[], update=again)]))
        found = journal.run("r1")
        assert found is not None
        assert (found.status, found.output, found.error, found.cause) == ("SUCCEEDED", [1], None, None)

    def test_only_the_owner_appends_and_nothing_of_a_refused_batch_is_kept(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record("r1"), record("r2", owner="other")]))
        refused = Batch(
            owner="me",
            created=[record("r3")],
            appends=[append("r1", 1), append("r2", 1)],
            snapshots=[Snapshot(run_id="r1", sequence=1, state=b"s")],
            cached=[CacheEntry(key="k", run_id="r1", output=1, created_ms=1)],
        )
        with pytest.raises(NotOwner):
            journal.commit(refused)
        assert journal.run("r3") is None
        assert sequences(journal, "r1") == []
        assert journal.snapshot("r1") is None
        assert journal.cached("k") is None
        journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
        assert sequences(journal, "r1") == [1]

    @pytest.mark.parametrize("first", [1, 2, 4, 5])
    def test_entries_must_follow(self, journal: Journal, first: int) -> None:
        journal.commit(Batch(owner="me", created=[record()], appends=[append("r1", 1, 2)]))
        with pytest.raises(NotOwner):
            journal.commit(Batch(owner="me", appends=[append("r1", first)]))
        journal.commit(Batch(owner="me", appends=[append("r1", 3)]))
        assert sequences(journal, "r1") == [1, 2, 3]

    def test_gaps_within_an_append_are_refused(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record()]))
        with pytest.raises(NotOwner):
            journal.commit(Batch(owner="me", appends=[Append(run_id="r1", entries=[*timers(1), *timers(3)])]))
        assert sequences(journal, "r1") == []

    def test_appending_to_an_unknown_run_is_refused(self, journal: Journal) -> None:
        with pytest.raises(NotOwner):
            journal.commit(Batch(owner="me", appends=[append("r9", 1)]))

    def test_ids_and_names_are_unique(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record("r1", name="n")]))
        for taken in (record("r1", name="other"), record("r2", name="n")):
            with pytest.raises(RunAlreadyExists):
                journal.commit(Batch(owner="me", created=[record("r5"), taken]))
            assert journal.run("r5") is None
        journal.commit(Batch(owner="me", created=[record("r2", name="n", pipeline="q")]))

    def test_listing_pages_newest_first(self, journal: Journal) -> None:
        created = [record(f"r{number:03}", created_ms=number // 2) for number in range(25)]
        journal.commit(Batch(owner="me", created=created))
        seen: list[str] = []
        before = None
        while page := journal.runs(before=before, limit=4):
            assert len(page) <= 4
            seen += [run.run_id for run in page]
            before = (page[-1].created_ms, page[-1].run_id)
        assert seen == [f"r{number:03}" for number in reversed(range(25))]

    def test_listing_filters(self, journal: Journal) -> None:
        created = [
            record("r1", pipeline="a", status="RUNNING"),
            record("r2", pipeline="a", status="FAILED", parent="x"),
            record("r3", pipeline="b", status="SUCCEEDED"),
        ]
        journal.commit(Batch(owner="me", created=created))
        assert [run.run_id for run in journal.runs(pipeline="a")] == ["r2", "r1"]
        assert [run.run_id for run in journal.runs(status=["RUNNING", "SUCCEEDED"])] == ["r3", "r1"]
        assert [run.run_id for run in journal.runs(parent="x")] == ["r2"]
        assert journal.runs(pipeline="b", status=["FAILED"]) == []
        assert journal.runs(status=[]) == []

    def test_listing_by_account(self, journal: Journal) -> None:
        created = [
            record("r1", account="111111111111", created_ms=1),
            record("r2", account="222222222222", created_ms=2),
            record("r3", account="111111111111", created_ms=3, pipeline="b"),
            record("r4", created_ms=4),
        ]
        journal.commit(Batch(owner="me", created=created))
        assert [run.run_id for run in journal.runs(account="111111111111")] == ["r3", "r1"]
        assert [run.run_id for run in journal.runs(account="111111111111", limit=1, before=(3, "r3"))] == ["r1"]
        assert [run.run_id for run in journal.runs(account="111111111111", pipeline="b")] == ["r3"]
        assert [run.run_id for run in journal.runs(account="")] == ["r4"]
        assert journal.runs(account="333333333333") == []

    def test_texts_with_anything_in_them(self, journal: Journal) -> None:
        """Names, errors and causes come from users: NUL, quotes, what looks like an escape."""
        strange = "a\0b\\u0000'\"%_\U0010fffdé"
        whole = record(
            name=strange,
            status="FAILED",
            output={strange: [strange]},
            error=strange,
            cause=strange,
            attributes={strange: strange},
        )
        journal.commit(Batch(owner="me", created=[whole]))
        assert journal.run("r1") == whole
        assert journal.run_named("p", strange) == whole
        assert [run.run_id for run in journal.find_runs("a\0")] == ["r1"]
        with pytest.raises(RunAlreadyExists):
            journal.commit(Batch(owner="me", created=[record("r2", name=strange)]))
        update = RunUpdate(status="FAILED", stopped_ms=9, error="x\0", cause="\0")
        entries = [Entry(1, 1, TaskFailed(token="t", error=strange, cause=strange))]
        journal.commit(Batch(owner="me", appends=[Append(run_id="r1", entries=entries, update=update)]))
        assert list(journal.entries("r1")) == entries
        found = journal.run("r1")
        assert found is not None
        assert (found.error, found.cause) == ("x\0", "\0")
        journal.send("r1", StopRequested(cause=strange))
        assert journal.signals("me")[0].event == StopRequested(cause=strange)

    def test_finds_by_prefix_of_id_or_name(self, journal: Journal) -> None:
        created = [record("abc1", name="one"), record("abd2", name="two"), record("xyz", name="ab%_*"), record("q")]
        journal.commit(Batch(owner="me", created=created))
        assert {run.run_id for run in journal.find_runs("ab")} == {"abc1", "abd2", "xyz"}
        assert [run.run_id for run in journal.find_runs("ab%")] == ["xyz"]
        assert [run.run_id for run in journal.find_runs("tw")] == ["abd2"]
        assert journal.find_runs("%") == []
        assert len(journal.find_runs("", limit=2)) == 2

    def test_snapshots_the_newest_counts(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record()]))
        assert journal.snapshot("r1") is None
        for sequence in (3, 7):
            taken = Snapshot(run_id="r1", sequence=sequence, state=b"\0\xff%d" % sequence)
            journal.commit(Batch(owner="me", snapshots=[taken]))
        assert journal.snapshot("r1") == Snapshot(run_id="r1", sequence=7, state=b"\0\xff7")

    def test_documents_are_kept_once_by_digest(self, journal: Journal) -> None:
        digest = journal.put_document(b'{"a": 1}')
        assert journal.put_document(b'{"a": 1}') == digest
        assert journal.document(digest) == b'{"a": 1}'
        with pytest.raises(JournalDamaged):
            journal.document("0" * 64)

    def test_claiming_compares_the_owner(self, journal: Journal) -> None:
        journal.commit(Batch(owner="old", created=[record(owner="old")]))
        assert not journal.claim("r1", "new", None)
        assert not journal.claim("r1", "new", "someone")
        assert not journal.claim("r9", "new", None)
        assert journal.claim("r1", "new", "old")
        with pytest.raises(NotOwner):
            journal.commit(Batch(owner="old", appends=[append("r1", 1)]))
        journal.commit(Batch(owner="new", appends=[append("r1", 1)]))

    def test_release_gives_up_unfinished_runs(self, journal: Journal) -> None:
        created = [record("r1"), record("r2", status="PAUSED"), record("r3", status="FAILED"), record("r4", owner="b")]
        journal.commit(Batch(owner="me", created=created))
        journal.release("me")
        owners = {run.run_id: run.owner for run in journal.runs()}
        assert owners == {"r1": None, "r2": None, "r3": "me", "r4": "b"}
        with pytest.raises(NotOwner):
            journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
        assert journal.claim("r1", "new", None)

    def test_owners_of_open_runs(self, journal: Journal) -> None:
        assert journal.owners() == []
        created = [
            record("r1", owner="a"),
            record("r2", owner="a", status="PAUSED"),
            record("r3", owner="b"),
            record("r4", owner="c", status="SUCCEEDED"),
        ]
        journal.commit(Batch(owner="a", created=created))
        assert sorted(journal.owners(), key=str) == ["a", "b"]
        journal.release("a")
        assert set(journal.owners()) == {None, "b"}
        assert len(journal.owners()) == 2

    def test_adopting_takes_the_oldest_open_runs_of_one_owner(self, journal: Journal) -> None:
        created = [record(f"r{number}", owner="dead", created_ms=10 - number) for number in range(5)]
        created += [record("p", owner="dead", status="PAUSED", created_ms=50), record("x", owner="other")]
        created += [record("done", owner="dead", status="FAILED", created_ms=0), record("loose", owner=None)]
        journal.commit(Batch(owner="dead", created=created))
        assert journal.adopt("me", "dead", 2) == ["r4", "r3"]
        assert journal.adopt("you", "dead", 100) == ["r2", "r1", "r0", "p"]
        assert journal.adopt("me", "dead", 100) == []
        assert journal.adopt("me", None, 100) == ["loose"]
        with pytest.raises(NotOwner):
            journal.commit(Batch(owner="dead", appends=[append("r4", 1)]))
        journal.commit(Batch(owner="me", appends=[append("r4", 1)]))
        owners = {run.run_id: run.owner for run in journal.runs()}
        assert (owners["done"], owners["x"], owners["p"]) == ("dead", "other", "you")

    def test_engines_that_adopt_at_once_get_different_runs(self, journal: Journal) -> None:
        journal.commit(Batch(owner="dead", created=[record(f"r{number}", owner="dead") for number in range(60)]))
        taken: dict[str, list[str]] = {}

        def adopt(owner: str) -> None:
            mine: list[str] = []
            while found := journal.adopt(owner, "dead", 7):
                mine += found
            taken[owner] = mine

        threads = [threading.Thread(target=adopt, args=(f"engine-{number}",)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(run for runs in taken.values() for run in runs) == sorted(f"r{number}" for number in range(60))
        assert all(journal.run(run_id).owner == owner for owner, runs in taken.items() for run_id in runs)  # type: ignore[union-attr]

    def test_offers_are_taken_once_oldest_first(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record("r1"), record("r2")]))
        assert journal.take("q", "w") is None
        offers = [offer("t1"), offer("t2", run_id="r2"), offer("t3", queue="other")]
        journal.commit(Batch(owner="me", offered=offers[:1]))
        journal.commit(Batch(owner="me", appends=[append("r2", 1)], offered=offers[1:]))
        journal.changed()
        assert journal.take("q", "worker\0 1") == offers[0]
        assert journal.changed()
        assert [(signal.run_id, signal.event) for signal in journal.signals("me")] == [
            ("r1", TaskStarted(token="t1", worker="worker\0 1"))
        ]
        assert journal.take("q", None) == offers[1]
        assert journal.signals("me")[1].event == TaskStarted(token="t2", worker=None)
        assert journal.take("q", None) is None
        assert journal.take("other", None) == offers[2]

    def test_withdrawn_offers_are_not_taken(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record("r1")], offered=[offer("t1"), offer("t2"), offer("t3")]))
        journal.commit(Batch(owner="me", withdrawn=["r1:t1", "unknown"]))
        journal.commit(Batch(owner="me", offered=[offer("t4"), offer("t5")], withdrawn=["r1:t5"]))
        tokens = []
        while taken := journal.take("q", None):
            tokens.append(taken.token)
        assert tokens == ["r1:t2", "r1:t3", "r1:t4"]

    def test_an_offer_of_a_refused_batch_is_not_there(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record("r1")], offered=[offer("t1")]))
        with pytest.raises(NotOwner):
            journal.commit(Batch(owner="you", appends=[append("r1", 1)], offered=[offer("t2")], withdrawn=["r1:t1"]))
        assert journal.take("q", None) == offer("t1")
        assert journal.take("q", None) is None

    def test_workers_who_ask_at_once_get_different_tasks(self, journal: Journal) -> None:
        offers = [offer(f"t{number:02}") for number in range(40)]
        journal.commit(Batch(owner="me", created=[record("r1")], offered=offers))
        taken: list[str] = []

        def work(worker: str) -> None:
            while found := journal.take("q", worker):
                taken.append(found.token)

        threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [one.token for one in offers]
        assert len(journal.signals("me")) == 40

    def test_signals_wait_for_the_owner(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record("r1"), record("r2", owner=None)]))
        first = journal.send("r1", StopRequested(error="E"))
        second = journal.send("r2", PauseRequested())
        third = journal.send("r1", PauseRequested())
        assert first < second < third
        wanted = [
            Signal(number=first, run_id="r1", event=StopRequested(error="E")),
            Signal(number=third, run_id="r1", event=PauseRequested()),
        ]
        assert journal.signals("me") == wanted
        journal.commit(Batch(owner="me", appends=[append("r1", 1)], signals_done=[first]))
        assert [signal.number for signal in journal.signals("me")] == [third]
        assert journal.claim("r2", "me", None)
        assert [signal.number for signal in journal.signals("me")] == [second, third]
        with pytest.raises(RunNotFound):
            journal.send("nobody", StopRequested())

    def test_changed_after_what_others_leave(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record()]))
        journal.changed()
        assert not journal.changed()
        journal.send("r1", StopRequested())
        assert journal.changed()

    def test_cache_entries(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record()]))
        assert journal.cached("k") is None
        for output in ({"a": 1}, None):
            entry = CacheEntry(key="k", run_id="r1", output=output, created_ms=5)
            journal.commit(Batch(owner="me", cached=[entry]))
            assert journal.cached("k") == entry

    def test_deleting_runs_takes_all_that_belongs_to_them(self, journal: Journal) -> None:
        kept, dropped = journal.put_document(b"kept"), journal.put_document(b"dropped")
        created = [
            record("r1", status="FAILED", definition=dropped),
            record("r2", status="FAILED", definition=kept),
            record("r3"),
        ]
        batch = Batch(owner="me", created=created, appends=[append("r1", 1, 3), append("r2", 1)])
        batch.snapshots = [Snapshot(run_id="r1", sequence=1, state=b"s")]
        batch.cached = [CacheEntry(key="k", run_id="r1", output=1, created_ms=1)]
        journal.commit(batch)
        journal.send("r1", StopRequested())
        journal.commit(Batch(owner="me", offered=[offer("t1"), offer("t2", run_id="r2")]))
        with pytest.raises(NotOwner):
            journal.delete_runs(["r1", "r3"])
        assert journal.run("r1") is not None
        journal.delete_runs(["r1", "unknown"])
        assert journal.run("r1") is None
        assert sequences(journal, "r1") == []
        assert journal.snapshot("r1") is None
        assert journal.cached("k") is None
        assert journal.signals("me") == []
        assert journal.take("q", None) == offer("t2", run_id="r2")
        assert journal.take("q", None) is None
        assert journal.document(kept) == b"kept"
        with pytest.raises(JournalDamaged):
            journal.document(dropped)
        assert sequences(journal, "r2") == [1]
        journal.commit(Batch(owner="me", created=[record("r1")], appends=[append("r1", 1)]))
        assert sequences(journal, "r1") == [1]

    def test_what_it_is_given_may_change_afterwards(self, journal: Journal) -> None:
        output = {"a": [1]}
        journal.commit(Batch(owner="me", created=[record(output=output)]))
        entries = [Entry(1, 1, TaskSucceeded(token="t", output=output))]
        journal.commit(Batch(owner="me", appends=[Append(run_id="r1", entries=entries)]))
        output["a"].append(2)
        found = journal.run("r1")
        assert found is not None
        assert found.output == {"a": [1]}
        assert next(iter(journal.entries("r1"))).event == TaskSucceeded(token="t", output={"a": [1]})

    def test_a_reader_sees_a_prefix_while_another_thread_writes(self, journal: Journal) -> None:
        journal.commit(Batch(owner="me", created=[record()]))
        done = threading.Event()
        problems: list[str] = []

        def read() -> None:
            longest = 0
            while not done.is_set():
                seen = sequences(journal, "r1")
                if seen != list(range(1, len(seen) + 1)) or len(seen) < longest or len(seen) % 3:
                    problems.append(f"saw {seen[:5]}…{seen[-5:]} after {longest}")
                longest = len(seen)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for step in range(100):
            journal.commit(Batch(owner="me", appends=[append("r1", step * 3 + 1, 3)]))
        done.set()
        for reader in readers:
            reader.join()
        assert problems == []
        assert len(sequences(journal, "r1")) == 300

    def test_writers_in_many_threads(self, journal: Journal) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                run_id, owner = f"r{number}", f"engine-{number}"
                journal.commit(Batch(owner=owner, created=[record(run_id, owner=owner)]))
                for step in range(1, 31):
                    journal.commit(Batch(owner=owner, appends=[append(run_id, step)]))
                    journal.send(run_id, TimerFired(timer=step))
                assert len(journal.signals(owner)) == 30
            except BaseException as error:  # noqa: BLE001  shown by the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert all(len(sequences(journal, f"r{number}")) == 30 for number in range(6))

    def test_a_thousand_runs_are_listed_quickly(self, journal: Journal) -> None:
        created = [record(f"r{number:04}", created_ms=number, output={"n": number}) for number in range(1_000)]
        journal.commit(Batch(owner="me", created=created))
        began = time.perf_counter()
        assert len(journal.runs(limit=1_000)) == 1_000
        assert time.perf_counter() - began < 0.5
