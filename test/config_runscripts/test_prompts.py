"""The generator's prompts: typed keys, and once through a real terminal."""

import json
import os
import sys

import pexpect
import pytest
from earlier_steps import DATA, EXP, EXTRACT, chain, contents, finish

from video_prediction_tools.config_runscripts import generate_runscript
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata import record

DOWN, UP, ENTER, CTRL_C, CLEAR = (
    "\x1b[B",
    "\x1b[A",
    "\r",
    "\x03",
    "\x01\x0b",
)  # to the start of the line, cut to its end


@pytest.fixture
def type_keys(monkeypatch, capsys, tmp_path):
    """Return a function that runs the generator with typed keys; gives (exit code, stdout, stderr)."""
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    def run_with(keys, *words):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        monkeypatch.chdir(tmp_path)
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text(keys)
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

    return run_with


def test_prompts_give_the_same_bytes_as_flags(type_keys, generate, chain_answers, as_flags, tmp_path):
    """The whole chain typed in: each question once, in the order of the table."""
    given = {"venv": chain_answers["venv"]}
    lines = [
        CLEAR + chain_answers["base_dir"],
        DOWN + DOWN,
        CLEAR + "2019",
        CLEAR + "3-4",
        CLEAR + "2t msl",
        "58 -10 50 2",
        "50 -10",
        "32 48",
        "",
        "2019-03-01..2019-03-22",
        "2019-03-23..2019-03-24T18",
        "2019-03-25..2019-03-31 2019-04-02..2019-04-03",
        "",
        "",
        "",
        CLEAR + EXP,
        "",
        "lr=0.001 max_epochs=2",
        "",
    ]
    code, out, err = type_keys(
        DOWN * 6 + ENTER * 2 + "".join(line + ENTER for line in lines),
        "--machine",
        "laptop",
        *as_flags(given),
    )
    assert code == 0, err
    assert "next, in this order:" in out
    typed = contents(tmp_path / "scripts")
    for path in (tmp_path / "scripts").iterdir():
        path.unlink()
    assert generate("all", "--machine", "laptop", *as_flags(chain_answers)).returncode == 0
    assert contents(tmp_path / "scripts") == typed


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


@pytest.mark.parametrize("keys", [CTRL_C, "2019" + ENTER + CTRL_C, "2019" + ENTER * 4 + UP + ENTER])
def test_nothing_is_written_on_ctrl_c_and_cancel(type_keys, tmp_path, keys):
    code, out, err = type_keys(
        keys, "extract", "--machine", "laptop", "--source", "synthetic", "--base_dir", "/b"
    )
    assert code == 130 and err.strip().endswith("nothing written")
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


def test_on_a_real_terminal(repository, tmp_path):
    program = repository / "video_prediction_tools" / "config_runscripts" / "generate_runscript.py"
    child = pexpect.spawn(
        sys.executable,
        [program.name, "--scripts_dir", str(tmp_path / "scripts")],
        cwd=str(program.parent),
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 140),
        env={**os.environ, "TERM": "xterm", "AMBS_MACHINE": "laptop"},
    )
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


def test_ctrl_c_on_a_real_terminal(repository, tmp_path):
    program = repository / "video_prediction_tools" / "config_runscripts" / "generate_runscript.py"
    child = pexpect.spawn(
        sys.executable,
        [program.name, "--scripts_dir", str(tmp_path / "scripts")],
        cwd=str(program.parent),
        encoding="utf-8",
        timeout=60,
        dimensions=(40, 140),
        env={**os.environ, "TERM": "xterm", "AMBS_MACHINE": "laptop"},
    )
    child.expect("Which runscript")
    child.send(CTRL_C)
    child.expect("nothing written")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130 and not (tmp_path / "scripts").exists()
