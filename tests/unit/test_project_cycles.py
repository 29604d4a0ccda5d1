"""No module imports itself through others, imports inside functions counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    grimp = pytest.importorskip("grimp", reason="comes with import-linter")
    graph = grimp.build_graph("skylift", exclude_type_checking_imports=True, cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def components(edges: dict[str, set[str]]) -> Iterator[list[str]]:
    """Tarjan's strongly connected components, without recursion."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    for root in sorted(edges):
        waiting = [(root, iter(sorted(edges[root])))] if root not in number else []
        while waiting:
            node, further = waiting[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                path.append(node)
            for after in further:
                if after not in number:
                    waiting.append((after, iter(sorted(edges.get(after, ())))))
                    break
                if after in path:
                    low[node] = min(low[node], number[after])
            else:
                waiting.pop()
                if waiting:
                    low[waiting[-1][0]] = min(low[waiting[-1][0]], low[node])
                if low[node] == number[node]:
                    at = path.index(node)
                    yield sorted(path[at:])
                    del path[at:]


def test_cycles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"e"}}
    assert sorted(components(edges)) == [["a", "b", "c"], ["d"], ["e"], ["f"]]


def test_there_is_no_import_cycle(imports: dict[str, set[str]]) -> None:
    assert len(imports) > 100
    assert [cycle for cycle in components(imports) if len(cycle) > 1] == []
