"""What a question may look at: the machine, the answers so far, and what the steps before will have made."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts.profiles import Machine
from video_prediction_tools.metadata.names import DataName, Layout


@dataclass
class Context:
    """State of one run of the generator.

    Arguments:
        machine: the profile that scripts are written for.
        chain: names of the steps of this run, in their order: one step, or all.
        step: the step whose questions are asked now.
        answers: the answers so far, by step and question.
        environment: the environment variables.
    """

    machine: Machine
    chain: tuple[str, ...]
    step: str
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def get(self, name: str) -> Any:
        """Return the present step's answer to a question, or None."""
        return self.answers.get(self.step, {}).get(name)

    def earlier(self, step: str) -> dict[str, Any] | None:
        """Return the answers of a step that comes before the present one in this chain, or None."""
        before = self.chain[: self.chain.index(self.step)]
        return self.answers[step] if step in before and step in self.answers else None

    def shared(self, name: str) -> Any:
        """Return what an earlier step of this chain answered to the same question, or None."""
        before = self.chain[: self.chain.index(self.step)]
        values = (self.answers.get(step, {}).get(name) for step in reversed(before))
        return next((value for value in values if value is not None), None)

    @property
    def slurm(self) -> bool:
        """Whether the present step is submitted to Slurm."""
        return self.machine.runs_with_slurm(self.step)

    @property
    def layout(self) -> Layout:
        """Where things lie below the base directory."""
        return Layout(Path(self.get("base_dir")))


def data_name(answers: dict[str, Any]) -> str:
    """Return the data name that preprocess1 will give, from its answers."""
    (ny, nx), (lat, lon) = answers["nyx"], answers["sw_corner"]
    years, months = answers["years"], answers["months"]
    return str(
        DataName(years[0], years[-1], months[0], months[-1], nx, ny, lat, lon, tuple(answers["variables"]))
    )
