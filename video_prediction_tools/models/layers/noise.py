"""Random numbers as a function of seed, stream and place: the same on any backend, device and number of workers.

Keras draws from the state of a generator, so that what a sequence gets depends on all that was drawn before, and on the
others of its batch. Here each sequence has a seed of its own, and its numbers depend on nothing else: a training that
goes on after a kill, two workers in place of one, and another batch size of a forecast give the same numbers
(normal ones to the last bit, which can round otherwise).
"""

import zlib
from typing import Any

import numpy as np
from keras import ops


def mix(*parts: Any) -> Any:
    """Return a hash of integers as uint32, of the shape to which the parts are broadcast.

    Each part goes through the PCG hash (O'Neill 2014, RXS-M-XS with 32 bits, as in Jarzynski & Olano 2020, Hash
    Functions for GPU Rendering, JCGT 9(3)).

    Arguments:
        parts: integers or arrays of integers; only the lower 32 bits count.
    """
    state = _word(0)
    for part in parts:
        state = _hash(ops.bitwise_xor(state, _hash(_word(part))))
    return state


def uniform(seed: Any, stream: str, batch: Any, shape: tuple[int, ...]) -> Any:
    """Draw from the uniform distribution on the open interval (0, 1), float32 [B, *shape] in steps of 2**-23.

    Arguments:
        seed: [B] integers, one for each sequence; or one integer, from which those of the batch are made.
        stream: what the numbers are for; another text gives other numbers.
        batch: B.
        shape: of the numbers of a sequence.
    """
    seed = ops.cast(seed, "uint32")
    if not len(seed.shape):
        seed = mix(seed, ops.arange(batch, dtype="int32"))
    places = np.arange(np.prod(shape, dtype=int), dtype=np.int32)
    bits = mix(ops.reshape(seed, (-1, 1)), zlib.crc32(stream.encode()), places[None])
    # 23 bits: with 24 the half is rounded away, and the largest number is 1
    numbers = (ops.cast(ops.right_shift(bits, _word(9)), "float32") + 0.5) * 2.0**-23
    return ops.reshape(numbers, (ops.shape(bits)[0], *shape))


def normal(seed: Any, stream: str, batch: Any, shape: tuple[int, ...]) -> Any:
    """Draw from the standard normal distribution, float32 [B, *shape]; arguments as for `uniform`.

    By the inverse of the distribution function: the numbers lie within 5.3 standard deviations.
    """
    return np.sqrt(2.0).astype(np.float32) * ops.erfinv(2.0 * uniform(seed, stream, batch, shape) - 1.0)


def _word(number: Any) -> Any:
    if isinstance(number, int):
        number = np.uint32(number % 2**32)
    return ops.cast(ops.convert_to_tensor(number), "uint32")


def _hash(word: Any) -> Any:
    state = word * _word(747796405) + _word(2891336453)
    shift = ops.right_shift(state, _word(28)) + _word(4)
    word = ops.bitwise_xor(ops.right_shift(state, shift), state) * _word(277803737)
    return ops.bitwise_xor(ops.right_shift(word, _word(22)), word)
