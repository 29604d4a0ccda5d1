from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift.stores.memory import MemoryJournal
from skylift.stores.sqlite import SqliteJournal
from skylift.testing.journals import JournalConformance


class TestMemoryJournal(JournalConformance):
    @pytest.fixture
    def journal(self) -> MemoryJournal:
        return MemoryJournal()


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
