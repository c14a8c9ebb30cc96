"""What all tests share: the real data files, a quiet TensorFlow, and programs run as a user runs them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# before eccodes: both bring a PROJ library, and a process that loads pyproj second ends with a double free
import pyproj  # noqa: F401
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_NUM_INTRAOP_THREADS": "2",
    "TF_NUM_INTEROP_THREADS": "1",  # as in training: sums then repeat bit for bit
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "MPLBACKEND": "Agg",
    # more ranks than cores must start on a small machine
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
if os.geteuid() == 0:  # Open MPI refuses root (containers, CI) unless told twice
    _SETTINGS |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
for (
    _name,
    _value,
) in _SETTINGS.items():  # at import: TensorFlow reads them once, and subprocesses inherit them
    os.environ.setdefault(_name, _value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: else one of two workers would be left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of this clone."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Directory of real ERA5, NCEP and MNIST files; they are used in place and never copied."""
    if not SHARED_DATA.is_dir():
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"the real data files are missing: {SHARED_DATA}")
        pytest.skip(f"no real data files at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_user():
    """Keep the settings and machine profiles of whoever runs the tests out of them."""
    with tempfile.TemporaryDirectory() as directory:
        saved = os.environ.get("XDG_CONFIG_HOME")
        os.environ["XDG_CONFIG_HOME"] = directory
        yield
        os.environ.pop("XDG_CONFIG_HOME")
        if saved is not None:
            os.environ["XDG_CONFIG_HOME"] = saved


def run_command(
    command: list, *, env: dict[str, str] | None = None, timeout: float = 300, cwd: Path | None = None
) -> subprocess.CompletedProcess:
    """Run a command with its output captured as text; on timeout it is killed with all its children.

    Arguments:
        env: added to the environment of the tests.
        timeout: seconds; passing it fails the test with what was printed so far.
    """
    command = [str(word) for word in command]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            pytest.fail(f"not done after {timeout:.0f} s: {' '.join(command)}\n{out}\n{err}")
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def program_command(name: str, *args: object, ranks: int | None = None) -> list[str]:
    """Return the command of a program (see `run_program`), for tests that start and kill it themselves."""
    program = REPOSITORY / "video_prediction_tools" / "main_scripts" / f"main_{name}.py"
    launcher = []
    if ranks is not None:
        beside_python = Path(sys.executable).parent / "mpirun"
        launcher = [
            str(beside_python if beside_python.exists() else shutil.which("mpirun")),
            "-n",
            str(ranks),
        ]
    return [*launcher, sys.executable, str(program), *map(str, args)]


def run_program(
    name: str,
    *args: object,
    ranks: int | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 300,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess:
    """Run ``main_scripts/main_<name>.py`` in a process of its own.

    Arguments:
        name: for example ``"data_extraction"`` or ``"preprocess_data_step1"``.
        args: flags and values; made to text.
        ranks: number of MPI ranks under mpirun; None: without MPI's launcher.
        env: added to the environment.
        timeout: seconds.
    """
    return run_command(program_command(name, *args, ranks=ranks), env=env, timeout=timeout, cwd=cwd)


def error_line(result: subprocess.CompletedProcess) -> str:
    """Assert that a program refused its input: exit code 2, one ERROR line, no traceback; return the line."""
    said = f"exit code {result.returncode}\n--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}"
    lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
    assert result.returncode == 2, said
    assert len(lines) == 1, said
    assert "Traceback" not in result.stderr, said
    assert "; " in lines[0], f"the line names no remedy: {lines[0]}"
    return lines[0]


@pytest.fixture(name="run_program", scope="session")
def _run_program() -> Callable[..., subprocess.CompletedProcess]:
    """Give tests the function `run_program`."""
    return run_program


@pytest.fixture(name="program_command", scope="session")
def _program_command() -> Callable[..., list[str]]:
    """Give tests the function `program_command`."""
    return program_command


@pytest.fixture(name="run_command", scope="session")
def _run_command() -> Callable[..., subprocess.CompletedProcess]:
    """Give tests the function `run_command`."""
    return run_command


@pytest.fixture(name="error_line", scope="session")
def _error_line() -> Callable[[subprocess.CompletedProcess], str]:
    """Give tests the function `error_line`."""
    return error_line


@pytest.fixture(scope="session")
def cf_errors() -> Callable[..., list[str]]:
    """Return a function that gives what the compliance checker calls errors of NetCDF files (CF-1.8)."""

    def check(*paths: Path) -> list[str]:
        checker = Path(sys.executable).with_name("compliance-checker")
        done = subprocess.run(
            [checker, "--test=cf:1.8", "--format=json_new", "--output=-", *map(str, paths)],
            capture_output=True,
            text=True,
        )
        found, _ = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{"))
        assert len(found) == len(paths), done.stdout
        return [
            f"{path}: {message}"
            for path, checks in found.items()
            for one in checks["cf:1.8"]["high_priorities"]
            for message in one["msgs"]
        ]

    return check
