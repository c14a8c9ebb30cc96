"""The README's shell lines: programs take the flags and values, the generator does what is shown."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from video_prediction_tools.config_runscripts import generate_runscript
from video_prediction_tools.metadata.names import DataName, ExperimentId


def blocks(repository, language="bash"):
    return re.findall(rf"^```{language}\n(.*?)^```", (repository / "README.md").read_text(), re.M | re.S)


def lines(repository):
    joined = "".join(blocks(repository)).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


@pytest.fixture
def in_readme(repository, tmp_path, monkeypatch):
    """Words of the README's lines, with its variables filled in."""
    variables = {"HOME": str(tmp_path)}
    for line in lines(repository):
        if match := re.fullmatch(r"([A-Z]+)=(\S+)", line):
            value = match[2].replace("~", str(tmp_path))
            variables[match[1]] = re.sub(r"\$([A-Z]+)", lambda found: variables[found[1]], value)
    return lambda text: [
        re.sub(r"\$([A-Z]+)", lambda found: variables[found[1]], word.replace("~", str(tmp_path)))
        for word in shlex.split(text)
    ]


def test_program_lines_are_understood(repository, in_readme):
    programs = []
    for line in lines(repository):
        words = in_readme(line)
        place = next((place for place, word in enumerate(words) if "/main_scripts/main_" in word), None)
        if place is None:
            continue
        path = Path(words[place])
        assert (repository / path).is_file(), path
        parser = importlib.import_module(f"video_prediction_tools.main_scripts.{path.stem}").build_parser()
        parser.parse_args(words[place + 1 :])
        programs.append(path.stem)
    assert programs == [
        "main_data_extraction",
        "main_preprocess_data_step1",
        "main_preprocess_data_step2",
        "main_train_models",
        "main_visualize_postprocess",
        "main_meta_postprocess",
        "main_import_forecasts",
        "main_climatology",
        "main_visualize_postprocess",
        "main_visualize_postprocess",
        "main_preprocess_moving_mnist",
        "main_data_extraction",
    ]


def test_names_in_the_example_are_right(repository, in_readme):
    (data_name,) = re.findall(r"^NAME=(\S+)$", "\n".join(lines(repository)), re.M)
    name = DataName.parse(data_name)
    words = in_readme(next(line for line in lines(repository) if "step1" in line))
    assert [name.ny, name.nx] == [int(word) for word in words[words.index("--nyx") + 1 :][:2]]
    assert [name.lat, name.lon] == [float(word) for word in words[words.index("--sw_corner") + 1 :][:2]]
    assert (name.first_year, name.first_month, name.variables) == (2019, 3, ("2t",))
    ExperimentId.parse(in_readme("$MODEL")[0].split("/")[-1])


def test_the_split_can_be_read(repository, tmp_path):
    from video_prediction_tools.datasets.split import read_split

    (tmp_path / "split.json").write_text(blocks(repository, "json")[0])
    assert set(read_split(tmp_path / "split.json").ranges) == {"train", "val", "test"}


def test_generator_lines_do_what_is_shown(repository, in_readme, generate, tmp_path):
    start = "python generate_runscript.py "
    shown = [in_readme(line)[2:] for line in lines(repository) if line.startswith(start)]
    assert [words[0] for words in shown] == [
        *("all", "train", "questions", "machines"),
        *("all", "all", "status", "resume", "cancel", "train"),
    ]
    for words in shown:
        words = [word.replace("../../", f"{repository}/") for word in words]
        if words[0] in ("train", "resume", "cancel") or "--submit" in words:
            generate_runscript.build_parser().parse_args(
                words
            )  # needs what steps before have made, or runs them
            continue
        done = generate(*words, env={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "scripts").glob("*.sh"))) == 5


def test_paths_and_links_exist(repository):
    for document in [repository / "README.md", *(repository / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"
