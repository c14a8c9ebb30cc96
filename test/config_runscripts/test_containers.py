"""Containers: scripts with an image, run with an apptainer that notes how it was called and runs the program."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from test_rendering import MACHINES, lint, written
from test_rendering import render_all as render_chain

from video_prediction_tools.config_runscripts import containers, profiles
from video_prediction_tools.config_runscripts.steps import CHAINS
from video_prediction_tools.errors import InputError

STEPS = ("train", "postprocess")
NASTY = 'it\'s a $HOME; `x` "y" & ü'
# takes the flags that apptainer takes, and runs what comes after the image with the image's programs first in PATH
APPTAINER = f"""#!{sys.executable} -E
import json, os, sys
words = sys.argv[1:]
open(os.environ["CALLS"], "a").write(json.dumps(words) + "\\n")
assert words.pop(0) == "exec"
while words[0].startswith("--"):
    if words.pop(0) == "--bind":
        assert os.path.exists(words.pop(0))
os.environ["APPTAINER_CONTAINER"] = words.pop(0)
os.environ["PATH"] = os.environ["IMAGE_BIN"] + ":/usr/bin:/bin"
os.execvp(words[0], words)
"""
PYTHON = f"""#!{sys.executable}
import json, os, sys
program = sys.argv[1]
if program.endswith("check_image.py"):
    sys.exit(int(os.environ.get("CHECK", 0)))
keys = ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "VIRTUAL_ENV", "PMIX_SECURITY_MODE")
said = {{"python": sys.argv[0], "words": sys.argv[1:], "env": {{key: os.environ.get(key) for key in keys}}}}
open(os.environ["CALLS"], "a").write(json.dumps(said) + "\\n")
sys.exit(int(os.environ.get("CODE", 0)))
"""


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def image(tmp_path):
    path = tmp_path / NASTY / "tf.sif"
    path.parent.mkdir()
    path.write_text("an image")
    return path


@pytest.fixture
def values(chain_answers, tmp_path, image):
    base = tmp_path / NASTY / "base"
    base.mkdir()
    return chain_answers | {
        "base_dir": str(base),
        "venv": str(tmp_path / NASTY / "venv"),
        "tf_container": str(image),
        "climatology_file": __file__,
        "model_hparams": {"filters": [8]},
    }


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a script with a fake apptainer; it returns the process and all calls."""
    executable(tmp_path / "host" / "apptainer", APPTAINER)
    executable(
        tmp_path / "host" / "srun", '#!/bin/bash\nwhile [[ "$1" == --* ]]; do shift; done\nexec "$@"\n'
    )
    executable(tmp_path / "image" / "python3", PYTHON)

    def start(script, *, runtime="apptainer", **environment):
        if runtime != "apptainer":
            (tmp_path / "host" / "apptainer").rename(tmp_path / "host" / runtime)
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        path = tmp_path / "run.sh"
        path.write_text("module() { :; }\n" + script.text)
        env = os.environ | {
            "CALLS": str(calls),
            "IMAGE_BIN": str(tmp_path / "image"),
            "PATH": f"{tmp_path / 'host'}:/usr/bin:/bin",
            "SLURM_JOB_ID": "17",
            "SLURM_CPUS_PER_TASK": "48",
            "PYTHONPATH": "/a/module",
            "PYTHONHOME": "/a/python",
            "VIRTUAL_ENV": "/an/env",
        }
        done = subprocess.run(
            ["bash", path], cwd=tmp_path, capture_output=True, text=True, env=env | environment, timeout=60
        )
        return done, [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    return start


def error(done):
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("ERROR: ") and "; " in line, done.stderr
    return line


def render_all(machine, values, directory):
    return render_chain(machine, values, directory, CHAINS["era5"])


def of_container(machine, values, directory="/scripts"):
    return {step: script for step, script in render_all(machine, values, directory).items() if step in STEPS}


@pytest.mark.parametrize("machine", MACHINES)
def test_scripts_with_a_container_are_clean(machine, values, tmp_path):
    # SC2016: a quoted $ is what we want here
    lint(written(of_container(machine, values), tmp_path / "scripts"), "-e", "SC2016")
    plain = values | {"venv": "/v", "base_dir": "/b", "tf_container": str(tmp_path / "a.sif")}
    (tmp_path / "a.sif").touch()
    lint(written(of_container(machine, plain), tmp_path / "plain"))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", STEPS)
def test_the_program_runs_in_the_image(machine, step, values, run, image, repository, tmp_path):
    scripts = tmp_path / "scripts_of_mine"
    script = of_container(machine, values, scripts)[step]
    for path, text in script.beside.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    profile = profiles.load(tmp_path)[machine]
    done, calls = run(script)
    assert done.returncode == 0, done.stderr
    (check, launch, said) = calls
    at = launch.index(str(image))
    assert check[: at + 1] == launch[: at + 1]  # what is checked is what is used
    flags = launch[1:at]
    assert ("--nv" in flags) == (bool(profile.step(step).gpus) or os.path.exists("/dev/nvidiactl"))
    bound = [flags[n + 1] for n, word in enumerate(flags) if word == "--bind"]
    beside = [str(path) for path in script.beside if "model_hparams" in path.name]
    asked = beside if step == "train" else [__file__] * (not __file__.startswith(str(repository)))
    assert sorted(bound) == sorted([values["base_dir"], str(repository), *asked])
    assert said["python"] == str(tmp_path / "image" / "python3")
    assert said["words"][0].startswith(f"{repository}/video_prediction_tools/main_scripts/main_")
    assert ("--model_dir" if step == "postprocess" else "--output_dir") in said["words"]
    assert said["env"] == {
        "PYTHONPATH": str(repository),
        "PYTHONHOME": None,
        "PYTHONNOUSERSITE": "1",
        "VIRTUAL_ENV": None,
        "PMIX_SECURITY_MODE": profile.launch.container_env.get("PMIX_SECURITY_MODE"),
    }
    assert run(script, CODE="1")[0].returncode == 1


def test_singularity_is_taken_where_apptainer_is_not(values, run):
    done, calls = run(of_container("laptop", values)["postprocess"], runtime="singularity")
    assert done.returncode == 0 and len(calls) == 3, done.stderr


def test_neither_apptainer_nor_singularity(values, run):
    done, calls = run(of_container("laptop", values)["postprocess"], runtime="docker")
    assert "apptainer: is not on " in error(done) and not calls


def test_an_environment_that_was_made_inside_the_image(values, run, image, tmp_path):
    venv = Path(values["venv"])
    executable(venv / "bin" / "python", PYTHON)
    link = tmp_path / "link.sif"
    link.symlink_to(image)
    (venv / "ambs-container").write_text(f"{link}\n")
    script = of_container("laptop", values)["train"]
    done, calls = run(script)
    assert done.returncode == 0, done.stderr
    assert calls[-1]["python"] == str(venv / "bin" / "python") and str(venv) in calls[0]

    (tmp_path / "other.sif").touch()
    (venv / "ambs-container").write_text(f"{tmp_path}/other.sif\n")
    done, calls = run(script)
    assert f"was made inside {tmp_path}/other.sif" in error(done) and not calls

    (venv / "bin" / "activate").touch()
    outside = {name: value for name, value in values.items() if name != "tf_container"}
    done, calls = run(render_all("laptop", outside, "/scripts")["train"])
    assert "was made inside a container; give its image as --tf_container" in error(done) and not calls


def test_without_an_image_what_modules_put_before_the_environment_is_taken_away(values, run):
    venv = Path(values["venv"])
    executable(venv / "bin" / "python", PYTHON)
    (venv / "bin" / "activate").write_text(f"PATH={shlex.quote(str(venv / 'bin'))}:$PATH\n")
    outside = {name: value for name, value in values.items() if name != "tf_container"}
    done, (said,) = run(render_all("laptop", outside, "/scripts")["train"], PYTHONHOME="")
    assert done.returncode == 0, done.stderr
    assert said["python"] == str(venv / "bin" / "python") and said["env"]["PYTHONPATH"] is None


def test_a_missing_image(values, run, image):
    script = of_container("laptop", values)["train"]
    image.unlink()
    done, calls = run(script)
    assert "the image of the container cannot be read" in error(done) and not calls


def test_an_image_that_cannot_run_ambs(values, run):
    script = of_container("laptop", values)["train"]
    done, calls = run(script, CHECK="2")  # check_image.py has said why
    assert done.returncode == 2 and done.stderr == "" and len(calls) == 1
    done, calls = run(script, CHECK="255")  # apptainer could not start it
    assert "no program can be started in it (exit code 255" in error(done) and len(calls) == 1


def test_a_signal_reaches_the_program(values, run, tmp_path):
    """The warning before the walltime ends comes through srun and apptainer, and exit code 75 comes back."""
    executable(
        tmp_path / "image" / "python3",
        "#!/bin/bash\n[[ $1 != *check_image.py ]] || exit 0\n"
        f"trap 'echo warned >{shlex.quote(str(tmp_path / 'warned'))}; exit 75' USR2\n"
        'kill -USR2 "$(cat "$BATCH_PID")"\nfor ((n = 0; n < 100; n++)); do sleep 0.1; done\n',
    )
    executable(tmp_path / "host" / "scontrol", "#!/bin/bash\nexit 1\n")
    script = of_container("juwels_booster", values)["train"]
    text = script.text.replace("set -eo pipefail\n", 'set -eo pipefail\necho $$ >"$BATCH_PID"\n', 1)
    done, _ = run(type(script)(script.path, text, {}, ""), BATCH_PID=str(tmp_path / "pid"))
    assert (tmp_path / "warned").exists() and done.returncode == 75, done.stdout + done.stderr


@pytest.mark.parametrize("letter", [":", ",", "\\"])
def test_paths_that_bind_would_read_otherwise(letter, values, tmp_path):
    with pytest.raises(InputError, match="cannot be mounted into a container"):
        of_container("laptop", values | {"base_dir": str(tmp_path / f"a{letter}b")})


def test_mounts():
    assert containers.mounts(["/b/c", None, "/b", "/bc", "/b/c/d"]) == [Path("/b"), Path("/bc")]


def test_interactive_line(chain_answers):
    machine = profiles.load(Path("/nonexistent"))["juwels_booster"]
    answers = {"account": "deepacf", "partition": "booster", "nodes": 1, "cpus": 48, "gpus": 4}
    line = containers.interactive_command(machine, answers | {"time": "24:00:00"}, Path("/x y/train.sh"))
    assert line == (
        "salloc --account=deepacf --partition=booster --nodes=1 --ntasks-per-node=1 --cpus-per-task=48 "
        "--gres=gpu:4 --time=00:10:00 bash '/x y/train.sh'"
    )
    line = containers.interactive_command(machine, {"time": "00:05:00", "sweep": ["lr=1"]}, Path("/t.sh"))
    assert line.endswith(" --time=00:05:00 env SLURM_ARRAY_TASK_ID=1 bash /t.sh")


USERS = {
    "base.sh.j2": '{% extends "ambs/base.sh.j2" %}\n'
    "{% block custom_header %}# mine: {{ step.name }}\n{% endblock %}"
    "{% block custom_setup %}echo my setup\n{% endblock %}"
    "{% block custom_end %}echo my end\n{% endblock %}"
}


@pytest.fixture
def users_templates(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    directory = tmp_path / "config" / "ambs" / "templates"
    directory.mkdir(parents=True)
    return directory


@pytest.mark.parametrize("machine", ["laptop", "juwels"])
def test_a_users_lines_stand_in_every_step(machine, chain_answers, users_templates, tmp_path):
    (users_templates / "base.sh.j2").write_text(USERS["base.sh.j2"])
    scripts = render_all(machine, chain_answers, "/scripts")
    for step, script in scripts.items():
        header, setup, end = (
            script.text.index(line)
            for line in (f"\n# mine: {step}\n", "\necho my setup\n", "\necho my end\n")
        )
        assert header < setup < script.text.index("command=(")
        assert setup < end
    lint(written(scripts, tmp_path / "my_scripts"))


@pytest.mark.parametrize("code", ["0", "1"])
@pytest.mark.parametrize("machine", ["laptop", "juwels"])
def test_a_users_last_lines_run_when_the_step_ended_well(machine, code, values, run, users_templates):
    (users_templates / "base.sh.j2").write_text(USERS["base.sh.j2"])
    for script in of_container(machine, values).values():
        done, _ = run(script, CODE=code)
        assert done.returncode == int(code) and ("my end" in done.stdout) == (code == "0")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("{% block custom_setup %}\n{% if %}\n", 2, "Expected an expression"),
        (
            '{% extends "ambs/base.sh.j2" %}\n{% block custom_setup %}\n\n{{ modulse }}{% endblock %}',
            4,
            "modulse",
        ),
        ('{% extends "abms/base.sh.j2" %}', 1, "abms/base.sh.j2"),
        ('{% extends "ambs/base.sh.j2" %}\n{% block custom_setup %}{{ 1 | shh }}{% endblock %}', 2, "shh"),
        ('{% extends "base.sh.j2" %}', 1, 'write {% extends "ambs/base.sh.j2" %}'),
        (
            '{% extends "ambs/base.sh.j2" %}\n{% block custom_stup %}{% endblock %}',
            2,
            "did you mean 'custom_setup'?",
        ),
    ],
)
def test_a_mistake_in_a_users_template_is_named(text, line, said, chain_answers, users_templates):
    (users_templates / "base.sh.j2").write_text(text)
    with pytest.raises(InputError) as caught:
        render_all("laptop", chain_answers, "/scripts")
    message = str(caught.value)
    assert re.match(rf"{re.escape(str(users_templates))}/base\.sh\.j2:{line}: ", message) and said in message
