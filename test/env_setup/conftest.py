"""A small clone, and shells that source its create_env.sh."""

import re
import shutil
import subprocess

import pytest

# writes variables, functions, traps, options and directory of a shell to a file, less what changes by itself
SNAPSHOT = r"""
snapshot() {
  {
    typeset -p | grep -a -v -E "^(declare|typeset|export|readonly|integer)?( -[-a-zA-Z0-9]+)*( [0-9]+)?( '?)(\
_|LINENO|BASH_[A-Z]+|FUNCNAME|RANDOM|SRANDOM|SECONDS|EPOCH[A-Z]+|PIPESTATUS|pipestatus|status|TTYIDLE|ZSH_EVAL_CONTEXT|\
argv|ARGC|code|funcstack|[^a-zA-Z_])('?)(=|$)"
    typeset -f
    trap
    pwd
    if [ -n "${ZSH_VERSION:-}" ]; then setopt; else set +o; shopt; fi
  } >"$1" 2>/dev/null
}
"""


@pytest.fixture(scope="module")
def clone(repository, tmp_path_factory):
    """A clone (with a blank and a quote in its path) whose lock files hold next to nothing."""
    directory = tmp_path_factory.mktemp("it's a") / "clone of ambs"
    listed = subprocess.run(
        ["git", "-C", repository, "ls-files", "-z", "video_prediction_tools", "templates", "env_setup"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in [*filter(None, listed), "pyproject.toml", "README.md"]:
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository / name, target)
    lock = directory / "env_setup" / "requirements.lock"
    lock.write_text(re.search(r"^setuptools==(?:.*\\\n)+.*\n", lock.read_text(), re.M)[0])
    (directory / "env_setup" / "requirements-dev.lock").write_text(lock.read_text())
    (directory / "env_setup" / "requirements.in").write_text("tensorflow\nkeras\niniconfig\n")
    return directory


@pytest.fixture
def source(clone, tmp_path, run_command):
    """Return a function that sources create_env.sh in a new shell and says what became of that shell."""

    def run(shell, *words, env=None, before="", timeout=200):
        script = tmp_path / "session"
        script.write_text(f"""
            {SNAPSHOT}
            {before}
            code=0
            snapshot "{tmp_path}/before.txt"
            source "$CREATE_ENV" {" ".join(words) if words else '"$@"'} || code=$?
            snapshot "{tmp_path}/after.txt"
            echo "code=$code"
            echo "python=$(command -v python)"
        """)
        here = {"CREATE_ENV": str(clone / "env_setup" / "create_env.sh"), "VIRTUAL_ENV": "", **(env or {})}
        command = [shell, *(["-f"] if shell == "zsh" else ["--norc"]), script]
        done = run_command(command, env=here, cwd=tmp_path, timeout=timeout)
        found = dict(re.findall(r"^(code|python)=(.*)$", done.stdout, re.M))
        unchanged = (tmp_path / "before.txt").read_text() == (tmp_path / "after.txt").read_text()
        return done, int(found["code"]), found["python"], unchanged

    return run
