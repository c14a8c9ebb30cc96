"""A real Slurm of its own: seconds to start and stop it, every machine's scripts on it, and a whole tiny chain.

    python benchmarks/runscripts_on_slurm.py

Prints the seconds that the Slurm of the tests takes; a table of machine and step with what ``bash -n``, ``shellcheck -S
style`` and ``sbatch --test-only`` said ('+': nothing to complain of, 'local': the step is not submitted there); and the
seconds from ``all --submit`` to the last report for two days of synthetic weather, beside the same steps by bash.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "test" / "slurm"))

from server import Server  # noqa: E402

from video_prediction_tools.config_runscripts import profiles  # noqa: E402
from video_prediction_tools.config_runscripts.steps import CHAINS  # noqa: E402

GENERATOR = REPOSITORY / "video_prediction_tools" / "config_runscripts" / "generate_runscript.py"
EXP_ID = "20190401T000000_bench_chain"
DATA = {
    "era5": {
        "source": "synthetic",
        "years": [2019],
        "months": [3],
        "variables": ["2t"],
        "area": [51, 4, 46.8, 8.2],
        "sw_corner": [46.8, 4],
        "nyx": [12, 12],
        "train_period": "2019-03-01..2019-03-08",
        "val_period": "2019-03-09..2019-03-10",
        "test_period": "2019-03-11..2019-03-12",
        "sequence_length": 8,
    },
    "moving_mnist": {"digits_from": "glyphs", "n_train": 16, "n_val": 4, "n_test": 4, "sequence_length": 8},
}
HPARAMS = {"filters": [4], "patch_size": 1, "batch_size": 16, "max_epochs": 1, "context_frames": 4}


def generate(dataset: str, machine: str, directory: Path, *words: object, env: dict[str, str]) -> list[str]:
    """Write the scripts of a chain for a machine; returns the lines that the generator prints."""
    answers = {"exp_id": EXP_ID, "venv": sys.prefix, "model_hparams": HPARAMS, **DATA[dataset]}
    if profiles.load()[machine].scheduler == "slurm":
        answers["account"] = "bench"
    (directory / "answers.json").write_text(json.dumps(answers))
    command = [sys.executable, GENERATOR, "all", "--dataset", dataset, "--machine", machine, "--no-input"]
    command += ["--answers", directory / "answers.json", "--base_dir", directory / "base", *words]
    done = subprocess.run(
        [*map(str, command), "--scripts_dir", str(directory / "scripts")],
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{machine}: {done.stderr}")
    return done.stdout.splitlines()


def says(command: list[object], env: dict[str, str]) -> str:
    """Run a check; returns '+' or '-'."""
    done = subprocess.run([str(word) for word in command], env=env, capture_output=True)
    return "+" if done.returncode == 0 else "-"


def table(env: dict[str, str]) -> None:
    """Print the table of machine and step."""
    print(f"{'machine':<16}{'step':<26}{'bash -n':<10}{'shellcheck':<12}test-only")
    for name, machine in profiles.load().items():
        for dataset, chain in CHAINS.items():
            with tempfile.TemporaryDirectory() as directory:
                extra = []
                if name == "jupiter":  # needs an image for what uses GPUs
                    image = Path(directory) / "image.sif"
                    image.touch()
                    extra = ["--tf_container", image]
                lines = generate(dataset, name, Path(directory), *extra, env=env)
                scripts = [line.split()[-1] for line in lines if line.startswith(("  sbatch ", "  bash "))]
                for step, script in zip(chain, scripts, strict=True):
                    lint = says(["shellcheck", "-S", "style", script], env)
                    takes = "local"
                    if machine.runs_with_slurm(step):
                        takes = says(["sbatch", "--test-only", script], env)
                    print(f"{name:<16}{step:<26}{says(['bash', '-n', script], env):<10}{lint:<12}{takes}")


def chain_seconds(machine: str, env: dict[str, str]) -> float:
    """Return the seconds from ``all --submit`` to the end of the last job."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        begun = time.monotonic()
        generate("era5", machine, directory, "--submit", env=env)
        queue = ["squeue", "--noheader", "--me"]
        while machine != "laptop" and subprocess.run(queue, env=env, capture_output=True).stdout.strip():
            time.sleep(0.2)
        seconds = time.monotonic() - begun
        if not list((directory / "base" / "Results").rglob("report.html")):
            sys.exit(f"{machine}: the chain did not get to its report")
        return seconds


def main() -> None:
    """Measure and print."""
    server = Server()
    try:
        begun = time.monotonic()
        server.start()
        print(f"Slurm for tests: started in {time.monotonic() - begun:.1f} s", flush=True)
        env = {**os.environ, **server.slurm.environment}
        table(env)
        on_slurm, by_bash = chain_seconds("generic_slurm", env), chain_seconds("laptop", env)
        print(
            f"tiny chain, all --submit to the report: {on_slurm:.0f} s on Slurm, {by_bash:.0f} s by bash, "
            f"ratio {on_slurm / by_bash:.2f}"
        )
    finally:
        begun = time.monotonic()
        server.stop()
        print(f"Slurm for tests: stopped in {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()
