"""What a training step of each model costs: what equal_time.py goes by, and how tables.py knows who was given what.

They are kept beside the results, so that a training on another day, or beside other work, gets neither less nor more.
Costs of two kinds of processors do not compare (the models gain differently), so that one file holds those of one.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from video_prediction_tools.metadata.files import write_json

FILE = "seconds_a_step.json"


def known(results: Path) -> dict[str, float]:
    """Return the computing time [s] of a step by model, as far as it is measured."""
    return contents(results)["models"]


def add(results: Path, model: str, seconds: float) -> None:
    """Keep the cost of a step."""
    found = contents(results)
    results.mkdir(parents=True, exist_ok=True)
    models = {**found["models"], model: round(seconds, 3)}
    write_json(results / FILE, {**found, "models": dict(sorted(models.items()))})


def measured_on(results: Path) -> str:
    """Return the kind of processor."""
    return contents(results)["processor"]


def require_same_processor(results: Path) -> None:
    """Stop where the costs there were measured on another kind of processor than this."""
    noted = measured_on(results)
    if noted != processor():
        sys.exit(
            f"{results / FILE}: measured on {noted}, this is {processor()}, so that more models cannot be set beside "
            "those; go on there, or move the directory away to measure and train all of them anew"
        )


def contents(results: Path) -> Mapping[str, object]:
    """Return what the file says, or will say first."""
    path = results / FILE
    return json.loads(path.read_text()) if path.exists() else {"processor": processor(), "models": {}}


def steps(minutes: float, seconds: float) -> int:
    """Return how many steps of so many seconds some minutes pay for."""
    return max(round(60 * minutes / seconds), 1)


def processor() -> str:
    """Return what the processor is (Linux)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return "{}, family {}, model {}".format(
        *(named.get(key, "?") for key in ("model name", "cpu family", "model"))
    )
