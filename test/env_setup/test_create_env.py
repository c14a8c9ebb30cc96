"""create_env.sh: from bash and zsh, from any directory, and nothing changed in the shell when it fails.

The clone that it works on (conftest.py) has lock files with one small package: an environment is made in seconds.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from video_prediction_tools.config_runscripts import profiles

SHELLS = ("bash", "zsh")


@pytest.fixture(scope="module")
def made(clone, run_command):
    """The environment `small`, made once."""
    script = f"cd / && source {shlex.quote(str(clone / 'env_setup' / 'create_env.sh'))} small"
    done = run_command(["bash", "-c", script], timeout=300)
    if "could not be fetched" in done.stderr and os.environ.get("CI", "").lower() not in ("1", "true"):
        pytest.skip("no network")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone / "virtual_envs" / "small"


@pytest.mark.parametrize("shell", SHELLS)
def test_it_is_activated(shell, made, source):
    done, code, python, _ = source(shell, "small")
    assert code == 0, done.stderr
    assert python == str(made / "bin" / "python")
    assert "(up to date)" in done.stdout and "machine: " in done.stdout


def test_the_package_is_that_of_the_clone(made, clone, run_command):
    done = run_command(
        [made / "bin" / "python", "-c", "import video_prediction_tools as p; print(p.__file__)"], cwd="/"
    )
    assert done.stdout.startswith(str(clone)), done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_a_strict_shell_with_another_environment_active(shell, made, source):
    done, code, python, _ = source(shell, "small", before="set -eu\ncd /\nCDPATH=/usr:/\nexport CDPATH")
    assert code == 0, done.stderr
    assert python == str(made / "bin" / "python")


def test_an_unfinished_environment_is_finished_with_what_the_tests_need(made, source):
    (made / "ambs-stamp").unlink()
    done, code, _, _ = source("bash", "small", "--dev")
    assert code == 0 and "(ready, " in done.stdout, done.stderr
    for words in (("small", "--dev"), ("--dev", "small"), ("small",)):
        assert "(up to date)" in source("bash", *words)[0].stdout


@pytest.fixture
def fake_pythons(tmp_path):
    """A directory for PATH whose Pythons are all answered by a script."""

    def make(body):
        directory = tmp_path / "fake"
        directory.mkdir()
        for name in ("python3", "python3.11", "python3.12", "python3.13"):
            (directory / name).write_text(f"#!/bin/bash\n{body}\n")
            (directory / name).chmod(0o755)
        return {"PATH": f"{directory}:/usr/bin:/bin"}

    return make


def refused(result, said):
    done, code, python, unchanged = result
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    assert code == 2 and len(errors) == 1, done.stderr
    assert said in errors[0] and "; " in errors[0], errors[0]
    assert "clone of ambs" not in python
    assert unchanged


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no name is given"),
        (["'a b'"], "'a b' cannot be the name of an environment"),
        (["../x"], "cannot be the name"),
        (["'$(touch x)'"], "cannot be the name"),
        (["a", "b"], "'b' is one word too many"),
        (["a", "--dve"], "unknown option '--dve'"),
        (["-x"], "unknown option '-x'"),
    ],
)
def test_wrong_words_change_nothing(shell, words, said, source, tmp_path):
    refused(source(shell, *words, before="trap 'echo bye' EXIT\nmine=1\nset -u"), said)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_no_python(shell, source, fake_pythons):
    refused(
        source(shell, "other", env=fake_pythons("exit 1")),
        "there is no Python 3.11, 3.12 or 3.13 here; install one",
    )


def test_no_ensurepip(source, fake_pythons, clone):
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or shutil.which("python3")
    body = f'[[ "$*" != *"import ensurepip"* ]] || exit 1\nexec {python} "$@"'
    refused(
        source("bash", "other", env=fake_pythons(body)),
        "(no ensurepip); install it (Debian: apt-get install python3.",
    )
    assert not (clone / "virtual_envs" / "other").exists()


def test_no_space(source, clone):
    refused(source("bash", "other", env={"AMBS_NEEDED_MB": "999999999"}), "999999999 MB needed); free some")
    assert not (clone / "virtual_envs" / "other").exists()


def test_a_directory_that_is_no_environment(source, clone):
    (clone / "virtual_envs" / "photos").mkdir(parents=True)
    (clone / "virtual_envs" / "photos" / "me.png").write_text("x")
    refused(source("bash", "photos"), "is there and is no virtual environment; move it away")
    assert (clone / "virtual_envs" / "photos" / "me.png").exists()


def test_no_network(source, clone, tmp_path, made):
    shutil.copytree(made, clone / "virtual_envs" / "offline", symlinks=True)
    (clone / "virtual_envs" / "offline" / "ambs-stamp").unlink()
    lock = clone / "env_setup" / "requirements.lock"
    text = lock.read_text()
    lock.write_text(text + f"iniconfig==2.3.1 --hash=sha256:{'0' * 64}\n")
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_INDEX_URL": "http://127.0.0.1:9/simple",
        "UV_NO_CACHE": "1",
        "UV_HTTP_RETRIES": "0",
    }
    try:
        refused(
            source("bash", "offline", env=offline), "the packages could not be fetched; check the network"
        )
    finally:
        lock.write_text(text)


def test_an_unknown_machine(source, error_line):
    done, code, _, unchanged = source("bash", "other", env={"AMBS_MACHINE": "juwel"})
    assert code == 2 and unchanged
    assert [line for line in done.stderr.splitlines() if "ERROR" in line] == [
        "ERROR: $AMBS_MACHINE: unknown machine 'juwel'; did you mean 'juwels'?"
    ]


def test_a_machine_with_modules_but_no_module_command(source):
    refused(
        source(
            "bash", "other", env={"AMBS_MACHINE": "juwels", "LMOD_PKG": "", "MODULESHOME": "", "BASH_ENV": ""}
        ),
        "there is no module command",
    )


HDFML = ("Stages/2024", "GCC", "ParaStationMPI", "Python", "mpi4py", "netcdf4-python")
# as Lmod: reads variables that are not set, gives codes that are not 0, and sets PYTHONPATH
LMOD = """module() {
  echo "module $*" >>"$MODULE_CALLS"
  false
  if [ "$2" = "${BROKEN_MODULE:-none}" ]; then return 1; fi
  case "$*" in
    *purge) echo "$NOT_SET" >/dev/null ;;
    "load Python") if [ -n "${MODULE_PATH:-}" ]; then export PATH="$MODULE_PATH:$PATH"; fi ;;
    *netcdf4*) export PYTHONPATH=/a/module ;;
  esac
}
"""


@pytest.fixture
def lmod(tmp_path):
    """Variables for a shell on HDF-ML where `module` is a function; the file `calls` says what was loaded."""
    init = tmp_path / "lmod" / "init" / "bash"
    init.parent.mkdir(parents=True)
    init.write_text(LMOD)
    return {
        "AMBS_MACHINE": "hdfml",
        "AMBS_GPU": "no",
        "LMOD_PKG": str(tmp_path / "lmod"),
        "MODULE_CALLS": str(tmp_path / "calls"),
    }


def loads(modules):
    return ["module --force purge", *(f"module load {name}" for name in modules)]


@pytest.mark.parametrize("shell", SHELLS)
def test_modules_are_loaded_in_a_strict_shell_too(shell, source, tmp_path, made, lmod):
    done, code, python, _ = source(
        shell,
        "small",
        env=lmod,
        before=f"{LMOD}\nset -eu\ntrap 'echo \"options=$- path=${{PYTHONPATH:-}}\"' EXIT",
    )
    assert code == 0, done.stderr
    assert python == str(made / "bin" / "python")
    assert (tmp_path / "calls").read_text().splitlines() == loads(HDFML) * 2
    options, path = re.search(r"^options=(.*) path=(.*)$", done.stdout, re.M).groups()
    assert {"e", "u"} <= set(options) and path == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_module_that_loads_in_the_process_but_not_in_the_users_shell(shell, source, made, lmod):
    _, code, _, _ = source(shell, "small", env=lmod, before=LMOD)
    assert code == 0
    done, code, python, _ = source(shell, "small", env=lmod, before=f"{LMOD}\nBROKEN_MODULE=GCC")
    assert code == 2 and "could not all be loaded into this shell; start a login shell" in done.stderr
    assert python != str(made / "bin" / "python")


def test_a_module_that_is_not_there(source, lmod):
    result = source("bash", "other", env=lmod | {"BROKEN_MODULE": "GCC"}, before=LMOD)
    refused(result, "module GCC: cannot be loaded; see module spider GCC, and correct the profile 'hdfml'")


def test_a_login_node_with_an_old_python(source, fake_pythons, tmp_path, made, lmod):
    """As at Juelich: no Python reads the profile until the modules that it names are loaded."""
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "python3").symlink_to(os.path.realpath(made / "bin" / "python"))
    old = fake_pythons("exit 1") | lmod | {"MODULE_PATH": str(newer)}
    del old["AMBS_MACHINE"]
    done, code, python, _ = source("bash", "small", env=old | {"AMBS_MACHINE": "", "SYSTEMNAME": "hdfml"})
    assert code == 2 and "module: the modules of" in done.stderr  # the user's shell has no module command
    assert (tmp_path / "calls").read_text().splitlines() == loads(HDFML) * 2
    done, code, python, _ = source(
        "bash", "small", env=old | {"AMBS_MACHINE": "", "SYSTEMNAME": "hdfml"}, before=LMOD
    )
    assert code == 0, done.stderr
    assert python == str(made / "bin" / "python")
    assert "trying the modules of 'hdfml'" in done.stdout and "machine: hdfml" in done.stdout


@pytest.mark.parametrize(
    ("env", "arch", "cuda"),
    [
        ({"AMBS_MACHINE": "laptop"}, "x86_64", True),
        ({"AMBS_MACHINE": "laptop"}, "aarch64", False),
        ({"AMBS_MACHINE": "laptop", "AMBS_GPU": "no"}, "x86_64", False),
        (
            {"AMBS_MACHINE": "hdfml", "NVIDIA": "no"},
            "x86_64",
            True,
        ),  # the login node has no card, its profile has
        ({"AMBS_MACHINE": "laptop", "NVIDIA": "no"}, "x86_64", False),
        ({"AMBS_MACHINE": "laptop", "NVIDIA": "no", "AMBS_GPU": "yes"}, "x86_64", True),
    ],
)
def test_cuda_is_added_where_there_are_graphics_cards(env, arch, cuda, source, lmod, clone, tmp_path):
    """What uv would be asked to install; the environment itself stays empty."""
    if env.get("NVIDIA") == "no" and not cuda and Path("/proc/driver/nvidia/version").exists():
        pytest.skip("there is a graphics card here")
    programs = {
        "uname": f"echo {arch}",
        "uv": 'echo "$*" >>"$UV_CALLS"\n[[ $1 != venv ]] || exec python3 -m venv --without-pip "${@: -1}"',
    }
    if "NVIDIA" not in env:
        programs["nvidia-smi"] = ":"
    (tmp_path / "bin").mkdir()
    for name, line in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    calls = {"UV_CALLS": str(tmp_path / "uv"), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done, code, _, _ = source("bash", "cards", env=lmod | {"AMBS_GPU": ""} | calls | env, before=LMOD)
    shutil.rmtree(clone / "virtual_envs" / "cards")
    assert code == 0, done.stderr
    (install,) = re.findall(r"^pip install .*--require-hashes.*$", (tmp_path / "uv").read_text(), re.M)
    assert "/requirements.lock" in install and ("/requirements-gpu.lock" in install) == cuda
    assert ("know no graphics cards; train in a container" in done.stdout) == (arch == "aarch64")
    assert ("comes without CUDA; AMBS_GPU=yes adds it" in done.stdout) == (not cuda and arch == "x86_64")


def test_an_old_python_and_modules_with_none(source, fake_pythons, lmod):
    refused(
        source("bash", "other", env=fake_pythons("exit 1") | lmod),
        "there is no Python 3.11, 3.12 or 3.13 in the modules of 'hdfml' either; install one",
    )


@pytest.fixture
def early(repository, run_command, tmp_path):
    """Return a function that says what early_modules.sh prints, with a host name and the user's profiles."""
    (tmp_path / "uname").write_text('#!/bin/sh\necho "$HOST_NAME"\n')
    (tmp_path / "uname").chmod(0o755)

    def said(**env):
        here = {"AMBS_MACHINE": "", "SYSTEMNAME": "", "HOST_NAME": "pc", "PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = run_command(["bash", repository / "env_setup" / "early_modules.sh"], env=here | env)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return said


def test_the_early_reader_says_what_the_full_one_says(early):
    machines = profiles.load(Path("/nonexistent"))
    assert sum(bool(machine.environment.modules) for machine in machines.values()) >= 3
    for name, machine in machines.items():
        modules = machine.environment.modules
        expected = [name, *modules] if modules else []
        assert early(AMBS_MACHINE=name) == expected
        for system in machine.identify.systemname:
            assert early(SYSTEMNAME=system, HOST_NAME="jwlogin24") == expected


@pytest.mark.parametrize(
    "host",
    [
        "jwlogin24.juwels",
        "jwlogin21i",
        "jwb0129",
        "jwlogin08.fz-juelich.de",
        "jwc09n024",
        "hdfmll01",
        "pc",
        "jwlogin3",
    ],
)
def test_the_early_reader_finds_the_host_that_the_full_one_finds(host, early):
    machines = profiles.load(Path("/nonexistent"))
    found = profiles.detect(
        machines, environment={}, hostname=host, systemname_file=Path("/nonexistent"), which=lambda _: None
    )
    modules = machines[found.name].environment.modules
    assert early(HOST_NAME=host) == ([found.name, *modules] if modules else [])


def test_the_early_reader_takes_the_users_profiles_first(early, tmp_path):
    own = tmp_path / "ambs" / "machines"
    own.mkdir(parents=True)
    (own / "juwels.toml").write_text("""
[environment]
modules = [  # mine
  'Stages/2026', "GCC",
  "a b",  # with a ']' and a "
]
exports = { modules = "no" }
[steps.train]
modules = ["no"]
""")
    (own / "mine.toml").write_text("[identify]\nsystemname = ['mine']\n[environment]\nmodules=['A/1', 'B']\n")
    (own / "short.toml").write_text("[identify]\nhostname = ['^mine$']\n[environment]\nmodules = ['C']\n")
    (own / "empty.toml").write_text("")
    there = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert early(SYSTEMNAME="juwels", **there) == ["juwels", "Stages/2026", "GCC", "a b"]
    assert early(SYSTEMNAME="mine", **there) == ["mine", "A/1", "B"]
    assert early(HOST_NAME="mine.lab.example", **there) == ["short", "C"]
    assert early(AMBS_MACHINE="empty", **there) == early(AMBS_MACHINE="nix", **there) == []


@pytest.mark.parametrize("command", [["bash"], ["zsh", "-f"], ["sh"]])
def test_executed_it_says_that_it_must_be_sourced(command, clone, run_command):
    done = run_command([*command, clone / "env_setup" / "create_env.sh", "small"])
    assert done.returncode == 2 and done.stdout == ""
    assert "type: source env_setup/create_env.sh <env_name>" in done.stderr and done.stderr.count("\n") == 1


def test_shell_scripts_are_clean(repository, run_command):
    scripts = [
        repository / name
        for name in (
            "env_setup/create_env.sh",
            "env_setup/early_modules.sh",
            "env_setup/make_env.sh",
            "demo/run_demo.sh",
            ".ci/run",
            "video_prediction_tools/config_runscripts/setup_runscript_templates.sh",
        )
    ]
    for script in scripts:
        assert run_command(["bash", "-n", script]).returncode == 0
    for script in (scripts[0], scripts[-1]):
        assert run_command(["zsh", "-n", script]).returncode == 0
    if shutil.which("shellcheck") is None and os.environ.get("CI", "").lower() not in ("1", "true"):
        pytest.skip("shellcheck is not installed (bash -n was run)")
    done = run_command(["shellcheck", "-x", *scripts], cwd=Path(repository))
    assert done.returncode == 0, done.stdout
