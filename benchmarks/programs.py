"""Running the workflow's programs, for the scripts beside this file."""

import subprocess
import sys
from pathlib import Path

MAIN_SCRIPTS = Path(__file__).resolve().parents[1] / "video_prediction_tools" / "main_scripts"


def run(program: str | Path, *arguments: object, ranks: int = 0) -> Path:
    """Run a program, show what it prints, and return the directory named in its last line.

    Arguments:
        program: name of a workflow step (``train_models`` for main_train_models.py), or a script.
        ranks: MPI ranks; 0: without MPI.

    Raises:
        SystemExit: it failed.
    """
    script = program if isinstance(program, Path) else MAIN_SCRIPTS / f"main_{program}.py"
    launcher = ["mpirun", "-n", str(ranks)] if ranks else []
    command = [str(word) for word in (*launcher, sys.executable, script, *arguments)]
    print("$", *command, flush=True)
    line = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    if process.returncode:
        sys.exit(process.returncode)
    return Path(line.strip())
