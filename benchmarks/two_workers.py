"""Training with two workers against one, each with one core: how much of the second core is gained.

    python benchmarks/two_workers.py [--seconds 60]

Both train a small convLSTM on synthetic weather (48 x 32 points, 10 + 10 hours), pinned to one core a worker, first one
worker, then two, in turn, three times. Two workers get twice the batch (each as many sequences a step as the one alone:
weak scaling), and then the same batch (half as many each: strong scaling). Prints sequences per second, medians, and
the efficiency: their ratio over two. Sequences per second are those of training_log.csv behind its first line.
"""

import argparse
import csv
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAMS = REPOSITORY / "video_prediction_tools" / "main_scripts"
ROUNDS = 3
BATCH = 8
# name: workers, batch over all of them
CASES = {
    "one worker": (1, BATCH),
    "two workers, twice the batch": (2, 2 * BATCH),
    "two workers, same batch": (2, BATCH),
}


def program(name: str, *words: object) -> None:
    """Run a step, silently."""
    subprocess.run([sys.executable, PROGRAMS / name, *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def prepare(base: Path) -> Path:
    """Make the data; returns their directory."""
    time = ["--years", 2019, "--months", 3, "--variables", "2t"]
    program(
        "main_data_extraction.py", "--source", "synthetic", "--destination_dir", base / "ExtractedData",
        *time, "--area", 62, -4, 46, 20,
    )  # fmt: skip
    split = {
        "train": [["2019-03-01", "2019-03-04"]],  # a short epoch: a line of the log at each end
        "val": [["2019-03-05", "2019-03-06"]],
        "test": [["2019-03-07", "2019-03-08"]],
    }
    (base / "split.json").write_text(json.dumps(split))
    program(
        "main_preprocess_data_step1.py", "--source_dir", base / "ExtractedData", "--destination_dir", base / "data",
        *time, "--sw_corner", 47, -3, "--nyx", 32, 48, "--data_split", base / "split.json",
    )  # fmt: skip
    (directory,) = (one for one in (base / "data").iterdir() if one.is_dir())
    program("main_preprocess_data_step2.py", "--source_dir", directory, "--sequence_length", 20)
    return directory


def rate(data: Path, workers: int, batch: int, seconds: float) -> float:
    """Train for some seconds; returns sequences per second."""
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory) / "model"
        ports = free_ports(workers)
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        running = []
        for index in range(workers):
            environment = dict(os.environ)
            if workers > 1:
                environment["TF_CONFIG"] = json.dumps(
                    {"cluster": cluster, "task": {"type": "worker", "index": index}}
                )
            words = ["--input_dir", data, "--output_dir", model, "--model", "convLSTM", "--set"]
            words += [
                f"batch_size={batch}",
                f"max_seconds={seconds}",
                "max_epochs=1000",
                "validate_every=1000",
                "filters=16,16",
            ]
            command = ["taskset", "-c", str(index), sys.executable, PROGRAMS / "main_train_models.py", *words]
            running.append(
                subprocess.Popen([str(word) for word in command], env=environment, stdout=subprocess.DEVNULL)
            )
        if any([one.wait() for one in running]):
            sys.exit("a training failed")
        with open(model / "training_log.csv") as file:
            rows = list(csv.DictReader(file))[1:]
    if not rows:
        sys.exit("too short for a second line of training_log.csv; give more --seconds")
    return statistics.median(float(row["sequences_per_second"]) for row in rows)


def free_ports(count: int) -> list[int]:
    """Return ports that are free at this moment."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of each training")
    seconds = parser.parse_args().seconds
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("two cores are needed")
    with tempfile.TemporaryDirectory() as base:
        data = prepare(Path(base))
        found = {name: [] for name in CASES}
        for number in range(ROUNDS):
            for name, (workers, batch) in CASES.items():
                found[name].append(rate(data, workers, batch, seconds))
                print(f"round {number + 1}: {name}: {found[name][-1]:.2f} sequences/s", flush=True)
    alone = statistics.median(found["one worker"])
    for name, (workers, _) in CASES.items():
        median = statistics.median(found[name])
        print(f"{name}: {median:.2f} sequences/s, efficiency {median / alone / workers:.2f}")


if __name__ == "__main__":
    main()
