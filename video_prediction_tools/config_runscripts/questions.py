"""The one table of questions: prompts, flags, answers files, `questions` and ``--help`` are made from it."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts import found, kinds, order, settings
from video_prediction_tools.config_runscripts.context import DATA_MAKERS, Context
from video_prediction_tools.config_runscripts.profiles import REPOSITORY
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata import variables
from video_prediction_tools.metadata.names import dataset_of

_ALL = tuple(STEPS)
KNOWN_CONSTANTS = ("lsm", "oro", "none")
# every model has its recommended hyper-parameters there; the registry itself would import numpy
MODELS = tuple(
    sorted(
        path.parent.name
        for path in (REPOSITORY / "video_prediction_tools" / "hparams" / "era5").glob("*/model_hparams.json")
    )
)


def _always(context: Context) -> bool:
    return True


@dataclass(frozen=True)
class Question:
    """One question.

    Arguments:
        name: key in answers files, and the flag's name.
        steps: the steps that ask it.
        kind: what an answer is.
        text: the question as the prompt shows it.
        help: one more line: what it is good for, units, format.
        default: a value, or a function of the context; None: there is none.
        optional: no answer is an answer (the program then does what its --help says).
        when: whether it is asked at all, given the answers so far.
        choices: what the prompt offers; other answers are refused.
        check: raises InputError on an answer that cannot be used; may look at files.
        made_by: the steps that decide it where they come before in the chain.
        rare: not asked by prompt; the default is taken unless the user changes it in the summary.
        shared: the steps of a chain have one answer together.
    """

    name: str
    steps: tuple[str, ...]
    kind: kinds.Kind
    text: str
    help: str = ""
    default: Any = None
    optional: bool | Callable[[Context], bool] = False
    when: Callable[[Context], bool] = _always
    choices: Callable[[Context], list[found.Found]] | None = None
    check: Callable[[Context], None] | None = None
    made_by: tuple[str, ...] = ()
    rare: bool = False
    shared: bool = True

    @property
    def flag(self) -> str:
        """The flag that answers it."""
        return f"--{self.name}"

    def key(self, step: str) -> str:
        """Return the name of its answer in a chain: one for all steps, or one for each."""
        return self.name if self.shared else f"{step}.{self.name}"

    def default_value(self, context: Context) -> Any:
        """Return the default in this context, or None."""
        value = self.default(context) if callable(self.default) else self.default
        return None if value is None else self.read(value)

    def is_optional(self, context: Context) -> bool:
        """Say whether no answer is an answer in this context."""
        return self.optional(context) if callable(self.optional) else self.optional

    def read(self, value: Any, where: str = "") -> Any:
        """Return a checked value.

        Raises:
            InputError: it is not of this kind.
        """
        try:
            return self.kind.parse(value)
        except ValueError as error:
            raise InputError(where or self.flag, str(error), f"give {self.kind.form}") from None


def asked_by(step: str) -> list[Question]:
    """Return the questions of a step in their order."""
    return [question for question in QUESTIONS if step in question.steps]


def _source_is(*sources: str) -> Callable[[Context], bool]:
    return lambda context: context.get("source") in sources


# os.path: in a directory that the user may not read, pathlib's exists and is_file raise an error


def _archive_there(name: str) -> Callable[[Context], None]:
    def check(context: Context) -> None:
        path = context.get(name)
        if not os.path.exists(path):
            what = f"{path} does not exist, or you may not look at it"
            raise InputError(f"--{name}", what, "give the archive's directory, or one of its files")

    return check


def _file_there(name: str) -> Callable[[Context], None]:
    def check(context: Context) -> None:
        path = context.get(name)
        if isinstance(path, str) and not os.path.isfile(path):
            what = f"{path} is not a file, or you may not look at it"
            raise InputError(f"--{name}", what, "give another path")

    return check


def _variables_known(context: Context) -> None:
    variables.variables(context.get("variables"))
    if context.step == "preprocess1":
        order.extracted(context)


def _constants_known(context: Context) -> None:
    for name in context.get("constants"):
        if name not in KNOWN_CONSTANTS:
            raise InputError(
                "--constants", f"unknown constant field '{name}'", did_you_mean(name, KNOWN_CONSTANTS)
            )


def _area_in_order(context: Context) -> None:
    north, _, south, _ = context.get("area")
    if north <= south:
        raise InputError(
            "--area", f"north ({north}) is not north of south ({south})", "give north, west, south, east"
        )


def _split_by_dates(context: Context) -> bool:
    return context.get("data_split") is None


def _periods_apart(context: Context) -> None:
    taken: list[tuple[str, str, str]] = []
    for split in ("train", "val", "test"):
        for start, end in context.get(f"{split}_period") or []:
            first, last = (start + "T00")[:13], (end + "T23")[:13]
            for other, other_first, other_last in taken:
                if first <= other_last and other_first <= last:
                    raise InputError(
                        f"--{split}_period",
                        f"{start}..{end} overlaps {other} {other_first}..{other_last}",
                        "give periods that lie apart",
                    )
            taken.append((split, first, last))


def _split_readable(context: Context) -> None:
    from video_prediction_tools.datasets.split import read_split  # late: numpy

    given = context.get("data_split")
    if isinstance(given, str):
        read_split(Path(given))
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "data_split.json"
        path.write_text(json.dumps(given), encoding="utf-8")
        try:
            read_split(path)
        except InputError as error:
            raise InputError("--data_split", error.what, error.remedy) from None


def _from_extraction(name: str, otherwise: Any = None) -> Callable[[Context], Any]:
    def default(context: Context) -> Any:
        taken = order.extracted_answer(context, name) if context.step == "preprocess1" else None
        return taken if taken is not None else otherwise

    return default


def _data_choices(context: Context) -> list[found.Found]:
    made = context.made_data_name()
    if made:
        return [found.Found(made, context.layout.data(made), "done", "")]
    search = found.data_sets if context.step == "preprocess2" else found.tfrecords
    return search(context.layout)


def _default_data(context: Context) -> str | None:
    if context.get("base_dir") is None:
        return None
    if context.step == "postprocess":  # the data set that the model was trained on
        directory = context.get("model_dir")
        return (directory and Path(directory).parent.parent.name) or None
    if any(map(context.earlier, DATA_MAKERS)):
        return context.made_data_name()
    return _only_one(_data_choices(context))


def _only_one(known: list[found.Found]) -> str | None:
    """Return the one that can be used; of several none is taken without asking."""
    usable = [one.name for one in known if one.usable]
    return usable[0] if len(usable) == 1 else None


def _data_there(context: Context) -> None:
    require = order.data_set if context.step == "preprocess2" else order.tfrecords
    require(context)


def _trained(context: Context) -> None:
    """Check that the model's directory is that of the experiment, and trained."""
    directory, exp_id = Path(context.get("model_dir")), context.get("exp_id")
    if directory.name != exp_id:
        what = f"{directory} is not the directory of '{exp_id}'"
        raise InputError(
            "--model_dir", what, f"give --exp_id {directory.name or '<exp_id>'}, or leave this out"
        )
    order.model(context)


def _experiments(context: Context) -> list[found.Found]:
    return found.models(context.layout)


def _only_experiment(context: Context) -> str | None:
    return None if context.get("base_dir") is None else _only_one(_experiments(context))


def _profile(name: str) -> Callable[[Context], Any]:
    return lambda context: getattr(context.machine.step(context.step), name) or None


def _virtual_environment(context: Context) -> str:
    active = context.environment.get("VIRTUAL_ENV")
    made = sorted((REPOSITORY / "virtual_envs").glob("*/bin/activate"), key=os.path.getmtime, reverse=True)
    return active or str(made[0].parents[1] if made else REPOSITORY / "virtual_envs" / "ambs")


def _slurm(context: Context) -> bool:
    return context.slurm


def _several_processes(context: Context) -> bool:
    """Say whether the step's work can be shared out: over MPI ranks, or over workers (by Slurm only)."""
    return STEPS[context.step].mpi or (context.slurm and context.step == "train")


def _several_nodes(context: Context) -> bool:
    return context.slurm and _several_processes(context)


def _sweeps(context: Context) -> bool:
    return context.get("sweep") is not None


def _not_twice(context: Context) -> None:
    single = {pair.partition("=")[0] for pair in context.get("hparams") or []}
    twice = single & {pair.partition("=")[0] for pair in context.get("sweep")}
    if twice:
        name = min(twice)
        raise InputError("--sweep", f"'{name}' stands in --hparams too", "leave it out of one of them")


def _digits_there(context: Context) -> None:
    """Check that the place of the digits is there."""
    directory = context.get("digits_dir")
    if not os.path.isdir(directory):
        what = f"{directory} is no directory, or you may not look at it"
        raise InputError("--digits_dir", what, "give that of the four original MNIST files")


def _digits_to_draw(context: Context) -> None:
    """Check that there is something to draw from afresh."""
    if context.get("fresh_train") == "yes" and _cut_from_array(context):
        what = "all splits are cut from the array, nothing can be drawn afresh"
        raise InputError("--fresh_train", what, "give --digits_dir too, or answer no")


def _cut_from_array(context: Context) -> bool:
    """Say whether the published array is all that there is, so that all splits are cut from its 10000 sequences."""
    return context.get("digits_from") == "sequences" and context.get("digits_dir") is None


def _tests_are_published(context: Context) -> bool:
    return context.get("digits_from") == "sequences" and context.get("digits_dir") is not None


def _digits_from(*sources: str) -> Callable[[Context], bool]:
    return lambda context: context.get("digits_from") in sources


QUESTIONS = (
    Question(
        "account",
        _ALL,
        kinds.SBATCH,
        "Account (budget) that the jobs are billed to",
        default=lambda context: context.machine.account_from(context.environment),
        when=_slurm,
        optional=lambda context: not context.machine.account.required,
    ),
    Question(
        "base_dir",
        _ALL,
        kinds.PATH,
        "Base target directory",
        "for ExtractedData, PreprocessedData, Models, Results; setup_runscript_templates.sh sets the default",
        default=lambda context: settings.base_dir() or context.machine.base_dir(context.get("account")),
        check=order.something_to_work_on,
    ),
    # extract
    Question(
        "source",
        ("extract",),
        kinds.choice("cds", "archive", "synthetic"),
        "Where do the data come from",
        "cds: Copernicus (needs a key); archive: your GRIB, NetCDF or Zarr; synthetic: made-up weather",
        default="cds",
    ),
    Question(
        "source_dir",
        ("extract",),
        kinds.PATH,
        "Directory of the archive",
        "a tree of GRIB, NetCDF or Zarr",
        when=_source_is("archive"),
        check=_archive_there("source_dir"),
    ),
    Question(
        "years",
        ("extract", "preprocess1"),
        kinds.integers(1940, 2100, "2017 2019, or 2017-2019"),
        "Years",
        "for example 2017 2019, or 2017-2019",
        default=_from_extraction("years"),
        check=lambda context: order.extracted(context) if context.step == "preprocess1" else None,
    ),
    Question(
        "months",
        ("extract", "preprocess1"),
        kinds.integers(1, 12, "3 4, or 1-12"),
        "Months",
        "for example 3 4, or 1-12",
        default=_from_extraction("months", list(range(1, 13))),
        check=lambda context: order.extracted(context) if context.step == "preprocess1" else None,
    ),
    Question(
        "variables",
        ("extract", "preprocess1"),
        kinds.WORDS,
        "Variables",
        "2t msl tcc 10u 10v 2d sp; t, gph with a level in hPa (t850 gph500); in the order of channels",
        default=_from_extraction("variables", ["2t", "msl", "gph500"]),
        check=_variables_known,
    ),
    Question(
        "area",
        ("extract",),
        kinds.numbers(
            4,
            "north west south east in degrees, north and east positive",
            [(-90, 90), (-180, 360), (-90, 90), (-180, 360)],
        ),
        "Area: north west south east",
        "degrees, north and east positive; left open: all that the archive covers, or a "
        "region in Europe for synthetic data",
        optional=lambda context: context.get("source") != "cds",
        check=_area_in_order,
    ),
    Question(
        "constants",
        ("extract",),
        kinds.WORDS,
        "Fields that do not change in time",
        "extra inputs: lsm (land-sea mask), oro (orography), or none; left open: those that there are",
        optional=True,
        rare=True,
        check=_constants_known,
    ),
    Question(
        "constants_source",
        ("extract",),
        kinds.PATH,
        "File or directory with the constant fields",
        "where they are not in the archive",
        optional=True,
        rare=True,
        when=_source_is("archive"),
        check=_archive_there("constants_source"),
    ),
    Question(
        "source_names",
        ("extract",),
        kinds.PAIRS,
        "Variables that the archive names otherwise",
        "variable=name, for example 2t=air",
        optional=True,
        rare=True,
        when=_source_is("archive"),
    ),
    Question(
        "grid",
        ("extract",),
        kinds.number(0.01, 10, "of degrees"),
        "Grid spacing",
        "degrees; left open: 0.25 (cds), 0.3 (synthetic)",
        optional=True,
        rare=True,
        when=_source_is("cds", "synthetic"),
    ),
    Question(
        "step_hours",
        ("extract",),
        kinds.choice("1", "3", "6"),
        "Hours between two fields",
        "left open: 1",
        optional=True,
        rare=True,
        when=_source_is("cds", "synthetic"),
    ),
    # preprocess1
    Question(
        "sw_corner",
        ("preprocess1",),
        kinds.numbers(2, "latitude longitude in degrees, north and east positive", [(-90, 90), (-180, 360)]),
        "South-west corner of the region: latitude longitude",
        "degrees, north and east positive, for example 50 -10",
    ),
    Question(
        "nyx",
        ("preprocess1",),
        kinds.numbers(2, "two whole numbers: ny nx", [(2, 10000), (2, 10000)], whole=True),
        "Grid points of the region: ny nx",
        "from south to north and from west to east, for example 32 48",
    ),
    Question(
        "data_split",
        ("preprocess1",),
        kinds.PATH_OR_TABLE,
        "File of the data split",
        "JSON: months or ranges of dates for each of train, val and test; left open: dates, asked next",
        optional=True,
        check=_split_readable,
    ),
    Question(
        "train_period",
        ("preprocess1",),
        kinds.PERIODS,
        "Training period",
        kinds.PERIODS.form,
        when=_split_by_dates,
    ),
    Question(
        "val_period",
        ("preprocess1",),
        kinds.PERIODS,
        "Validation period",
        kinds.PERIODS.form,
        when=_split_by_dates,
        check=_periods_apart,
    ),
    Question(
        "test_period",
        ("preprocess1",),
        kinds.PERIODS,
        "Test period",
        kinds.PERIODS.form,
        when=_split_by_dates,
        check=_periods_apart,
    ),
    Question(
        "fill",
        ("preprocess1",),
        kinds.WORDS,
        "How to fill missing values",
        "mean, nearest, or a number for each variable; left open: missing values are refused",
        optional=True,
        rare=True,
    ),
    # preprocess2
    Question(
        "data_name",
        ("preprocess2", "train"),
        kinds.NAME,
        "Data set",
        "data name of the data set",
        default=_default_data,
        choices=_data_choices,
        check=_data_there,
        made_by=DATA_MAKERS,
    ),
    # preprocess_moving_mnist
    Question(
        "digits_from",
        ("preprocess_moving_mnist",),
        kinds.choice("mnist", "sequences", "glyphs"),
        "Where do the digits come from",
        "mnist: the four original files; sequences: the published array of test sequences; "
        "glyphs: drawn here, no files needed",
        default="mnist",
    ),
    Question(
        "digits_dir",
        ("preprocess_moving_mnist",),
        kinds.PATH,
        "Directory of the four MNIST files",
        "train-images-idx3-ubyte, t10k-images-idx3-ubyte and their labels, .gz or not",
        when=_digits_from("mnist", "sequences"),
        optional=_digits_from("sequences"),
        check=_digits_there,
    ),
    Question(
        "sequences_file",
        ("preprocess_moving_mnist",),
        kinds.PATH,
        "File of the published sequences",
        "an array [20, N, 64, 64] of bytes (.npy)",
        when=_digits_from("sequences"),
        check=_file_there("sequences_file"),
    ),
    *(
        Question(
            f"n_{split}",
            ("preprocess_moving_mnist",),
            kinds.integer(1, 10_000_000),
            f"Number of sequences for {purpose}",
            default=default,
        )
        for split, purpose, default in (
            ("train", "training", lambda context: 8000 if _cut_from_array(context) else 10000),
            ("val", "validation", 1000),
            ("test", "test", lambda context: 10000 if _tests_are_published(context) else 1000),
        )
    ),
    Question(
        "n_digits",
        ("preprocess_moving_mnist",),
        kinds.integer(1, 10),
        "Digits in a sequence",
        default=2,
        rare=True,
    ),
    Question(
        "size",
        ("preprocess_moving_mnist",),
        kinds.integer(32, 1024),
        "Height and width of a frame",
        "pixels",
        default=64,
        rare=True,
    ),
    Question(
        "sequence_length",
        ("preprocess2", "preprocess_moving_mnist"),
        kinds.integer(2, 10000),
        "Length of a sequence",
        "context and lead frames together: 20 for 10 frames from 10 frames",
        default=20,
    ),
    Question(
        "fresh_train",
        ("preprocess_moving_mnist",),
        kinds.choice("yes", "no"),
        "Draw training sequences afresh in every epoch",
        "as published models were trained; not for sequences cut from the array",
        default="no",
        rare=True,
        check=_digits_to_draw,
    ),
    # train
    Question("model", ("train",), kinds.choice(*MODELS), "Model", default="convLSTM"),
    Question(
        "exp_id",
        ("train",),
        kinds.EXPERIMENT,
        "Name of the experiment",
        "a short text, of which the exp_id <time>_<user>_<text> is made; or a whole exp_id",
        default=lambda context: context.get("model"),
    ),
    Question(
        "model_hparams",
        ("train",),
        kinds.PATH_OR_TABLE,
        "File of the hyper-parameters",
        "JSON; left open: the recommended ones of the model",
        optional=True,
        check=_file_there("model_hparams"),
    ),
    Question(
        "hparams",
        ("train",),
        kinds.PAIRS,
        "Single hyper-parameters to change",
        "key=value, several with blanks between them, for example lr=0.001 max_epochs=5",
        optional=True,
    ),
    Question(
        "sweep",
        ("train",),
        kinds.SWEEP,
        "Hyper-parameters of which several values are tried",
        "each combination becomes an experiment of its own, for example lr=0.001 lr=0.0003",
        optional=True,
        rare=True,
        check=_not_twice,
    ),
    Question(
        "array_limit",
        ("train", "postprocess"),
        kinds.integer(1, 1000),
        "Experiments of a sweep that run at a time",
        default=4,
        when=lambda context: context.slurm and context.elements() is not None,
        rare=True,
    ),
    Question(
        "seed",
        ("extract", "preprocess_moving_mnist", "train"),
        kinds.integer(0, 2**31 - 1),
        "Seed of all that is random",
        "the same seed gives the same result",
        default=1,
        rare=True,
        when=lambda context: context.step != "extract" or context.get("source") == "synthetic",
    ),
    # postprocess
    Question(
        "exp_id",
        ("postprocess",),
        kinds.NAME,
        "Experiment",
        "exp_id of a trained model",
        default=_only_experiment,
        choices=_experiments,
    ),
    Question(
        "model_dir",
        ("postprocess",),
        kinds.PATH,
        "Directory of the trained model",
        "found by the exp_id",
        default=order.model_directory,
        rare=True,
        check=_trained,
        made_by=("train",),
    ),
    Question(
        "sweep_size",
        ("postprocess",),
        kinds.integer(1, kinds.MOST_EXPERIMENTS),
        "Number of experiments of the sweep",
        "left open: it is no sweep",
        default=order.sweep_size,
        optional=True,
        rare=True,
        check=order.sweep_trained,
    ),
    Question(
        "data_name",
        ("postprocess",),
        kinds.NAME,
        "Data set to evaluate on",
        "another one than the model was trained on makes it transfer learning",
        default=_default_data,
        choices=_data_choices,
        rare=True,
        shared=False,
        check=_data_there,
        made_by=("train",),
    ),
    Question(
        "split",
        ("postprocess",),
        kinds.choice("train", "val", "test"),
        "Split to evaluate on",
        default="test",
        rare=True,
    ),
    Question(
        "num_stochastic_samples",
        ("postprocess",),
        kinds.integer(1),
        "Members of the ensemble",
        "for stochastic models",
        optional=True,
        rare=True,
    ),
    Question(
        "climatology_file",
        ("postprocess",),
        kinds.PATH,
        "File of the climatology",
        "left open: made from the training period",
        optional=True,
        rare=True,
        when=lambda context: dataset_of(context.get("data_name") or "") == "era5",
        check=_file_there("climatology_file"),
    ),
    Question(
        "eval_metrics", ("postprocess",), kinds.WORDS, "Metrics", "left open: all", optional=True, rare=True
    ),
    # where it runs
    Question(
        "tf_container",
        ("train", "postprocess"),
        kinds.PATH,
        "Container image",
        "file (.sif) with TensorFlow that the program runs in; left open: no container",
        optional=True,
        rare=True,
        check=_file_there("tf_container"),
    ),
    Question(
        "venv",
        _ALL,
        kinds.PATH,
        "Virtual environment",
        "made by env_setup/create_env.sh",
        default=_virtual_environment,
        rare=True,
    ),
    Question(
        "tasks",
        _ALL,
        kinds.integer(1, 100000),
        "Processes (MPI ranks)",
        default=_profile("tasks"),
        when=_several_processes,
        rare=True,
        shared=False,
    ),
    Question(
        "partition",
        _ALL,
        kinds.SBATCH,
        "Partition",
        default=_profile("partition"),
        optional=True,
        when=_slurm,
        rare=True,
        shared=False,
    ),
    Question(
        "time",
        _ALL,
        kinds.WALLTIME,
        "Walltime",
        kinds.WALLTIME.form,
        default=_profile("time"),
        when=_slurm,
        rare=True,
        shared=False,
    ),
    Question(
        "nodes",
        _ALL,
        kinds.integer(1, 100000),
        "Nodes",
        default=_profile("nodes"),
        when=_several_nodes,
        rare=True,
        shared=False,
    ),
    Question(
        "cpus",
        _ALL,
        kinds.integer(1, 100000),
        "CPU cores for each process",
        default=_profile("cpus"),
        when=_slurm,
        rare=True,
        shared=False,
    ),
    Question(
        "gpus",
        _ALL,
        kinds.integer(1, 1000),
        "GPUs for each node",
        default=_profile("gpus"),
        optional=True,
        when=_slurm,
        rare=True,
        shared=False,
    ),
    Question(
        "memory_gb",
        _ALL,
        kinds.integer(1, 100000),
        "Memory of each node",
        "GB; left open: what the machine gives",
        optional=True,
        when=_slurm,
        rare=True,
        shared=False,
    ),
)
