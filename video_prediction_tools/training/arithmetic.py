"""The arithmetic of the layers: float32, or bfloat16 with weights in float32."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def layer_arithmetic(mixed_precision: str) -> Iterator[None]:
    """Let layers that are made inside compute in ``bfloat16`` (weights stay float32) or in ``float32``."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed_precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
