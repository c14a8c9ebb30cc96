"""Whether a model will take the hyper-parameters that it is to be trained with: known before jobs wait for hours."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import dataset_of, hparams_template
from video_prediction_tools.progress import say


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what TensorFlow says while it is imported from the terminal; no setting of its own does that."""
    sys.stderr.flush()
    before = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)


def check(context: Context) -> None:
    """Check the hyper-parameters of the step 'train' as its program does; takes seconds, since Keras is imported.

    Where there is no Keras (an environment that is complete only inside a container) they are not checked.

    Raises:
        InputError: unknown key (did you mean), wrong type, value out of range.
    """
    if "train" not in context.chain:
        return
    length = _sequence_length(context)
    context.step = "train"
    dataset = dataset_of(context.get("data_name"))
    flags = ("model_hparams", "hparams", "sweep")
    if not any(context.get(flag) for flag in flags):
        template = hparams_template(context.get("model"), dataset)
        if template.exists():
            _require_fit(json.loads(template.read_text(encoding="utf-8"))["context_frames"], length)
        return
    try:
        from video_prediction_tools.models import registry

        with _silent_stderr():
            registry.model_class(context.get("model"))
    except ImportError as error:
        say(f"not checked: the hyper-parameters ({error})")
        return
    given = context.get("model_hparams")
    by_flag = "--sweep" if context.get("sweep") else "--hparams"
    with tempfile.TemporaryDirectory() as directory:
        path = Path(given) if isinstance(given, str) else None
        if isinstance(given, dict):
            path = Path(directory) / "model_hparams.json"
            path.write_text(json.dumps(given), encoding="utf-8")
        for experiment in context.experiments():
            try:
                hparams = registry.resolve_hparams(context.get("model"), path, experiment.hparams, dataset)
            except InputError as error:
                where = by_flag if error.where == "--set" else "--model_hparams"
                raise InputError(where, error.what, error.remedy) from None
            _require_fit(hparams.context_frames, length)


def _sequence_length(context: Context) -> int | None:
    """Return the length of the sequences that a step of this chain makes, or None where none does."""
    for step in ("preprocess2", "preprocess_moving_mnist"):
        if step in context.chain:
            context.step = step
            return context.get("sequence_length")
    return None


def _require_fit(context_frames: int, length: int | None) -> None:
    if length is not None and context_frames >= length:
        raise InputError(
            "--sequence_length",
            f"{context_frames} context frames leave nothing to forecast of {length} frames",
            "make the sequences longer, or give --hparams context_frames=N",
        )
