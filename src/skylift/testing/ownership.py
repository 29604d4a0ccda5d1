"""The contract of `skylift.ports.ownership.Ownership` as tests: subclass and supply one fixture.

class TestMyOwnership(OwnershipConformance):
    @pytest.fixture
    def acquire(self): ...  # gives a new Ownership of the same store with each call; releases them all at the end
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from skylift.ports.ownership import Ownership


class OwnershipConformance:
    """Every way to own runs passes these."""

    def test_a_new_one_lives_and_others_see_it(self, acquire: Callable[[], Ownership]) -> None:
        one, other = acquire(), acquire()
        assert one.owner != other.owner
        for asked in (one, other):
            assert asked.is_alive(one.owner)
            assert asked.is_alive(other.owner)

    def test_a_released_one_is_dead_for_everybody(self, acquire: Callable[[], Ownership]) -> None:
        one, other = acquire(), acquire()
        assert other.is_alive(one.owner)
        one.release()
        one.release()
        assert not one.is_alive(one.owner)
        assert other.is_alive(other.owner)
        assert not acquire().is_alive(one.owner)

    def test_nobody_of_an_unknown_name_lives(self, acquire: Callable[[], Ownership]) -> None:
        asked = acquire()
        for name in ("4711-feedc0de", "", "a/b", "ä\0'%", "x" * 5_000):
            assert not asked.is_alive(name)

    def test_names_are_not_used_again(self, acquire: Callable[[], Ownership]) -> None:
        names = set()
        for _ in range(5):
            one = acquire()
            names.add(one.owner)
            one.release()
        assert len(names) == 5

    def test_asking_from_many_threads(self, acquire: Callable[[], Ownership]) -> None:
        one, dead = acquire(), acquire()
        dead.release()
        answers: list[tuple[bool, bool]] = []

        def ask() -> None:
            for _ in range(20):
                answers.append((one.is_alive(one.owner), one.is_alive(dead.owner)))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [(True, False)] * 80
