"""Every model, trained equally long, on the real data that the tests have: the tables of docs/benchmarks.md.

    python benchmarks/equal_time.py uk --source ../shared/data/era5 --base DIR [--seeds 1 2] [--models convLSTM ..]
    python benchmarks/equal_time.py moving_mnist --source ../shared/data/mnist --base DIR

Equally long means as many steps as cost --minutes (20) of computing time of all cores together: ten minutes of two
cores. The number is found before the training, from the cheapest of ten steps, and kept beside the results
(seconds_a_step.json), so that trainings that share the machine with other work, or go on another day or machine, get
neither less nor more. All models of a table are measured on one kind of processor, on a quiet machine; when a model is
made faster, its line is removed, so that it is measured and trained anew. Compiling, validation and the evaluation come
on top. All models have the hyper-parameters of their templates, but for those in steps: so short a training would end
within schedules that the templates give, so that they are shares of its steps here (`schedules`). `linear_regression`
is exact after one pass and gets no more.

UK, March 2019: training to the 22nd, validation 23-24, test 25-31, with the original's convLSTM beside ours
(`original_conv_lstm.py`; `repaired_convLSTM` is the same network with our cell and output). Moving MNIST: digits of the
training files, drawn afresh each epoch; 1,000 test sequences of t10k digits.

Started again, it goes on where it stopped. Results are copied to benchmarks/results (without forecasts and plots), from
which benchmarks/tables.py writes docs/benchmarks.md.
"""

import argparse
import itertools
import json
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path

import costs
import numpy as np
import original_conv_lstm
import uk_experiment
from programs import run

from video_prediction_tools.datasets.prepared import open_prepared
from video_prediction_tools.metadata.files import write_json
from video_prediction_tools.metadata.names import Layout, dataset_of
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.models import registry
from video_prediction_tools.training.checkpoints import best_file

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
SCORES = "evaluation_metrics.csv"
REPAIRED = "repaired_convLSTM"
TIMED_STEPS = 10
ONE_PASS = ("linear_regression",)
TEST_SEQUENCES = 1000
MEMBERS = 5  # of forecasts of so many sequences; those of the UK have the program's 10


def prepare(experiment: str, source: Path, base: Path) -> Path:
    """Make the data set where it is not there yet; returns its directory."""
    if experiment == "uk":
        return uk_experiment.prepare(source, base)
    numbers = ("--n_train", 10_000, "--n_val", 200, "--n_test", TEST_SEQUENCES, "--fresh_train")
    destination = Layout(base).preprocessed_data
    return run("preprocess_moving_mnist", "--digits_dir", source, "--destination_dir", destination, *numbers)


def chosen_models(experiment: str) -> list[str]:
    """Return all that are trained."""
    trained = [one for one in registry.names() if one not in ("persistence", original_conv_lstm.NAME)]
    return [*trained, original_conv_lstm.NAME, REPAIRED] if experiment == "uk" else trained


def flags_of(model: str, base: Path) -> list[object]:
    """Return the flags that name a model and its hyper-parameters."""
    if model not in (original_conv_lstm.NAME, REPAIRED):
        return ["--model", model]
    path = base / "original_hparams.json"
    write_json(path, original_conv_lstm.HPARAMS)
    return ["--model", "convLSTM" if model == REPAIRED else model, "--model_hparams", path]


def program_of(model: str, name: str) -> tuple[object, ...]:
    """Return the program, and what stands before its flags."""
    return (HERE / "original_conv_lstm.py", name) if model == original_conv_lstm.NAME else (name,)


def steps_in(minutes: float, model: str, data: Path, base: Path) -> int:
    """Return how many steps some minutes of computing time pay for, measured once for all."""
    results = RESULTS / data.name
    if model not in costs.known(results):
        costs.require_same_processor(results)
        costs.add(results, model, cheapest_step(model, data, base))
    return costs.steps(minutes, costs.known(results)[model])


def cheapest_step(model: str, data: Path, base: Path) -> float:
    """Return the computing time [s] of the cheapest of some training steps, as the training loop does them."""
    import keras  # late: TensorFlow takes seconds
    import tensorflow as tf

    from video_prediction_tools.training.arithmetic import layer_arithmetic
    from video_prediction_tools.training.experiment import plan
    from video_prediction_tools.training.feed import training_feed
    from video_prediction_tools.training.loop import data_spec
    from video_prediction_tools.training.steps import Steps

    prepared, (_, name, *given) = open_prepared(data), flags_of(model, base)
    hparams = registry.resolve_hparams(name, given[-1] if given else None, (), dataset_of(data.name))
    experiment = plan(base / "not_written", name, hparams, 1, prepared)
    sequences, strategy = prepared.sequences("train"), tf.distribute.get_strategy()
    with layer_arithmetic(hparams.mixed_precision):
        network = registry.create(name, data_spec(experiment), hparams)
        steps = Steps(network, experiment.normalisation, prepared.region, 1, 1000, strategy)
    times = []
    with closing(training_feed(sequences, strategy, hparams.batch_size, 1, 0)) as feed:
        for number in range(TIMED_STEPS + 1):  # the first compiles
            batch = next(feed)
            begun = time.process_time()
            float(steps.train(*batch, tf.constant(number, tf.int64))["loss"])
            times.append(time.process_time() - begun)
    keras.backend.clear_session()
    print(
        f"{model}: {min(times):.3f} s of computing time a step of {hparams.batch_size} sequences", flush=True
    )
    return min(times)


def schedules(model: str, steps: int) -> list[str]:
    """Return the hyper-parameters that are counted in steps, as shares of a training.

    The inverse sigmoid of k = steps / 10 is at 1/20 after log(19 k) tenths of a training: after three quarters of one
    of 950 steps, and later in longer ones.
    """
    rise = f"kl_anneal_steps={steps // 10},{max(steps * 3 // 10, steps // 10 + 1)}"
    sampling = f"schedule_sampling_k={max(steps / 10, 1.0)}"
    return {
        "vae": [rise],
        "savp": [rise, sampling],
        "savp_vae": [rise, sampling],
        "savp_gan": [sampling],
        "predrnn": [
            f"r_sampling_step_1={steps // 5}",
            f"r_sampling_step_2={steps * 3 // 5}",
            f"r_exp_alpha={max(steps / 10, 1.0)}",
        ],
    }.get(model, [])


def train(experiment: str, model: str, seed: int, minutes: float, data: Path, base: Path) -> Path:
    """Train a model, unless it is done; returns its directory."""
    changes = ["max_epochs=1"]
    if model not in ONE_PASS:
        steps = steps_in(minutes, model, data, base)
        changes = [f"max_steps={steps}", *schedules(model, steps)]
    directory = base / "trained" / data.name / model / f"20260101T000000_benchmark_seed{seed}"
    flags = ["--input_dir", data, "--output_dir", directory, *flags_of(model, base), "--seed", seed]
    return run(*program_of(model, "train_models"), *flags, "--set", *changes)


def evaluate(model: str, seed: int, minutes: float, trained: Path, base: Path) -> None:
    """Score a model, and keep the table of its scores and a summary of its training."""
    flags = ["--model_dir", trained, "--results_dir", base / "Results" / model]
    if dataset_of(trained.parts[-3]) == "moving_mnist" and registry.model_class(model).stochastic:
        flags += ["--num_stochastic_samples", MEMBERS]
    results = run(*program_of(model, "visualize_postprocess"), *flags)
    record = read_record(trained)
    with np.load(best_file(trained)) as file:
        weights = sum(file[name].size for name in file.files if name != "header")
    hparams = json.loads((trained / "model_hparams.json").read_text())
    kept = RESULTS / trained.parts[-3] / model / f"seed{seed}"
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copy(results / SCORES, kept / SCORES)
    summary = {
        "model": model,
        "seed": seed,
        "minutes of computing time": minutes,
        "steps": record.details["last_step"],
        "sequences a step": hparams["batch_size"],
        "weights": weights,
        "best step": record.details["best_step"],
        "git commit": record.git_commit,
        "tensorflow": record.package_versions["tensorflow"],
    }
    write_json(kept / "summary.json", summary)


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=("uk", "moving_mnist"))
    parser.add_argument("--source", type=Path, required=True, help="directory of the ERA5 or the MNIST files")
    parser.add_argument("--base", type=Path, required=True, help="base target directory")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="of the trainings")
    parser.add_argument("--models", nargs="+", help="default: all")
    parser.add_argument("--minutes", type=float, default=20, help="computing time of each training")
    parser.add_argument("--only", choices=("measure", "train", "evaluate"), help="do this part only")
    options = parser.parse_args()
    original_conv_lstm.register()
    experiment, base = options.experiment, options.base.resolve()
    data = prepare(experiment, options.source, base)
    models = options.models or chosen_models(experiment)
    for model in models:
        if model not in ONE_PASS:
            steps_in(options.minutes, model, data, base)
    if options.only == "measure":
        return
    failed = []
    for seed, model in itertools.product(options.seeds, models):
        try:
            trained = train(experiment, model, seed, options.minutes, data, base)
            if options.only != "train":
                evaluate(model, seed, options.minutes, trained, base)
        except SystemExit as error:  # the program has said why; the others go on
            failed.append(f"{model} with seed {seed} (exit {error.code})")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
