"""Scheduled sampling: which frame a recurrent model is fed at each step of a training, the true one or its own."""

from typing import Any

from keras import ops

from video_prediction_tools.models.layers import noise
from video_prediction_tools.models.schedules import inverse_sigmoid, ramp


def forecast_shown(
    context_frames: int, lead_frames: int, batch: Any, step: Any, seed: Any, speed: float
) -> Any:
    """Draw what is shown in scheduled sampling (Bengio et al. 2015): all of the context, ever less of the lead.

    Arguments:
        context_frames, lead_frames: Tc and Tl.
        batch: B.
        step: steps done before (a scalar, may be a tensor).
        seed: [B], see `layers.noise`.
        speed: k, in steps: a true lead frame is shown with probability k / (k + exp(step / k)); 0: never.

    Returns:
        see `draw_shown`.
    """
    lead = inverse_sigmoid(step, speed) if speed else 0.0
    return draw_shown(context_frames, lead_frames, batch, seed, 1.0, lead)


def reverse_shown(
    context_frames: int,
    lead_frames: int,
    batch: Any,
    step: Any,
    seed: Any,
    first: int,
    last: int,
    speed: float,
) -> Any:
    """Draw what is shown in reverse scheduled sampling: ever more of the context, ever less of the lead.

    Wang et al. (2023), arXiv 2103.09504, with the numbers of the authors' code. Until the step `first` each frame is
    shown with probability 1/2; from then on a frame of the context with 1 - exp(-(step - first) / speed) / 2, and one
    of the lead with a probability that falls in a straight line to 0 at the step `last`; from there on all of the
    context and none of the lead.

    Arguments:
        first, last, speed: in steps.
        others: as for `forecast_shown`.

    Returns:
        see `draw_shown`.
    """
    step = ops.cast(step, "float32")
    risen = 1.0 - 0.5 * ops.exp(-ops.maximum(step - first, 0.0) / speed)
    context = ops.where(step < last, risen, ops.ones_like(risen))
    lead = ops.where(step < last, ramp(step, first, last, start=0.5, end=0.0), 0.0)
    return draw_shown(context_frames, lead_frames, batch, seed, context, lead)


def draw_shown(
    context_frames: int, lead_frames: int, batch: Any, seed: Any, context_share: Any, lead_share: Any
) -> Any:
    """Draw which of the frames 0 .. Tc+Tl-2 are shown as they truly are; the first always is.

    Arguments:
        context_share, lead_share: probability of a frame 1 .. Tc-1, and of a frame Tc .. Tc+Tl-2 (scalars).
        others: as for `forecast_shown`.

    Returns:
        [B, Tc+Tl-1] float32: 1 where the true frame is fed, 0 where the model's own is.
    """
    context = noise.uniform(seed, "scheduled sampling of the context", batch, (context_frames,))
    lead = noise.uniform(seed, "scheduled sampling", batch, (lead_frames - 1,))
    first = ops.ones_like(context[:, :1])
    shown = [first, ops.cast(context[:, 1:] < context_share, "float32")]
    return ops.concatenate([*shown, ops.cast(lead < lead_share, "float32")], axis=1)


def with_unseen_lead(frames: Any, shown: Any, context_frames: int, lead_frames: int) -> tuple[Any, Any]:
    """Return what `choose` is given in the steps of a roll-out, the frames 0 .. Tc+Tl-2 and which of them are shown.

    Arguments:
        frames: [B, Tc, H, W, C], where zeros take the place of the lead frames, or [B, Tc+Tl, H, W, C].
        shown: see `draw_shown`; None: all of the context and none of the lead.
        context_frames, lead_frames: Tc and Tl.

    Returns:
        [B, Tc+Tl-1, H, W, C], and `shown`.
    """
    steps = context_frames + lead_frames - 1
    missing = max(steps - frames.shape[1], 0)
    true = ops.pad(frames[:, :steps], ((0, 0), (0, missing), (0, 0), (0, 0), (0, 0)))
    if shown is None:
        context = ops.ones_like(true[:, :context_frames, 0, 0, 0])
        shown = ops.pad(context, ((0, 0), (0, lead_frames - 1)))
    return true, shown


def choose(shown: Any, true: Any, own: Any) -> Any:
    """Return the true frame of the sequences to which it is shown, and their own of the others.

    Arguments:
        shown: [B], one step of `draw_shown`; true, own: [B, H, W, C].
    """
    return ops.where(shown[:, None, None, None] > 0.0, true, own)
