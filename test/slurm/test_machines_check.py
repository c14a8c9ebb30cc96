"""`machines check` on a real Slurm: what it finds different, and the file that it offers."""

import subprocess
import sys
import tomllib

import pytest

from video_prediction_tools.config_runscripts import limits, machines_check, profiles
from video_prediction_tools.errors import InputError

NODE = 'cores = 512, memory_gb = 1953, gpus = 4, max_nodes = 2, max_time = "24:00:00"'


@pytest.fixture
def own(slurm, tmp_path, monkeypatch):
    """Return where the user's profiles are, in a shell that uses the Slurm of the tests."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "ambs" / "machines"


def check(name, capsys, write=False, overwrite=False):
    machines_check.check(profiles.load()[name], write=write, overwrite=overwrite)
    return capsys.readouterr().out


def test_a_cluster_that_nobody_has_described(own, capsys):
    said = check("generic_slurm", capsys)
    assert "partition 'any' is not in the profile: cores 512, memory_gb 1953, gpus 4, max_nodes 2" in said
    assert f'\n  {{ name = "any", {NODE}, default = true }},\n' in said
    assert f'\n  {{ name = "booster", {NODE}, exclusive = true }},\n' in said
    assert not own.exists()

    said = check("generic_slurm", capsys, write=True)
    path = own / "generic_slurm.toml"
    assert said.endswith(f"wrote: {path}\n")
    machine = profiles.load()["generic_slurm"]
    assert machine.partition("") == machine.partition("any") and machine.title == "Any Slurm cluster"
    with pytest.raises(InputError, match="'any' has 4 GPUs a node, 5 are asked for; give --gpus 4"):
        limits.check(machine, "train", {"gpus": 5})
    before = path.read_bytes()
    assert check("generic_slurm", capsys, write=True) == (
        "generic_slurm (Any Slurm cluster), compared with sinfo:\n"
        "  the profile says of its partitions what sinfo says\n"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("listed", ["inline", "tables", "not"])
def test_what_the_users_file_says_of_other_things_stays(own, capsys, listed):
    partitions = {
        "inline": 'partitions = [\n  { name = "booster", cores = 48, max_time = "1-00:00:00", devel = true }, # [\n'
        '  { name = "gone" },\n]\n',
        "tables": "",
        "not": "",
    }[listed]
    tables = '[[partitions]]\nname = "booster"\ncores = 48\n\n[[partitions]]\nname = "gone"\n'
    text = f'# mine\ntitle = "ours"\n{partitions}[steps.train]\ntime = "02:00:00"  # short\n'
    path = own / "juwels_booster.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text + (tables + "[account]\nenv = ['X']\n" if listed == "tables" else ""))
    before = tomllib.loads(path.read_text())
    with pytest.raises(InputError, match="is there already, and nothing was written; add --overwrite"):
        check("juwels_booster", capsys, write=True)
    assert tomllib.loads(path.read_text()) == before
    said = capsys.readouterr().out
    assert "partition 'booster': cores is 48 in the profile, 512 in sinfo" in said
    assert listed != "inline" or "'booster': max_time" not in said  # 24:00:00 is a day
    assert ("partition 'gone' is in the profile, but not in sinfo" in said) == (listed != "not")

    check("juwels_booster", capsys, write=True, overwrite=True)
    now = tomllib.loads(path.read_text())
    assert now | {"partitions": 0} == before | {"partitions": 0}
    assert now["partitions"][0]["name"] == "booster" and now["partitions"][0]["cores"] == 512
    assert ("devel" in now["partitions"][0]) == (listed == "inline")
    assert "# mine\n" in path.read_text() and "# short" in path.read_text()
    # a second time there is one remark on the date, not two
    path.write_text(path.read_text().replace("cores = 512", "cores = 511"))
    check("juwels_booster", capsys, write=True, overwrite=True)
    assert path.read_text().count("partitions as sinfo reported") == 1
    assert "the profile says of its partitions what sinfo says" in check("juwels_booster", capsys)


def test_what_a_program_cannot_replace_is_left_alone(own, capsys):
    path = own / "juwels.toml"
    path.parent.mkdir(parents=True)
    text = 'sbatch_extra = ["""--comment=\\\npartitions = 1"""]\n'  # the second line looks like a key
    path.write_text(text)
    with pytest.raises(InputError, match="its partitions cannot be replaced by a program"):
        check("juwels", capsys, write=True, overwrite=True)
    assert path.read_text() == text


def test_limits_as_slurm_has_them(own, slurm, capsys):
    """Every kind of limit, changed in the running Slurm."""
    slurm.run(
        "scontrol",
        "update",
        "partitionname=develbooster",
        "maxtime=30",
        "maxnodes=1",
        "oversubscribe=no",
        "state=down",
    )
    slurm.run("scontrol", "update", "partitionname=booster", "maxtime=infinite", "minnodes=2")
    try:
        said = check("juwels_booster", capsys)
    finally:
        slurm.run(
            "scontrol",
            "update",
            "partitionname=develbooster",
            "maxtime=120",
            "maxnodes=infinite",
            "oversubscribe=exclusive",
            "state=up",
        )
        slurm.run("scontrol", "update", "partitionname=booster", "maxtime=1440", "minnodes=1")
    for line in (
        "partition 'develbooster': max_time is 02:00:00 in the profile, 00:30:00 in sinfo",
        "partition 'develbooster': max_nodes is 4 in the profile, 1 in sinfo",
        "partition 'develbooster': exclusive is true in the profile, false in sinfo",
        "partition 'develbooster' is down at the moment",
        "partition 'booster': max_time is 24:00:00 in the profile, unlimited or unknown in sinfo",
        "partition 'booster': min_nodes is 0 in the profile, 2 in sinfo",
        "step train does not fit: partition 'booster' takes jobs of 2 nodes or more, 1 is asked for; give --nodes 2",
    ):
        assert f"\n  {line}" in said
    # for short tests and the name of the GPUs stay as the profile says
    assert (
        '{ name = "develbooster", cores = 512, memory_gb = 1953, gpus = 4, gpu_type = "A100-40GB", ' in said
    )
    assert 'max_nodes = 1, max_time = "00:30:00", devel = true }' in said


def test_without_slurm(own, capsys, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="laptop has no Slurm to compare with; give --machine"):
        check("laptop", capsys)
    (tmp_path / "slurm.conf").write_text("nonsense\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    with pytest.raises(InputError, match="sinfo: Slurm does not answer"):
        check("juwels", capsys)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InputError, match="sinfo: there is no such command here; work on a login node"):
        check("juwels", capsys)


def test_as_a_user_starts_it(own, repository, capsys):
    program = repository / "video_prediction_tools" / "config_runscripts" / "generate_runscript.py"
    done = subprocess.run(
        [sys.executable, program, "machines", "check", "--write"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout.startswith("generic_slurm (Any Slurm cluster)"), done.stderr
    assert (own / "generic_slurm.toml").exists()
    done = subprocess.run(
        [sys.executable, program, "machines", "check", "--machine", "laptop"], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("ERROR: machines check: laptop has no Slurm")
