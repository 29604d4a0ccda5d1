"""The PostgreSQL store behind the conformance suites, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from skylift.stores.open import open_store
from skylift.testing.journals import JournalConformance
from skylift.testing.resources import ResourceStoreConformance


@pytest.fixture
def store(postgres_url: str, tmp_path):
    store = open_store(postgres_url, home=tmp_path)
    yield store
    store.close()


class TestPostgresJournal(JournalConformance):
    @pytest.fixture
    def journal(self, store):
        return store.journal


class TestPostgresResources(ResourceStoreConformance):
    @pytest.fixture
    def journal(self, store):
        return store.journal

    @pytest.fixture
    def resources(self, store):
        return store.resources
