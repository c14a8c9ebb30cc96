"""Real ERA5 of the United Kingdom (March 2019) through the whole workflow; prints mse by lead hour and training time.

    python benchmarks/uk_experiment.py --era5 ../shared/data/era5 --base /tmp/uk [--seed 1] [--set key=value ..]

Train to 22 March, validation 23-24, test 25-31; the hyper-parameters are the template's unless --set says otherwise.
The last table is read from evaluation_metrics.csv.
"""

import argparse
import csv
import json
from pathlib import Path

from programs import run

from video_prediction_tools.metadata.names import ExperimentId, Layout
from video_prediction_tools.metadata.record import read_record

SPLIT = {
    "train": [["2019-03-01", "2019-03-22"]],
    "val": [["2019-03-23", "2019-03-24"]],
    "test": [["2019-03-25", "2019-03-31"]],
}


def prepare(era5: Path, base: Path) -> Path:
    """Extract and preprocess; returns the data set's directory."""
    layout = Layout(base)
    base.mkdir(parents=True, exist_ok=True)
    split = base / "split.json"
    split.write_text(json.dumps(SPLIT))
    month = ("--years", 2019, "--months", 3, "--variables", "2t")
    constants = ("--constants", "lsm", "--constants_source", era5 / "static_global" / "lsm_era5.nc")
    source = ("--source", "archive", "--source_dir", era5 / "uk_2019-03")
    run("data_extraction", *source, *constants, "--destination_dir", layout.extracted_data, *month)
    places = ("--source_dir", layout.extracted_data, "--destination_dir", layout.preprocessed_data)
    region = ("--sw_corner", 50, -10, "--nyx", 33, 49, "--data_split", split)
    data = run("preprocess_data_step1", *places, *month, *region, ranks=2)
    run("preprocess_data_step2", "--source_dir", data, "--sequence_length", 20, ranks=2)
    return data


def main() -> None:
    """Run the workflow and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--era5", type=Path, required=True, help="directory with uk_2019-03 and static_global"
    )
    parser.add_argument("--base", type=Path, required=True, help="base target directory")
    parser.add_argument("--seed", type=int, default=1, help="seed of the training")
    parser.add_argument("--set", nargs="*", default=[], help="hyper-parameters that differ from the template")
    options = parser.parse_args()

    layout, data = Layout(options.base), prepare(options.era5, options.base)
    model = run(
        "train_models",
        "--input_dir",
        data,
        "--output_dir",
        layout.model(data.name, "convLSTM", str(ExperimentId.new("uk"))),
        "--model",
        "convLSTM",
        "--seed",
        options.seed,
        *(["--set", *options.set] if options.set else []),
    )
    results = run("visualize_postprocess", "--model_dir", model, "--results_dir", layout.results)

    with open(results / "evaluation_metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "mse"]
    print(f"\n{'mse [K2], test week':22s}" + "".join(f"{hour:>7d} h" for hour in range(1, 11)))
    for product in dict.fromkeys(row["product"] for row in rows):
        print(
            f"{product:22s}"
            + "".join(f"{float(row['value']):9.3f}" for row in rows if row["product"] == product)
        )
    print(f"training: {read_record(model).details['seconds']:.0f} s; report: {results / 'report.html'}")


if __name__ == "__main__":
    main()
