"""Normal distributions with independent components, given by mean and logarithm of the variance."""

from typing import Any

from keras import ops

LOG_VARIANCES = (-10.0, 10.0)  # a deviation of less than 1 % of a code's, or over 140 of them, is an accident


def moments(parameters: Any) -> tuple[Any, Any]:
    """Return mean and log variance, each [.., n], of parameters [.., 2 n] that a layer gave."""
    mean, log_variance = ops.split(ops.cast(parameters, "float32"), 2, axis=-1)
    return mean, ops.clip(log_variance, *LOG_VARIANCES)


def sample(mean: Any, log_variance: Any, noise: Any) -> Any:
    """Return mean + sigma noise: a sample where `noise` is one of the standard normal distribution."""
    return mean + ops.exp(0.5 * log_variance) * noise


def divergence(mean: Any, log_variance: Any, prior_mean: Any = 0.0, prior_log_variance: Any = 0.0) -> Any:
    """Return KL(q || p), summed over the last axis, mean over the others (Kingma & Welling 2014, appendix B).

    Arguments:
        mean, log_variance: of q.
        prior_mean, prior_log_variance: of p; left out, it is the standard normal distribution.
    """
    distance = ops.square(mean - prior_mean) + ops.exp(log_variance)
    each = distance / ops.exp(prior_log_variance) + prior_log_variance - log_variance - 1.0
    return 0.5 * ops.mean(ops.sum(each, axis=-1))
