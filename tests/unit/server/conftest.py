"""An endpoint over each kind of store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from in_process import Api

from skylift.stores.memory import MemoryJournal
from skylift.stores.memory_resources import MemoryResources
from skylift.stores.open import open_store


@pytest.fixture(params=["memory", "sqlite"])
def api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    if request.param == "memory":
        journal = MemoryJournal()
        api = Api(SimpleNamespace(journal=journal, resources=MemoryResources(journal)))
        yield api
        api.close()
        return
    store = open_store(None, home=tmp_path)
    api = Api(store)
    yield api
    api.close()
    store.close()
