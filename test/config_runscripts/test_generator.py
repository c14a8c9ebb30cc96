"""The generator as a user meets it: flags, answers files, and the order between the steps."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
from earlier_steps import DATA, EXP, EXTRACT, chain, contents, extracted, finish

from video_prediction_tools.config_runscripts import profiles, questions
from video_prediction_tools.metadata import chains, names
from video_prediction_tools.metadata.chains import ChainStep
from video_prediction_tools.models import registry

# --- the same answers, the same bytes -------------------------------------------------------------


def test_answers_file_flags_and_set_give_the_same_bytes(
    generate, chain_answers, as_flags, tmp_path, monkeypatch
):
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(chain_answers))
    scripts = tmp_path / "scripts"
    assert generate("all", "--answers", answers, "--machine", "laptop").returncode == 0
    by_file = contents(scripts)
    assert len(by_file) == 11

    def again(*words):
        for path in scripts.iterdir():
            path.unlink()
        done = generate(*words)
        assert done.returncode == 0, done.stderr
        assert contents(scripts) == by_file

    again("all", "--machine", "laptop", *as_flags(chain_answers))

    def as_text(value):
        words = [f"{key}={one}" for key, one in value.items()] if isinstance(value, dict) else value
        return " ".join(map(str, words)) if isinstance(words, list) else words

    again(
        "all", "--set", "machine=laptop", *(f"{key}={as_text(value)}" for key, value in chain_answers.items())
    )
    toml = tmp_path / "answers.toml"
    toml.write_text(
        "machine = 'laptop'\nstep = 'all'\n"
        + "".join(
            f"{name} = {json.dumps(value)}\n" for name, value in chain_answers.items() if name != "hparams"
        )
        + "[hparams]\nlr = 0.001\nmax_epochs = 2\n"
    )
    again("--answers", toml)


def test_each_script_says_how_to_make_it_again(generate, chain_answers, as_flags, run_command, tmp_path):
    base = tmp_path / "base"
    chain(base)
    assert generate("all", *as_flags(chain_answers | {"base_dir": base})).returncode == 0
    before = contents(tmp_path / "scripts")
    for name in [name for name in before if name.endswith(".sh")]:
        again = re.search(r"^# make it again: python (.*)$", before[name], re.M)[1]
        (tmp_path / "scripts" / name).unlink()
        done = run_command(["bash", "-c", f"{sys.executable} {again}"], cwd="/")
        assert done.returncode == 0, done.stderr
        assert contents(tmp_path / "scripts") == before


def test_where_scripts_go(generate, chain_answers, as_flags, repository):
    for machine, folder in (("laptop", "nonHPC_scripts"), ("generic_slurm", "HPC_scripts")):
        done = generate(
            "extract",
            "--machine",
            machine,
            "--print",
            *as_flags({key: chain_answers[key] for key in ("source", "years", "variables", "base_dir")}),
            scripts=None,
        )
        assert done.returncode == 0, done.stderr
        assert f"{repository}/{folder}/data_extraction_era5.answers.json" in done.stdout


# --- what is missing, wrong or not used -----------------------------------------------------------


def test_all_missing_answers_are_listed_at_once(generate, error_line, tmp_path):
    line = error_line(generate("all", "--source", "cds", "--base_dir", tmp_path / "base"))
    for name in ("years", "area", "sw_corner", "nyx", "train_period", "val_period", "test_period"):
        assert f"{name} (--{name})" in line
    assert "data_name" not in line  # follows from the others
    assert not (tmp_path / "scripts").exists()


def test_a_default_is_no_missing_answer(generate, error_line):
    assert "sequence_length" not in error_line(generate("all", "--base_dir", "/base"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "STEP: no step is named; give one of extract"),
        (["trian"], "trian: is no step; did you mean 'train'?"),
        (["extract", "train"], "train: is one word too many"),
        (["extract", "--yaers", "2019"], "unrecognized arguments: --yaers"),
        (["extract", "--set", "yaers=2019"], "unknown answer 'yaers'; did you mean 'years'?"),
        (["extract", "--set", "years"], "--set: 'years' is not of the form key=value"),
        (["extract", "--set", "trian.years=2"], "unknown step 'trian'; did you mean 'train'?"),
        (["extract", "--years", "twothousand"], "--years: 'twothousand' is not a whole number"),
        (
            ["extract", "--years", "2019", "--source", "CDS"],
            "--source: 'CDS' is none of them; give one of cds, archive, synthetic",
        ),
        (
            ["extract", "--source", "synthetic", "--years", "2019", "--variables", "mls"],
            "did you mean 'msl'?",
        ),
        (
            ["extract", "--source", "synthetic", "--years", "2019", "--source_dir", "/x"],
            "--source_dir: is not asked here",
        ),
        (
            ["extract", "--source", "synthetic", "--years", "2019", "--nyx", "3", "4"],
            "--nyx: is not asked here",
        ),
        (
            ["extract", "--source", "archive", "--source_dir", "/nonexistent", "--years", "2019"],
            "/nonexistent does not exist",
        ),
        (
            ["extract", "--source", "cds", "--years", "2019", "--area", "50", "0", "58", "2"],
            "north (50) is not north of south (58)",
        ),
        (
            ["extract", "--source", "synthetic", "--years", "2019", "--constants", "lsn"],
            "did you mean 'lsm'?",
        ),
        (
            ["extract", "--source", "synthetic", "--years", "2019", "--base_dir", "/a\nb"],
            "--base_dir: holds a newline",
        ),
        (["extract", "--machine", "juwel"], "--machine: unknown machine 'juwel'; did you mean 'juwels'?"),
        (["extract", "--answers", "/nonexistent.json"], "/nonexistent.json: does not exist"),
        (["questions"], "no step is named"),
    ],
)
def test_wrong_words(generate, error_line, tmp_path, words, said):
    assert said in error_line(
        generate(*words, *([] if "--base_dir" in words else ["--base_dir", tmp_path / "base"]))
    )
    assert not (tmp_path / "scripts").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is not valid JSON"),
        ("a.json", "[]", "is not a table of answers"),
        ("a.json", '{"yaers": 2019}', "unknown answer 'yaers'; did you mean 'years'?"),
        ("a.json", '{"step": 3}', "'step' is not text"),
        ("a.json", '{"machine": "juwel"}', "unknown machine 'juwel'"),
        ("a.json", '{"years": "x"}', "a.json: years: 'x' is not a whole number"),
        ("a.json", '{"train": {"yaers": 1}}', "a.json: train.yaers: unknown answer 'yaers'"),
        ("a.toml", "years = ", "is not valid TOML"),
        ("a.toml", "years = [1]", "1 is not within 1940..2100"),
    ],
)
def test_wrong_answers_files(generate, error_line, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    assert said in error_line(generate("extract", "--answers", tmp_path / name, "--base_dir", tmp_path))


def test_what_a_file_says_for_other_steps_is_said(generate, chain_answers, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(chain_answers))
    done = generate("extract", "--answers", tmp_path / "a.json")
    assert done.returncode == 0
    assert f"not used: {tmp_path}/a.json: sw_corner\n" in done.stderr


def test_splits_must_lie_apart(generate, chain_answers, as_flags, error_line, tmp_path):
    words = as_flags(chain_answers | {"val_period": "2019-03-22T12..2019-03-24"})
    assert "--val_period: 2019-03-22T12..2019-03-24 overlaps train" in error_line(generate("all", *words))
    (tmp_path / "split.json").write_text(
        '{"train": {"2019": [3]}, "val": [["2019-03-31", "2019-04-02"]], "test": {"2019": [4]}}'
    )
    given = {key: value for key, value in chain_answers.items() if not key.endswith("_period")}
    assert "overlap" in error_line(
        generate("all", *as_flags(given | {"data_split": tmp_path / "split.json"}))
    )
    (tmp_path / "a.json").write_text(json.dumps(given | {"data_split": {"train": {"2019": [3]}}}))
    assert "--data_split: has no 'val'" in error_line(generate("all", "--answers", tmp_path / "a.json"))


def test_a_split_by_file_or_inline(generate, chain_answers, tmp_path):
    given = {key: value for key, value in chain_answers.items() if not key.endswith("_period")}
    split = {
        "train": {"2019": [3]},
        "val": [["2019-04-01", "2019-04-10"]],
        "test": [["2019-04-11", "2019-04-30"]],
    }
    file = tmp_path / "split.json"
    file.write_text(json.dumps(split))
    for value in (str(file), split):
        (tmp_path / "a.json").write_text(json.dumps(given | {"data_split": value}))
        done = generate("all", "--answers", tmp_path / "a.json", "--overwrite")
        assert done.returncode == 0, done.stderr
        script = (tmp_path / "scripts" / "preprocess_data_era5_step1.sh").read_text()
        used = Path(re.search(r"--data_split (\S+)", script)[1])
        assert json.loads(used.read_text()) == split
        assert (used == file) == isinstance(value, str)


# --- the order between the steps ------------------------------------------------------------------


def test_a_missing_step_is_named(generate, chain_answers, as_flags, error_line, tmp_path):
    base = tmp_path / "base"
    preprocess1 = as_flags(
        {
            key: chain_answers[key]
            for key in (
                "years",
                "months",
                "variables",
                "sw_corner",
                "nyx",
                "train_period",
                "val_period",
                "test_period",
            )
        }
    )
    where = ["--base_dir", base]
    assert "run the step 'extract' first" in error_line(generate("preprocess1", *where, *preprocess1))
    extracted(base)
    assert generate("preprocess1", *where, *preprocess1).returncode == 0
    assert "run the step 'preprocess1' first" in error_line(generate("preprocess2", *where))
    finish(base / "PreprocessedData" / DATA, "dataset", DATA, state="interrupted")
    line = error_line(generate("preprocess2", *where))
    assert f"{DATA} (interrupted" in line and "run the step 'preprocess1' first" in line
    assert "run the step 'preprocess1' first" in error_line(
        generate("preprocess2", *where, "--data_name", DATA)
    )
    finish(base / "PreprocessedData" / DATA, "dataset", DATA)
    assert generate("preprocess2", *where).returncode == 0
    assert "run the step 'preprocess2' first" in error_line(generate("train", *where))
    finish(base / "PreprocessedData" / DATA / "tfrecords", "tfrecords", DATA)
    assert generate("train", *where).returncode == 0
    assert "run the step 'train' first" in error_line(generate("postprocess", *where))
    finish(base / "Models" / DATA / "convLSTM" / EXP, "model", EXP)
    assert generate("postprocess", *where).returncode == 0
    assert "did you mean" in error_line(generate("postprocess", *where, "--exp_id", EXP[:-1]))


def test_the_extraction_must_cover_what_is_asked(generate, error_line, tmp_path):
    extracted(tmp_path / "base")
    words = [
        "preprocess1",
        "--base_dir",
        tmp_path / "base",
        "--sw_corner",
        "50",
        "-10",
        "--nyx",
        "4",
        "4",
        "--train_period",
        "2019-03-01",
        "--val_period",
        "2019-03-02",
        "--test_period",
        "2019-03-03",
    ]
    assert "no month of 2018; run the step 'extract' for 2018 first" in error_line(
        generate(*words, "--years", "2018-2019")
    )
    assert "no tcc (it has 2t, msl); run the step 'extract' with them" in error_line(
        generate(*words, "--variables", "2t", "tcc")
    )
    assert (
        generate(*words, "--print").stdout.count("--years 2019\n  --months 3 4\n  --variables 2t msl\n") == 1
    )


def test_a_chain_must_fit_together(generate, chain_answers, as_flags, error_line):
    line = error_line(generate("all", *as_flags(chain_answers), "--set", "preprocess1.variables=2t tcc"))
    assert "the extraction has no tcc (it has 2t, msl)" in line
    assert "no month of 2020" in error_line(
        generate("all", *as_flags(chain_answers), "--set", "preprocess1.years=2020")
    )


def test_of_several_none_is_taken_without_asking(generate, error_line, tmp_path):
    base = tmp_path / "base"
    chain(base)
    other = DATA.replace("2t_msl", "2t")
    finish(base / "PreprocessedData" / other, "dataset", other)
    line = error_line(generate("preprocess2", "--base_dir", base))
    assert "missing: data_name (--data_name; found: " in line
    assert f"{other} (done, " in line and f"{DATA} (done, " in line
    assert generate("preprocess2", "--base_dir", base, "--data_name", other).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--hparams", "mex_epochs=1"],
            "--hparams: unknown hyper-parameter 'mex_epochs'; did you mean 'max_epochs'",
        ),
        (["--sweep", "lr=0.001", "lr=-1"], "--sweep: 'lr' is -1.0; give a value from"),
        (["--answers", "answers.json"], "--model_hparams: 'lr'"),
    ],
)
def test_hyper_parameters_are_checked_before_jobs_wait_for_hours(generate, error_line, tmp_path, words, said):
    chain(tmp_path / "base", "preprocess2")
    (tmp_path / "answers.json").write_text('{"model_hparams": {"lr": "fast"}}')
    refused = generate("train", "--base_dir", tmp_path / "base", "--submit", *words)
    assert said in error_line(refused)
    assert len(refused.stderr.splitlines()) == 1, "TensorFlow is not heard"
    assert not (tmp_path / "scripts").exists() and not (tmp_path / "base" / "Jobs").exists()


@pytest.mark.parametrize("words", [[], ["--hparams", "context_frames=12"]])
def test_sequences_too_short_for_the_model_are_refused_before_jobs_wait(
    generate, error_line, tmp_path, words
):
    length = 10 if not words else 12
    line = error_line(
        generate(
            "all", "--dataset", "moving_mnist", "--base_dir", tmp_path / "base", "--digits_from", "glyphs",
            "--sequence_length", length, "--submit", *words,
        )
    )  # fmt: skip
    assert f"--sequence_length: {length} context frames leave nothing to forecast of {length} frames" in line
    assert not (tmp_path / "base" / "PreprocessedData").exists()


def test_digits_without_their_data_set(generate, error_line, tmp_path):
    line = error_line(generate("all", "--base_dir", tmp_path, "--digits_from", "glyphs"))
    assert "--dataset: is missing, and --digits_from is an answer for moving_mnist; give --dataset" in line


def test_nothing_can_be_drawn_afresh_from_an_array_alone(generate, error_line, tmp_path):
    (tmp_path / "array.npy").touch()
    given = ("--base_dir", tmp_path, "--digits_from", "sequences", "--sequences_file", tmp_path / "array.npy")
    line = error_line(generate("preprocess_moving_mnist", *given, "--fresh_train", "yes"))
    assert "--fresh_train: all splits are cut from the array" in line


def test_a_sweep_is_evaluated_whole_or_not_at_all(generate, error_line, tmp_path):
    """An experiment without a directory (its job refused to begin) is not left out silently."""
    layout = names.Layout(tmp_path / "base")
    chain(layout.base, "preprocess2")
    sweep = ["postprocess", "--base_dir", layout.base, "--exp_id", EXP]
    for number in (1, 3):
        finish(layout.model(DATA, "convLSTM", f"{EXP}.{number}"), "model", f"{EXP}.{number}")
    line = error_line(generate(*sweep))
    assert f"1 of the 3 experiments are not trained: {EXP}.2;" in line
    finish(layout.model(DATA, "convLSTM", f"{EXP}.2"), "model", f"{EXP}.2")
    assert generate(*sweep).returncode == 0
    with chains.opened(layout.jobs / EXP, "laptop") as submitted:  # a fourth one waits in the queue
        submitted.put(ChainStep("train", "t.sh", False, "model", [], 4), ("train",))
        submitted.save()
    assert f"1 of the 4 experiments are not trained: {EXP}.4;" in error_line(generate(*sweep))
    assert generate(*sweep, "--sweep_size", "3", "--overwrite").returncode == 0
    assert generate(*sweep[:-1], f"{EXP}.1").returncode == 0, "each by itself"


def test_damaged_directories_are_shown_and_not_offered(generate, error_line, tmp_path):
    base = tmp_path / "base"
    chain(base, "extract")
    (base / "PreprocessedData" / "x").mkdir(parents=True)
    (base / "PreprocessedData" / "x" / "metadata.json").write_text("{")
    line = error_line(generate("preprocess2", "--base_dir", base))
    assert "x (is not valid JSON" in line


def test_another_data_set_makes_transfer_learning(generate, tmp_path):
    base = tmp_path / "base"
    chain(base)
    other = DATA.replace("2t_msl", "2t")
    finish(base / "PreprocessedData" / other / "tfrecords", "tfrecords", other)
    printed = generate("postprocess", "--base_dir", base, "--print").stdout
    assert "--input_dir" not in printed and f"--model_dir {base}/Models/{DATA}/convLSTM/{EXP}" in printed
    printed = generate("postprocess", "--base_dir", base, "--data_name", other, "--print").stdout
    assert f"--input_dir {base}/PreprocessedData/{other}\n" in printed


# --- writing --------------------------------------------------------------------------------------


def test_print_and_diff_write_nothing(generate, tmp_path):
    printed = generate(*EXTRACT, "--print")
    compared = generate(*EXTRACT, "--diff")
    checked = generate("check", *EXTRACT)
    assert not (tmp_path / "scripts").exists()
    done = generate(*EXTRACT)
    script = tmp_path / "scripts" / "data_extraction_era5.sh"
    assert done.stdout.splitlines()[-2:] == ["next:", f"  bash {script}"]
    assert printed.stdout == script.read_text() and printed.stderr == ""
    assert os.access(script, os.X_OK)
    assert "".join(
        line[1:] + "\n" for line in compared.stdout.splitlines() if line.startswith("+") and "+++" not in line
    ).endswith(printed.stdout)
    assert "the answers are right for: data_extraction_era5.sh" in checked.stdout
    assert "+" not in generate(*EXTRACT, "--diff").stdout
    changed = generate(*EXTRACT, "--seed", "5", "--diff").stdout
    assert "\n-  --seed 1\n+  --seed 5\n" in changed


def test_a_different_script_is_not_overwritten(generate, error_line, tmp_path):
    script = tmp_path / "scripts" / "data_extraction_era5.sh"
    generate(*EXTRACT)
    before, time = contents(script.parent), script.stat().st_mtime_ns
    assert "unchanged: " in generate(*EXTRACT).stdout and script.stat().st_mtime_ns == time
    assert "a different script is there already, nothing was written" in error_line(
        generate(*EXTRACT, "--seed", "5")
    )
    assert contents(script.parent) == before
    assert generate(*EXTRACT, "--seed", "5", "--overwrite").returncode == 0
    assert "--seed 5" in script.read_text()


def test_the_demos_answers_fit_every_machine(generate, repository, tmp_path):
    """The README submits them on whatever machine there is: they must not make it a laptop."""
    image = tmp_path / "image.sif"
    image.touch()
    for machine in profiles.load(Path("/nonexistent")):
        words = [
            "check",
            "all",
            "--answers",
            repository / "demo" / "answers_era5.json",
            "--base_dir",
            "/base",
        ]
        slurm = ["--account", "x", "--tf_container", image] if machine != "laptop" else []
        done = generate(*words, *slurm, env={"AMBS_MACHINE": machine})
        assert done.returncode == 0, done.stderr
        assert f"machine: {machine} (" in done.stdout and ("train: " in done.stdout) == (machine != "laptop")


def test_slurm_finds_the_directory_of_its_logs(generate, chain_answers, as_flags, tmp_path):
    done = generate("all", "--machine", "generic_slurm", *as_flags(chain_answers))
    assert done.returncode == 0, done.stderr
    script = (tmp_path / "scripts" / "preprocess_data_era5_step1.sh").read_text()
    assert Path(re.search(r"--output=(\S+)/%x-%j.log", script)[1]).is_dir()


def test_a_file_in_the_way(generate, error_line, tmp_path):
    (tmp_path / "scripts").write_text("")
    assert "not a directory" in error_line(generate(*EXTRACT))
    chain(tmp_path / "base", "preprocess1")
    with_logs = ["preprocess2", "--machine", "generic_slurm", "--base_dir", tmp_path / "base"]
    assert "logs: a part of the path is a file, not a directory" in error_line(generate(*with_logs))


def test_the_users_base_directory_is_offered(generate, repository, run_command, tmp_path, error_line):
    setup = repository / "video_prediction_tools" / "config_runscripts" / "setup_runscript_templates.sh"
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    for shell in ("bash", "zsh"):
        base = tmp_path / f'{shell} it\'s $HOME "x" \\'
        done = run_command([shell, "-c", 'source "$1" "$2"', shell, setup, base], env=env)
        assert done.returncode == 0, done.stderr
        asked = json.loads(generate("questions", "extract", env=env, scripts=None).stdout)
        assert asked[0]["name"] == "base_dir" and asked[0]["default"] == str(base)
    done = run_command(["bash", "-c", f"source '{setup}'"], env=env)
    asked = json.loads(generate("questions", "extract", env=env, scripts=None).stdout)
    assert done.returncode == 0
    assert asked[0]["default"] == "/p/project/deepacf/deeprain/video_prediction_shared_folder"
    (tmp_path / "config" / "ambs" / "settings.toml").write_text("base_dri = 'x'")
    assert "unknown key 'base_dri'; did you mean 'base_dir'?" in error_line(generate("extract", env=env))


def test_a_base_directory_that_cannot_be_is_not_stored(repository, run_command, error_line, tmp_path):
    setup = repository / "video_prediction_tools" / "config_runscripts" / "setup_runscript_templates.sh"
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    for words in (["/proc/nonexistent/x"], ["a\nb"], ["--help"], ["a", "b"]):
        error_line(run_command(["bash", setup, *words], env=env, cwd=tmp_path))
    assert not (tmp_path / "config").exists()


# --- commands -------------------------------------------------------------------------------------


def test_a_machine_that_is_asked_for(generate):
    done = generate("machines", "--machine", "juwels", scripts=None)
    assert done.stdout.splitlines()[-1] == "this machine: juwels (--machine)"
    assert "\n* juwels " in done.stdout and "\n* laptop " not in done.stdout
    done = generate("machines", "--machine", "juwel", scripts=None)
    assert done.returncode == 2 and "did you mean 'juwels'" in done.stderr


def test_machines(generate):
    printed = generate(
        "machines", "--explain", env={"AMBS_MACHINE": "", "SYSTEMNAME": "juwelsbooster"}, scripts=None
    ).stdout
    assert (
        "* juwels_booster" in printed
        and "this machine: juwels_booster ($SYSTEMNAME is 'juwelsbooster')" in printed
    )
    modules = generate(
        "machines", "--modules", env={"AMBS_MACHINE": "hdfml"}, scripts=None
    ).stdout.splitlines()
    assert modules[:3] == ["hdfml gpus", "Stages/2024", "GCC"]


def test_questions(generate):
    asked = {
        entry["name"]: entry
        for entry in json.loads(
            generate("questions", "preprocess1", "--machine", "juwels", scripts=None).stdout
        )
    }
    assert (
        asked["tasks"]["default"] == 13
        and asked["time"]["default"] == "04:00:00"
        and asked["nyx"]["flag"] == "--nyx"
    )
    assert asked["sw_corner"]["default"] is None and not asked["sw_corner"]["optional"]
    assert "partition" not in generate("questions", "preprocess1", "--machine", "laptop", scripts=None).stdout


def test_every_model_of_the_registry_is_offered():
    assert sorted(questions.MODELS) == registry.names()


def test_help_names_every_flag(generate):
    printed = generate("--help", scripts=None).stdout
    for question in questions.QUESTIONS:
        assert question.flag in printed
