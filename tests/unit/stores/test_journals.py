from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.stores.memory import MemoryJournal
from skylift.stores.memory_resources import MemoryResources
from skylift.stores.sqlite import SqliteJournal
from skylift.stores.sqlite_resources import SqliteResources
from skylift.testing.journals import JournalConformance
from skylift.testing.resources import ResourceStoreConformance


class TestMemoryJournal(JournalConformance):
    @pytest.fixture
    def journal(self) -> MemoryJournal:
        return MemoryJournal()


class TestMemoryResources(ResourceStoreConformance):
    @pytest.fixture
    def journal(self) -> MemoryJournal:
        return MemoryJournal()

    @pytest.fixture
    def resources(self, journal: MemoryJournal) -> MemoryResources:
        return MemoryResources(journal)


class TestSqliteResources(ResourceStoreConformance):
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[SqliteJournal]:
        journal = SqliteJournal(tmp_path / "journal.db")
        yield journal
        journal.close()

    @pytest.fixture
    def resources(self, journal: SqliteJournal) -> SqliteResources:
        return SqliteResources(journal.file)


class TestSqliteJournal(JournalConformance):
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[SqliteJournal]:
        journal = SqliteJournal(tmp_path / "home" / "journal.db")
        yield journal
        journal.close()


class TestSqliteJournalFull(JournalConformance):
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Iterator[SqliteJournal]:
        journal = SqliteJournal(tmp_path / "journal.db", durability="full")
        yield journal
        journal.close()
