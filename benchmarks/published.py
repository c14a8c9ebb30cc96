"""Published figures for Moving MNIST, for the tables of docs/benchmarks.md.

Of OpenSTL (Tan et al. 2023, https://arxiv.org/abs/2306.11249), docs/en/model_zoos/video_benchmarks.md, read in 2026-11:
10 frames from 10 at 64 x 64; errors summed over a frame, ssim with data range 2. The older rows are those that papers
hand on (https://github.com/DanBmh/OpenCodePapers); who trained how is not with them.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """A published row; None: not given. `weights` in 10^6, `sequences` seen in training, errors a frame, psnr [dB]."""

    model: str
    source: str
    weights: float | None
    sequences: int | None
    mse: float | None
    mae: float | None
    ssim: float | None
    psnr: float | None


_200, _2000 = ("OpenSTL, 200 epochs", 2_000_000), ("OpenSTL, 2000 epochs", 20_000_000)


def _openstl(model: str, weights: float, training: tuple[str, int], *scores: float) -> Published:
    source, sequences = training
    return Published(model, source, weights, sequences, *scores)


MOVING_MNIST = (
    _openstl("ConvLSTM-S", 15.0, _200, 29.80, 90.64, 0.9288, 22.10),
    _openstl("ConvLSTM-S", 15.0, _2000, 22.41, 73.07, 0.9480, 23.54),
    _openstl("PredNet", 12.5, _200, 161.38, 201.16, 0.7783, 14.33),
    _openstl("PredRNN", 23.8, _200, 23.97, 72.82, 0.9462, 23.28),
    _openstl("PredRNN++", 38.6, _200, 22.06, 69.58, 0.9509, 23.65),
    _openstl("MAU", 4.5, _200, 26.86, 78.22, 0.9398, 22.76),
    _openstl("PhyDNet", 3.1, _200, 28.19, 78.64, 0.9374, 22.62),
    _openstl("SimVP+gSTA-S", 46.8, _200, 26.69, 77.19, 0.9402, 22.78),
    _openstl("SimVP+gSTA-S", 46.8, _2000, 15.05, 49.80, 0.9675, 25.97),
    Published("ConvLSTM", "Shi et al. 2015", None, None, 103.3, 182.9, 0.707, None),
    Published("PredRNN", "Wang et al. 2017", None, None, 56.8, 126.1, 0.867, None),
    Published("PredRNNv2", "Wang et al. 2021", None, None, 48.4, None, 0.891, None),
    Published("SimVP", "Gao et al. 2022", None, None, 23.8, None, 0.948, None),
)
