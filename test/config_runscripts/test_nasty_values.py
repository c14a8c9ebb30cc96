"""Values that a shell, Slurm or a template could take for more than text: refused, or handed on as they are."""

import functools
import itertools
import json
import math
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from earlier_steps import DATA, EXP, chain

from video_prediction_tools.config_runscripts import answers, generate_runscript, profiles, rendering
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.config_runscripts.questions import QUESTIONS, asked_by
from video_prediction_tools.config_runscripts.steps import STEPS
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
    "ü", "e\u0301", "日本語", "مرحبا", "\u202egpj.sh", "\u200b", "😀", "x" * 250, "x" * 300, "ü" * 120, "ü" * 150,
    "a/" * 3000,
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


def is_meant(kind, answer, taken, folder):
    """Say whether what was taken is what an answer stands for."""
    if kind.name == "path" or (kind.name == "path or table" and isinstance(answer, str)):
        return taken == os.path.normpath(os.path.join(folder, os.path.expanduser(answer)))
    if kind.name == "path or table":
        return taken == answer
    if kind.name == "words":
        return taken == (answer if isinstance(answer, str) else answer[0]).replace(",", " ").split()
    if kind.name in ("pairs", "sweep"):
        if isinstance(answer, dict):
            (values,) = answer.values()
            answer = [f"key={one}" for one in (values if isinstance(values, list) else [values])]
        return taken == (answer.split() if isinstance(answer, str) else answer)
    if kind.name in ("name", "sbatch"):
        return taken == answer.strip()
    if kind.name == "experiment":
        return taken == answer or re.fullmatch(rf"\d{{8}}T\d{{6}}_\w+_{re.escape(answer)}", taken)
    return not any(map(is_nasty, strings(taken)))  # a number, a date or one of a few words


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
        for name in ("python", "mpirun", "srun", "apptainer", "sbatch", "squeue", "salloc", "scontrol"):
            program = place / "stand_ins" / name
            said = '[[ "${0##*/} $*" != "sbatch --parsable "* ]] || echo 18\n'
            said += '[[ ${0##*/} != scontrol ]] || echo "ClusterName = nasty"\nexit "${CODE:-0}"\n'
            program.write_text('#!/bin/bash\nprintf "%s\\0" "$#" "${0##*/}" "$@" >>"$CALLS"\n' + said)
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
                for folder in ("directories", "files") if "path" in question.kind.name else ("files",):
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
        question = QUESTIONS[number]
        for answer, folder, verdict in seen:
            if verdict is None:
                assert answer == "", (question.name, answer)  # no answer, where that is one
            elif isinstance(verdict, InputError):
                line = str(verdict)
                assert verdict.what and verdict.remedy, (question.name, answer)
                assert line.isprintable(), (question.name, answer)
            else:
                assert is_meant(question.kind, answer, verdict, place / folder), (question.name, answer)


def test_flags_and_settings_hand_on_what_was_typed():
    parser = generate_runscript.build_parser()
    for name in answers.NAMES:
        for value in NASTY:
            options = parser.parse_args([f"--{name}={value}"])
            if value == "--":  # argparse of Python 3.11 drops it
                options.words = ["check", "extract"]
                with pytest.raises(InputError, match=f"^--{name}: "):
                    generate_runscript.main(options)
            else:
                assert getattr(options, name) in (value, [value]), (name, value)
            (setting,) = parser.parse_args([f"--set={name}={value}"]).set
            assert answers.given(None, {}, [setting]).values == {name: value}


# --- in scripts that are run ----------------------------------------------------------------------

MOST_LISTS = 30  # the values of a list are shared out to so many scripts
NO_FLAGS = ("account", "partition", "base_dir", "venv", "tf_container", "data_name", "exp_id", "sweep")


@pytest.fixture(scope="module", autouse=True)
def templates_read_once():
    """Keep the parsed templates: reading them is four fifths of the time that a script takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "_environment", functools.cache(rendering._environment))
        yield


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
                # what was taken, and not the answer: a path depends on the folder that it was given in
                values[repr(verdict)] = verdict if "path" in QUESTIONS[number].kind.name else answer
        taken[number] = list(values.values())
    return taken


def strings(value):
    """Return all texts in a value, keys of tables left out."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for one in value for text in strings(one)] if isinstance(value, (list, tuple)) else []


def is_nasty(text):
    return not re.fullmatch(r"[\w./:=-]+", text, re.ASCII) or text.startswith("-") or len(text) > 200


def groups(step, variant, taken, where_asked):
    """Return tables of nasty answers for a variant of a step; those of all variants have all values that were taken."""
    variants, sweeps = SENSIBLE[step], bool({"sweep", "sweep_size"} & SENSIBLE[step][variant].keys())
    lists = {}
    for number, uses in where_asked.items():
        there = [n for n in range(len(variants)) if any(is_use(use, step, variants[n]) for use in uses)]
        # what several variants ask is quoted in the same line; a sweep writes lines of its own
        if taken[number] and variant in there:
            if variant == there[0] or (sweeps and QUESTIONS[number].name in ("base_dir", "sweep")):
                several = QUESTIONS[number].kind.several
                lists[QUESTIONS[number].name] = shared_out(taken[number]) if several else taken[number]
    data_names, exp_ids = lists.pop("data_name", []), lists.pop("exp_id", [])
    lists.pop("hparams" if sweeps else "sweep", None)
    for number in range(max(map(len, lists.values()), default=0)):
        group = {name: values[number % len(values)] for name, values in lists.items()}
        own = Path(group["base_dir"]).name  # there, a data set and an experiment have the same name
        group |= {
            name: own for name, known in (("data_name", data_names), ("exp_id", exp_ids)) if own in known
        }
        yield group


def shared_out(values):
    """Put several answers of a list into one; nothing stands there twice."""
    lists = [as_list(value) for value in values]
    return [
        list(dict.fromkeys(itertools.chain.from_iterable(lists[n::MOST_LISTS])))
        for n in range(min(MOST_LISTS, len(lists)))
    ]


def as_list(value):
    if isinstance(value, dict):
        return [
            f"{key}={one}"
            for key, ones in value.items()
            for one in (ones if isinstance(ones, list) else [ones])
        ]
    return value.split() if isinstance(value, str) else value


def is_use(use, step, variant):
    return use[0] == step and variant.keys() <= use[1].keys()


def rendered(machine, step, values, scripts):
    """Collect answers and render the script of a step; returns the context, too."""
    context = collected(machine, step, values)
    return context, rendering.render(context, step, scripts)


def written(script):
    """Write a script with all that lies beside it."""
    for path, text in {**script.beside, script.path: script.text}.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def environment(place, calls):
    return {
        "PATH": f"{place / 'stand_ins'}:/usr/bin:/bin",
        "HOME": str(place / "home"),
        "HOSTNAME": "node",
        "LANG": "C.UTF-8",
        "STAND_INS": str(place / "stand_ins"),
        "CALLS": str(calls),
        "BASH_ENV": str(place / "functions"),
    }


def called(calls):
    """Return what the stand-ins noted, a list of words for each call, and forget it."""
    words = calls.read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
    calls.write_bytes(b"")
    found = []
    while words:
        count = int(words[0])
        found.append(words[1 : count + 2])
        words = words[count + 2 :]
    return found


def run_bash(place, directory, *words):
    """Run bash with programs that say what they were given; returns their calls."""
    directory.mkdir(parents=True, exist_ok=True)
    calls = place / "calls"
    calls.write_bytes(b"")
    job = {"SLURM_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "1"}
    done = subprocess.run(
        ["bash", *words], cwd=directory, env=environment(place, calls) | job, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return called(calls)


def programs_of(step, calls):
    return [call for call in calls if str(rendering.PROGRAMS / STEPS[step].program) in call]


def flags_of(step, call):
    """Return what stands before a program's file in a call, and the words of its flags."""
    at = call.index(str(rendering.PROGRAMS / STEPS[step].program))
    flags = {}
    for word in call[at + 1 :]:
        if word.startswith("--"):
            words = flags.setdefault(word, [])
        else:
            words.append(word)
    return call[:at], flags


def header(text):
    """Return the options of a job script, read as sbatch does: it stops at the first line of commands."""
    options = {}
    for line in itertools.takewhile(lambda line: not line.strip() or line.startswith("#"), text.split("\n")):
        if line.startswith("#SBATCH"):
            name, value = re.fullmatch(r"#SBATCH --([a-z-]+)(?:=([\w./:%@,+=-]+))?", line, re.ASCII).groups()
            assert name not in options
            options[name] = value
    assert text.count("\n#SBATCH") == len(options)
    return options


class Plain:
    """What the script of a step does with sensible answers only."""

    def __init__(self, place, machine, step, values, directory):
        self.base_dir = values["base_dir"]
        context, script = rendered(machine, step, values, directory / "scripts")
        written(script)
        calls = run_bash(place, directory, script.path)
        self.before, self.flags = flags_of(step, programs_of(step, calls)[0])
        self.header, self.slurm = header(script.text), context.slurm

    def expected_flags(self, step, answers, nasty, files):
        """Return the flags of a script with these answers, those in `nasty` not being the sensible ones."""
        data_name = answers.get("data_name", DATA)
        named = {EXP: answers.get("exp_id", EXP), DATA: DATA if step == "postprocess" else data_name}
        flags = {}
        for flag, words in self.flags.items():
            flags[flag] = []
            for word in words:
                if word.startswith(self.base_dir + "/"):
                    parts = word.removeprefix(self.base_dir).split("/")
                    word = answers["base_dir"] + "/".join(
                        [re.sub(f"^{EXP}|^{DATA}", lambda found: named[found[0]], part) for part in parts]
                    )
                flags[flag].append(word)
        if step == "postprocess" and data_name != DATA:
            flags["--input_dir"] = [f"{answers['base_dir']}/PreprocessedData/{data_name}"]
        for name in nasty:
            value = answers[name]
            if isinstance(value, dict):
                (value,) = (str(path) for path, table in files.items() if table == value)
            if name not in NO_FLAGS:
                flags["--set" if name == "hparams" else f"--{name}"] = (
                    value if isinstance(value, list) else [value]
                )
        return flags


def check(place, directory, plain, context, step, script, nasty):
    """Run a script and check that each nasty answer stands unchanged where it belongs."""
    written(script)
    calls = run_bash(place, directory, script.path)
    values = context.answers[step]
    programs = programs_of(step, calls)
    before, flags = flags_of(step, programs[0])
    files = {
        path: json.loads(text)
        for path, text in script.beside.items()
        if not path.name.endswith(".answers.json")
    }
    expected = plain.expected_flags(step, values, nasty, files)
    if values.get("sweep"):  # the first experiment has the first value of each key
        first = {pair.partition("=")[0]: pair for pair in reversed(values["sweep"])}
        expected["--set"] = list(reversed(first.values()))
        if not context.slurm:
            assert {word for call in programs for word in flags_of(step, call)[1]["--set"]} == set(
                values["sweep"]
            )
    assert flags == expected
    if values.get("tf_container"):
        at = before.index("exec")
        assert before[before.index("env", at) - 1] == values["tf_container"]
        binds = [before[n + 1] for n in range(at, len(before)) if before[n] == "--bind"]
        assert values["base_dir"] in binds
    else:
        assert calls[0] == ["activate", f"{values['venv']}/bin/activate"]
        assert before == plain.before
    asked = {name: values[name] for name in ("account", "partition") if values.get(name)}
    if values.get("sweep"):
        keys = Counter(pair.partition("=")[0] for pair in values["sweep"])
        asked["array"] = f"1-{math.prod(keys.values())}%4"
    assert header(script.text) == (plain.header | asked if context.slurm else {})
    # its answers file
    (path,) = (path for path in script.beside if path.name.endswith(".answers.json"))
    saved = answers.given(path, {}, [])
    assert (saved.step, saved.machine, saved.values) == (step, context.machine.name, values)
    again = answers.collect(Context(context.machine, (step,), step), saved, None).context
    assert rendering.render(again, step, script.path.parent) == script


@pytest.mark.slow
@pytest.mark.parametrize("where", ["laptop", "generic_slurm", "generic_slurm in a container"])
def test_nothing_is_executed_and_all_arrives(place, taken, where_asked, where, monkeypatch):
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.chdir(place / "directories")
    machine, _, contained = where.partition(" ")
    directory, count = place / where.replace(" ", "_"), 0
    for step, number in ((name, number) for name in SENSIBLE for number in range(len(SENSIBLE[name]))):
        if contained and (step not in ("train", "postprocess") or number > 0):
            continue
        sound = sensible(place, step, number)
        if contained:
            sound["tf_container"] = str(place / "files" / "split")
        plain = Plain(place, machine, step, sound, directory)
        # the lines of the steps' templates are the same on all machines, and in a sweep most of them
        every = 1 if contained or (machine == "laptop" and number == 0) else 3
        for group in itertools.islice(groups(step, number, taken, where_asked), 0, None, every):
            left_out = ("tf_container",) * (not contained) + ("account", "partition") * (machine == "laptop")
            group = {name: value for name, value in group.items() if name not in left_out}
            try:
                context, script = rendered(machine, step, sound | group, directory / "scripts")
            except InputError as error:  # refused here, though it can be taken
                assert re.search("cannot be mounted into a container|longer than a name", str(error))
                for name in ("base_dir", "exp_id", "data_name", "climatology_file", "model_hparams"):
                    group.pop(name, None)
                context, script = rendered(machine, step, sound | group, directory / "scripts")
            check(place, directory, plain, context, step, script, group)
            count += 1
    assert count > 150
    assert not [path for path in place.rglob("*") if path.name == "canary"]
    assert {path.name for path in directory.iterdir()} == {"scripts"}


# --- printed commands -----------------------------------------------------------------------------


@pytest.fixture
def ask(place, monkeypatch, capsys):
    """Return a function that starts the generator, with the stand-ins for all programs; it returns what it prints."""
    (place / "work").mkdir(exist_ok=True)
    monkeypatch.chdir(place / "work")
    for name, value in environment(place, place / "calls").items():
        monkeypatch.setenv(name, value)
    (place / "calls").write_bytes(b"")

    def start(*words):
        plain = f"{place}/directories/plain"
        words = [*words, "--no-input", "--overwrite", f"--venv={plain}"]
        try:
            generate_runscript.main(generate_runscript.build_parser().parse_args(words))
        except SystemExit as end:
            assert end.code == 1
        said = capsys.readouterr()
        return said.out + said.err

    yield start
    assert not list((place / "work").iterdir())  # no canary


def calls_of(place, *lines):
    """Return the calls of programs when printed lines are typed into a shell."""
    assert not any("\n" in line for line in lines)
    return run_bash(place, place / "work", "-c", "\n".join(lines))


def behind(said, mark):
    """Return the last of what was said, a command, behind a mark."""
    return said.rpartition(mark)[2].rstrip()


def test_printed_commands_hold_their_paths(place, ask, monkeypatch):
    generator, script_name = str(rendering.GENERATOR), "data_extraction_era5.sh"
    for value in filter(can_be_a_name, NASTY):
        base, scripts = f"{place}/directories/{value}", f"{place}/directories/{value}/scripts"
        given = ("extract", "--machine=laptop", "--source=synthetic", "--years=2019", f"--base_dir={base}")
        try:
            said = ask(*given, f"--scripts_dir={scripts}")
        except InputError as error:
            assert error.where in ("--scripts_dir", "--base_dir"), value
            continue
        run = behind(said, "next:\n  ")
        (again,) = re.findall(r"^# make it again: (.*)$", Path(scripts, script_name).read_text(), re.M)
        monkeypatch.setenv("CODE", "0")
        status = behind(ask(*given, f"--scripts_dir={scripts}", "--submit"), "\nsee: ")
        monkeypatch.setenv("CODE", "1")
        resume = behind(ask(*given, f"--scripts_dir={scripts}", "--submit"), ", then: ")
        activated, program, *others = calls_of(place, run, again, status, resume)
        assert activated == ["activate", f"{place}/directories/plain/bin/activate"]
        assert program[1] == str(rendering.PROGRAMS / "main_data_extraction.py"), value
        assert f"{base}/ExtractedData" in program, value
        answers_file = f"{scripts}/data_extraction_era5.answers.json"
        assert others == [
            [
                "python",
                generator,
                "extract",
                "--answers",
                answers_file,
                "--scripts_dir",
                scripts,
                "--no-input",
            ],
            ["python", generator, "status", "ExtractedData", "--base_dir", base],
            ["python", generator, "resume", "ExtractedData", "--base_dir", base],
        ], value


def test_jobs_are_submitted_from_and_after_what_was_named(place, ask):
    given = ("preprocess1", "--machine=generic_slurm", "--sw_corner", "50", "-10", "--nyx", "32", "48")
    given += ("--years=2019", "--variables=2t", f"--data_split={place}/files/split")
    scripts = f"--scripts_dir={place}/scripts"
    for value in filter(can_be_a_name, NASTY):
        base = f"{place}/directories/{value}"
        try:
            said = ask(*given, f"--base_dir={base}", scripts, "--submit", "--after=17")
        except InputError as error:
            assert error.where == "--base_dir", value
            continue
        directory = f"{base}/Jobs/Y2019to2019M03to04-48_32-50.00N10.00W-2t"
        script = f"{directory}/preprocess_data_era5_step1.sh"
        after = [f"--chdir={directory}", "--dependency=afterok:17", "--kill-on-invalid-dep=yes"]
        assert [call for call in called(place / "calls") if call[0] == "sbatch"] == [
            ["sbatch", "--test-only", script],
            ["sbatch", "--parsable", *after, script],
        ], value
        status = ["python", str(rendering.GENERATOR), "status", Path(directory).name, "--base_dir", base]
        assert calls_of(place, behind(said, "\nsee: ")) == [status], value
    for value in NASTY:
        with pytest.raises(InputError, match="^--after: "):
            ask(*given, scripts, f"--base_dir={place}/directories/plain", f"--after={value}", "--submit")
    for more in ([], ["--submit", "--machine=laptop"]):
        with pytest.raises(InputError, match="^--after: no"):
            ask(*given, scripts, f"--base_dir={place}/directories/plain", "--after=17", *more)


def test_scripts_of_jobs_lie_where_their_logs_can(place, ask):
    given = ("train", "--machine=generic_slurm", f"--base_dir={place}/directories/plain", f"--exp_id={EXP}")
    given += (f"--data_name={DATA}", f"--tf_container={place}/files/split")
    for value in filter(can_be_a_name, NASTY):
        scripts, account = (
            f"{place}/directories/{value}",
            re.sub(r"[^\w./:%@,+=-]", "", value, flags=re.ASCII) or "a",
        )
        try:
            said = ask(*given, f"--scripts_dir={scripts}", f"--account={account}")
        except InputError as error:
            assert not re.fullmatch(r"[\w./:@,+=-]+", value, re.ASCII) or error.where == "--account", (
                value,
                error,
            )
            continue
        script = f"{scripts}/train_model_era5_{EXP}.sh"
        header_of = header(Path(script).read_text())
        assert header_of["output"] == f"{scripts}/logs/%x-%j.log" and header_of["account"] == account
        submit, trial = calls_of(place, *re.findall(r"^  ((?:sbatch|salloc) .*)$", said, re.M))
        assert submit == ["sbatch", script]
        assert trial[:2] == ["salloc", f"--account={account}"] and trial[-2:] == ["bash", script]
