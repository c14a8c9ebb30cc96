"""What a question may look at: the machine, the answers so far, and what the steps before will have made."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts.profiles import Machine
from video_prediction_tools.metadata.names import DataName, Layout, MovingMnistName, result_directory

DATA_MAKERS = ("preprocess1", "preprocess_moving_mnist")  # the steps that decide a data name


@dataclass(frozen=True)
class Experiment:
    """One training of a script and its evaluation; a sweep has several.

    Arguments:
        exp_id: its own.
        directory: of the model.
        results: of its evaluation.
        hparams: ``key=value`` that differ from the recommended hyper-parameters.
    """

    exp_id: str
    directory: Path
    results: Path
    hparams: tuple[str, ...] = ()


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

    def data_name(self, step: str) -> str | None:
        """Return the data name that a step which makes a data set will give, None while answers are missing."""
        answers = self.answers.get(step, {})
        if step == "preprocess1":
            parts = ("years", "months", "variables", "nyx", "sw_corner")
            return _era5_name(answers) if all(answers.get(part) for part in parts) else None
        return _moving_mnist_name(answers) if answers.get("fresh_train") else None

    def made_data_name(self) -> str | None:
        """Return the data name that an earlier step of this chain will give, or None."""
        made = next((step for step in DATA_MAKERS if self.earlier(step)), None)
        return made and self.data_name(made)

    def experiments(self) -> list[Experiment]:
        """Return the experiments of the present step (train or postprocess) in the order of their numbers."""
        if self.step == "train":
            directory = self.layout.model(self.get("data_name"), self.get("model"), self.get("exp_id"))
            single, settings = tuple(self.get("hparams") or ()), sweep_settings(self.get("sweep"))
            hparams = [(*single, *one) for one in settings] or [single]
        else:
            directory = Path(self.get("model_dir"))
            hparams = [()] * (self.get("sweep_size") or 1)
        if not self.elements():
            return [self._experiment(directory, hparams[0])]
        members = (directory.with_name(member_id(directory.name, n)) for n in itertools.count(1))
        return [self._experiment(member, own) for member, own in zip(members, hparams, strict=False)]

    def elements(self) -> int | None:
        """Return the number of experiments of a sweep, None where there is just one experiment."""
        if self.step == "train":
            return len(sweep_settings(self.get("sweep"))) or None
        return self.get("sweep_size") if self.step == "postprocess" else None

    def _experiment(self, directory: Path, hparams: tuple[str, ...]) -> Experiment:
        exp_id, model, source = directory.name, directory.parent.name, directory.parents[1].name
        results = result_directory(self.layout.results, self.get("data_name"), source, model, exp_id)
        return Experiment(exp_id, directory, results, hparams)


def member_id(exp_id: str, number: int) -> str:
    """Return the exp_id of one experiment of a sweep; numbers begin with 1."""
    return f"{exp_id}.{number}"


def sweep_settings(sweep: list[str] | None) -> list[tuple[str, ...]]:
    """Return the hyper-parameters of each experiment of a sweep: every combination of the values given.

    Arguments:
        sweep: ``key=value``, several values a key, for example lr=0.001 lr=0.0003.
    """
    values: dict[str, list[str]] = {}
    for pair in sweep or []:
        values.setdefault(pair.partition("=")[0], []).append(pair)
    return list(itertools.product(*values.values())) if values else []


def _era5_name(answers: dict[str, Any]) -> str:
    (ny, nx), (lat, lon) = answers["nyx"], answers["sw_corner"]
    years, months = answers["years"], answers["months"]
    return str(
        DataName(years[0], years[-1], months[0], months[-1], nx, ny, lat, lon, tuple(answers["variables"]))
    )


def _moving_mnist_name(answers: dict[str, Any]) -> str:
    source = answers["digits_from"]
    if source == "sequences" and answers.get("digits_dir"):
        source = "published"  # only the test split comes from the array
    parts = ("n_digits", "size", "sequence_length", "n_train", "n_val", "n_test", "seed")
    return str(
        MovingMnistName(source, *(answers[part] for part in parts), fresh=answers["fresh_train"] == "yes")
    )
