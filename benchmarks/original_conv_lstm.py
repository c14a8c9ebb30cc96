"""The convLSTM of the original AMBS, faults and all, as a model of ours: what is the repair worth?

    python benchmarks/original_conv_lstm.py train_models|visualize_postprocess ..    # flags as of the programs

One cell of 64 filters, 5 x 5: the pre-activations of all gates go through a sigmoid before the gates' own functions
are taken, so that z is in 0..1, the gates never shut (0.50 to 0.73; the forget gate 0.73 to 0.88), what is put into
the cell is never negative, and the cell only grows. The output is a sigmoid of 1 x 1 convolutions, so that a forecast
never leaves the range of the training. `HPARAMS` are those of the original's template for ERA5.
"""

import sys
from dataclasses import dataclass
from typing import Any, ClassVar

from keras import ops

from video_prediction_tools.main_scripts import main_train_models, main_visualize_postprocess
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.main_scripts.program_on_ranks import run_on_ranks
from video_prediction_tools.models import registry
from video_prediction_tools.models.conv_lstm import ConvLSTM, ConvLSTMHparams
from video_prediction_tools.models.layers.conv_lstm_cell import ConvLSTMCell

NAME = "original_convLSTM"
# convLSTM with these is the same network with its cell and its output mended
HPARAMS = {
    "batch_size": 4,
    "lr": 1e-3,
    "filters": [64],
    "kernel_size": 5,
    "patch_size": 1,
    "residual": False,
    "normalisation": "minmax",
    "lr_schedule": "constant",
    "clip_norm": 0.0,
}


class OriginalCell(ConvLSTMCell):
    """The cell with its gates squashed twice."""

    def first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return zeros: the 1 of the forget gate is added in each step."""
        return ops.zeros(shape, dtype)

    def gates(self, joined: Any, kernel: Any) -> Any:
        """Return the pre-activations after a sigmoid, the fault, and with the 1 of the forget gate."""
        i, f, g, o = ops.split(ops.sigmoid(super().gates(joined, kernel)), 4, axis=-1)
        return ops.concatenate([i, f + 1.0, g, o], axis=-1)


@dataclass
class OriginalHparams(ConvLSTMHparams):
    """Those of convLSTM."""


class OriginalConvLSTM(ConvLSTM):
    """convLSTM with the original's cell and output."""

    Hparams = OriginalHparams
    model_name: ClassVar[str] = NAME
    Cell: ClassVar[type[ConvLSTMCell]] = OriginalCell

    def advance(self, frame: Any, inputs: Any, states: list[Any]) -> Any:
        """Return the next frame, squashed into 0..1."""
        return ops.sigmoid(super().advance(frame, inputs, states))


PROGRAMS = {
    "train_models": (main_train_models, run),
    "visualize_postprocess": (main_visualize_postprocess, run_on_ranks),
}


def register() -> None:
    """Make the model known in this process; the registry looks for models in its own package."""
    sys.modules[f"{registry.__package__}.original_conv_lstm"] = sys.modules[__name__]
    registry.MODELS[NAME] = "original_conv_lstm:OriginalConvLSTM"


def main() -> int:
    """Run a program that knows this model."""
    register()
    program, run_it = PROGRAMS[sys.argv.pop(1)]
    return run_it(program.main, program.build_parser())


if __name__ == "__main__":
    sys.exit(main())
