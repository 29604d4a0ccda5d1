"""What a notebook shows."""

from __future__ import annotations

from skylift import pipeline, task


@task
def load(name: str) -> str:
    return name


@pipeline
def shown(name: str) -> str:
    return load(name)


@pipeline
def refused(name: str) -> str:
    import os  # <- no import in a graph

    return os.sep


def test_a_pipeline_is_its_graph() -> None:
    html = shown._repr_html_()
    assert "<svg" in html
    assert "load" in html


def test_a_pipeline_that_cannot_be_compiled_says_why() -> None:
    html = refused._repr_html_()
    assert "<svg" not in html
    assert "import os  # &lt;- no import in a graph" in html
