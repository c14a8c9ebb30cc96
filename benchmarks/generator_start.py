"""Seconds from the start of generate_runscript.py to its first question, on a pseudo terminal (10 runs).

Beside it, in the same run, what an empty Python and the import of questionary alone take.
"""

import os
import pty
import statistics
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = (
    Path(__file__).resolve().parents[1] / "video_prediction_tools/config_runscripts/generate_runscript.py"
)
RUNS = 10


def seconds_to(command: list[str], awaited: bytes) -> float:
    """Start a command on a pseudo terminal and return the seconds until it has shown `awaited`."""
    here, there = pty.openpty()
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdin=there, stdout=there, stderr=there, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(there)
        shown = b""
        try:
            while awaited not in shown:
                shown += os.read(here, 65536)
            seconds = time.perf_counter() - start
        finally:
            process.kill()
            os.close(here)
    return seconds


def main() -> None:
    """Measure and print, one line for each command."""
    python = sys.executable
    commands = {
        "generate_runscript.py to its first question": ([python, str(PROGRAM)], b"Which runscript"),
        "an empty python": ([python, "-c", "print('up')"], b"up"),
        "import questionary": ([python, "-c", "import questionary; print('up')"], b"up"),
    }
    for name, (command, awaited) in commands.items():
        times = [seconds_to(command, awaited) for _ in range(RUNS)]
        print(f"{name}: best {min(times):.2f} s, median {statistics.median(times):.2f} s of {RUNS}")


if __name__ == "__main__":
    main()
