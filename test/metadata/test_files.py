"""Files are whole or absent, also when the disk is full."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import read_json, sha256, whole_file, write_json


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "below" / "a.txt"
    for text in ("old", "new"):
        with whole_file(path) as temporary:
            temporary.write_text(text)
            assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_on_failure_the_old_file_stays(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), whole_file(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_killed_writer_leaves_nothing_that_looks_whole(tmp_path):
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from video_prediction_tools.metadata.files import whole_file
        with whole_file(Path({str(tmp_path)!r}) / "a.txt") as temporary:
            temporary.write_text("half")
            print("begun", flush=True)
            time.sleep(600)
        """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "a.txt").exists()
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert os.listdir(tmp_path) == ["a.txt"]


def test_no_space_left(tmp_path):
    """/dev/full is the kernel's own full disk."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(InputError, match="no space left on the device; free some space"):
        with whole_file(path) as temporary:
            os.symlink("/dev/full", temporary)
            temporary.write_text("new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
    assert os.path.exists("/dev/full")


def test_a_limit_on_the_size_of_files(tmp_path):
    script = textwrap.dedent(f"""
        import resource, signal, sys
        from pathlib import Path
        from video_prediction_tools.errors import InputError
        from video_prediction_tools.metadata.files import write_json
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_json(Path({str(tmp_path)!r}) / "a.json", ["x" * 100] * 100)
        except InputError as error:
            print(error)
        """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "the file would pass the size limit; raise the limit" in done.stdout
    assert os.listdir(tmp_path) == []


def test_a_path_through_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file, not a directory"):
        write_json(tmp_path / "file" / "a.json", {})


def test_json(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, 2.5, "ü"]})
    assert read_json(path, "mend it") == {"a": [1, 2.5, "ü"]}
    assert (
        sha256(path) == subprocess.run(["sha256sum", path], capture_output=True, text=True).stdout.split()[0]
    )
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert read_json(path, "mend it") == {"a": [1, 2.5, "ü"]}


@pytest.mark.parametrize(
    ("text", "said"), [(None, "does not exist"), (b"{", "is not valid JSON"), (b"\xff", "is not valid JSON")]
)
def test_json_that_cannot_be_read(tmp_path, text, said):
    path = tmp_path / "a.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InputError) as caught:
        read_json(path, "mend it")
    assert (
        said in str(caught.value)
        and str(caught.value).endswith("; mend it")
        and "\n" not in str(caught.value)
    )
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path, "mend it")
