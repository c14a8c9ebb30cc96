"""The generator of savp: one step from a frame to the next."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from video_prediction_tools.models.layers.cdna import apply_kernels, cdna_kernels, warp
from video_prediction_tools.models.layers.instance_norm import InstanceNormalization

FIELDS = 4  # the features that make the CDNA kernels are means over 4 x 4 fields of the grid


class NormalizedConvLSTMCell(keras.layers.Layer):
    """A convolutional LSTM with instance normalisation of its gates and its cell state, shifted by a code.

        i, f, g, o = split(norm(W * [X_t, H_{t-1}]) + shift)
        C_t = norm(sigmoid(f + 1) C_{t-1} + sigmoid(i) tanh(g)),   H_t = sigmoid(o) tanh(C_t)

    Lee et al. (2018), appendix A. The shift comes behind the normalisation, which would take it away.

    Call arguments:
        inputs: [B, h, w, channels]; shift: [B, 1, 1, 4F]; state: (H, C), each [B, h, w, F].

    Returns:
        the new (H, C).
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.convolution = keras.layers.Conv2D(
            4 * filters, kernel_size, padding="same", use_bias=False, name="convolution"
        )
        self.gate_norm = InstanceNormalization(name="gate_norm")
        self.state_norm = InstanceNormalization(name="state_norm")

    def call(self, inputs: Any, shift: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        """Take one step."""
        hidden, cell = state
        gates = self.gate_norm(self.convolution(ops.concatenate([inputs, hidden], axis=-1))) + shift
        i, f, g, o = ops.split(gates, 4, axis=-1)
        cell = self.state_norm(ops.sigmoid(f + 1.0) * cell + ops.sigmoid(i) * ops.tanh(g))
        return ops.sigmoid(o) * ops.tanh(cell), cell


class SAVPGenerator(keras.layers.Layer):
    """One step from frame t to t+1; see the text of `models.savp`.

    Arguments:
        filters: channels of the first scale (ngf).
        scales: how often the grid is halved.
        rnn_kernel_size: width of the convolutions of the LSTMs.
        code_size: nz.
        transformation: ``cdna`` or ``flow``.
        kernel_size: width of the CDNA kernels.
        transformed: number of transformed images.
        residual: whether the scratch image is added to the last frame.
    """

    def __init__(
        self,
        filters: int,
        scales: int,
        rnn_kernel_size: int,
        code_size: int,
        transformation: str,
        kernel_size: int,
        transformed: int,
        residual: bool,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # frames are put together in float32
        self.code_size, self.transformation, self.residual = code_size, transformation, residual
        self.kernel_size, self.transformed = kernel_size, transformed
        self.encoder_widths = [filters * 2 ** min(scale, 3) for scale in range(scales)]
        self.decoder_widths = [*reversed(self.encoder_widths[:-1]), filters]
        # the last decoder layer, on the whole grid, has no LSTM
        self.rnn_widths = [*self.encoder_widths, *self.decoder_widths[:-1]]
        self.head_width = 2 * filters

        self.downsampling = [
            _convolution(width, 3 if scale else 5, f"encoder_{scale}", strides=2)
            for scale, width in enumerate(self.encoder_widths)
        ]
        self.upsampling = keras.layers.UpSampling2D(2, interpolation="bilinear", name="upsampling")
        self.decoding = [
            _convolution(width, 3, f"decoder_{index}") for index, width in enumerate(self.decoder_widths)
        ]
        self.heads = _convolution(self.head_width, 3, "heads")
        plain = [
            *(f"encoder_norm_{scale}" for scale in range(scales)),
            *(f"decoder_norm_{index}" for index in range(scales)),
            "heads_norm",
        ]
        self.norms = [InstanceNormalization(name=name) for name in plain]
        self.cells = [
            NormalizedConvLSTMCell(width, rnn_kernel_size, name=f"cell_{index}")
            for index, width in enumerate(self.rnn_widths)
        ]
        self.code_gates = keras.layers.Dense(4 * code_size, name="code_gates")
        self.shift_widths = [
            *self.encoder_widths,
            *self.decoder_widths,
            self.head_width,
            *(4 * width for width in self.rnn_widths),
        ]
        # scaled by what comes in: Glorot's scale, of all layers together, would make the code too faint to be learnt
        self.shifts = keras.layers.Dense(
            sum(self.shift_widths), use_bias=False, kernel_initializer="lecun_normal", name="shifts"
        )
        if transformation == "cdna":
            self.moves = keras.layers.Dense(kernel_size**2 * transformed, name="cdna_kernels")
        else:
            self.moves = keras.layers.Conv2D(2 * transformed, 3, padding="same", name="flows")
        self.masks = keras.layers.Conv2D(transformed + 3, 3, padding="same", name="masks")

    def build(self, frame_shape: Any, *others: Any) -> None:
        """Make the layer that depends on the number of variables; the others are made by their first use."""
        # a residual scratch image begins as the last frame
        self.scratch = keras.layers.Conv2D(
            frame_shape[-1],
            3,
            padding="same",
            name="scratch",
            kernel_initializer="zeros" if self.residual else "glorot_uniform",
        )
        self.built = True

    def initial_state(self, frame: Any) -> list[Any]:
        """Return zeros for frames [B, H, W, C]: (h, c) of the code's LSTM, then (H, C) of each cell."""
        height, width = frame.shape[1:3]
        scales = len(self.encoder_widths)
        halvings = [*range(1, scales + 1), *range(scales - 1, 0, -1)]
        point = ops.cast(ops.zeros_like(frame[:, 0, 0, :1]), self.compute_dtype)
        code = ops.repeat(point, self.code_size, axis=-1)
        states = [(code, code)]
        for filters, halved in zip(self.rnn_widths, halvings, strict=True):
            grid = ops.zeros((1, height // 2**halved, width // 2**halved, filters), self.compute_dtype)
            zeros = grid + point[:, None, None]
            states.append((zeros, zeros))
        return states

    def call(self, frame: Any, first: Any, known: Any, code: Any, state: list[Any]) -> tuple[Any, list[Any]]:
        """Take one step.

        Arguments:
            frame, first: [B, H, W, C], frame t and frame 0; H and W multiples of 2 to the number of scales.
            known: [B, H, W, K], known channels of frame t+1, or None.
            code: [B, nz], z_t.
            state: see `initial_state`.

        Returns:
            frame t+1 [B, H, W, C], float32, and the new state.
        """
        inputs = ops.concatenate([frame, first] if known is None else [frame, first, known], axis=-1)
        code_state = self._code_step(code, state[0])
        shifts = self._shifts(
            ops.concatenate([code_state[0], _as(code_state[0], ops.mean(inputs, (1, 2)))], -1)
        )
        norms, cells, before, states = iter(self.norms), iter(self.cells), iter(state[1:]), [code_state]
        plain_shifts = iter(shifts[: len(self.norms)])
        rnn_shifts = iter(shifts[len(self.norms) :])

        features, skips = inputs, []
        for layer in self.downsampling:
            features = ops.relu(next(norms)(layer(features)) + next(plain_shifts))
            states.append(next(cells)(features, next(rnn_shifts), next(before)))
            features = states[-1][0]
            skips.append(features)
        coarsest = skips.pop()
        for index, layer in enumerate(self.decoding):
            if index:
                features = ops.concatenate([features, skips.pop()], axis=-1)
            features = layer(_as(features, self.upsampling(features)))
            features = ops.relu(next(norms)(features) + next(plain_shifts))
            if index < len(self.decoding) - 1:
                states.append(next(cells)(features, next(rnn_shifts), next(before)))
                features = states[-1][0]
        features = ops.concatenate([features, _as(features, inputs)], axis=-1)
        heads = ops.relu(next(norms)(self.heads(features)) + next(plain_shifts))
        scratch_features, mask_features = ops.split(heads, 2, axis=-1)

        scratch = ops.cast(self.scratch(scratch_features), "float32")
        if self.residual:
            scratch = scratch + frame
        moved = self._moved(frame, coarsest, features)
        images = ops.concatenate([moved, ops.stack([frame, first, scratch], axis=3)], axis=3)
        flat = ops.reshape(images, (-1, *frame.shape[1:3], images.shape[3] * images.shape[4]))
        logits = self.masks(ops.concatenate([mask_features, _as(mask_features, flat)], axis=-1))
        weights = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        return ops.sum(images * weights[..., None], axis=3), states

    def _code_step(self, code: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        hidden, cell = state
        gates = self.code_gates(ops.concatenate([_as(hidden, code), hidden], axis=-1))
        i, f, g, o = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(f + 1.0) * cell + ops.sigmoid(i) * ops.tanh(g)
        return ops.sigmoid(o) * ops.tanh(cell), cell

    def _shifts(self, code: Any) -> list[Any]:
        ends = np.cumsum(self.shift_widths)[:-1].tolist()
        return ops.split(self.shifts(code)[:, None, None], ends, axis=-1)

    def _moved(self, frame: Any, coarsest: Any, finest: Any) -> Any:
        """Return the transformed images [B, H, W, N, C]."""
        if self.transformation == "flow":
            flows = ops.cast(self.moves(finest), "float32")
            return warp(frame, ops.reshape(flows, (-1, *frame.shape[1:3], self.transformed, 2)))
        fields = field_means(coarsest, FIELDS)
        raw = self.moves(ops.reshape(fields, (-1, FIELDS**2 * coarsest.shape[-1])))
        raw = ops.reshape(raw, (-1, self.kernel_size, self.kernel_size, self.transformed))
        return apply_kernels(frame, cdna_kernels(raw))


def field_means(features: Any, number: int) -> Any:
    """Return the means over `number` x `number` fields that together cover the grid: [B, number, number, C].

    Field i of n points has the points floor(i n / number) to ceil((i + 1) n / number), so that any grid will do (fields
    overlap where n is no multiple of `number`, as in PyTorch's adaptive average pooling).
    """
    rows, columns = (_as(features, _fields(points, number)) for points in features.shape[1:3])
    return ops.einsum("jw,biwc->bijc", columns, ops.einsum("ih,bhwc->biwc", rows, features))


def _fields(points: int, number: int) -> np.ndarray:
    weights = np.zeros((number, points), np.float32)
    for index in range(number):
        begin, end = index * points // number, math.ceil((index + 1) * points / number)
        weights[index, begin:end] = 1.0 / (end - begin)
    return weights


def _convolution(filters: int, size: int, name: str, strides: int = 1) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=name)


def _as(like: Any, array: Any) -> Any:
    return ops.cast(array, like.dtype)
