"""metadata.json: its states however a step ends, and what a reader refuses."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from video_prediction_tools.errors import InputError, StoppedEarly
from video_prediction_tools.metadata import record

OPENED = dict(kind="dataset", name="D", program="main_x.py", arguments={"years": [2019]})


def content(directory):
    return json.loads((directory / "metadata.json").read_text())


def make(directory, **changes):
    with record.running(directory, **OPENED | changes) as opened:
        path = directory / "a.txt"
        path.write_text("a")
        opened.add_output(path)
        opened.record.details["hours"] = 24


def test_a_good_end(tmp_path):
    make(tmp_path, inputs={"/in": "abc"})
    found = record.read_record(tmp_path)
    assert (found.state, found.message, found.kind, found.name, found.program) == (
        "done",
        "",
        "dataset",
        "D",
        "main_x.py",
    )
    assert found.outputs["a.txt"]["bytes"] == 1
    assert (
        found.outputs["a.txt"]["sha256"] == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    )
    assert found.inputs == {"/in": "abc"}
    assert found.start <= found.end and found.end.endswith("Z")
    assert "numpy" in found.package_versions and found.host
    assert record.require_done(tmp_path, "dataset", "preprocess1").details == {"hours": 24}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (StoppedEarly("saved at step 5"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(75), "interrupted"),
        (InputError("x", "is wrong", "mend it"), "failed"),
        (RuntimeError("two\nlines"), "failed"),
    ],
)
def test_other_ends(tmp_path, error, state):
    with pytest.raises(type(error)):
        with record.running(tmp_path, **OPENED):
            assert content(tmp_path)["state"] == "running"
            raise error
    found = record.read_record(tmp_path)
    assert found.state == state
    assert found.message and "\n" not in found.message
    with pytest.raises(InputError, match="unfinished step"):
        record.require_done(tmp_path, "dataset", "preprocess1")


def test_a_killed_run_is_filed_as_interrupted(tmp_path):
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from video_prediction_tools.metadata import record
        directory = Path({str(tmp_path)!r})
        with record.running(directory, kind="dataset", name="D", program="p", arguments={{}}) as opened:
            path = directory / "a.txt"
            path.write_text("a")
            opened.add_output(path)
            opened.save()
            print("begun", flush=True)
            time.sleep(600)
        """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        with pytest.raises(InputError, match="another run is writing here"):
            make(tmp_path)
        process.send_signal(signal.SIGKILL)
    assert content(tmp_path)["state"] == "running"
    with pytest.raises(
        InputError, match=r"unfinished step \(state 'running'\); let the step 'preprocess1' finish"
    ):
        record.require_done(tmp_path, "dataset", "preprocess1")

    with record.running(tmp_path, **OPENED) as opened:
        assert opened.is_whole(tmp_path / "a.txt")
    found = record.read_record(tmp_path)
    assert found.state == "done"
    assert [(attempt["state"], attempt["message"][:5]) for attempt in found.attempts] == [
        ("interrupted", "ended")
    ]
    assert "a.txt" in found.outputs


def test_attempts_are_kept_in_order(tmp_path):
    with pytest.raises(RuntimeError), record.running(tmp_path, **OPENED):
        raise RuntimeError("first")
    with pytest.raises(StoppedEarly), record.running(tmp_path, **OPENED):
        raise StoppedEarly("second")
    make(tmp_path)
    found = record.read_record(tmp_path)
    assert [attempt["state"] for attempt in found.attempts] == ["failed", "interrupted"]
    assert [attempt["message"] for attempt in found.attempts] == ["first", "second"]


def test_files_are_whole_only_with_the_same_content(tmp_path):
    make(tmp_path)
    opened = record.OpenRecord(tmp_path, record.read_record(tmp_path))
    path = tmp_path / "a.txt"
    assert opened.is_whole(path)
    path.write_text("b")
    assert not opened.is_whole(path)
    path.unlink()
    assert not opened.is_whole(path)
    assert not opened.is_whole(tmp_path / "unknown")


def test_fingerprints_follow_names_and_contents(tmp_path):
    for name in ("one", "two", "other"):
        make(tmp_path / name)
    one, two = (record.read_record(tmp_path / name).fingerprint() for name in ("one", "two"))
    assert one == two
    with record.running(tmp_path / "other", **OPENED) as opened:
        (tmp_path / "other" / "a.txt").write_text("b")
        opened.add_output(tmp_path / "other" / "a.txt")
    assert record.read_record(tmp_path / "other").fingerprint() != one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "is not valid JSON"),
        (lambda text: "", "is not valid JSON"),
        (lambda text: "\x80\xff", "is not valid JSON"),
        (lambda text: '{"name": "a package"}', "was not written by AMBS"),
        (lambda text: "[1, 2]", "was not written by AMBS"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 99'), "schema version 99"),
        (lambda text: text.replace('"state": "done"', '"state": "fine"'), "state 'fine'"),
        (
            lambda text: text.replace('"outputs": {', '"outputs": [], "x": {'),
            "'outputs' is missing or not of the type dict",
        ),
        (
            lambda text: text.replace('"state": "done"', '"state": "done", "extra": 1'),
            "unknown entries extra",
        ),
        (lambda text: text.replace('"program": "main_x.py",', ""), "'program' is missing"),
    ],
)
def test_damaged_and_foreign_files(tmp_path, change, said):
    make(tmp_path)
    path = tmp_path / "metadata.json"
    path.write_text(change(path.read_text()), encoding="latin-1")
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        record.read_record(tmp_path)
    assert said in caught.value.what and caught.value.where == str(path)
    with pytest.raises(InputError):
        record.require_done(tmp_path, "dataset", "preprocess1")
    with pytest.raises(InputError):
        make(tmp_path)
    assert path.read_bytes() == before


def test_missing_directories_name_the_step(tmp_path):
    with pytest.raises(InputError, match="does not exist; run the step 'preprocess1' first"):
        record.require_done(tmp_path / "no", "dataset", "preprocess1")
    with pytest.raises(InputError, match="holds no metadata.json; run the step 'preprocess1' first"):
        record.require_done(tmp_path, "dataset", "preprocess1")
    assert record.find_record(tmp_path) is None


def test_another_kind_is_neither_taken_nor_overwritten(tmp_path):
    make(tmp_path)
    with pytest.raises(InputError, match="of the kind 'dataset', not 'model'"):
        record.require_done(tmp_path, "model", "train")
    with pytest.raises(InputError, match="holds data of the kind 'dataset', not 'model'"):
        make(tmp_path, kind="model")
    assert record.read_record(tmp_path).state == "done"


def test_directories_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a directory"):
        make(tmp_path / "file" / "below")
    if os.geteuid() != 0:  # root may write everywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(InputError, match="permission denied"):
            make(tmp_path / "locked" / "below")


@pytest.mark.parametrize(
    "outputs",
    [
        {"../victim.txt": {"bytes": 1, "sha256": "x"}},
        {"/tmp/victim.txt": {"bytes": 1, "sha256": "x"}},
        {"a.txt": {}},
        {"a.txt": "x"},
        {"a.txt": {"bytes": "1", "sha256": "x"}},
    ],
)
def test_outputs_must_be_files_of_the_directory(tmp_path, outputs):
    """Programs delete what an earlier attempt noted: a foreign record must not name files elsewhere."""
    make(tmp_path)
    (tmp_path / "metadata.json").write_text(json.dumps(content(tmp_path) | {"outputs": outputs}))
    with pytest.raises(InputError, match="is damaged"):
        record.read_record(tmp_path)


def test_a_directory_that_may_not_be_looked_into(tmp_path, monkeypatch):
    """Root may look everywhere, so the refusal is played."""
    from pathlib import Path

    def refuse(self, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(InputError, match="cannot be looked at"):
        record.require_done(tmp_path, "dataset", "preprocess1")


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, ""),
        ({"SLURM_JOB_ID": "17"}, "17"),
        ({"SLURM_JOB_ID": "19", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "2"}, "17_2"),
    ],
)
def test_the_job_is_named_as_slurm_shows_it(tmp_path, monkeypatch, variables, job):
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with record.running(tmp_path, kind="model", name="x", program="p", arguments={}):
        pass
    assert record.read_record(tmp_path).job_id == job
