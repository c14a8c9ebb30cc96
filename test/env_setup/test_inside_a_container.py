"""create_env.sh and check_image.py inside a container, which here is a Python of its own with made-up packages."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / "env_setup" / "check_image.py"


class Image:
    """A Python installation in a directory: the standard library is linked, the packages are its own."""

    def __init__(self, directory: Path):
        self.file = directory / "tf image.sif"
        self.file.touch()
        self.bin = directory / "bin"
        self.bin.mkdir()
        shutil.copy(os.path.realpath(sys.executable), self.bin / "python3")
        library = Path(sys.base_prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        (directory / "lib" / library.name).mkdir(parents=True)
        for entry in library.iterdir():
            if entry.name not in ("site-packages", "dist-packages"):
                (directory / "lib" / library.name / entry.name).symlink_to(entry)
        self.env = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "PYTHONNOUSERSITE": "",
            "APPTAINER_CONTAINER": str(self.file),
        }
        places = self.python("-c", "import site; print(*site.getsitepackages(), sep='\\n')").splitlines()
        self.packages = Path([place for place in places if place.startswith(str(directory))][-1])
        self.packages.mkdir(parents=True, exist_ok=True)
        shutil.copytree(Path(importlib.util.find_spec("pip").origin).parent, self.packages / "pip")
        self.add("tensorflow", "2.17.0+nv25.2", "keras>=3.0", "leaf (>=1)", "other ; extra == 'and-cuda'")
        self.add("keras", "3.5.0")
        self.add("leaf", "1.2")
        self.add("unrelated", "7.0")

    def python(self, *words):
        return subprocess.run(
            [self.bin / "python3", *words],
            env=os.environ | self.env,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def add(self, name, version, *needs):
        """Put a package into the image, in place of another version of it."""
        for old in self.packages.glob(f"{name}-*.dist-info"):
            shutil.rmtree(old)
        (self.packages / name).mkdir(exist_ok=True)
        (self.packages / name / "__init__.py").write_text(f"__version__ = '{version}'\n")
        information = self.packages / f"{name}-{version}.dist-info"
        information.mkdir()
        needed = "".join(f"Requires-Dist: {need}\n" for need in needs)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}"
        )
        (information / "RECORD").write_text("")


@pytest.fixture
def image(tmp_path):
    directory = tmp_path / "image"
    directory.mkdir()
    return Image(directory)


def refused(result, said):
    done, code, _, unchanged = result
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert code == 2 and said in line and "; " in line and unchanged, done.stderr


def test_an_environment_on_top_of_the_images_tensorflow(image, source, clone, run_command):
    environment = clone / "virtual_envs" / "boost"
    # a machine whose modules cannot be loaded in here, and a pin of the image that our packages do not bear
    outside = {"AMBS_MACHINE": "hdfml", "PIP_CONSTRAINT": str(clone / "pins")}
    (clone / "pins").write_text("iniconfig<1\n")
    strict = "set -eu\ntrap 'echo usersite=$PYTHONNOUSERSITE' EXIT"
    done, code, python, _ = source("bash", "boost", env=image.env | outside, before=strict)
    if "could not be fetched" in done.stderr and os.environ.get("CI", "").lower() not in ("1", "true"):
        pytest.skip("no network")
    assert code == 0, done.stdout + done.stderr
    assert f"container: {image.file} (TensorFlow 2.17.0+nv25.2)" in done.stdout
    assert python == str(environment / "bin" / "python") and "usersite=1" in done.stdout
    assert (environment / "ambs-container").read_text() == f"{image.file}\n"
    assert (environment / "ambs-modules").read_text() == ""
    where = "import {0}; print({0}.__file__)"
    packages = ("iniconfig", "tensorflow", "video_prediction_tools")
    places = [run_command([python, "-c", where.format(name)], cwd="/").stdout for name in packages]
    for place, directory in zip(places, (environment, image.packages, clone), strict=True):
        assert place.startswith(str(directory))

    assert "(up to date)" in source("bash", "boost", env=image.env)[0].stdout
    other = image.env | {"APPTAINER_CONTAINER": "/images/other.sif"}
    refused(
        source("bash", "boost", env=other),
        f"was made inside the container {image.file}; start create_env.sh in",
    )
    refused(source("bash", "boost", env={"AMBS_MACHINE": "laptop"}), "was made inside the container")
    image.add("tensorflow", "2.18.0", "keras")
    no_index = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
    }
    no_index |= {"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
    refused(source("bash", "boost", env=image.env | no_index), "the packages could not be fetched")
    image.add("tensorflow", "2.15.0", "keras")
    refused(
        source("bash", "boost", env=image.env),
        "it holds TensorFlow 2.15 and Keras 3.5, too old; take an image",
    )


def test_an_environment_that_was_made_outside(image, source, clone):
    environment = clone / "virtual_envs" / "outside"
    environment.mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    refused(source("bash", "outside", env=image.env), "was made outside of a container; give another name")
    assert [path.name for path in environment.iterdir()] == ["pyvenv.cfg"]


def test_images_that_will_not_do(image, source, clone):
    def said(what, *words, **env):
        refused(source("bash", "new", *words, env=image.env | env), what)
        assert not (clone / "virtual_envs" / "new").exists()

    said("--dev does not go inside a container", "--dev")
    said("docker://x: the container was not started from a file", APPTAINER_CONTAINER="docker://x")
    image.add("keras", "3.4.1")
    said("it holds TensorFlow 2.17 and Keras 3.4, too old")
    image.add("keras", "3.5.0")
    shutil.rmtree(image.packages / "pip")
    said("its Python cannot make environments (no pip, or no venv)")
    shutil.rmtree(next(image.packages.glob("tensorflow-*.dist-info")))
    said("it holds no TensorFlow; build one from env_setup/ambs.def")
    (image.bin / "python3").unlink()
    for tool in ("bash", "cat", "dirname", "grep", "sed", "tr"):
        (image.bin / tool).symlink_to(shutil.which(tool))
    said("holds no Python; take another image", PATH=str(image.bin), SINGULARITY_CONTAINER="/not/this")


def test_what_tensorflow_stands_on_is_kept(image, tmp_path):
    image.python(CHECK, "--constraints", tmp_path / "constraints")
    assert (tmp_path / "constraints").read_text().split() == [
        "keras==3.5.0",
        "leaf==1.2",
        "tensorflow==2.17.0+nv25.2",
    ]


def test_an_image_without_all_packages(image, run_command, error_line):
    said = error_line(run_command([image.bin / "python3", CHECK], env=image.env))
    assert str(image.file) in said and "make an environment inside the image with create_env.sh" in said
    missing = re.search("the packages (.*) are missing", said)[1].split(", ")
    assert {"numpy", "netCDF4", "cartopy", "eccodeslib"} < set(missing)
    assert not {"tensorflow", "keras"} & set(missing)
    assert run_command([image.bin / "python3", CHECK, "--tensorflow"], env=image.env).returncode == 0
    assert run_command([sys.executable, CHECK]).returncode == 0  # this environment has all


@pytest.mark.parametrize("version", [(3, 6, 8), (3, 10, 12), (3, 14, 0)])
def test_an_image_with_a_python_that_does_not_fit(version, run_command, error_line):
    code = f"import runpy, sys; sys.version_info = {version}; runpy.run_path({str(CHECK)!r})"
    assert f"its Python is 3.{version[1]}; take an image with Python 3.11 to 3.13" in error_line(
        run_command([sys.executable, "-c", code])
    )


def test_an_old_python_can_read_the_check():
    ast.parse(CHECK.read_text(), feature_version=(3, 6))
