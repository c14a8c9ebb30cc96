"""Random walks: nothing can be known of their next step, so that what a trained model must draw is known."""

import numpy as np
import tensorflow as tf
from small_models import make

DEVIATION = 0.5  # of a step
STEPS, BATCH = 600, 64  # of a training


def learn_walks(name, rng, settings, *, grid, context=1, lead=1):
    """Train a model on x(t+1) = x(t) + noise, the same at all points.

    Returns:
        the model, and the parts of its loss at each step, {name: [STEPS]}.
    """
    height, width = grid
    model = make(
        name,
        height=height,
        width=width,
        variables=("2t",),
        known=(),
        context=context,
        lead=lead,
        overrides=settings,
    )
    (phase,) = model.phases(STEPS)
    phase.optimizer.build(phase.variables)
    known = np.zeros((BATCH, context + lead, height, width, 0), np.float32)

    @tf.function
    def step(frames, number):
        with tf.GradientTape() as tape:
            parts = phase.loss(frames, known, number, BATCH * number + tf.range(BATCH))
        gradients = tape.gradient(parts["loss"], [weight.value for weight in phase.variables])
        phase.optimizer.apply(gradients, phase.variables)
        return parts

    history = []
    for number in range(STEPS):
        walks = np.cumsum(DEVIATION * rng.normal(size=(BATCH, context + lead, 1, 1, 1)), axis=1)
        frames = np.broadcast_to(walks, (BATCH, context + lead, height, width, 1)).astype(np.float32)
        history.append(step(frames, tf.constant(number)))
    return model, {part: np.array([float(parts[part]) for parts in history]) for part in history[0]}


def drawn_from_zero(model, number):
    """Draw forecasts of walks that stood at 0: their means over the grid, [number, Tl]."""
    spec = model.spec
    grid = (spec.height, spec.width)
    context = np.zeros((number, spec.context_frames, *grid, 1), np.float32)
    known = np.zeros((number, spec.context_frames + spec.lead_frames, *grid, 0), np.float32)
    return np.asarray(model.forecast(context, known, np.arange(number))).mean(axis=(2, 3, 4))
