"""The contract of `skylift.ports.resources.ResourceStore` as tests: subclass and supply two fixtures.

class TestMyResources(ResourceStoreConformance):
    @pytest.fixture
    def resources(self): ...

    @pytest.fixture
    def journal(self, resources): ...  # the one in the same database
"""

from __future__ import annotations

import threading

import pytest

from skylift.errors import JournalDamaged
from skylift.ports.journal import Batch, Journal
from skylift.ports.resources import Resource, ResourceChanged, ResourceStore
from skylift.testing.journals import record


class ResourceStoreConformance:
    """Every resource store passes these."""

    def test_what_was_put_is_got(self, resources: ResourceStore) -> None:
        assert resources.get("machine", "a") is None
        body = b'{"n": "\\u0000"}\x00\xff'
        put = resources.put("machine", "a", body)
        assert put == Resource(kind="machine", key="a", body=body, revision=1)
        assert resources.get("machine", "a") == put
        assert resources.get("alias", "a") is None

    def test_every_change_is_a_revision(self, resources: ResourceStore) -> None:
        assert [resources.put("k", "a", b"%d" % number).revision for number in range(3)] == [1, 2, 3]
        found = resources.get("k", "a")
        assert found is not None
        assert (found.body, found.revision) == (b"2", 3)

    def test_a_change_from_an_old_revision_is_refused(self, resources: ResourceStore) -> None:
        with pytest.raises(ResourceChanged):
            resources.put("k", "a", b"x", expected=1)
        assert resources.get("k", "a") is None
        resources.put("k", "a", b"1", expected=0)
        with pytest.raises(ResourceChanged):
            resources.put("k", "a", b"again", expected=0)
        resources.put("k", "a", b"2", expected=1)
        for stale in (0, 1, 3):
            with pytest.raises(ResourceChanged):
                resources.put("k", "a", b"x", expected=stale)
            with pytest.raises(ResourceChanged):
                resources.delete("k", "a", expected=stale)
        found = resources.get("k", "a")
        assert found is not None
        assert (found.body, found.revision) == (b"2", 2)

    def test_deleting(self, resources: ResourceStore) -> None:
        assert not resources.delete("k", "a")
        assert not resources.delete("k", "a", expected=0)
        resources.put("k", "a", b"1")
        resources.put("k", "b", b"1")
        assert resources.delete("k", "a", expected=1)
        assert resources.get("k", "a") is None
        assert not resources.delete("k", "a")
        assert resources.put("k", "a", b"2").revision == 1
        assert resources.get("k", "b") is not None

    def test_listing_by_prefix_in_pages(self, resources: ResourceStore) -> None:
        keys = [f"arn:{letter}:{number}" for letter in "ab" for number in range(7)]
        for key in reversed(keys):
            resources.put("k", key, key.encode())
        resources.put("other", "arn:a:00", b"")
        resources.put("k", "Zebra", b"")
        resources.put("k", "éclair", b"")
        assert [one.key for one in resources.list("k")] == ["Zebra", *keys, "éclair"]
        assert [one.key for one in resources.list("k", "arn:a:")] == keys[:7]
        seen: list[str] = []
        while page := resources.list("k", "arn:", after=seen[-1] if seen else "", limit=4):
            assert len(page) <= 4
            assert all(one.body == one.key.encode() for one in page)
            seen += [one.key for one in page]
        assert seen == keys
        assert resources.list("k", "arn:%") == []
        assert resources.list("nothing") == []

    def test_strange_keys(self, resources: ResourceStore) -> None:
        strange = ["a\0b", "a'b", "a\\b", "a%", "a_", "\U0010fffd", "a" * 2000]
        for key in strange:
            resources.put("k", key, key.encode())
        for key in strange:
            found = resources.get("k", key)
            assert found is not None
            assert (found.key, found.body) == (key, key.encode())
        assert [one.key for one in resources.list("k")] == sorted(strange)
        assert [one.key for one in resources.list("k", "a\0")] == ["a\0b"]

    def test_kinds(self, resources: ResourceStore) -> None:
        assert resources.kinds() == []
        for kind, key in (("b", "1"), ("a", "1"), ("b", "2")):
            resources.put(kind, key, b"")
        assert resources.kinds() == ["a", "b"]

    def test_documents_of_resources_are_not_dropped(self, resources: ResourceStore, journal: Journal) -> None:
        first, second, loose = (journal.put_document(text) for text in (b"first", b"second", b"loose"))
        resources.put("machine", "a", b"{}", documents=[first, second, second])
        resources.put("version", "a:1", b"{}", documents=[first])
        assert resources.documents() == {first, second}
        journal.commit(Batch(owner="me", created=[record("r1", status="FAILED", definition=first, tasks=loose)]))
        journal.delete_runs(["r1"])
        assert journal.document(first) == b"first"
        assert journal.document(second) == b"second"
        with pytest.raises(JournalDamaged):
            journal.document(loose)
        resources.put("machine", "a", b"{}")
        resources.delete("version", "a:1")
        assert resources.documents() == set()
        journal.delete_runs([])
        for gone in (first, second):
            with pytest.raises(JournalDamaged):
                journal.document(gone)

    def test_a_resource_cannot_need_what_is_not_there(self, resources: ResourceStore, journal: Journal) -> None:
        there = journal.put_document(b"there")
        with pytest.raises(ResourceChanged):
            resources.put("machine", "a", b"{}", documents=[there, "0" * 64])
        assert resources.get("machine", "a") is None
        assert resources.documents() == set()

    def test_no_change_is_lost(self, resources: ResourceStore) -> None:
        """Counting up in many threads: whoever read an old revision is refused and tries again."""
        resources.put("k", "counter", b"0")
        failures: list[BaseException] = []

        def count() -> None:
            try:
                done = 0
                while done < 10:
                    found = resources.get("k", "counter")
                    assert found is not None
                    try:
                        resources.put("k", "counter", b"%d" % (int(found.body) + 1), expected=found.revision)
                    except ResourceChanged:
                        continue
                    done += 1
            except BaseException as error:  # noqa: BLE001  shown by the test
                failures.append(error)

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        found = resources.get("k", "counter")
        assert found is not None
        assert (found.body, found.revision) == (b"40", 41)
