"""Say whether the Python that runs this (a container's) can run AMBS: one ERROR line and exit code 2 where not.

    python3 check_image.py               all packages must be there
    python3 check_image.py --tensorflow  only Python, TensorFlow and Keras (create_env.sh adds the rest)
    python3 check_image.py --constraints FILE
                                         as --tensorflow; TensorFlow and what it stands on become pip's constraints

It runs on any Python 3 without packages, and imports nothing heavy: versions come from the packages' metadata.
"""

import os
import re
import sys

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
OLDEST_TENSORFLOW = (2, 17)
OLDEST_KERAS = (3, 5)
PACKAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "requirements.in")


def fail(what, remedy):
    """End with one line."""
    image = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER") or sys.executable
    sys.stderr.write("ERROR: %s: %s; %s (docs/containers.md)\n" % (image, what, remedy))  # noqa: UP031
    sys.exit(2)


def dotted(version):
    """Return (2, 17) as 2.17."""
    return ".".join(map(str, version))


def version_of(package):
    """Return the version of a package as its first two numbers, None where it is absent."""
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
    return tuple(int(number) for number in re.findall(r"\d+", found)[:2])


def stands_on(package):
    """Return the names of a package and of all that it needs, as far as they are installed."""
    names, waiting = set(), [package]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name not in names:
            names.add(name)
            waiting += [re.match(r"[\w.-]+", need)[0] for need in needs if "extra ==" not in need]
    return sorted(names)


if not OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
    fail(
        "its Python is " + dotted(sys.version_info[:2]),
        "take an image with Python %s to %s" % (dotted(OLDEST_PYTHON), dotted(NEWEST_PYTHON)),  # noqa: UP031
    )
from importlib import metadata  # noqa: E402

tensorflow, keras = version_of("tensorflow"), version_of("keras")
if tensorflow is None:
    fail("it holds no TensorFlow", "build one from env_setup/ambs.def, or take NVIDIA's of TensorFlow")
if tensorflow < OLDEST_TENSORFLOW or keras is None or keras < OLDEST_KERAS:
    fail(
        f"it holds TensorFlow {dotted(tensorflow)} and Keras {dotted(keras) if keras else 'none'}, too old",
        f"take an image with TensorFlow {dotted(OLDEST_TENSORFLOW)} and Keras {dotted(OLDEST_KERAS)} or newer",
    )
if sys.argv[1:2] == ["--constraints"]:
    with open(sys.argv[2], "w") as file:
        for name in stands_on("tensorflow"):
            file.write(f"{name}=={metadata.version(name)}\n")
elif sys.argv[1:] != ["--tensorflow"]:
    with open(PACKAGES) as file:
        # markers tell Linux from other systems, and an image is always Linux
        wanted = [line.split(";")[0].strip() for line in file if re.match(r"\w", line)]
    missing = [name for name in wanted if version_of(name) is None]
    if missing:
        fail(
            f"the packages {', '.join(missing)} are missing",
            "make an environment inside the image with create_env.sh and give it as --venv",
        )
