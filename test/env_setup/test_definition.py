"""The Apptainer definition: what can be checked of it without building an image."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHELL = ("post", "environment", "test")


@pytest.fixture(scope="module")
def sections(repository):
    """The sections of the definition by name; the lines before the first one are the header, ''."""
    text = (repository / "env_setup" / "ambs.def").read_text()
    parts = re.split(r"^%(\w+)\n", text, flags=re.M)
    assert len(parts[1::2]) == len(set(parts[1::2]))
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.fixture(scope="module")
def copied(sections):
    """Where the image has which file of the clone."""
    lines = [line.split() for line in sections["files"].splitlines() if line.strip()]
    return {inside: outside for outside, inside in lines}


def as_outside(text, copied, repository):
    """Return a section with the image's files replaced by those of the clone."""
    for inside, outside in copied.items():
        text = text.replace(inside, str(repository / outside))
    return text


def test_sections(sections):
    assert set(sections) == {"", "files", "post", "environment", "test", "help"}
    keys = dict(line.split(": ") for line in sections[""].splitlines() if line and not line.startswith("#"))
    assert keys == {"Bootstrap": "docker", "From": "python:3.12-slim"}
    assert "apptainer build --fakeroot ambs.sif env_setup/ambs.def" in sections[""]
    assert all(text.strip() for text in sections.values())


def test_every_file_is_in_the_clone_and_every_file_that_is_used_is_copied(sections, copied, repository):
    tracked = subprocess.run(
        ["git", "-C", repository, "ls-files", "env_setup"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(copied.values()) <= set(tracked)
    used = set(re.findall(r"/opt/ambs/[\w./-]+", sections["post"] + sections["test"]))
    beside_check_image = {"/opt/ambs/requirements.in"}
    assert used | beside_check_image == set(copied)
    assert "requirements.in" in (repository / "env_setup" / "check_image.py").read_text()


@pytest.mark.parametrize("name", SHELL)
def test_shell_sections_are_clean(name, sections, tmp_path, run_command):
    script = tmp_path / f"{name}.sh"
    script.write_text(sections[name])
    assert run_command(["sh", "-n", script]).returncode == 0
    if shutil.which("shellcheck") is None and os.environ.get("CI", "").lower() not in ("1", "true"):
        pytest.skip("shellcheck is not installed (sh -n was run)")
    done = run_command(["shellcheck", "--shell=sh", "--severity=style", script])
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("arch", "locks"),
    [
        ("x86_64", ["requirements.lock", "requirements-gpu.lock"]),
        ("aarch64", ["requirements.lock"]),
    ],
)
def test_what_is_installed(arch, locks, sections, tmp_path, run_command):
    for name, line in {"python3": 'printf "%s\\n" "$@"', "uname": f"echo {arch}"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    done = run_command(["sh", "-c", sections["post"]], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[:3] == ["-m", "pip", "install"] and "--require-hashes" in words
    assert [words[n + 1] for n, word in enumerate(words) if word == "-r"] == [f"/opt/ambs/{x}" for x in locks]


def test_its_own_test_passes_with_the_locked_packages(sections, copied, repository, run_command, tmp_path):
    """The environment that runs this holds what the image would: the section %test must end well in it."""
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = run_command(["sh", "-c", as_outside(sections["test"], copied, repository)], env=here, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^TensorFlow 2\.\d+\.\d+ Keras 3\.\d+\.\d+$", done.stdout, re.M)


def pins(path):
    """Packages and their versions (with the marker) of a lock file."""
    return set(re.findall(r"^([\w.-]+==[^\\\n]+?) *\\?$", path.read_text(), re.M))


def test_the_lock_files_agree(repository):
    """CUDA comes to what the environment without it has, and changes nothing of that."""
    base, gpu = (pins(repository / "env_setup" / f"requirements{which}.lock") for which in ("", "-gpu"))
    added = gpu - base
    assert added and all(pin.startswith("nvidia-") for pin in added)
    assert any(pin.startswith("tensorflow==") for pin in gpu & base)
