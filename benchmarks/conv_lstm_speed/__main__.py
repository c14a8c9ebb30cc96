"""Speed of convLSTM as OpenSTL's ConvLSTM-S, beside Keras' own layer and the same network in PyTorch.

    python -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0 numpy
    python benchmarks/conv_lstm_speed [--torch /tmp/torch/bin/python] [--bfloat16] [--rounds 3]

Four layers of 128 filters, 5 x 5, patches of 4 x 4, 64 x 64 pixels, 10 frames forecast from 10, 4 sequences at a time;
a training step is forward, backward and Adam. Each contender lives in a process of its own and all take turns, so that
a busy machine slows all of them; the table holds medians. Without --torch PyTorch is left out. --bfloat16 adds both in
bfloat16: a gain on processors with instructions for it (AMX, AVX512-BF16); others imitate them, many times slower.

"ours" convolves by minimal filtering (models.layers.winograd; in bfloat16 only where the processor has no matrix unit
for that), "direct" as the others do. Below it: matrix products of this machine, measured before and after, and what
share of them a step with ordinary convolutions reaches (its multiply-adds are three times those of a forecast, two
operations each), and where a step of ours spends its time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, multiply_adds

CHILD = Path(__file__).with_name("contenders.py")
OURS = "ours, float32"


class Contender:
    """A running contender."""

    def __init__(self, name: str, python: str):
        self.name = name
        self.process = subprocess.Popen(
            [python, CHILD, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "ours" in name or "keras" in name else None,
            text=True,
        )

    def ask(self, word: str) -> Any:
        """Let it do something; returns its answer."""
        print(word, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} ended (exit {self.process.wait()})")
        return json.loads(answer)

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", metavar="PYTHON", help="interpreter of an environment with PyTorch")
    parser.add_argument("--bfloat16", action="store_true", help="measure bfloat16, too")
    parser.add_argument(
        "--rounds", type=int, default=3, help="steps and forecasts of each contender that count"
    )
    options = parser.parse_args()
    pythons = {name: options.torch if "PyTorch" in name else sys.executable for name in CONTENDERS}
    chosen = [name for name in CONTENDERS if pythons[name] and (options.bfloat16 or "bfloat16" not in name)]
    running = [Contender(name, pythons[name]) for name in chosen]

    seconds: dict[str, dict[str, list[float]]] = {one.name: {} for one in running}
    for one in running:
        first = one.ask("train")
        one.ask("forecast")
        print(f"{one.name}: first step {first:.1f} s", flush=True)
    ours = running[0]
    speed = [ours.ask("products")]
    for number in range(options.rounds):
        for one in running:
            for word in ("train", "forecast"):
                seconds[one.name].setdefault(word, []).append(one.ask(word))
        print(f"round {number + 1} of {options.rounds} done", flush=True)
    speed.append(ours.ask("products"))
    kinds = ours.ask("profile")
    for one in running:
        one.close()

    print(
        f"\n{'medians':26s}{'step [s]':>10s}{'forecast [s]':>14s}{'step, of ours':>17s}{'forecast, of ours':>21s}"
    )
    median = {
        name: {word: statistics.median(times) for word, times in both.items()}
        for name, both in seconds.items()
    }
    for name, both in median.items():
        ratio = {word: both[word] / median[OURS][word] for word in both}
        print(
            f"{name:26s}{both['train']:10.2f}{both['forecast']:14.2f}"
            f"{ratio['train']:17.2f}{ratio['forecast']:21.2f}"
        )
    operations = 2 * multiply_adds() / 1e9
    for kind in speed[0]:
        name = f"ours, {kind}, direct"
        said = f"{kind}: matrix products {statistics.mean(one[kind] for one in speed):.0f} GFLOP/s"
        if name in median:
            step, forecast = (
                times * operations / median[name][word] for times, word in ((3, "train"), (1, "forecast"))
            )
            said += f"; a step of {name} {step:.0f}, a forecast {forecast:.0f} ({operations:.0f} GFLOP)"
        print(said)
    total = sum(kinds.values())
    print(f"a step of {OURS} by operation, share of {total:.1f} s:")
    for kind, time in list(kinds.items())[:10]:
        print(f"  {kind:32s}{100 * time / total:5.1f} %")
    print(f"{len(os.sched_getaffinity(0))} cores")


if __name__ == "__main__":
    main()
