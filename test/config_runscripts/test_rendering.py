"""Scripts: every machine and step, linted, run with programs that only say what they were given."""

import importlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from video_prediction_tools.config_runscripts import answers, profiles, rendering
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.config_runscripts.steps import CHAINS
from video_prediction_tools.errors import InputError

MACHINES = sorted(profiles.load(Path("/nonexistent")))
NASTY = 'it\'s a $HOME; `x` "y" \\ & ü'


def render_all(machine_name, values, directory, chain=CHAINS["era5"], own=Path("/nonexistent")):
    machine = profiles.load(own)[machine_name]
    given = answers.Given()
    if machine.scheduler == "slurm":
        values = {"account": "deepacf"} | values
    for name, value in values.items():
        given.add(name, value, name, by_flag=False)
    context = Context(machine, chain, chain[0])
    answers.collect(context, given, None)
    return {step: rendering.render(context, step, Path(directory)) for step in chain}


def lint(files, *options):
    for file in files:
        done = subprocess.run(["bash", "-n", file], capture_output=True, text=True)
        assert done.returncode == 0, f"{file}: {done.stderr}"
    if shutil.which("shellcheck") is None:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail("shellcheck is missing")
        pytest.skip("shellcheck is not installed (bash -n was run)")
    done = subprocess.run(["shellcheck", "-S", "style", *options, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def written(scripts, directory):
    directory.mkdir(exist_ok=True)
    files = []
    for script in scripts.values():
        files.append(directory / script.path.name)
        files[-1].write_text(script.text)
    return files


@pytest.mark.parametrize("machine", MACHINES)
def test_every_script_is_clean(machine, chain_answers, tmp_path):
    scripts = render_all(machine, chain_answers, "/scripts")
    assert [script.path.name for script in scripts.values()] == [
        "data_extraction_era5.sh",
        "preprocess_data_era5_step1.sh",
        "preprocess_data_era5_step2.sh",
        "train_model_era5_20190401T000000_anna_try.sh",
        "visualize_postprocess_era5_20190401T000000_anna_try.sh",
    ]
    lint(written(scripts, tmp_path))


@pytest.mark.parametrize("machine", MACHINES)
def test_nasty_values_stay_what_they_are(machine, chain_answers, tmp_path):
    values = chain_answers | {
        "base_dir": f"/data/{NASTY}",
        "venv": f"/opt/{NASTY}",
        "source": "archive",
        "source_dir": str(tmp_path),
        "source_names": [f"2t={NASTY}"],
    }
    values.pop("area")
    # SC2016: a quoted $ is what we want here
    lint(written(render_all(machine, values, "/scripts"), tmp_path / "scripts"), "-e", "SC2016")


@pytest.mark.parametrize("machine", [name for name in MACHINES if name != "laptop"])
def test_slurm_headers(machine, chain_answers, tmp_path):
    profile = profiles.load(tmp_path)[machine]
    for step, script in render_all(machine, chain_answers, "/scripts").items():
        lines = script.text.splitlines()
        header = [line for line in lines if line.startswith("#SBATCH")]
        if step == "extract":  # downloads: compute nodes have no internet
            assert not header and "srun" not in script.text and script.command.startswith("bash ")
            continue
        assert script.command.startswith("sbatch ")
        assert lines[1 : 1 + len(header)] == header, "Slurm stops reading at the first command"
        assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=[\w./:%@,+=-]+)?", line) for line in header)
        resources = profile.step(step)
        assert f"#SBATCH --time={resources.time}" in header
        assert f"#SBATCH --ntasks-per-node={resources.tasks}" in header
        assert "#SBATCH --account=deepacf" in header
        assert ("#SBATCH --requeue" in header) == (step == "train")
        assert [line.split()[-1] for line in lines if line.startswith("module load")] == profile.modules(step)


def test_what_cannot_stand_in_an_sbatch_line(chain_answers):
    with pytest.raises(InputError, match="#SBATCH line cannot take"):
        render_all("juwels", chain_answers, "/a b")
    for name in ("account", "preprocess1.time", "train.partition"):
        with pytest.raises(InputError):
            render_all("juwels", chain_answers | {name: "x y\n#SBATCH --z"}, "/scripts")


@pytest.mark.parametrize("name", ["base_dir", "venv"])
def test_newlines_are_refused(name, chain_answers):
    with pytest.raises(InputError, match="newline"):
        render_all("laptop", chain_answers | {name: "/a\nb"}, "/scripts")
    with pytest.raises(InputError, match="newline"):
        render_all("laptop", chain_answers, "/a\nb")


@pytest.fixture
def say_arguments(tmp_path):
    """Return an environment whose python, mpirun and srun only note how they were called."""
    venv = tmp_path / NASTY / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "activate").write_text('PATH="$VENV_BIN:$PATH"\n')
    for name in ("python", "mpirun", "srun", "scontrol"):
        program = venv / "bin" / name
        program.write_text(
            f"#!{sys.executable}\nimport json, os, sys\n"
            f"open(os.environ['CALLS'], 'a').write(json.dumps(sys.argv[1:] + [{name!r}]) + '\\n')\n"
            f"sys.exit(int(os.environ.get('CODE', 0)) if {name!r} != 'scontrol' else 0)\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def run(script, **environment):
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        path = tmp_path / "run.sh"
        path.write_text(
            "module() { :; }; sleep() { :; }\n" + script.text.replace("#!/usr/bin/env bash\n", "")
        )
        done = subprocess.run(
            ["bash", path],
            cwd="/",
            capture_output=True,
            text=True,
            env={**os.environ, "CALLS": str(calls), "VENV_BIN": str(venv / "bin"), **environment},
        )
        return done, [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    return venv, run


def flags_of(words):
    flags, name = {}, None
    for word in words:
        if word.startswith("--") and not re.fullmatch(r"-\d.*", word):
            name = word
            flags[name] = []
        else:
            flags[name].append(word)
    return flags


PROGRAMS = {
    "extract": "main_data_extraction",
    "preprocess1": "main_preprocess_data_step1",
    "preprocess2": "main_preprocess_data_step2",
    "train": "main_train_models",
    "postprocess": "main_visualize_postprocess",
}


def test_programs_get_the_values_that_were_given(chain_answers, say_arguments, tmp_path):
    venv, run = say_arguments
    base = f"/data/{NASTY}"
    values = chain_answers | {
        "base_dir": base,
        "venv": str(venv),
        "num_stochastic_samples": 3,
        "eval_metrics": "mse acc",
        "climatology_file": __file__,
        "fill": "nearest",
        "constants": "lsm",
        "grid": 0.25,
        "step_hours": 3,
        "model_hparams": {"filters": [8]},
        "data_split": None,
        "seed": 7,
    }
    scripts = render_all("laptop", values, tmp_path / NASTY)
    name = "Y2019to2019M03to04-48_32-50.00N10.00W-2t_msl"
    exp_id = "20190401T000000_anna_try"
    split_file, hparams_file = (
        next(str(path) for path in scripts[step].beside if f".{kind}." in path.name)
        for step, kind in (("preprocess1", "data_split"), ("train", "model_hparams"))
    )
    assert Path(split_file).parent == Path(hparams_file).parent == tmp_path / NASTY
    model = f"{base}/Models/{name}/convLSTM/{exp_id}"
    expected = {
        "extract": {
            "--source": ["synthetic"],
            "--destination_dir": [f"{base}/ExtractedData"],
            "--years": ["2019"],
            "--months": ["3", "4"],
            "--variables": ["2t", "msl"],
            "--area": ["58", "-10", "50", "2"],
            "--constants": ["lsm"],
            "--grid": ["0.25"],
            "--step_hours": ["3"],
            "--seed": ["7"],
        },
        "preprocess1": {
            "--source_dir": [f"{base}/ExtractedData"],
            "--destination_dir": [f"{base}/PreprocessedData"],
            "--years": ["2019"],
            "--months": ["3", "4"],
            "--variables": ["2t", "msl"],
            "--sw_corner": ["50", "-10"],
            "--nyx": ["32", "48"],
            "--fill": ["nearest"],
            "--data_split": [split_file],
        },
        "preprocess2": {"--source_dir": [f"{base}/PreprocessedData/{name}"], "--sequence_length": ["20"]},
        "train": {
            "--input_dir": [f"{base}/PreprocessedData/{name}"],
            "--output_dir": [model],
            "--model": ["convLSTM"],
            "--model_hparams": [hparams_file],
            "--set": ["lr=0.001", "max_epochs=2"],
            "--seed": ["7"],
        },
        "postprocess": {
            "--model_dir": [model],
            "--results_dir": [f"{base}/Results"],
            "--split": ["test"],
            "--num_stochastic_samples": ["3"],
            "--eval_metrics": ["mse", "acc"],
            "--climatology_file": [__file__],
        },
    }
    for step, script in scripts.items():
        done, calls = run(script)
        assert done.returncode == 0, done.stderr
        words = calls[0][:-1]
        assert calls[0][-1] == ("mpirun" if step.startswith("preprocess") else "python")
        if step.startswith("preprocess"):
            assert words[:3] == ["-n", "2", "python"]
            words = words[3:]
        assert words[0].endswith(f"/main_scripts/{PROGRAMS[step]}.py")
        assert flags_of(words[1:]) == expected[step]
        # the programs take these flags and values
        importlib.import_module(
            f"video_prediction_tools.main_scripts.{PROGRAMS[step]}"
        ).build_parser().parse_args(words[1:])
    (split,) = (text for path, text in scripts["preprocess1"].beside.items() if str(path) == split_file)
    assert json.loads(split) == {
        "train": [["2019-03-01", "2019-03-22"]],
        "val": [["2019-03-23", "2019-03-24T18"]],
        "test": [["2019-03-25", "2019-03-31"], ["2019-04-02", "2019-04-03"]],
    }
    (hparams,) = (text for path, text in scripts["train"].beside.items() if str(path) == hparams_file)
    assert json.loads(hparams) == {"filters": [8]}


def test_exit_codes_pass_through(chain_answers, say_arguments):
    venv, run = say_arguments
    scripts = render_all("laptop", chain_answers | {"venv": str(venv)}, "/scripts")
    for step in scripts:
        assert run(scripts[step], CODE="75")[0].returncode == 75


def test_a_missing_environment_is_named(chain_answers, say_arguments):
    _, run = say_arguments
    done, calls = run(render_all("laptop", chain_answers, "/scripts")["train"])
    assert done.returncode == 2 and calls == []
    assert done.stderr.startswith("ERROR: /opt/an env: there is no environment; make it with: source ")
    assert done.stderr.rstrip().endswith(r"env_setup/create_env.sh an\ env") and done.stderr.count("\n") == 1


def test_slurm_scripts_start_their_program_with_srun(chain_answers, say_arguments):
    venv, run = say_arguments
    scripts = render_all("juwels_booster", chain_answers | {"venv": str(venv)}, "/scripts")
    job = {"SLURM_JOB_ID": "17", "SLURM_CPUS_PER_TASK": "48"}
    for step, mpi in (("preprocess1", ["--mpi=pspmix"]), ("train", [])):
        done, calls = run(scripts[step], **job)
        assert done.returncode == 0, done.stderr
        flags = ["--cpus-per-task=48", "--kill-on-bad-exit=1", "--cpu-bind=none", *mpi]
        assert calls[0][: len(flags) + 1] == [*flags, "python"] and calls[0][-1] == "srun"
        done, calls = run(scripts[step])
        assert done.returncode == 2 and calls == [] and "submit it with sbatch" in done.stderr

    done, calls = run(scripts["train"], CODE="75", **job)
    assert calls[1] == ["requeue", "17", "scontrol"]
    done, calls = run(scripts["train"], CODE="1", **job)
    assert done.returncode == 1 and len(calls) == 1


def test_the_header_says_who_made_it(chain_answers):
    script = render_all("laptop", chain_answers, "/the scripts")["train"]
    made, again = script.text.splitlines()[1:3]
    assert re.fullmatch(
        r"# step=train program=main_train_models.py machine=laptop AMBS=\S+ answers=[0-9a-f]{12}", made
    )
    assert (
        again.startswith("# make it again: python ") and "--answers '/the scripts/train_model_era5_" in again
    )


def test_a_users_template_goes_before_ours(chain_answers, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "ambs" / "templates").mkdir(parents=True)
    (tmp_path / "ambs" / "templates" / "base.sh.j2").write_text(
        '{% extends "ambs/base.sh.j2" %}{% block custom_setup %}\nexport MINE=1\n{% endblock %}'
    )
    text = render_all("laptop", chain_answers, "/scripts")["train"].text
    assert "\nexport MINE=1\n" in text and "main_train_models.py" in text
