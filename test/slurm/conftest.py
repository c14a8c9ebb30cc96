"""The Slurm that these tests share."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import PACKAGES, Slurm, missing_programs


@pytest.fixture(scope="session")
def slurm_server() -> Iterator[Slurm]:
    """A real Slurm of two nodes with four fake GPUs each; its partitions are those of the machine profiles.

    It runs in a process that ends it when the tests do, however they end.
    """
    if missing := missing_programs():
        message = f"no Slurm here (missing: {', '.join(missing)}); Debian's packages are {PACKAGES}"
        pytest.fail(message) if os.environ.get("CI", "").lower() in ("1", "true") else pytest.skip(message)
    program = Path(__file__).with_name("server.py")
    with subprocess.Popen(
        [sys.executable, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        configuration = server.stdout.readline().strip().removeprefix("export SLURM_CONF=")
        if not configuration:
            pytest.fail(f"the Slurm for tests does not start; try: python {program}")
        yield Slurm.of(Path(configuration))
        server.stdin.close()
        assert server.wait(timeout=60) == 0, "the Slurm for tests was not taken down in order"


@pytest.fixture
def slurm(slurm_server: Slurm) -> Iterator[Slurm]:
    """Slurm with all nodes free; what a test leaves behind is cancelled."""
    yield slurm_server
    slurm_server.cancel_all()
