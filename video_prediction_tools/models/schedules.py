"""Numbers that change in the course of a training: weights of losses, and how often the truth is shown."""

import math
from collections.abc import Sequence
from typing import Any

from keras import ops


def ramp(step: Any, first: int, last: int, start: float = 0.0, end: float = 1.0) -> Any:
    """Return `start` before the step `first`, `end` from the step `last` on, and a straight line between them.

    Arguments:
        step: steps done before (a scalar, may be a tensor).
    """
    done = ops.clip((ops.cast(step, "float32") - first) / max(last - first, 1), 0.0, 1.0)
    return start + (end - start) * done


def ramp_between(step: Any, steps: Sequence[int]) -> Any:
    """Return a share that rises from 0 to 1 between two `steps` (``kl_anneal_steps``), or 1 where there are none."""
    return ramp(step, *steps) if steps else 1.0


def inverse_sigmoid(step: Any, speed: float) -> Any:
    """Return k / (k + exp(step / k)), which falls from about 1 to 0: Bengio et al. (2015), Scheduled Sampling.

    Arguments:
        step: steps done before (a scalar, may be a tensor).
        speed: k, in steps; half is reached at k log k.
    """
    # k / (k + exp(s / k)) = sigmoid(log(k) - s / k), which does not overflow
    return ops.sigmoid(ops.log(float(speed)) - ops.cast(step, "float32") / speed)


def inverse_sigmoid_ends(speed: float) -> int:
    """Return the step at which `inverse_sigmoid` has fallen to 1/20 (0 where `speed` is 0: it is not used)."""
    return max(math.ceil(speed * (math.log(speed) + math.log(19.0))), 0) if speed else 0
