"""What compiling costs, counted in steps of work: it may grow with the pipeline, not faster."""

from __future__ import annotations

import linecache

import pytest

from skylift import pipeline, task
from skylift.sdk.compiler import aliasing
from skylift.sdk.compiler import compile as compiling


@task
def inc(x: int) -> int:
    return x + 1


def steps(calls: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Passes over the body, and statements that the heap analysis followed."""
    lines = ["def flow(n: int):", "    log = []", *["    n = inc(n)", "    log.append(n)"] * calls, "    return log"]
    file = f"<cost {calls}>"
    source = "\n".join(lines) + "\n"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"inc": inc, "__name__": "made"}
    exec(compile_python(source, file), names)  # noqa: S102
    passes, followed = [0], [0]
    write, statement = compiling._write, aliasing._Follower._statement

    def counted_write(*given):  # type: ignore[no-untyped-def]
        passes[0] += 1
        return write(*given)

    def counted_statement(*given):  # type: ignore[no-untyped-def]
        followed[0] += 1
        return statement(*given)

    with monkeypatch.context() as patch:
        patch.setattr(compiling, "_write", counted_write)
        patch.setattr(aliasing._Follower, "_statement", counted_statement)
        pipeline(names["flow"]).compile()  # type: ignore[arg-type]
    return passes[0], followed[0]


def compile_python(source: str, file: str):  # type: ignore[no-untyped-def]
    return compile(source, file, "exec", dont_inherit=True)


def test_work_grows_with_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = steps(10, monkeypatch), steps(100, monkeypatch)
    assert short[0] == long[0] <= 3
    assert long[1] <= 10 * short[1]
