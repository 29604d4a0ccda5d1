"""The PostgreSQL store behind the conformance suites, on a real server; its layouts, leases and URLs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres import PostgresServer

from skylift.asl.events import StopRequested
from skylift.errors import JournalDamaged, JournalUnavailable, SetupError
from skylift.ports.journal import Batch, Journal
from skylift.ports.ownership import Ownership
from skylift.ports.resources import ResourceStore
from skylift.stores.database import Store
from skylift.stores.open import open_store
from skylift.testing.journals import JournalConformance, append, record, sequences
from skylift.testing.ownership import OwnershipConformance
from skylift.testing.resources import ResourceStoreConformance

KEPT = sorted((Path(__file__).parent / "kept").glob("postgres-layout-*.sql"))


@pytest.fixture
def store(postgres_url: str, tmp_path: Path) -> Iterator[Store]:
    store = open_store(postgres_url, home=tmp_path)
    yield store
    store.close()


class TestPostgresJournal(JournalConformance):
    @pytest.fixture
    def journal(self, store: Store) -> Journal:
        return store.journal


class TestPostgresJournalInASchema(JournalConformance):
    @pytest.fixture
    def journal(self, postgres_url: str, tmp_path: Path) -> Iterator[Journal]:
        store = open_store(f"{postgres_url}?schema=team_a", home=tmp_path, durability="full")
        yield store.journal
        store.close()


class TestPostgresResources(ResourceStoreConformance):
    @pytest.fixture
    def journal(self, store: Store) -> Journal:
        return store.journal

    @pytest.fixture
    def resources(self, store: Store) -> ResourceStore:
        return store.resources


class TestPostgresLease(OwnershipConformance):
    @pytest.fixture
    def acquire(self, store: Store) -> Iterator[Callable[[], Ownership]]:
        held: list[Ownership] = []

        def acquire() -> Ownership:
            held.append(store.ownership())
            return held[-1]

        yield acquire
        for lease in held:
            lease.release()


def eventually(question: Callable[[], bool], within_s: float = 60) -> float:
    """Seconds until it became true."""
    began = time.monotonic()
    while not question():
        assert time.monotonic() - began < within_s
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch, postgres_server: PostgresServer) -> None:
    for name, seconds in (("LEASE_S", 2.0), ("RENEW_S", 0.1), ("DOUBT_S", 0.8), ("_CACHE_S", 0.05)):
        monkeypatch.setattr(f"skylift.stores.postgres.leases.{name}", seconds)


@pytest.mark.usefixtures("short_leases")
def test_who_stops_renewing_is_dead_after_a_while(store: Store, postgres_url: str, tmp_path: Path) -> None:
    other = open_store(postgres_url, home=tmp_path)
    lease, watcher = other.ownership(), store.ownership()
    time.sleep(3.0)  # longer than a lease, by the clock of the real server
    assert watcher.is_alive(lease.owner)
    lease._ended.set()  # type: ignore[attr-defined]  # as if its process were gone: nobody renews, nobody gives back
    assert watcher.is_alive(lease.owner)
    taken_s = eventually(lambda: not watcher.is_alive(lease.owner))
    assert 1.0 < taken_s < 20
    assert not store.is_alive(lease.owner)
    assert store.any_alive()
    watcher.release()
    assert not store.any_alive()
    lease._drop()  # type: ignore[attr-defined]
    other.close()


@pytest.mark.usefixtures("short_leases")
def test_a_stopped_server_kills_nobody(store: Store, postgres_server: PostgresServer) -> None:
    """While it was down nobody could renew: whoever asks first afterwards must not take the others for dead."""
    lease, watcher = store.ownership(), store.ownership()
    postgres_server.stop()
    time.sleep(3.0)  # longer than a lease, by the clock of the real server
    assert watcher.is_alive(lease.owner)
    postgres_server.start()
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        assert watcher.is_alive(lease.owner)
        time.sleep(0.02)
    lease.release()
    assert not watcher.is_alive(lease.owner)
    watcher.release()


@pytest.mark.usefixtures("short_leases")
def test_a_lease_whose_row_was_lost_comes_back(
    store: Store, postgres_server: PostgresServer, postgres_url: str
) -> None:
    lease = store.ownership()
    postgres_server.execute("DELETE FROM skylift.engines", postgres_url)
    eventually(lambda: store.is_alive(lease.owner))
    lease.release()


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_a_kept_database_opens_and_goes_on(
    kept: Path, postgres_url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    postgres_server.execute(kept.read_text(), postgres_url)
    store = open_store(postgres_url, home=tmp_path)
    journal = store.journal
    assert [run.run_id for run in journal.runs()] == ["run-2", "run-1"]
    run = journal.run("run-1")
    assert run is not None
    assert (run.account, run.type, run.limits, run.owner) == ("123456789012", "EXPRESS", "service", "engine-1")
    finished = journal.run_named("faces", "second")
    assert finished is not None
    assert (finished.status, finished.output) == ("SUCCEEDED", {"accuracy": 0.97})
    assert b"StartAt" in journal.document(finished.definition)
    snapshot = journal.snapshot("run-1")
    assert snapshot is not None
    assert (snapshot.sequence, snapshot.state) == (2, b"state")
    cached = journal.cached("k")
    assert cached is not None
    assert cached.output == [1]
    assert [signal.event for signal in journal.signals("engine-1")] == [StopRequested(error="E")]
    taken = journal.take("arn:q", "w")
    assert taken is not None
    assert taken.token == "run-1:t1"
    machine = store.resources.get("state-machine", "arn:m")
    assert machine is not None
    assert store.resources.documents() == {finished.definition}
    assert journal.adopt("me", "engine-1", 10) == ["run-1"]
    journal.commit(Batch(owner="me", appends=[append("run-1", 4)]))
    assert sequences(journal, "run-1") == [1, 2, 3, 4]
    store.close()


def test_there_is_one_for_every_layout() -> None:
    from skylift.stores.postgres.schema import VERSION

    assert len(KEPT) == VERSION


def test_processes_that_start_at_once_make_one_schema(postgres_url: str, tmp_path: Path) -> None:
    problems: list[BaseException] = []

    def start(number: int) -> None:
        try:
            store = open_store(postgres_url, home=tmp_path)
            owner = f"engine-{number}"
            store.journal.commit(Batch(owner=owner, created=[record(f"r{number}", owner=owner)]))
            store.close()
        except BaseException as problem:  # noqa: BLE001  shown by the test
            problems.append(problem)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    store = open_store(postgres_url, home=tmp_path)
    assert len(store.journal.runs()) == 6
    store.close()


def test_a_newer_layout_is_refused(postgres_url: str, postgres_server: PostgresServer, tmp_path: Path) -> None:
    open_store(postgres_url, home=tmp_path).close()
    postgres_server.execute("UPDATE skylift.layout SET version = 99", postgres_url)
    with pytest.raises(JournalUnavailable, match="layout 99") as caught:
        open_store(postgres_url, home=tmp_path)
    assert "upgrade" in (caught.value.hint or "")


def test_a_schema_of_somebody_else_is_refused(
    postgres_url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    postgres_server.execute("CREATE SCHEMA skylift; CREATE TABLE skylift.runs (x int)", postgres_url)
    with pytest.raises(JournalDamaged, match="not Skylift's"):
        open_store(postgres_url, home=tmp_path)


def test_a_database_that_is_not_there(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="does not exist") as caught:
        open_store(postgres_server.url("nothing"), home=tmp_path)
    assert "create the database" in (caught.value.hint or "")


def test_a_password_is_never_shown(postgres_server: PostgresServer, tmp_path: Path) -> None:
    port = postgres_server.port
    for url in (
        "postgresql://skylift:s3cret@127.0.0.1:1/db",
        f"postgresql://skylift:s3cret@127.0.0.1:{port}/nothing",
        f"postgresql://skylift:s3cret@127.0.0.1:{port}/postgres?schema=Not%20This",
        "postgresql://skylift:s3cret@127.0.0.1:port/db",
        "postgresql://skylift:s3cret%ZZ@127.0.0.1/db",
        "postgresql://skylift:s3cret@127.0.0.1/db?nonsense=1",
        "mysql://skylift:s3cret@127.0.0.1/db",
    ):
        with pytest.raises((SetupError, JournalUnavailable)) as caught:
            open_store(url, home=tmp_path)
        error: BaseException | None = caught.value
        assert caught.value.hint
        assert "s3cret" not in str(error)
        while error is not None:
            assert "s3cret" not in f"{error!r} {error}"
            error = error.__cause__


def test_an_acknowledged_batch_is_on_disk(postgres_url: str, postgres_server: PostgresServer, tmp_path: Path) -> None:
    """Whatever the server's default is, a commit waits for its log."""
    postgres_server.execute("ALTER ROLE skylift SET synchronous_commit = off")
    try:
        for durability, setting in (("normal", "local"), ("full", "on")):
            store = open_store(postgres_url, home=tmp_path, durability=durability)  # type: ignore[arg-type]
            store.journal.commit(Batch(owner="me", created=[record(durability)]))
            connection = store.journal._engine._connection  # type: ignore[attr-defined]
            assert connection.row("SHOW synchronous_commit") == (setting,)
            store.close()
    finally:
        postgres_server.execute("ALTER ROLE skylift RESET synchronous_commit")
