"""Every name that AMBS gives: data names, experiment ids, and where things lie below the base directory.

The one place that builds and parses them; docs/structure_name_convention.md describes them for users.
"""

import getpass
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from video_prediction_tools.errors import InputError

_DATA_NAME = re.compile(
    r"Y(?P<first_year>\d{4})to(?P<last_year>\d{4})M(?P<first_month>\d\d)to(?P<last_month>\d\d)"
    r"-(?P<nx>\d+)_(?P<ny>\d+)"
    r"-(?P<lat>\d{2}\.\d\d)(?P<ns>[NS])(?P<lon>\d{2,3}\.\d\d)(?P<ew>[EW])"
    r"-(?P<variables>[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*)"
)
_MOVING_MNIST = re.compile(
    r"moving_mnist-(?P<source>[a-z]+)-(?P<n_digits>\d+)digits-(?P<size>\d+)_(?P=size)-(?P<sequence_length>\d+)frames"
    r"-(?P<n_train>\d+)_(?P<n_val>\d+)_(?P<n_test>\d+)-seed(?P<seed>\d+)(?P<fresh>-fresh)?"
)
_EXP_ID = re.compile(r"(?P<time>\d{8}T\d{6})_(?P<user>[A-Za-z0-9.-]+)_(?P<text>[A-Za-z0-9._-]+)")

MODES = ("end_to_end", "transfer_learning")
DATASETS = ("era5", "moving_mnist")
MOVING_MNIST_SOURCES = ("mnist", "published", "sequences", "glyphs")


def dataset_of(data_name: str) -> str:
    """Return the data set that a data name belongs to: ``era5`` or ``moving_mnist``."""
    return DATASETS[data_name.startswith("moving_mnist-")]


def hparams_template(model: str, dataset: str) -> Path:
    """Return the file with a model's recommended hyper-parameters for a data set (``era5`` or ``moving_mnist``)."""
    return Path(__file__).parents[1] / "hparams" / dataset / model / "model_hparams.json"


def step_that_makes(path: Path, era5_step: str) -> str:
    """Return the generator's name of the step that makes a file or directory of a prepared data set.

    Arguments:
        path: the file or directory; the data name is part of it.
        era5_step: the step that makes it for ERA5; for Moving MNIST one step makes all.
    """
    moving_mnist = any(dataset_of(part) == "moving_mnist" for part in Path(path).absolute().parts)
    return "preprocess_moving_mnist" if moving_mnist else era5_step


@dataclass(frozen=True)
class DataName:
    """The parts of a data name ``Y[yyyy]to[yyyy]M[mm]to[mm]-[nx]_[ny]-[nn.nn]N[ee.ee]E-[var1]_[var2]``.

    Arguments:
        first_year, last_year, first_month, last_month: the period asked for.
        nx, ny: number of grid points from west to east and from south to north.
        lat, lon: south-west corner, degrees north and east (negative: south, west), kept to 0.01 degrees.
        variables: short names in the order of the channels.
    """

    first_year: int
    last_year: int
    first_month: int
    last_month: int
    nx: int
    ny: int
    lat: float
    lon: float
    variables: tuple[str, ...]

    def __post_init__(self):
        lon = (self.lon + 180.0) % 360.0 - 180.0  # 350 E and 10 W are one corner and get one name
        object.__setattr__(self, "lat", round(self.lat, 2) + 0.0)
        object.__setattr__(self, "lon", round(lon, 2) + 0.0)
        object.__setattr__(self, "variables", tuple(self.variables))

    def __str__(self) -> str:
        north_south, east_west = "NS"[self.lat < 0], "EW"[self.lon < 0]
        return (
            f"Y{self.first_year:04d}to{self.last_year:04d}M{self.first_month:02d}to{self.last_month:02d}"
            f"-{self.nx}_{self.ny}-{abs(self.lat):05.2f}{north_south}{abs(self.lon):05.2f}{east_west}"
            f"-{'_'.join(self.variables)}"
        )

    @classmethod
    def parse(cls, name: str) -> "DataName":
        """Return the parts of a data name.

        Raises:
            InputError: `name` is not a data name.
        """
        match = _DATA_NAME.fullmatch(name)
        if not match:
            raise InputError(
                name, "is not a data name", "expected for example Y2019to2019M03to03-49_33-50.00N10.00W-2t"
            )
        part = match.groupdict()
        return cls(
            *(int(part[key]) for key in ("first_year", "last_year", "first_month", "last_month", "nx", "ny")),
            lat=float(part["lat"]) * (-1 if part["ns"] == "S" else 1),
            lon=float(part["lon"]) * (-1 if part["ew"] == "W" else 1),
            variables=tuple(part["variables"].split("_")),
        )


@dataclass(frozen=True)
class MovingMnistName:
    """The parts of a data name of Moving MNIST.

    It reads ``moving_mnist-[source]-[n]digits-[nx]_[ny]-[T]frames-[train]_[val]_[test]-seed[seed]``, and ends with
    ``-fresh`` where training sequences are drawn afresh in every epoch.

    Arguments:
        source: ``mnist``: all sequences are drawn from the MNIST digits; ``published``: the test split is the
            published array, the others are drawn; ``sequences``: all splits are cut from the published array;
            ``glyphs``: drawn from made-up digits.
        n_digits: digits in a sequence.
        size: height and width of a frame, in pixels.
        sequence_length: frames of a sequence.
        n_train, n_val, n_test: numbers of sequences.
        seed: of all that is random.
        fresh: training sequences are drawn afresh in every epoch.

    Raises:
        InputError: `source` is none of these.
    """

    source: str
    n_digits: int
    size: int
    sequence_length: int
    n_train: int
    n_val: int
    n_test: int
    seed: int
    fresh: bool = False

    def __post_init__(self):
        if self.source not in MOVING_MNIST_SOURCES:
            raise InputError(
                f"source '{self.source}'",
                "is no source of Moving MNIST",
                f"known are: {', '.join(MOVING_MNIST_SOURCES)}",
            )

    def __str__(self) -> str:
        return (
            f"moving_mnist-{self.source}-{self.n_digits}digits-{self.size}_{self.size}"
            f"-{self.sequence_length}frames-{self.n_train}_{self.n_val}_{self.n_test}"
            f"-seed{self.seed}{'-fresh' if self.fresh else ''}"
        )

    @classmethod
    def parse(cls, name: str) -> "MovingMnistName":
        """Return the parts of a data name of Moving MNIST.

        Raises:
            InputError: `name` is none.
        """
        match = _MOVING_MNIST.fullmatch(name)
        if not match or match["source"] not in MOVING_MNIST_SOURCES:
            raise InputError(
                name,
                "is not a data name of Moving MNIST",
                "expected for example moving_mnist-mnist-2digits-64_64-20frames-10000_1000_1000-seed1",
            )
        part = match.groupdict()
        source, fresh = part.pop("source"), bool(part.pop("fresh"))
        return cls(source, **{key: int(text) for key, text in part.items()}, fresh=fresh)


@dataclass(frozen=True)
class ExperimentId:
    """The parts of an experiment id ``<YYYYmmddTHHMMSS>_<user>_<text>``.

    Arguments:
        time: when it was made (UTC, whole seconds).
        user: login name; characters other than letters, digits, '.' and '-' become '-'.
        text: the user's words, made of letters, digits, '.', '_' and '-'.

    Raises:
        InputError: `text` holds other characters or is empty.
    """

    time: datetime
    user: str
    text: str

    def __post_init__(self):
        object.__setattr__(self, "user", re.sub(r"[^A-Za-z0-9.-]", "-", self.user) or "user")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", self.text):
            raise InputError(
                f"experiment text '{self.text}'",
                "is not usable in a directory name",
                "use letters, digits, '.', '_' and '-'",
            )

    def __str__(self) -> str:
        return f"{self.time:%Y%m%dT%H%M%S}_{self.user}_{self.text}"

    @classmethod
    def new(cls, text: str) -> "ExperimentId":
        """Make the id of an experiment that begins now."""
        return cls(datetime.now(UTC).replace(microsecond=0, tzinfo=None), getpass.getuser(), text)

    @classmethod
    def parse(cls, name: str) -> "ExperimentId":
        """Return the parts of an experiment id.

        Raises:
            InputError: `name` is not an experiment id.
        """
        match = _EXP_ID.fullmatch(name)
        if not match:
            raise InputError(
                name, "is not an experiment id", "expected for example 20190301T120000_anna_first-try"
            )
        return cls(datetime.strptime(match["time"], "%Y%m%dT%H%M%S"), match["user"], match["text"])


@dataclass(frozen=True)
class Layout:
    """Where the steps' directories lie below the base target directory."""

    base: Path

    @property
    def extracted_data(self) -> Path:
        """Monthly files of the extraction."""
        return Path(self.base) / "ExtractedData"

    @property
    def preprocessed_data(self) -> Path:
        """Parent of all data names."""
        return Path(self.base) / "PreprocessedData"

    @property
    def models(self) -> Path:
        """Parent of all trained experiments."""
        return Path(self.base) / "Models"

    @property
    def results(self) -> Path:
        """Parent of all evaluated experiments."""
        return Path(self.base) / "Results"

    @property
    def jobs(self) -> Path:
        """Parent of what was submitted, a directory for each experiment."""
        return Path(self.base) / "Jobs"

    def data(self, data_name: str) -> Path:
        """Directory of one preprocessed data set."""
        return self.preprocessed_data / data_name

    def model(self, data_name: str, model: str, exp_id: str) -> Path:
        """Directory of one trained experiment."""
        return self.models / data_name / model / exp_id


def result_directory(results: Path, data_name: str, source_data_name: str, model: str, exp_id: str) -> Path:
    """Directory of an evaluated experiment: ``<data_name>/<training_mode>/<source_data_name>/<model>/<exp_id>``.

    Arguments:
        results: the results directory (``<base>/Results``).
        data_name: the data set that the model was evaluated on.
        source_data_name: the data set that the model was trained on; another one makes it transfer learning.
        model, exp_id: the trained experiment.
    """
    mode = MODES[data_name != source_data_name]
    return Path(results) / data_name / mode / source_data_name / model / exp_id


def month_file(extracted_data: Path, year: int, month: int) -> Path:
    """The file of one month of extracted data, ``YYYY/MM/era5_YYYYMM.nc``."""
    return Path(extracted_data) / f"{year:04d}" / f"{month:02d}" / f"era5_{year:04d}{month:02d}.nc"


def constants_file(directory: Path) -> Path:
    """The file of the fields that do not change in time (land-sea mask, orography)."""
    return Path(directory) / "constants.nc"


def month_pickle(data_directory: Path, split: str, year: int, month: int) -> Path:
    """The pickle with one split's hours of one month, ``pickle/<split>/YYYY-MM.pkl``."""
    return Path(data_directory) / "pickle" / split / f"{year:04d}-{month:02d}.pkl"
