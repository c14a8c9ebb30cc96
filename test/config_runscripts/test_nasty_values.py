"""Values that a shell, Slurm or a template could take for more than text: refused, or handed on as they are."""

import json
import os
import shutil
from pathlib import Path

import pytest
from earlier_steps import DATA, EXP, chain

from video_prediction_tools.config_runscripts import answers, profiles
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.config_runscripts.questions import QUESTIONS, asked_by
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata import names

NASTY = (
    # nothing, and blanks
    "", " ", "a b", "a  b", " before", "behind ", "no\u00a0break", "\u3000",
    # what ends a line, a text or a screen
    "a\nb", "x\n#SBATCH --exclusive", "x\ntouch canary", "x\r", "a\tb", "nul\0", "\x1b[2J", "del\x7f",
    "a\u2028b", "a\u0085b", "\udcff",
    # quotes
    "it's", "'", '"', 'a "b" c', "`", "\\", "a\\", "\\'", "\\n", "$'\\n'", "'; touch canary; '", '"; touch canary; "',
    # what a shell runs or expands
    "$(touch canary)", "`touch canary`", "; touch canary", "x;touch canary", "& touch canary", "&& touch canary",
    "|| touch canary", "| tee canary", "> canary", "<(touch canary)", "$((1+1))", "$HOME", "${HOME}", "$0", "!history",
    "!!", "*", "?", "[1]", "[a-z]*", "{a,b}", "{1..3}", "(", "^", "x() { touch canary; }",
    # places
    ".", "..", "../..", "a/../b", "/", "//", "/etc/passwd", "~", "~root", "~nobody_has_this_name", "~/x", "./x",
    # what looks like a flag, or a comment
    "-", "--", "-n", "-1", "-1e-5", "--set", "--help", "@x", "#", "# x", "#SBATCH --exclusive", "=", "a=b", "=x",
    # what Slurm, printf and Jinja replace
    "%j", "%j %x", "%s%n", "%", "{{ step }}", "{{ 7 * 7 }}", "{% raw %}", "{# x #}", "{{",
    # other scripts, and more than a name can hold
    "ü", "e\u0301", "日本語", "مرحبا", "\u202egpj.sh", "\u200b", "😀", "x" * 300, "ü" * 150, "a/" * 3000,
    # what JSON, TOML or a prompt could take for another thing
    "null", "None", "true", "0", "1e400", "nan", "(table)", "[]", "a,b", "a:b", "2019-02-30", "../../x",
)  # fmt: skip


def dressed(kind, value):
    """Return the answers of a kind in which a nasty value stands."""
    return {
        "words": [value, [value]],
        "pairs": [value, [f"key={value}"], {"key": value}],
        "sweep": [value, [f"key={value}", "key=1"], {"key": [value, 1]}],
        "periods": [value, f"{value}..2019-03-02", f"2019-03-01..{value}", [[value, value]]],
        "walltime": [value, f"01:00:{value}", f"{value}-01:00:00"],
        "sbatch": [value, f"a{value}"],
        "path or table": [value, {value: [value]}],
        "experiment": [value, f"20190401T000000_{value}_x"],
    }.get(kind.name, [value])


def meant(kind, value):
    """Return the words that a taken answer stands for."""
    if kind.name == "path" or (kind.name == "path or table" and isinstance(value, str)):
        return [os.path.abspath(os.path.expanduser(value))]
    if kind.name == "words":
        return (value if isinstance(value, str) else value[0]).replace(",", " ").split()
    return None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a place where each value that can be a name is that of a directory and a file.

    Each directory is a base directory in which all steps have been done, and an environment.
    """
    place = tmp_path_factory.mktemp("nasty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place / "home"))
        plain = place / "directories" / "plain"
        chain(plain)
        (plain / "bin").mkdir()
        (plain / "bin" / "activate").write_text(
            'printf "%s\\0" 1 activate "${BASH_SOURCE[0]}" >>"$CALLS"\nPATH="$STAND_INS:$PATH"\n'
        )
        (place / "files").mkdir()
        for empty in ("home", "empty"):
            (place / empty).mkdir()
        (place / "stand_ins").mkdir()
        for name in ("python", "mpirun", "srun"):
            program = place / "stand_ins" / name
            program.write_text('#!/bin/bash\nprintf "%s\\0" "$#" "${0##*/}" "$@" >>"$CALLS"\n')
            program.chmod(0o755)
        (place / "functions").write_text("module() { :; }\nsleep() { :; }\n")
        split = {"train": {"2019": [3]}, "val": [["2019-04-01", "2019-04-02"]], "test": [["2019-04-03", "2019-04-04"]]}
        (place / "files" / "split").write_text(json.dumps(split))
        layout = names.Layout(plain)
        for value in filter(can_be_a_name, NASTY):
            directory = place / "directories" / value
            shutil.copytree(plain, directory)
            shutil.copy(place / "files" / "split", place / "files" / value)
            own = names.Layout(directory)
            shutil.copytree(layout.data(DATA), own.data(value))
            shutil.copytree(layout.model(DATA, "convLSTM", EXP), own.model(DATA, "convLSTM", value))
        yield place


def can_be_a_name(value):
    try:
        return 0 < len(os.fsencode(value)) < 256 and not set(value) & set("/\0") and value not in (".", "..")
    except UnicodeEncodeError:
        return False


# --- each answer by itself ------------------------------------------------------------------------

# by step, answers that together ask every question
SENSIBLE = {
    "extract": [
        {"source": "archive", "source_dir": ".", "years": 2019},
        {"source": "synthetic", "years": 2019},
    ],
    "preprocess1": [
        {"sw_corner": "50 -10", "nyx": "32 48", "data_split": "{place}/files/split"},
        {
            "sw_corner": "50 -10",
            "nyx": "32 48",
            "train_period": "2019-03-01",
            "val_period": "2019-03-02",
            "test_period": "2019-03-03",
        },
    ],
    "preprocess2": [{"data_name": DATA}],
    "preprocess_moving_mnist": [
        {"digits_from": "sequences", "digits_dir": ".", "sequences_file": "{place}/files/split"}
    ],
    "train": [{"data_name": DATA, "exp_id": EXP}, {"data_name": DATA, "exp_id": EXP, "sweep": "lr=1 lr=2"}],
    "postprocess": [{"exp_id": EXP}, {"exp_id": EXP, "sweep_size": 2}],
}
MACHINES = profiles.load(Path("/nonexistent"))


def sensible(place, step, variant=0):
    """Return answers that ask for nothing nasty."""
    common = {"base_dir": "{place}/directories/plain", "venv": "{place}/directories/plain"}
    return {
        name: value.replace("{place}", str(place)) if isinstance(value, str) else value
        for name, value in (common | SENSIBLE[step][variant]).items()
    }


def collected(machine, step, values):
    given = answers.Given()
    for name, value in values.items():
        given.add(name, value, name, by_flag=False)
    return answers.collect(Context(MACHINES[machine], (step,), step), given, None).context


@pytest.fixture(scope="module")
def where_asked(place):
    """Return, by the place of a question in the table, a step and sensible answers that ask it (generic Slurm)."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place / "directories")
        for step, variants in SENSIBLE.items():
            for variant in range(len(variants)):
                values = sensible(place, step, variant)
                context = collected("generic_slurm", step, values)
                for question in asked_by(step):
                    if question.name in context.answers[step]:
                        found.setdefault(QUESTIONS.index(question), []).append((step, values))
    return found


@pytest.fixture(scope="module")
def verdicts(place, where_asked):
    """Return for each question the nasty answers with what became of them: a list (answer, folder, value or error).

    `folder` is the directory that the generator is started in.
    """
    verdicts = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(place / "home"))
        for number, uses in where_asked.items():
            question, (step, values) = QUESTIONS[number], uses[0]
            seen = verdicts[number] = []
            for answer in (one for value in NASTY for one in dressed(question.kind, value)):
                for folder in ("directories", "files"):
                    patch.chdir(place / folder)
                    given = {**values, question.name: answer}
                    if question.name in ("data_name", "exp_id") and isinstance(answer, str):
                        given["base_dir"] = own_base(place, answer) or given["base_dir"]
                    try:
                        context = collected("generic_slurm", step, given)
                    except InputError as error:
                        seen.append((answer, folder, error))
                    else:
                        seen.append((answer, folder, context.answers[step][question.name]))
    return verdicts


def own_base(place, value):
    return place / "directories" / value if can_be_a_name(value) else None


def test_every_question_is_tried(where_asked):
    missing = [question.name for n, question in enumerate(QUESTIONS) if n not in where_asked]
    assert not missing, "give answers in SENSIBLE that ask for them"


def test_each_value_is_refused_with_a_reason_or_taken(verdicts):
    for number, seen in verdicts.items():
        for answer, _, verdict in seen:
            if isinstance(verdict, InputError):
                line = str(verdict)
                assert verdict.what and verdict.remedy and "\n" not in line, (QUESTIONS[number].name, answer)
