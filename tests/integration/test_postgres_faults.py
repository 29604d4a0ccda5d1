"""A PostgreSQL store while connections are cut at the worst moment and the server stops: every change happens once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cut_proxy import Cut, CutProxy
from postgres import PostgresServer

from skylift.asl.events import StopRequested
from skylift.errors import JournalUnavailable, NotOwner, RunAlreadyExists
from skylift.ports.journal import Append, Batch, RunUpdate
from skylift.ports.resources import ResourceChanged
from skylift.stores.database import Store
from skylift.stores.open import open_store
from skylift.testing.journals import append, offer, record, sequences, timers

CUTS: tuple[Cut, ...] = ("before", "after")


@pytest.fixture
def store(postgres_url: str, tmp_path: Path) -> Iterator[Store]:
    """Without a proxy: what is really in the database."""
    store = open_store(postgres_url, home=tmp_path)
    yield store
    store.close()


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[CutProxy]:
    with CutProxy(postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
def cut(postgres_url: str, proxy: CutProxy, store: Store, tmp_path: Path) -> Iterator[Store]:
    """The same store through the proxy."""
    database = postgres_url.rpartition("/")[2]
    cut = open_store(f"postgresql://skylift@127.0.0.1:{proxy.port}/{database}", home=tmp_path)
    yield cut
    proxy.disarm()
    cut.close()


@pytest.mark.parametrize("how", CUTS)
def test_a_commit_cut_off_is_made_once(store: Store, cut: Store, proxy: CutProxy, how: Cut) -> None:
    cut.journal.commit(Batch(owner="me", created=[record()], appends=[append("r1", 1)]))
    for number in range(2, 12):
        proxy.arm(1, how)
        cut.journal.commit(Batch(owner="me", appends=[append("r1", number)]))
    assert proxy.cuts == 10
    assert sequences(store.journal, "r1") == list(range(1, 12))


@pytest.mark.parametrize("how", CUTS)
def test_a_start_cut_off_is_made_once(store: Store, cut: Store, proxy: CutProxy, how: Cut) -> None:
    cut.journal.commit(Batch(owner="me", created=[record("r0")]))
    proxy.arm(1, how)
    cut.journal.commit(Batch(owner="me", created=[record()], appends=[append("r1", 1, 3)]))
    assert proxy.cuts == 1
    assert sequences(store.journal, "r1") == [1, 2, 3]
    with pytest.raises(RunAlreadyExists):
        cut.journal.commit(Batch(owner="me", created=[record()]))


@pytest.mark.parametrize("how", CUTS)
def test_while_nobody_knows_whether_it_was_written_nothing_old_is_read(
    store: Store, cut: Store, proxy: CutProxy, how: Cut
) -> None:
    """The engine rebuilds its runs from the journal: it must see the change, or the change must never come."""
    cut.journal.commit(Batch(owner="me", created=[record()], appends=[append("r1", 1)]))
    proxy.arm(1, how, refuse=True)
    with pytest.raises(JournalUnavailable, match="will be known"):
        cut.journal.commit(Batch(owner="me", appends=[append("r1", 2)]))
    with pytest.raises(JournalUnavailable):
        sequences(cut.journal, "r1")
    proxy.disarm()
    seen = sequences(cut.journal, "r1")
    assert seen == ([1, 2] if how == "after" else [1])
    if how == "after":
        with pytest.raises(NotOwner, match="does not follow"):
            cut.journal.commit(Batch(owner="me", appends=[append("r1", 2)]))
    cut.journal.commit(Batch(owner="me", appends=[append("r1", seen[-1] + 1)]))
    assert sequences(store.journal, "r1") == [*seen, seen[-1] + 1]


def test_what_a_cut_connection_still_delivers_comes_too_late(store: Store, cut: Store, postgres_url: str) -> None:
    """A commit that hangs in the network until after its writer has gone on is refused by the database."""
    writer = cut.journal._engine  # type: ignore[attr-defined]
    cut.journal.commit(Batch(owner="me", created=[record()]))
    old = (writer._number, writer._epoch, writer._batch + 1)
    writer._drop()
    cut.journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
    late = writer._connection
    with pytest.raises(Exception, match="taken this writer over"):
        late.rows("SELECT advance_writer(%s, %s, %s)", old)
    cut.journal.commit(Batch(owner="me", appends=[append("r1", 2)]))
    assert sequences(store.journal, "r1") == [1, 2]


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("pieces", range(1, 6))
def test_what_is_asked_for_is_done_once(store: Store, cut: Store, proxy: CutProxy, how: Cut, pieces: int) -> None:
    """Whichever message is the last one: signal, offer, resource, claim and adoption are there once, and are told."""
    journal = cut.journal
    created = [record("r1"), record("r2", owner="dead"), record("r3", owner="dead", created_ms=2_000)]
    journal.commit(Batch(owner="me", created=created, offered=[offer("t1"), offer("t2")]))
    journal.send("r1", StopRequested(error="first"))
    cut.resources.put("k", "a", b"1")

    proxy.arm(pieces, how)
    journal.send("r1", StopRequested(error="second"))
    proxy.arm(pieces, how)
    assert journal.take("q", "w") == offer("t1")
    proxy.arm(pieces, how)
    assert cut.resources.put("k", "a", b"2", expected=1).revision == 2
    with pytest.raises(ResourceChanged):
        cut.resources.put("k", "a", b"3", expected=1)
    proxy.arm(pieces, how)
    assert journal.claim("r2", "me", "dead")
    proxy.arm(pieces, how)
    assert journal.adopt("me", "dead", 10) == ["r3"]
    proxy.disarm()

    assert proxy.cuts >= 2
    assert [type(signal.event).__name__ for signal in store.journal.signals("me")] == [
        "StopRequested",
        "StopRequested",
        "TaskStarted",
    ]
    assert store.journal.take("q", None) == offer("t2")
    assert store.journal.take("q", None) is None


@pytest.mark.parametrize("pieces", range(1, 6))
def test_runs_that_nobody_learned_of_are_given_back(store: Store, cut: Store, proxy: CutProxy, pieces: int) -> None:
    """An engine that does not know that it owns a run would leave it lying for ever."""
    created = [record(f"r{number}", owner="dead", created_ms=number) for number in range(3)]
    cut.journal.commit(Batch(owner="dead", created=created))
    proxy.arm(pieces, "after", refuse=True)
    try:
        mine = cut.journal.adopt("me", "dead", 10)
    except JournalUnavailable:
        mine = []
    proxy.disarm()
    assert sorted(cut.journal.owners(), key=str) == (["me"] if mine else ["dead"])
    assert cut.journal.adopt("me", "dead", 10) == ([] if mine else ["r0", "r1", "r2"])
    assert store.journal.owners() == ["me"]


def test_backends_terminated_at_random(store: Store, postgres_server: PostgresServer, postgres_url: str) -> None:
    """An administrator ends sessions while batches are committed: no commit fails, none is lost, none comes twice."""
    journal = store.journal
    journal.commit(Batch(owner="me", created=[record("r1"), record("r2")]))
    done = threading.Event()
    ended = 0

    def terminate() -> None:
        """A hundred times a second, or as often as a machine lets a new session get somewhere that is slower than that:
        where none lives as long as it takes to commit, nothing can."""
        nonlocal ended
        database = postgres_url.rpartition("/")[2]
        struck_s = 0.0
        while not done.wait(max(0.01, 2 * struck_s)):
            began = time.monotonic()
            rows = postgres_server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'skylift%' "
                f"AND datname = '{database}'"
            )
            struck_s = time.monotonic() - began
            ended += len(rows)

    killer = threading.Thread(target=terminate)
    killer.start()
    try:
        for number in range(1, 201):
            appends = [append("r1", number), append("r2", number * 2 - 1, 2)]
            journal.commit(Batch(owner="me", appends=appends))
            if number % 10 == 0:
                journal.send("r1", StopRequested(error=str(number)))
    finally:
        done.set()
        killer.join()
    assert ended > 5
    assert sequences(journal, "r1") == list(range(1, 201))
    assert sequences(journal, "r2") == list(range(1, 401))
    assert [signal.event for signal in journal.signals("me")] == [
        StopRequested(error=str(number)) for number in range(10, 201, 10)
    ]


def test_a_session_that_is_ended_again_and_again_is_made_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine so busy that an administrator's next blow falls before the new session is of use."""
    journal = store.journal
    journal.commit(Batch(owner="me", created=[record()]))
    writer = journal._engine  # type: ignore[attr-defined]
    resolve, blows = writer._resolve, list(range(8))

    def struck(connection: Any) -> None:
        if blows:
            blows.pop()
            connection.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        resolve(connection)

    monkeypatch.setattr(writer, "_resolve", struck)
    writer._drop()
    journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
    assert blows == []
    assert sequences(journal, "r1") == [1]


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_the_server_stops_and_comes_back(store: Store, postgres_server: PostgresServer, how: str) -> None:
    journal = store.journal
    journal.commit(Batch(owner="me", created=[record()], appends=[append("r1", 1)]))
    store.resources.put("k", "a", b"1")
    if how == "kill":
        postgres_server.kill()
    else:
        postgres_server.stop(how)
    for ask in (
        lambda: journal.commit(Batch(owner="me", appends=[append("r1", 2)])),
        lambda: journal.run("r1"),
        lambda: journal.send("r1", StopRequested()),
        lambda: store.resources.get("k", "a"),
        lambda: store.resources.put("k", "a", b"2"),
    ):
        began = time.monotonic()
        with pytest.raises(JournalUnavailable) as caught:
            ask()
        assert caught.value.hint
        assert time.monotonic() - began < 4.5, "nobody waits as for a connection that hangs"
    assert store.is_alive("anybody")  # in doubt
    postgres_server.start()
    seen = sequences(journal, "r1")
    assert seen == [1]
    journal.commit(Batch(owner="me", appends=[append("r1", 2)]))
    assert sequences(journal, "r1") == [1, 2]
    found = store.resources.get("k", "a")
    assert found is not None
    assert found.body == b"1"


def test_a_read_only_database_is_named(store: Store, postgres_server: PostgresServer, postgres_url: str) -> None:
    store.journal.commit(Batch(owner="me", created=[record()]))
    database = postgres_url.rpartition("/")[2]
    postgres_server.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    postgres_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    with pytest.raises(JournalUnavailable, match="read-only"):
        store.journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
    postgres_server.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = off')
    store.journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
    assert sequences(store.journal, "r1") == [1]


def test_a_stuck_server_is_noticed(store: Store, postgres_url: str, postgres_server: PostgresServer) -> None:
    """A session holds the run's row, as a stalled server would: the engine is told instead of waiting for ever."""
    import psycopg

    store.journal.commit(Batch(owner="me", created=[record()]))
    writer = store.journal._engine  # type: ignore[attr-defined]
    writer._connection.rows("SET lock_timeout = '300ms'")
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM skylift.runs FOR UPDATE")
        with pytest.raises(JournalUnavailable, match="locked by another session"):
            store.journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
        other.rollback()
    store.journal.commit(Batch(owner="me", appends=[append("r1", 1)]))
    writer._connection.patience_s = 0.3
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM skylift.writers FOR UPDATE")
        threading.Timer(1.0, other.rollback).start()
        store.journal.commit(Batch(owner="me", appends=[append("r1", 2)]))  # waits on its second connection
    assert sequences(store.journal, "r1") == [1, 2]


def test_a_big_batch_and_a_long_entry(store: Store) -> None:
    names = [f"r{number:05}" for number in range(10_000)]
    ended = RunUpdate(status="SUCCEEDED", stopped_ms=9, output={"n": 1})
    began = time.monotonic()
    store.journal.commit(
        Batch(
            owner="me",
            created=[record(name) for name in names],
            appends=[Append(run_id=name, entries=timers(1, 2), update=ended) for name in names],
        )
    )
    assert time.monotonic() - began < 30
    assert len(store.journal.runs(limit=20_000, status=["SUCCEEDED"])) == 10_000
    assert sequences(store.journal, names[-1]) == [1, 2]
    from skylift.asl.events import TaskSucceeded
    from skylift.ports.journal import Entry

    long = Entry(3, 1, TaskSucceeded(token="t", output="ä\0" * (4 * 1024 * 1024)))
    store.journal.commit(Batch(owner="me", appends=[Append(run_id="r00001", entries=[long])]))
    assert list(store.journal.entries("r00001", 2)) == [long]
    store.journal.delete_runs(names[:5_000])
    assert len(store.journal.runs(limit=20_000)) == 5_000
