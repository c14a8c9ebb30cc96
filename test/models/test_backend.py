"""Models are made of Keras layers and `keras.ops`, so that they run on each of its backends."""

import ast
from pathlib import Path

import pytest

from video_prediction_tools import models

ROOT = Path(models.__file__).parent


@pytest.mark.parametrize(
    "module", sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.py"))
)
def test_no_model_imports_tensorflow(module):
    imported = set()
    for node in ast.walk(ast.parse((ROOT / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert not [name for name in imported if "tensorflow" in name.split(".")]
