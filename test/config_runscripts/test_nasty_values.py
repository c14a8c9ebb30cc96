"""Values that a shell, Slurm or a template could take for more than text: refused, or handed on as they are."""

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from earlier_steps import DATA, EXP, chain

from video_prediction_tools.config_runscripts import answers, profiles, rendering
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


def meant(kind, value, folder):
    """Return the words that a taken answer stands for."""
    if kind.name == "path" or (kind.name == "path or table" and isinstance(value, str)):
        return [os.path.normpath(os.path.join(folder, os.path.expanduser(value)))]
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
        for name in ("python", "mpirun", "srun", "apptainer"):
            program = place / "stand_ins" / name
            program.write_text('#!/bin/bash\nprintf "%s\\0" "$#" "${0##*/}" "$@" >>"$CALLS"\n')
            program.chmod(0o755)
        (place / "functions").write_text("module() { :; }\nsleep() { :; }\n")
        split = {
            "train": {"2019": [3]},
            "val": [["2019-04-01", "2019-04-02"]],
            "test": [["2019-04-03", "2019-04-04"]],
        }
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


def test_each_value_is_refused_with_a_reason_or_taken(verdicts, place, monkeypatch):
    monkeypatch.setenv("HOME", str(place / "home"))
    for number, seen in verdicts.items():
        for answer, folder, verdict in seen:
            if verdict is None:
                assert answer == "", (QUESTIONS[number].name, answer)  # no answer, where that is one
            elif isinstance(verdict, InputError):
                line = str(verdict)
                assert verdict.what and verdict.remedy and "\n" not in line, (QUESTIONS[number].name, answer)
            elif (words := meant(QUESTIONS[number].kind, answer, place / folder)) is not None:
                found = verdict if isinstance(verdict, list) else [verdict]
                assert [str(one) for one in found] == words, (QUESTIONS[number].name, answer)


# --- in scripts that are run ----------------------------------------------------------------------

MOST_LISTS = 30  # the values of a list are shared out to so many scripts


@pytest.fixture(scope="module")
def taken(verdicts):
    """Return for each question, by its place in the table, the different values that were taken."""
    taken = {}
    for number, seen in verdicts.items():
        values = {}
        for answer, _, verdict in seen:
            if isinstance(verdict, InputError) or not any(map(is_nasty, strings(verdict))):
                continue
            # a place to write to, and an environment, must be one of those that were made for this
            name = QUESTIONS[number].name
            if name not in ("base_dir", "venv") or (Path(verdict) / "bin" / "activate").exists():
                values[repr(verdict)] = as_answer(QUESTIONS[number], answer, verdict)
        taken[number] = list(values.values())
    return taken


def as_answer(question, answer, verdict):
    """Return the answer, an absolute path where it is one (it was taken in one of two folders)."""
    return verdict if question.kind.name in ("path", "path or table") else answer


def strings(value):
    """Return all texts in a value, keys of tables left out."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for one in value for text in strings(one)] if isinstance(value, (list, tuple)) else []


def is_nasty(text):
    return not re.fullmatch(r"[\w./:=-]+", text, re.ASCII) or text.startswith("-") or len(text) > 200


def groups(step, taken, where_asked, variant):
    """Return lists of answers for one variant of a step; in each, all questions have nasty values."""
    asked = [
        n for n, uses in where_asked.items() if any(same_use(use, step, variant) for use in uses) and taken[n]
    ]
    lists = {n: shared_out(taken[n]) if QUESTIONS[n].kind.several else taken[n] for n in asked}
    for number in range(max(map(len, lists.values()), default=0)):
        yield {n: values[number % len(values)] for n, values in lists.items()}


def shared_out(values):
    """Put several answers of a list into one."""
    lists = [as_list(value) for value in values]
    return [
        list(itertools.chain.from_iterable(lists[n::MOST_LISTS])) for n in range(min(MOST_LISTS, len(lists)))
    ]


def as_list(value):
    if isinstance(value, dict):
        return [f"{key}={one if isinstance(one, str) else json.dumps(one)}" for key, one in value.items()]
    return [value] if isinstance(value, str) else value


def same_use(use, step, variant):
    return use[0] == step and variant.keys() <= use[1].keys()


def rendered(machine, step, values, scripts):
    """Collect answers and render the script of a step; returns the context, too."""
    context = collected(machine, step, values)
    return context, rendering.render(context, step, scripts)


def run_script(place, script, directory):
    """Run a script with programs that say what they were given; returns their calls."""
    directory.mkdir(exist_ok=True)
    for path, text in script.beside.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    script.path.parent.mkdir(parents=True, exist_ok=True)
    script.path.write_text(script.text, encoding="utf-8")
    calls = directory / "calls"
    calls.write_bytes(b"")
    done = subprocess.run(
        ["bash", script.path],
        cwd=directory,
        env={
            "PATH": f"{place / 'stand_ins'}:/usr/bin:/bin",
            "HOME": str(place / "home"),
            "HOSTNAME": "node",
            "LANG": "C.UTF-8",
            "STAND_INS": str(place / "stand_ins"),
            "CALLS": str(calls),
            "BASH_ENV": str(place / "functions"),
            "SLURM_JOB_ID": "17",
            "SLURM_ARRAY_TASK_ID": "1",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{script.path}: {done.stderr}"
    words = calls.read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
    found = []
    while words:
        count = int(words[0])
        found.append(words[1 : count + 2])
        words = words[count + 2 :]
    return found


def check(context, step, script, calls, names_of_questions):
    """Check that each nasty answer stands unchanged where it belongs."""
    words = [word for call in calls for word in call]
    header = [line for line in script.text.splitlines() if line.startswith("#SBATCH")]
    tables = [
        json.loads(text) for path, text in script.beside.items() if not path.name.endswith(".answers.json")
    ]
    for name in names_of_questions:
        value = context.answers[step][name]
        if isinstance(value, dict):
            assert value in tables, name
        elif name in ("account", "partition"):
            assert f"#SBATCH --{name}={value}" in header or not header, name
        elif name == "base_dir":
            assert any(word.startswith(os.path.join(value, "")) for word in words), name
        elif name == "sweep":
            first = {
                pair.partition("=")[0]: pair for pair in reversed(value)
            }  # those of the first experiment
            assert set(first.values()) <= set(words), name
        elif name != "venv" or not context.answers[step].get("tf_container"):
            assert all(
                any(text == word or word == f"{text}/bin/activate" for word in words)
                for text in strings(value)
            ), name
    (text,) = (text for path, text in script.beside.items() if path.name.endswith(".answers.json"))
    saved = {name: value for name, value in json.loads(text).items() if name not in ("step", "machine")}
    _, same = rendered(context.machine.name, step, saved, script.path.parent)
    assert same.text == script.text and same.beside == script.beside, "its answers file makes another script"


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["laptop", "generic_slurm"])
def test_nothing_is_executed_and_all_arrives(place, taken, where_asked, machine, monkeypatch):
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.chdir(place / "directories")
    directory, count = place / f"run_on_{machine}", 0
    in_container = 0
    for step, variants in SENSIBLE.items():
        for number, variant in enumerate(variants):
            every = 1 if machine == "laptop" else 3  # what is quoted is quoted alike
            for group in itertools.islice(groups(step, taken, where_asked, variant), 0, None, every):
                values = sensible(place, step, number)
                names_of_questions = []
                left_out = {"exp_id", "data_name", "hparams" if "sweep" in variant else "sweep"}
                for n, value in group.items():
                    if QUESTIONS[n].name not in left_out:
                        values[QUESTIONS[n].name] = value
                        names_of_questions.append(QUESTIONS[n].name)
                try:
                    context, script = rendered(machine, step, values, directory / "scripts")
                except InputError as error:  # refused together, though each can be taken
                    assert "cannot be mounted into a container" in str(error)
                    del values["tf_container"]
                    context, script = rendered(machine, step, values, directory / "scripts")
                asked = [name for name in names_of_questions if name in context.answers[step]]
                check(context, step, script, run_script(place, script, directory), asked)
                count += 1
                in_container += "tf_container" in values
    assert count > 100 and in_container > 20
    assert not [path for path in place.rglob("*") if path.name == "canary"]


def test_the_line_that_makes_a_script_again_holds_its_path(place, monkeypatch, generate):
    monkeypatch.chdir(place / "directories")
    options = [
        "--no-input",
        "--source",
        "synthetic",
        "--years",
        "2019",
        "--variables",
        "2t",
        "--machine",
        "laptop",
    ]
    options += [
        "--base_dir",
        str(place / "directories" / "plain"),
        "--venv",
        str(place / "directories" / "plain"),
    ]
    taken = 0
    for value in list(filter(can_be_a_name, NASTY))[::3]:
        scripts = f"{place}/directories/{value}/scripts"
        done = generate("extract", *options, scripts=scripts)
        if done.returncode:
            assert done.returncode == 2 and done.stderr.startswith("ERROR: --scripts_dir: "), value
            assert done.stderr.count("\n") == 1
            continue
        taken += 1
        script = Path(scripts, "data_extraction_era5.sh").read_text()
        (line,) = re.findall(r"^# make it again: (.*)$", script, re.M)
        calls = place / "again"
        calls.write_bytes(b"")
        environment = {"PATH": f"{place / 'stand_ins'}:/usr/bin:/bin", "CALLS": str(calls), "LANG": "C.UTF-8"}
        subprocess.run(["bash", "-c", line], env=environment, cwd=place / "empty", check=True)
        words = calls.read_bytes().decode().split("\0")
        assert f"{scripts}/data_extraction_era5.answers.json" in words and scripts in words
    assert taken > 20 and not list((place / "empty").iterdir())
