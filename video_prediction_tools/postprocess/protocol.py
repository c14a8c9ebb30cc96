"""How each kind of data is judged: the one place that says which metrics, baselines and words it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from video_prediction_tools.metadata.names import dataset_of
from video_prediction_tools.postprocess.baselines import BASELINES, FRAME_BASELINES, Baseline
from video_prediction_tools.postprocess.layout import FRAMES, ON_EARTH, Layout
from video_prediction_tools.postprocess.metrics.metric import Metric
from video_prediction_tools.postprocess.metrics.registry import FRAME_METRICS, METRICS


@dataclass(frozen=True)
class Words:
    """What a reader of tables, plots and the report calls things.

    Arguments:
        lead: a step of the forecast; in a table's head ``lead_hour`` for ``lead hour``.
        start: what forecasts are counted in.
        axis: label of the axis of a plot.
        fields: what is forecast.
        real: what made-up data say nothing about.
        parts: what a split is made of.
        sign, unit: what stands before and behind the number of a lead step.
        named: whether `lead` stands before the number as well.
    """

    lead: str
    start: str
    axis: str
    fields: str
    real: str
    parts: str
    sign: str = ""
    unit: str = ""
    named: bool = False

    @property
    def column(self) -> str:
        """Head of the column in evaluation_metrics.csv."""
        return self.lead.replace(" ", "_")

    def label(self, lead: float) -> str:
        """Write a lead step where it is clear what it is, as in a table: ``+3 h`` or ``3``."""
        return f"{self.sign}{lead:g}{self.unit}"

    def at(self, spans: Sequence[str]) -> str:
        """Write lead steps (``+1 to +4``, ``+9``) in a sentence: ``+1 to +4 and +9 h``, ``lead frame 3``."""
        *first, last = spans or ["none"]
        joined = f"{', '.join(first)} and {last}" if first else last
        if not self.named:
            return joined + self.unit
        plural = "s" if first or " to " in last else ""
        return f"{self.lead}{plural} {joined}"


@dataclass(frozen=True)
class Protocol:
    """The evaluation of one kind of data.

    Arguments:
        metrics: by name, in the order of the tables.
        main_metric: the one that verdicts speak of and cases are chosen by.
        baselines: by name.
        mean_over_leads: whether the mean over all lead steps is a score of its own.
        layout: of the result files.
        words: for readers.
    """

    metrics: Mapping[str, Metric]
    main_metric: str
    baselines: Mapping[str, type[Baseline]]
    mean_over_leads: bool
    layout: Layout
    words: Words

    @property
    def case_metric(self) -> Metric:
        """The metric that best, median and worst forecast are chosen by."""
        return self.metrics[self.main_metric]


WEATHER = Protocol(
    METRICS,
    "rmse",
    BASELINES,
    False,
    ON_EARTH,
    Words(
        "lead hour",
        "init time",
        "lead time [hours]",
        "fields",
        "real weather",
        "hours",
        sign="+",
        unit=" h",
    ),
)
MOVING_MNIST = Protocol(
    FRAME_METRICS,
    "mse",
    FRAME_BASELINES,
    True,
    FRAMES,
    Words("lead frame", "sequence", "lead frame", "digits", "MNIST", "sequences", named=True),
)


def protocol_of(data_name: str) -> Protocol:
    """Return how the data set of a data name is judged."""
    return {"era5": WEATHER, "moving_mnist": MOVING_MNIST}[dataset_of(data_name)]
