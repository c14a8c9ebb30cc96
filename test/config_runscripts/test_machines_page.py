"""docs/machines.md: its new machine is one file and works for every step; it names every key and profile."""

import dataclasses
import re
import typing
from pathlib import Path

import pytest
from test_rendering import lint, render_all, written

from video_prediction_tools.config_runscripts import limits, profiles
from video_prediction_tools.config_runscripts.steps import CHAINS, STEPS

MOVING_MNIST = {"digits_from": "glyphs", "fresh_train": "no"}


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "machines.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def own(page, tmp_path_factory):
    """Return a user's directory with both examples of the page, each in the file that it names."""
    directory = tmp_path_factory.mktemp("machines")
    examples = re.findall(r"^```toml\n# ~/.config/ambs/machines/(\w+\.toml)(.*?)^```", page, re.M | re.S)
    for name, text in examples:
        (directory / name).write_text("#" + text)
    assert [name for name, _ in examples] == ["juwels.toml", "lichen.toml"]
    return directory


def test_the_example_that_is_merged(own):
    train = profiles.load(own)["juwels"].step("train")
    assert (train.partition, train.time, train.gpus) == ("develgpus", "02:00:00", 4)


@pytest.mark.parametrize("host", ["lichen-login1.example.org", "lc042"])
def test_the_new_machine_is_found(own, host):
    machines = profiles.load(own)
    found = profiles.detect(machines, environment={}, hostname=host, systemname_file=Path("/nonexistent"))
    assert found.name == "lichen"


@pytest.mark.parametrize("chain", CHAINS)
def test_the_new_machine_has_scripts_for_every_step(own, chain, chain_answers, tmp_path):
    values = (
        chain_answers
        if chain == "era5"
        else MOVING_MNIST | {name: chain_answers[name] for name in ("exp_id", "hparams", "venv", "base_dir")}
    )
    scripts = render_all("lichen", values, "/scripts", CHAINS[chain], own)
    lint(written(scripts, tmp_path / "scripts"))
    lichen = profiles.load(own)["lichen"]
    for step, script in scripts.items():
        header = [line for line in script.text.splitlines() if line.startswith("#SBATCH")]
        assert script.command.startswith("bash " if step == "extract" else "sbatch ")
        assert [f"module load {name}" for name in lichen.modules(step)] == [
            line for line in script.text.splitlines() if line.startswith("module load")
        ]
        if step == "extract":
            assert not header
            continue
        own_step = lichen.step(step)
        assert f"#SBATCH --time={own_step.time}" in header and "#SBATCH --mail-type=FAIL" in header
        assert ("#SBATCH --partition=gpu" in header) == (step in ("train", "postprocess"))
        assert ("#SBATCH --exclusive" in header) == (step in ("train", "postprocess"))
        assert not any("open-mode" in line or "--requeue" in line for line in header)
        assert ("--mpi=pmix" in script.text) == STEPS[step].mpi
        assert ("export CUDA_VISIBLE_DEVICES=0,1,2,3" in script.text) == (step == "train")
        assert ("AMBS_HOST_SUFFIX=-ib" in script.text) == (step == "train")
        answers = {name: getattr(own_step, name) for name in ("partition", "time", "tasks", "cpus", "gpus")}
        limits.check(lichen, step, {"account": "x", **answers})


def test_flags_for_containers(own, chain_answers, tmp_path):
    image = tmp_path / "image.sif"
    image.touch()
    text = (own / "lichen.toml").read_text()
    changed = text.replace("srun_container = []", 'srun_container = ["--mpi=none"]')
    assert changed != text
    (tmp_path / "lichen.toml").write_text(changed)
    values = chain_answers | {"tf_container": str(image)}
    scripts = render_all("lichen", values, "/scripts", own=tmp_path)
    inside = ("train", "postprocess")
    assert {step for step, script in scripts.items() if "--mpi=none" in script.text} == set(inside)
    assert {
        step for step, script in scripts.items() if "exec" in script.text and "--cleanenv" in script.text
    } == set(inside)


def keys(cls, prefix=""):
    hints = typing.get_type_hints(cls)
    for part in dataclasses.fields(cls):
        kind = hints[part.name]
        inner = [one for one in (kind, *typing.get_args(kind)) if dataclasses.is_dataclass(one)]
        if not inner:
            yield prefix + part.name
            continue
        yield from keys(inner[0], f"{prefix}{part.name}.{'<step>.' if part.name == 'steps' else ''}")


def test_every_key_is_explained_and_none_that_there_is_not(page):
    table = page[page.index("### All keys") :].partition("\n## ")[0]
    explained = [
        key for row in re.findall(r"^\| (`.*?) \|", table, re.M) for key in re.findall(r"`(.*?)`", row)
    ]
    assert sorted(explained) == sorted(set(keys(profiles.Machine)) - {"name"})  # the name is the file's


def test_every_key_is_in_the_example(own):
    text = (own / "lichen.toml").read_text()
    for key in keys(profiles.Machine):
        assert re.search(rf"\b{key.rpartition('.')[2]} = ", text), key


def test_every_profile_and_step_is_named(page):
    for name, machine in profiles.load(Path("/nonexistent")).items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", page, re.M)
        assert all(partition.name in row for partition in machine.partitions)
        assert machine.arch in row or "| any |" in row
    assert all(f"`{step}`" in page for step in STEPS)


def test_the_message_is_the_one_that_is_shown(page):
    juwels = profiles.load(Path("/nonexistent"))["juwels"]
    own_step = juwels.step("train")
    asked = {
        "account": "x",
        "partition": "develgpus",
        "time": own_step.time,
        "cpus": own_step.cpus,
        "gpus": 4,
    }
    with pytest.raises(limits.InputError) as caught:
        limits.check(juwels, "train", asked)
    assert f"\nERROR: {caught.value}\n" in page
