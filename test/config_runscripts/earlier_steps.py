"""Directories as earlier steps leave them, without their data; and what tests do with scripts."""

from video_prediction_tools.metadata import names, record

DATA = "Y2019to2019M03to04-48_32-50.00N10.00W-2t_msl"
EXP = "20190401T000000_anna_try"


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir() if path.is_file()}


def finish(directory, kind, name="", state="done", **details):
    """Make a directory as a step leaves it."""
    try:
        with record.running(directory, kind=kind, name=name, program="test", arguments={}) as opened:
            opened.record.details.update(details)
            if state != "done":
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass


def extracted(base, months=((2019, 3), (2019, 4)), variables=("2t", "msl")):
    directory = base / "ExtractedData"
    for month in months:
        names.month_file(directory, *month).parent.mkdir(parents=True)
        names.month_file(directory, *month).touch()
    finish(directory, "extracted_data", variables=list(variables))


def chain(base, upto="train"):
    layout = names.Layout(base)
    extracted(base)
    if upto != "extract":
        finish(layout.data(DATA), "dataset", DATA)
    if upto in ("preprocess2", "train"):
        finish(layout.data(DATA) / "tfrecords", "tfrecords", DATA)
    if upto == "train":
        finish(layout.model(DATA, "convLSTM", EXP), "model", EXP)


EXTRACT = [
    "extract",
    "--machine",
    "laptop",
    "--source",
    "synthetic",
    "--years",
    "2019",
    "--base_dir",
    "/base",
]
