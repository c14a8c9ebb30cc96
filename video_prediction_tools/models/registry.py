"""The one registry of models. To add a model: write its file, and name it here."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata.names import hparams_template
from video_prediction_tools.models.hparams import CommonHparams, resolve

if TYPE_CHECKING:
    from video_prediction_tools.models.base import DataSpec, VideoPredictionModel

# name: module and class. Kept as text, so that listing the models does not import Keras.
MODELS = {
    "convLSTM": "conv_lstm:ConvLSTM",
    "convLSTM_gan": "conv_lstm_gan:ConvLSTMGAN",
    "crps_ensemble": "crps_ensemble:CRPSEnsemble",
    "linear_regression": "linear_regression:LinearRegression",
    "mcnet": "mcnet:MCNet",
    "persistence": "persistence:Persistence",
    "predrnn": "predrnn:PredRNN",
    "savp": "savp:SAVP",
    "savp_gan": "savp:SAVPGAN",
    "savp_vae": "savp:SAVPVAE",
    "simvp": "simvp:SimVP",
    "vae": "vae:VAE",
}
# what somebody might look for here: each needs hours outside of the sequence (docs/models.md)
SCORED_BESIDE_ALL = ("climatology", "persistence_24h")


def names() -> list[str]:
    """Return the names of all models."""
    return sorted(MODELS)


def model_class(name: str) -> type["VideoPredictionModel"]:
    """Return a model's class (imports Keras).

    Raises:
        InputError: there is no such model.
    """
    require_known(name)
    module, _, attribute = MODELS[name].partition(":")
    return getattr(importlib.import_module(f"video_prediction_tools.models.{module}"), attribute)


def require_known(name: str) -> None:
    """Check a model's name without importing anything.

    Raises:
        InputError: there is no such model.
    """
    if name in SCORED_BESIDE_ALL:
        remedy = "choose any model: main_visualize_postprocess scores this baseline beside it"
        raise InputError("--model", f"'{name}' is a baseline that cannot be trained", remedy)
    if name not in MODELS:
        raise InputError("--model", f"unknown model '{name}'", did_you_mean(name, MODELS))


def resolve_hparams(
    name: str, path: Path | None, overrides: Sequence[str] = (), dataset: str = "era5"
) -> CommonHparams:
    """Return a model's hyper-parameters: defaults < `path` (or the model's template) < ``key=value`` overrides.

    Raises:
        InputError: unknown model or key, wrong type, value out of range.
    """
    hparams = model_class(name).Hparams
    return resolve(hparams, path if path is not None else hparams_template(name, dataset), overrides)


def require_makeable(name: str, spec: "DataSpec", hparams: CommonHparams) -> None:
    """Check all that a model checks of its hyper-parameters and the data, without making weights.

    Raises:
        InputError: they do not fit together.
    """
    model_class(name)(spec, hparams)


def create(name: str, spec: "DataSpec", hparams: CommonHparams) -> "VideoPredictionModel":
    """Return a new model with its weights made."""
    model = model_class(name)(spec, hparams)
    model.build_weights()
    return model
