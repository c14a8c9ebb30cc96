"""Small settings of every registered model, for tests that run over all of them."""

from dataclasses import dataclass, field

import keras
import numpy as np

from video_prediction_tools.models import registry
from video_prediction_tools.models.base import DataSpec


@dataclass(frozen=True)
class Small:
    """How a model is tested.

    Arguments:
        settings: ``key=value`` that make it small.
        variants: further settings under which gradients must reach all weights, each a list of ``key=value``.
        learnt: settings with which four sequences are learnt by heart; None where the model has no loss that falls
            to zero then.
        smallest: the smallest grid (H, W) it takes.
        uses_all: whether its forecasts depend on all context frames and on the known channels.
        padded: settings with which it pads the grid inside.
        multiple: what H and W are padded to a multiple of with these settings; 1: it does not pad.
        frames_only: settings with which lead frames enter a training loss as what forecasts are compared with, and
            in no other way (no adversary, which judges all variables; none of them shown).
    """

    settings: list[str]
    variants: list[list[str]] = field(default_factory=list)
    learnt: list[str] | None = field(default_factory=list)
    smallest: tuple[int, int] = (2, 3)
    uses_all: bool = True
    padded: list[str] = field(default_factory=list)
    multiple: int = 1
    frames_only: list[str] = field(default_factory=list)


SMALL = {
    "convLSTM": Small(
        ["filters=6,6"],
        variants=[["patch_size=2"], ["residual=false"], ["loss_fun=mae"], ["convolution=winograd"]],
        learnt=["lr=0.01", "filters=24,24"],
        padded=["patch_size=4"],
        multiple=4,
    ),
    "convLSTM_gan": Small(
        ["filters=6,6", "ndf=2"],
        variants=[["recon_weight=1"], ["gan_loss_type=LSGAN"]],
        learnt=["lr=0.01", "filters=24,24"],
        padded=["patch_size=4"],
        multiple=4,
        frames_only=["recon_weight=1"],
    ),
    "crps_ensemble": Small(
        ["filters=6,6"],
        variants=[["members=3", "patch_size=2"], ["nz=0"]],
        # an absolute error, which falls by 90 % when a squared one falls by 99 %
        learnt=["lr=0.02", "filters=24,24", "lr_schedule=cosine", "noise_channels=0", "nz=1"],
        padded=["patch_size=4", "noise_channels=0"],  # another grid has other fields of noise
        multiple=4,
    ),
    "linear_regression": Small([], variants=[["loss_fun=mae"]], learnt=None, smallest=(1, 1)),
    "mcnet": Small(
        ["gf_dim=3", "df_dim=3", "beta=0.02"],
        variants=[["beta=0"], ["residual=false"]],
        learnt=["lr=0.003", "gf_dim=8", "beta=0"],
        smallest=(4, 4),
        multiple=8,
        frames_only=["beta=0"],
    ),
    "persistence": Small([], learnt=None, smallest=(1, 1), uses_all=False),
    "predrnn": Small(
        ["num_layers=2", "num_hidden=4", "filter_size=3", "patch_size=2"],
        variants=[
            ["layer_norm=true", "residual=false"],
            ["decouple_beta=0"],
            ["reverse_scheduled_sampling=false"],
        ],
        learnt=[
            "lr=0.01",
            "num_hidden=24",
            "r_sampling_step_1=50",
            "r_sampling_step_2=150",
            "r_exp_alpha=30",
        ],
        padded=["patch_size=4"],
        multiple=4,
        frames_only=["reverse_scheduled_sampling=false"],
    ),
    "savp": Small(
        ["ngf=3", "nef=3", "ndf=2", "nz=2", "kl_anneal_steps="],
        variants=[["transformation=flow", "gan_loss_type=GAN"], ["residual=false", "video_sn_gan_weight=0"]],
        # codes that say nothing, since the forecast draws its own
        learnt=["loss_fun=mse", "lr=0.005", "ngf=16", "kl_weight=10", "schedule_sampling_k=0"],
        smallest=(4, 4),
        multiple=4,
        frames_only=[
            "schedule_sampling_k=0",
            "video_sn_gan_weight=0",
            "gan_feature_cdist_weight=0",
            "video_sn_vae_gan_weight=0",
            "vae_gan_feature_cdist_weight=0",
        ],
    ),
    "savp_gan": Small(
        ["ngf=3", "ndf=2", "nz=2"],
        learnt=["loss_fun=mse", "lr=0.005", "ngf=16", "schedule_sampling_k=0"],
        smallest=(4, 4),
        multiple=4,
        frames_only=["schedule_sampling_k=0", "video_sn_gan_weight=0", "gan_feature_cdist_weight=0"],
    ),
    "savp_vae": Small(
        ["ngf=3", "nef=3", "nz=2", "kl_anneal_steps="],
        learnt=["loss_fun=mse", "lr=0.005", "ngf=16", "kl_weight=10", "schedule_sampling_k=0"],
        smallest=(4, 4),
        multiple=4,
        frames_only=["schedule_sampling_k=0"],
    ),
    "simvp": Small(
        ["hid_S=4", "hid_T=6", "N_S=4", "N_T=2", "mlp_ratio=2"],
        variants=[["residual=false", "N_S=2"], ["N_S=3", "N_T=3"]],
        learnt=["lr=0.005", "hid_S=16", "hid_T=32", "N_S=2"],
        multiple=4,
    ),
    "vae": Small(
        ["filters=6,6", "nz=3", "latent_filters=4", "kl_anneal_steps="],
        variants=[["patch_size=2", "residual=false"]],
        # codes that say nothing, since the forecast draws its own
        learnt=["lr=0.01", "filters=24,24", "kl_weight=1"],
        padded=["patch_size=4"],
        multiple=4,
    ),
}


def make(
    name,
    *,
    height=9,
    width=11,
    variables=("2t", "msl"),
    known=("lsm", "sin_solar_time"),
    context=4,
    lead=3,
    overrides=(),
):
    """Return a small model of a name."""
    settings = [*SMALL[name].settings, f"context_frames={context}", *overrides]
    hparams = registry.resolve_hparams(name, None, settings)
    keras.utils.set_random_seed(3)
    return registry.create(name, DataSpec(height, width, variables, known, context, lead), hparams)


def shake(model, rng):
    """Move all weights away from where they start (an untrained residual model is persistence)."""
    for weight in model.trainable_variables:
        weight.assign(weight + rng.normal(scale=0.1, size=weight.shape).astype(np.float32))


def copy_weights(model, other):
    """Give a model the weights of another one."""
    for mine, theirs in zip(model.variables, other.variables, strict=True):
        mine.assign(theirs)


def data(model, rng, batch=2):
    """Return random frames [B, Tc+Tl, H, W, C] and known channels [B, Tc+Tl, H, W, K]."""
    spec = model.spec
    shape = (batch, spec.context_frames + spec.lead_frames, spec.height, spec.width)
    return (
        rng.normal(size=(*shape, spec.channels)).astype(np.float32),
        rng.normal(size=(*shape, len(spec.known))).astype(np.float32),
    )
