"""A chain of answers, and the generator as a user starts it."""

import sys

import pytest


@pytest.fixture(scope="session")
def chain_answers():
    """Answers for all steps; the experiment's id is given, so that scripts have the same bytes each time."""
    return {
        "source": "synthetic",
        "years": [2019],
        "months": [3, 4],
        "variables": ["2t", "msl"],
        "area": [58, -10, 50, 2],
        "sw_corner": [50, -10],
        "nyx": [32, 48],
        "train_period": "2019-03-01..2019-03-22",
        "val_period": "2019-03-23..2019-03-24T18",
        "test_period": "2019-03-25..2019-03-31 2019-04-02..2019-04-03",
        "exp_id": "20190401T000000_anna_try",
        "hparams": {"lr": 0.001, "max_epochs": 2},
        "venv": "/opt/an env",
        "base_dir": "/data/anna",
    }


@pytest.fixture
def generate(repository, run_command, tmp_path):
    """Return a function that starts generate_runscript.py; scripts go to tmp_path/scripts by default.

    The machine is a laptop where a test does not say otherwise, also where the tests run beside a Slurm.
    """

    def start(*words, scripts=tmp_path / "scripts", env=None, timeout=60):
        program = repository / "video_prediction_tools" / "config_runscripts" / "generate_runscript.py"
        where = ["--scripts_dir", scripts] if scripts else []
        return run_command(
            [sys.executable, program, *words, *where],
            env={"AMBS_MACHINE": "laptop", **(env or {})},
            timeout=timeout,
            cwd=tmp_path,
        )

    return start


@pytest.fixture(scope="session")
def as_flags():
    """Return a function that writes answers as flags."""

    def flags(answers):
        words = []
        for name, value in answers.items():
            values = (
                [f"{key}={one}" for key, one in value.items()]
                if isinstance(value, dict)
                else (
                    value
                    if isinstance(value, list)
                    else str(value).split(" ")
                    if name.endswith("_period")
                    else [value]
                )
            )
            words += [f"--{name}", *map(str, values)]
        return words

    return flags
