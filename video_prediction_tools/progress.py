"""Progress of anything longer than a few seconds: a bar on a terminal, plain lines elsewhere (job logs)."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 15.0


def say(text: str) -> None:
    """Print one line of what is being done, at once (a job log must not lag behind)."""
    print(text, flush=True)


@contextmanager
def progress(label: str, total: int, *, done: int = 0, enabled: bool = True) -> Iterator[Callable[..., None]]:
    """Show how much of `total` is done; yields ``advance(n=1, note="")``.

    Arguments:
        label: what is being counted, for example ``"months"``.
        total: the number of parts.
        done: parts that an earlier run has finished.
        enabled: False on every MPI rank but 0.
    """
    if not enabled:
        yield lambda n=1, note="": None
    elif _on_terminal():
        with _bar(label, total, done) as advance:
            yield advance
    else:
        yield _lines(label, total, done)


def _on_terminal() -> bool:
    # Open MPI's mpirun gives every rank a pseudo-terminal, whatever its own output goes to (a file, a job log)
    return sys.stdout.isatty() and "OMPI_COMM_WORLD_SIZE" not in os.environ


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[Callable[..., None]]:
    # imported late: rich takes a quarter of a second, and without a terminal it is not needed
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task(label, total=total, completed=done, note="")
        yield lambda n=1, note="": bar.update(task, advance=n, note=note)


def _lines(label: str, total: int, done: int) -> Callable[..., None]:
    start = last = time.monotonic()
    count = done

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal count, last
        count += n
        now = time.monotonic()
        if count >= total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / max(count - done, 1) * (total - count)
            say(
                f"{label}: {count}/{total}, {now - start:.0f} s, about {left:.0f} s left{'  ' + note if note else ''}"
            )

    return advance
