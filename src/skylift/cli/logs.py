"""`skylift logs`: what tasks printed and logged, and the pipeline's own prints, in one stream."""

from __future__ import annotations

import click

from skylift.cli.parts import open_runtime


@click.command()
@click.argument("run")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--attempt", type=click.IntRange(1), help="Only this try of the step.")
def logs(run: str, step: str | None, follow: bool, attempt: int | None) -> None:
    """What the tasks of RUN printed and logged; with STEP (`train`, or `train[2]` in a map) only that one's."""
    with open_runtime() as runtime:
        record = runtime.reader.record(run)
        if step is not None and not follow:
            runtime.reader.require_step(record, step)
        for line in runtime.reader.log_lines(record, step=step, attempt=attempt, follow=follow):
            click.echo(f"{line.label} | {line.text}" if step is None or line.label != step else line.text)
