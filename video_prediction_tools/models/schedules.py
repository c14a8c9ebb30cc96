"""Numbers that change in the course of a training: weights of losses, and how often the truth is shown."""

from typing import Any

from keras import ops


def ramp(step: Any, first: int, last: int, start: float = 0.0, end: float = 1.0) -> Any:
    """Return `start` before the step `first`, `end` from the step `last` on, and a straight line between them.

    Arguments:
        step: steps done before (a scalar, may be a tensor).
    """
    done = ops.clip((ops.cast(step, "float32") - first) / max(last - first, 1), 0.0, 1.0)
    return start + (end - start) * done


def inverse_sigmoid(step: Any, speed: float, first: int = 0) -> Any:
    """Return k / (k + exp(step / k)), which falls from about 1 to 0: Bengio et al. (2015), Scheduled Sampling.

    Arguments:
        step: steps done before (a scalar, may be a tensor).
        speed: k, in steps; half is reached at about k log k.
        first: the step from which it falls; before, it is 1.
    """
    since = ops.cast(step, "float32") - first
    # k / (k + exp(s / k)) = sigmoid(log(k) - s / k), which does not overflow
    falling = ops.sigmoid(ops.log(float(speed)) - since / speed)
    return ops.where(since < 0, ops.ones_like(falling), falling)
