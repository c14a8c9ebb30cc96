"""The generator's prompts: typed keys, and once through a real terminal."""

import json
import os
import shutil
import sys

import pexpect
import pytest
from earlier_steps import DATA, EXP, EXTRACT, chain, contents, finish

from video_prediction_tools.config_runscripts import generate_runscript, prompts
from video_prediction_tools.config_runscripts.steps import CHAINS, STEPS
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata import names, record

DOWN, UP, ENTER, CTRL_C, CTRL_D = "\x1b[B", "\x1b[A", "\r", "\x03", "\x04"
CLEAR = "\x01\x0b"  # to the start of the line, cut to its end
DIGITS = "moving_mnist-glyphs-2digits-64_64-20frames-5_3_2-seed1"
DIGITS_EXP = "20190402T000000_anna_digits"


@pytest.fixture
def start(monkeypatch, capsys, tmp_path):
    """Return a function that runs the generator in this process; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    for name in ("SBATCH_ACCOUNT", "SLURM_ACCOUNT", "BUDGET_ACCOUNTS"):
        monkeypatch.delenv(name, raising=False)

    def start_with(*words):
        try:
            code = run(
                generate_runscript.main,
                generate_runscript.build_parser(),
                [*map(str, words), "--scripts_dir", str(tmp_path / "scripts")],
            )
        except SystemExit as end:
            code = end.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return start_with


@pytest.fixture
def type_keys(start, monkeypatch):
    """Return a function that runs the generator with typed keys; gives (exit code, stdout, stderr)."""
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    def run_with(keys, *words):
        with (
            monkeypatch.context() as terminal,
            create_pipe_input() as pipe,
            create_app_session(input=pipe, output=DummyOutput()),
        ):
            terminal.setattr(sys.stdin, "isatty", lambda: True, raising=False)
            terminal.setattr(sys.stdout, "isatty", lambda: True, raising=False)
            pipe.send_text(keys)
            pipe.close()  # a question more than there are keys then ends the program, and is not waited for
            return start(*words)

    return run_with


@pytest.fixture
def asked(monkeypatch):
    """Return a list that fills with the names of the questions that are put to the user."""
    names, answer = [], prompts.answer

    def noted(question, context, default):
        names.append(question.name)
        return answer(question, context, default)

    monkeypatch.setattr(prompts, "answer", noted)
    return names


# --- every question of every step -----------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Return a base directory in which every step has been done, for weather and then for digits."""
    base = tmp_path_factory.mktemp("prompts") / "base"
    chain(base)
    layout = names.Layout(base)
    finish(layout.data(DIGITS) / "tfrecords", "tfrecords", DIGITS)
    finish(layout.model(DIGITS, "convLSTM", DIGITS_EXP), "model", DIGITS_EXP)
    (base / "digits").mkdir()
    (base / "sequences.npy").touch()
    (base / "hparams.json").write_text("{}")
    return base


def dialogs(base):
    """Return what is asked for each data set and step, in order: name, the keys before Enter, the answer."""
    where = ("base_dir", CLEAR + str(base), str(base))
    period = (
        ("years", CLEAR + "2019", [2019]),
        ("months", CLEAR + "3-4", [3, 4]),
        ("variables", CLEAR + "2t msl", ["2t", "msl"]),
    )
    weather = {
        "extract": (
            where,
            ("source", DOWN * 2, "synthetic"),
            *period,
            ("area", "58 -10 50 2", [58, -10, 50, 2]),
        ),
        "preprocess1": (
            where,
            *period,
            ("sw_corner", "50 -10.0", [50, -10]),
            ("nyx", "32,48", [32, 48]),
            ("data_split", "", None),
            ("train_period", "2019-03-01..2019-03-22", "2019-03-01..2019-03-22"),
            ("val_period", "2019-03-23..2019-03-24T18", "2019-03-23..2019-03-24T18"),
            ("test_period", "2019-03-25..2019-03-31 2019-04-02", "2019-03-25..2019-03-31 2019-04-02"),
        ),
        "preprocess2": (where, ("data_name", "", DATA), ("sequence_length", CLEAR + "24", 24)),
        "train": (
            where,
            ("data_name", DOWN, DATA),  # the digits are newer
            ("model", "", "convLSTM"),
            ("exp_id", CLEAR + EXP, EXP),
            ("model_hparams", str(base / "hparams.json"), str(base / "hparams.json")),
            ("hparams", "lr=0.001 max_epochs=2", {"lr": 0.001, "max_epochs": 2}),
        ),
        "postprocess": (where, ("exp_id", DOWN, EXP)),
    }
    digits = {
        "preprocess_moving_mnist": (
            where,
            ("digits_from", DOWN, "sequences"),
            ("digits_dir", str(base / "digits"), str(base / "digits")),
            ("sequences_file", str(base / "sequences.npy"), str(base / "sequences.npy")),
            ("n_train", CLEAR + "5", 5),
            ("n_val", CLEAR + "3", 3),
            ("n_test", CLEAR + "2", 2),
            ("sequence_length", "", 20),
        ),
        "train": (
            where,
            ("data_name", "", DIGITS),
            ("model", "", "convLSTM"),
            ("exp_id", CLEAR + DIGITS_EXP, DIGITS_EXP),
            ("model_hparams", "", None),
            ("hparams", "", None),
        ),
        "postprocess": (where, ("exp_id", "", DIGITS_EXP)),
    }
    return {"era5": weather, "moving_mnist": digits}


CASES = [(data, step) for data, steps in CHAINS.items() for step in (*steps, "all")]
ACCOUNT = ("account", CLEAR + "deepacf", "deepacf")


def dialog(base, machine, dataset, wanted):
    """Return what is asked for one step, or for all, on a machine."""
    known = dialogs(base)[dataset]
    seen, questions = set(), []
    for step in CHAINS[dataset] if wanted == "all" else [wanted]:
        billed = machine != "laptop" and step != "extract"  # which runs on a login node
        for question in (*([ACCOUNT] if billed else []), *known[step]):
            if question[0] not in seen and not (wanted == "all" and question[0] == "data_name"):
                seen.add(question[0])
                questions.append(question)
    return questions


def menus(dataset, wanted):
    """Return the keys of the menus before the questions, where no step is given."""
    if wanted != "all":
        return [DOWN * list(STEPS).index(wanted)]
    return [UP, DOWN * list(CHAINS).index(dataset)]


@pytest.mark.parametrize("machine", ["laptop", "juwels"])
@pytest.mark.parametrize(("dataset", "wanted"), CASES)
def test_prompts_flags_and_answers_file_give_the_same_bytes(
    start, type_keys, asked, as_flags, base, tmp_path, machine, dataset, wanted
):
    """Each question is asked once, in the order of the table, and nothing else."""
    questions = dialog(base, machine, dataset, wanted)
    keys = [*menus(dataset, wanted), *(typed for _, typed, _ in questions), ""]  # the last: the summary
    code, out, err = type_keys("".join(key + ENTER for key in keys), "--machine", machine)
    assert code == 0, err
    assert asked == [name for name, _, _ in questions]
    scripts = tmp_path / "scripts"
    typed = contents(scripts)
    assert sum(name.endswith(".sh") for name in typed) == (len(CHAINS[dataset]) if wanted == "all" else 1)

    answers = {name: value for name, _, value in questions if value is not None}
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"step": wanted, "machine": machine, "dataset": dataset, **answers}))
    by_flags = [wanted, "--machine", machine, "--dataset", dataset, *as_flags(answers)]
    for words in (by_flags, ["--answers", file]):
        shutil.rmtree(scripts)
        code, out, err = start(*words, "--no-input")
        assert code == 0, err
        assert contents(scripts) == typed


@pytest.mark.parametrize(("dataset", "step"), [case for case in CASES if case[1] != "all"])
def test_ctrl_c_at_every_question(type_keys, asked, base, tmp_path, dataset, step):
    """In the menu, at every question with half an answer typed, and in the summary."""
    questions = dialog(base, "juwels", dataset, step)
    keys = [*menus(dataset, step), *(typed for _, typed, _ in questions), ""]
    for count, key in enumerate(keys):
        asked.clear()
        typed = "".join(one + ENTER for one in keys[:count])
        code, out, err = type_keys(typed + key + CTRL_C, "--machine", "juwels")
        assert (code, err) == (130, "\nnothing written\n")
        assert asked == [name for name, _, _ in questions[:count]]
        assert not (tmp_path / "scripts").exists()


@pytest.mark.parametrize("dataset", CHAINS)
def test_ctrl_c_at_every_question_of_a_chain(type_keys, asked, as_flags, base, tmp_path, dataset):
    """The answers before come by flag; and in both menus."""
    for keys in (CTRL_C, UP + ENTER + CTRL_C):
        code, out, err = type_keys(keys)
        assert (code, err) == (130, "\nnothing written\n")
    questions = dialog(base, "juwels", dataset, "all")
    words = ["all", "--machine", "juwels", "--dataset", dataset]
    open_ones = [name for name, _, value in questions if value is None]
    for count in range(len(questions) + 1):
        asked.clear()
        before = {name: value for name, _, value in questions[:count] if value is not None}
        left_open = [name for name in open_ones if name in [one for one, _, _ in questions[:count]]]
        code, out, err = type_keys(ENTER * len(left_open) + CTRL_C, *words, *as_flags(before))
        assert (code, err) == (130, "\nnothing written\n")
        assert asked == [*left_open, *(name for name, _, _ in questions[count : count + 1])]
    assert not (tmp_path / "scripts").exists()


@pytest.mark.parametrize("end", [CTRL_C, CTRL_D, ""], ids=["ctrl-c", "ctrl-d", "closed"])
def test_every_way_to_leave(type_keys, asked, generate, tmp_path, end):
    """At a text, a path, a menu, the summary, the change of an answer, and before overwriting; "": no terminal."""
    generate(*EXTRACT)
    before = contents(tmp_path / "scripts")
    words = [*EXTRACT, "--seed", "5"]
    questions = ["months", "variables", "area"]
    to_summary = ENTER * 3
    change = to_summary + DOWN + ENTER
    for keys, given, reached, said in (
        ("", ["extract", "--machine", "laptop"], ["base_dir"], "machine: laptop"),
        ("", words, ["months"], "machine: laptop"),
        (to_summary, words, questions, "seed               5"),
        (change, words, questions, "seed               5"),
        (change + ENTER, words, [*questions, "base_dir"], "seed               5"),
        (to_summary + ENTER, words, questions, "+  --seed 5"),
        ("", ["--machine", "laptop"], [], ""),
        ("", ["all", "--machine", "laptop"], [], "machine: laptop"),
    ):
        asked.clear()
        # a menu knows no Ctrl-D
        code, out, err = type_keys(keys + end + CTRL_C * (end == CTRL_D), *given)
        assert (code, err) == (130, "\nnothing written\n")
        assert asked == reached and said in out
        assert contents(tmp_path / "scripts") == before


# --- answers that are wrong, changed or refused ---------------------------------------------------


def test_a_wrong_answer_is_asked_again(type_keys, tmp_path):
    code, out, err = type_keys(
        "xx"
        + ENTER
        + CLEAR
        + "2019"
        + ENTER
        + ENTER
        + CLEAR
        + "mls"
        + ENTER
        + CLEAR
        + "msl"
        + ENTER
        + ENTER
        + ENTER,
        "extract",
        "--machine",
        "laptop",
        "--source",
        "synthetic",
        "--base_dir",
        "/b",
    )
    assert code == 0, err
    saved = json.loads((tmp_path / "scripts" / "data_extraction_era5.answers.json").read_text())
    assert (saved["years"], saved["variables"], saved["area"]) == ([2019], ["msl"], None)


def test_an_answer_can_be_changed(type_keys, tmp_path):
    """From the summary: change months (the fourth answer), then a rare one that was not asked (seed)."""
    change = DOWN + ENTER
    code, out, err = type_keys(
        ENTER
        + change
        + DOWN * 3
        + ENTER
        + CLEAR
        + "7"
        + ENTER
        + change
        + UP
        + UP
        + ENTER
        + CLEAR
        + "9"
        + ENTER
        + ENTER,
        "extract",
        "--machine",
        "laptop",
        "--source",
        "synthetic",
        "--base_dir",
        "/b",
        "--years",
        "2019",
        "--months",
        "3",
        "--variables",
        "2t",
    )
    assert code == 0, err
    saved = json.loads((tmp_path / "scripts" / "data_extraction_era5.answers.json").read_text())
    assert (saved["months"], saved["seed"]) == ([7], 9)


def test_a_changed_answer_changes_which_are_asked(type_keys, tmp_path):
    """synthetic -> cds: the area, left open before, is now asked for; the seed of the flag is not used."""
    change = DOWN + ENTER
    code, out, err = type_keys(
        ENTER + change + DOWN + ENTER + UP + UP + ENTER + "58 -10 50 2" + ENTER + ENTER,
        "extract",
        "--machine",
        "laptop",
        "--source",
        "synthetic",
        "--base_dir",
        "/b",
        "--years",
        "2019",
        "--months",
        "3",
        "--variables",
        "2t",
        "--seed",
        "3",
    )
    assert code == 0, err
    saved = json.loads((tmp_path / "scripts" / "data_extraction_era5.answers.json").read_text())
    assert saved["source"] == "cds" and saved["area"] == [58, -10, 50, 2] and "seed" not in saved


def test_what_the_machine_will_not_take_is_changed_in_the_summary(type_keys, asked, as_flags, base, tmp_path):
    answers = {name: value for name, _, value in dialog(base, "juwels", "era5", "train") if value is not None}
    words = ["train", "--machine", "juwels", *as_flags(answers), "--set", "train.time=48:00:00"]
    refused = "--time: partition 'gpus' ends jobs after 24:00:00, 48:00:00 is asked for; give --time 24:00:00"

    # "write" stands first and cannot be chosen: Enter means the second, and up from there is the last
    code, out, err = type_keys(UP + ENTER, *words)
    assert (code, err) == (130, "\nnothing written\n") and refused in out
    assert asked == [] and not (tmp_path / "scripts").exists()

    to_time = ENTER + UP * 5 + ENTER  # change an answer; the fifth from below
    still = to_time + CLEAR + "1-00:00:01" + ENTER
    code, out, err = type_keys(still + to_time + CLEAR + "12:00:00" + ENTER + ENTER, *words)
    assert code == 0, err
    assert asked == ["time", "time"]
    shown = out.split("train on JUWELS")[1:]
    assert refused in shown[0] and "1-00:00:01 is asked for" in shown[1]
    assert "1 node x 12:00:00 on gpus: at most 480 core hours, 48 GPU hours a run" in shown[2]
    script = (tmp_path / "scripts" / f"train_model_era5_{EXP}.sh").read_text()
    assert "#SBATCH --time=12:00:00\n" in script


def test_an_answer_that_does_not_fit_the_others_is_asked_again(type_keys, asked, base, tmp_path):
    """What was typed is not lost: neither by a flag that does not fit, nor by a change in the summary."""
    words = ["preprocess1", "--machine", "laptop", "--base_dir", base, "--val_period", "2019-03-05"]
    typed = ["", "", "", "50 -10", "32 48", "", "2019-03-01..2019-03-22", CLEAR + "2019-03-23", "2019-03-25"]
    to_train_period = DOWN + ENTER + DOWN * 7 + ENTER
    changed = to_train_period + CLEAR + "2019-03-01..2019-03-23" + ENTER + CLEAR + "2019-03-24" + ENTER
    code, out, err = type_keys("".join(key + ENTER for key in typed) + changed + ENTER, *words)
    assert code == 0, err
    periods = ["train_period", "val_period", "test_period", "train_period", "val_period"]
    assert asked == ["years", "months", "variables", "sw_corner", "nyx", "data_split", *periods]
    overlap = (
        "--val_period: 2019-03-{0}..2019-03-{0} overlaps train 2019-03-01T00..2019-03-{1}T23; give periods"
    )
    assert overlap.format("05", "22") in out and overlap.format("23", "23") in out
    (split,) = (tmp_path / "scripts").glob("*.data_split.*.json")
    assert json.loads(split.read_text()) == {
        "train": [["2019-03-01", "2019-03-23"]],
        "val": [["2019-03-24", "2019-03-24"]],
        "test": [["2019-03-25", "2019-03-25"]],
    }


@pytest.mark.parametrize("by_flag", [True, False])
def test_an_experiment_that_is_not_in_the_new_base_directory(type_keys, asked, base, tmp_path, by_flag):
    other = names.Layout(tmp_path / "other")
    finish(other.model(DATA, "convLSTM", "20200101T000000_bob_x"), "model", "20200101T000000_bob_x")
    finish(other.data(DATA) / "tfrecords", "tfrecords", DATA)
    words = ["postprocess", "--machine", "laptop", "--base_dir", base, *(["--exp_id", EXP] * by_flag)]
    to_summary = "" if by_flag else DOWN + ENTER
    change = DOWN + ENTER + ENTER + CLEAR + str(other.base) + ENTER + ENTER  # the only one there
    code, out, err = type_keys(to_summary + change + ENTER, *words)
    assert code == 0, err
    assert asked == [*(["exp_id"] * (not by_flag)), "base_dir", "exp_id"]
    assert (tmp_path / "scripts" / "visualize_postprocess_era5_20200101T000000_bob_x.sh").is_file()


def test_a_change_goes_before_what_was_given_for_the_step(type_keys, tmp_path):
    words = [*EXTRACT, "--months", "3", "--variables", "2t", "--set", "extract.seed=5"]
    code, out, err = type_keys(ENTER + DOWN + ENTER + UP * 2 + ENTER + CLEAR + "9" + ENTER + ENTER, *words)
    assert code == 0, err
    assert "--seed 9" in (tmp_path / "scripts" / "data_extraction_era5.sh").read_text()


def test_a_flag_that_is_not_needed_loses_nothing_that_was_typed(type_keys, tmp_path):
    code, out, err = type_keys(ENTER * 4, *EXTRACT, "--source_dir", "/archive")
    assert (code, err) == (0, "not used: --source_dir\n")
    assert (tmp_path / "scripts" / "data_extraction_era5.sh").is_file()


def test_cancel_in_the_summary(type_keys, tmp_path):
    code, out, err = type_keys(ENTER * 3 + UP + ENTER, *EXTRACT)
    assert (code, err) == (130, "\nnothing written\n")
    assert not (tmp_path / "scripts").exists()


def test_earlier_results_are_offered_newest_first(type_keys, tmp_path):
    base = tmp_path / "base"
    chain(base)
    old = record.read_record(base / "PreprocessedData" / DATA)
    other = DATA.replace("2t_msl", "2t")
    finish(base / "PreprocessedData" / other, "dataset", other)
    unfinished = DATA.replace("2t_msl", "msl")
    finish(base / "PreprocessedData" / unfinished, "dataset", unfinished, state="interrupted")
    for directory, end in (
        (DATA, "2019-01-01T00:00:00Z"),
        (other, "2020-01-01T00:00:00Z"),
        (unfinished, "2021-01-01T00:00:00Z"),
    ):
        path = base / "PreprocessedData" / directory / "metadata.json"
        path.write_text(
            path.read_text().replace(f'"end": "{json.loads(path.read_text())["end"]}"', f'"end": "{end}"', 1)
        )
    assert old.state == "done"
    code, out, err = type_keys(ENTER * 3, "preprocess2", "--machine", "laptop", "--base_dir", base)
    assert code == 0, err
    assert (
        json.loads((tmp_path / "scripts" / "preprocess_data_era5_step2.answers.json").read_text())[
            "data_name"
        ]
        == other
    )
    code, out, err = type_keys(
        DOWN + ENTER * 3 + "y" + ENTER, "preprocess2", "--machine", "laptop", "--base_dir", base
    )
    assert code == 0, err
    assert (
        json.loads((tmp_path / "scripts" / "preprocess_data_era5_step2.answers.json").read_text())[
            "data_name"
        ]
        == DATA
    )


def test_a_different_script_is_shown_and_asked_about(type_keys, generate, tmp_path):
    generate(*EXTRACT)
    words = [*EXTRACT, "--months", "3", "--variables", "2t"]
    code, out, err = type_keys(ENTER + ENTER + "n", *words)
    assert code == 2 and "-  --months 1 2 3" in out and "nothing was written" in err
    code, out, err = type_keys(ENTER + ENTER + "y", *words)
    assert code == 0 and "--months 3\n" in (tmp_path / "scripts" / "data_extraction_era5.sh").read_text()


@pytest.fixture
def spawn(repository, tmp_path):
    """Return a function that starts the generator in a pseudo-terminal."""
    program = repository / "video_prediction_tools" / "config_runscripts" / "generate_runscript.py"
    settings = {
        "TERM": "xterm",
        "AMBS_MACHINE": "laptop",
        "PROMPT_TOOLKIT_NO_CPR": "1",  # no cursor positions: each question would wait two seconds for them
    }
    return lambda: pexpect.spawn(
        sys.executable,
        [program.name, "--scripts_dir", str(tmp_path / "scripts")],
        cwd=str(program.parent),
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 140),
        env={**os.environ, **settings},
    )


def test_on_a_real_terminal(spawn, tmp_path):
    child = spawn()
    for question, keys in (
        ("Which runscript", ENTER),
        ("Base target directory", CLEAR + str(tmp_path / "base") + ENTER),
        ("Where do the data come from", DOWN + DOWN + ENTER),
        ("Years", "2019" + ENTER),
        ("Months", CLEAR + "3" + ENTER),
        ("Variables", CLEAR + "mls" + ENTER),
        ("did you mean 'msl'", CLEAR + "msl" + ENTER),
        ("Area", ENTER),
        ("Are these answers right", ENTER),
    ):
        child.expect(question)
        child.send(keys)
    child.expect("next:")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "--variables msl\n" in (tmp_path / "scripts" / "data_extraction_era5.sh").read_text()


def test_ctrl_c_on_a_real_terminal(spawn, tmp_path):
    child = spawn()
    child.expect("Which runscript")
    child.send(CTRL_C)
    child.expect("nothing written")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and not (tmp_path / "scripts").exists()
