"""docs/extending.md is followed: its model is added to a copy of the project, tested and trained as the page says."""

import re
import shlex
import shutil
import sys

import pytest

from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.models import registry

NAME = "stacked_cnn"
DATASETS = "{era5,moving_mnist}"


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "extending.md").read_text()


@pytest.fixture(scope="module")
def blocks(page):
    """The numbered sections whose heading ends with a file's name: that name, and the code."""
    return dict(re.findall(r"^## \d\. [^\n]*`([^`\n]+)`\n\n```\w+\n(.*?)```$", page, flags=re.M | re.S))


@pytest.fixture(scope="module")
def commands(page):
    """The two commands with which the reader tries the model, in words."""
    (block,) = re.findall(r"^## \d\. Try it\n\n```bash\n(.*?)```$", page, flags=re.M | re.S)
    return [shlex.split(line) for line in block.replace("\\\n", "").splitlines()]


@pytest.fixture(scope="module")
def copy(blocks, repository, tmp_path_factory):
    """A copy of the package, of the page on models and of the models' tests, with the page's model in it."""
    directory = tmp_path_factory.mktemp("extended")
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("video_prediction_tools", "docs", "test/models", "test/training"):
        shutil.copytree(repository / name, directory / name, ignore=unwanted)
    for name in ("pyproject.toml", "test/conftest.py"):
        shutil.copy(repository / name, directory / name)
    line, section = blocks["docs/models.md"].split("\n\n", 1)
    for name, behind, code in (
        ("video_prediction_tools/models/registry.py", "MODELS = {\n", None),
        ("test/models/small_models.py", "SMALL = {\n", None),
        ("docs/models.md", "|---|---|---|---|\n", f"{line}\n"),
        ("docs/models.md", "<!-- end of written by benchmarks/models_table.py -->\n", f"\n{section}"),
    ):
        text = (directory / name).read_text()
        assert text.count(behind) == 1
        (directory / name).write_text(text.replace(behind, behind + (code or blocks[name])))
    for name in (f"models/{NAME}.py", f"hparams/{DATASETS}/{NAME}/model_hparams.json"):
        code = blocks[f"video_prediction_tools/{name}"]
        for dataset in DATASETS.strip("{}").split(","):
            path = directory / "video_prediction_tools" / name.replace(DATASETS, dataset)
            path.parent.mkdir(exist_ok=True)
            path.write_text(code)
    return directory


@pytest.fixture(scope="module")
def run_in_copy(copy, run_command):
    """Run a command of the page in the copy; assert that it ends well, and return what it printed."""

    def run(words, *more):
        command = [sys.executable, *words[1:], *more]
        result = run_command(command, cwd=copy, env={"PYTHONPATH": str(copy)}, timeout=300)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


def test_the_page_names_its_files(blocks):
    assert NAME not in registry.names()  # else nothing would be added below
    assert list(blocks) == [
        f"video_prediction_tools/models/{NAME}.py",
        "video_prediction_tools/models/registry.py",
        f"video_prediction_tools/hparams/{DATASETS}/{NAME}/model_hparams.json",
        "docs/models.md",
        "test/models/small_models.py",
    ]


def test_the_model_is_offered(run_in_copy):
    code = (
        "from video_prediction_tools.config_runscripts import questions; "
        "from video_prediction_tools.models import registry; "
        f"print('{NAME}' in questions.MODELS, registry.resolve_hparams('{NAME}', None).filters)"
    )
    assert run_in_copy(["python", "-c", code]) == "True 32\n"


@pytest.mark.slow
def test_the_model_holds_what_every_model_must(run_in_copy, commands):
    """All tests that a new model makes red or green: of its file, templates, page, and of short trainings."""
    said = run_in_copy(commands[0], "-v", "-p", "no:cacheprovider")
    passed = re.findall(rf"/(test_\w+)\.py::\S*{NAME}\S* PASSED", said)
    assert {"test_every_model_trains", "test_backend", "test_hparams", "test_models_page"} <= set(passed)
    assert passed.count("test_every_model") >= 14


def test_the_model_is_trained_by_the_program(run_in_copy, commands, prepared, tmp_path):
    places = {"<data>": prepared, "<model_dir>": tmp_path / "model"}
    run_in_copy([places.get(word, word) for word in commands[1]], "context_frames=2", "max_epochs=1")
    record = read_record(tmp_path / "model")
    assert record.state == "done" and record.details["model"] == NAME
    assert record.details["finished"] == "all epochs done"
