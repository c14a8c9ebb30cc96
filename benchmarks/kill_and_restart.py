"""Kill -9 at random moments, 20 times each: extraction, preprocess 1, preprocess 2, training; prints what held.

    python benchmarks/kill_and_restart.py

Runs the suite's own tests (five tries each there) with more tries and other moments: killed, started again, and
compared with a run that was left alone. In a try of extraction (at most two of five) or of preprocessing the run may
have ended before its kill came; the training test allows no such try.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "test"
FIVE_EACH = {
    "extraction": "data_extraction/test_resume.py::test_killed_at_any_moment",
    "training": "training/test_train_program.py::test_killed_and_started_again",
}
MANY_AT_ONCE = {
    "preprocess 1": "data_preprocess/test_kill.py::test_preprocess_1",
    "preprocess 2": "data_preprocess/test_kill.py::test_preprocess_2",
}


def holds(test: str, **settings: str) -> bool:
    """Run one test of the suite with other settings; say whether it passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / test)]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    passed = done.returncode == 0 and re.search(r"\b1 passed", done.stdout) is not None
    if not passed:
        print(done.stdout, done.stderr, sep="\n")
    return passed


def main() -> int:
    """Run all; the exit code says whether everything held."""
    held = {}
    for step, test in FIVE_EACH.items():
        held[step] = 5 * sum(holds(test, AMBS_KILL_SEED=str(seed)) for seed in range(1, 5))
        print(f"{step}: the result was that of a quiet run after {held[step]} of 20 tries", flush=True)
    for step, test in MANY_AT_ONCE.items():
        held[step] = 20 * holds(test, AMBS_KILL_TRIES="20")
        print(f"{step}: the result was that of a quiet run after {held[step]} of 20 tries", flush=True)
    return 0 if all(count == 20 for count in held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
