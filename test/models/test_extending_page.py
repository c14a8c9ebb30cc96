"""docs/extending.md is followed: its model is added to a copy of the project and holds what every model must."""

import re
import shutil
import sys

import pytest

from video_prediction_tools.models import registry

NAME = "stacked_cnn"


@pytest.fixture(scope="module")
def blocks(repository):
    """The numbered sections whose heading ends with a file's name: that name, and the code."""
    page = (repository / "docs" / "extending.md").read_text()
    return dict(re.findall(r"^## \d\. [^\n]*`([^`\n]+)`\n\n```\w+\n(.*?)```$", page, flags=re.M | re.S))


@pytest.fixture(scope="module")
def copy(blocks, repository, tmp_path_factory):
    """A copy of the package and of the models' tests with the page's model in it."""
    directory = tmp_path_factory.mktemp("extended")
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("video_prediction_tools", "test/models"):
        shutil.copytree(repository / name, directory / name, ignore=unwanted)
    for name in ("pyproject.toml", "test/conftest.py"):
        shutil.copy(repository / name, directory / name)
    _insert(directory / "video_prediction_tools/models/registry.py", "MODELS = {\n", blocks)
    _insert(directory / "test/models/small_models.py", "SMALL = {\n", blocks)
    for name in (f"models/{NAME}.py", f"hparams/era5/{NAME}/model_hparams.json"):
        path = directory / "video_prediction_tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(blocks[f"video_prediction_tools/{name}"])
    return directory


def _insert(path, behind, blocks):
    (code,) = (code for name, code in blocks.items() if path.as_posix().endswith(name))
    text = path.read_text()
    assert text.count(behind) == 1
    path.write_text(text.replace(behind, behind + code))


def test_the_page_names_its_files(blocks):
    assert NAME not in registry.names()  # else nothing would be added below
    assert list(blocks) == [
        f"video_prediction_tools/models/{NAME}.py",
        "video_prediction_tools/models/registry.py",
        f"video_prediction_tools/hparams/era5/{NAME}/model_hparams.json",
        "test/models/small_models.py",
    ]


def test_the_model_is_offered(copy, run_command):
    code = (
        "from video_prediction_tools.config_runscripts import questions; "
        "from video_prediction_tools.models import registry; "
        f"print('{NAME}' in questions.MODELS, registry.resolve_hparams('{NAME}', None).filters)"
    )
    result = run_command([sys.executable, "-c", code], cwd=copy, env={"PYTHONPATH": str(copy)})
    assert result.stdout == "True 32\n", result.stderr


def test_the_model_holds_what_every_model_must(copy, run_command):
    tests = ["test/models/test_every_model.py", "-k", NAME, "-q", "-p", "no:cacheprovider"]
    result = run_command(
        [sys.executable, "-m", "pytest", *tests], cwd=copy, env={"PYTHONPATH": str(copy)}, timeout=200
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) >= 14, result.stdout
