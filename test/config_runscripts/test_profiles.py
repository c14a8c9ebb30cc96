"""Machine profiles: what is in them, what is refused, and which machine is found."""

import pytest

from video_prediction_tools.config_runscripts import profiles
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError

NO_FILE = profiles.Path("/nonexistent/systemname")


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    return profiles.load(tmp_path_factory.mktemp("no_machines"))


def test_the_built_in_profiles(machines):
    assert sorted(machines) == [
        "generic_slurm",
        "hdfml",
        "jupiter",
        "jurecadc",
        "juwels",
        "juwels_booster",
        "laptop",
    ]
    for machine in machines.values():
        assert set(machine.steps) == set(STEPS)
        assert machine.title and machine.checked


def test_steps_fit_onto_their_partitions(machines):
    """Tasks times cores within a node, GPUs that it has, and a walltime within the limit."""
    for machine in machines.values():
        by_name = {partition.name: partition for partition in machine.partitions}
        for name in STEPS:
            if not machine.runs_with_slurm(name):
                continue
            resources = machine.step(name)
            partition = by_name[resources.partition]
            assert not partition.devel
            assert not partition.cores or resources.tasks * resources.cpus <= partition.cores
            assert not partition.cores or resources.gpus <= partition.gpus
            assert not partition.max_time or resources.time <= partition.max_time


def detect(machines, hostname="somewhere", systemname=NO_FILE, commands=(), configurations=(), **environment):
    return profiles.detect(
        machines,
        environment=environment,
        hostname=hostname,
        systemname_file=systemname,
        which=lambda command: f"/nonexistent/bin/{command}" if command in commands else None,
        configurations=configurations,
    )


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("jwlogin04.juwels", "juwels"),
        ("jwlogin11", "juwels"),
        ("jwlogin01i", "juwels"),
        ("jwc09n024.juwels", "juwels"),
        ("jwlogin21.juwels", "juwels_booster"),
        ("jwlogin24i", "juwels_booster"),
        ("jwb0129.juwels", "juwels_booster"),
        ("hdfmll01.fz-juelich.de", "hdfml"),
        ("hdfml01", "hdfml"),
        ("jrlogin12.jureca", "jurecadc"),
        ("jrc0450", "jurecadc"),
        ("jpbl-s01-02", "jupiter"),
        ("jpbo-001-48.jupiter", "jupiter"),
        ("juwels-fan.example.org", "laptop"),
        ("jwlogin", "laptop"),
        ("anna-laptop", "laptop"),
    ],
)
def test_host_names(machines, hostname, name):
    assert detect(machines, hostname=hostname).name == name


def test_the_machine_knows_its_name_best(machines, tmp_path):
    file = tmp_path / "systemname"
    file.write_text("juwelsbooster\n")
    assert detect(machines, hostname="jwlogin04", systemname=file).name == "juwels_booster"
    assert detect(machines, hostname="jwlogin04", systemname=file, SYSTEMNAME="hdfml").name == "hdfml"
    assert detect(machines, SYSTEMNAME="hdfml", AMBS_MACHINE="laptop").name == "laptop"


def test_unknown_names_fall_through_and_say_so(machines):
    found = detect(machines, SYSTEMNAME="deep", commands=("sbatch",), SLURM_CONF="/x/slurm.conf")
    assert (found.name, found.reason) == (
        "generic_slurm",
        "command 'sbatch' is there, and a cluster ($SLURM_CONF)",
    )
    assert found.explanation[:5] == [
        "$AMBS_MACHINE is not set: no machine fits",
        "$SYSTEMNAME is 'deep': no machine fits",
        "/nonexistent/systemname is not there: no machine fits",
        "host name is 'somewhere': no machine fits",
        "command 'sbatch' is there, and a cluster ($SLURM_CONF): generic_slurm",
    ]


def test_every_profile_says_why_not(machines):
    found = detect(machines, hostname="jwlogin04", AMBS_MACHINE="hdfml")
    assert found.explanation[0] == "$AMBS_MACHINE is 'hdfml': hdfml"
    assert found.explanation[1:] == [
        "not generic_slurm: command 'sbatch' is not there",
        r"not jupiter: $SYSTEMNAME is not there; /nonexistent/systemname is not there; "
        r"host name is not like ^jpbl-s\d\d-\d\d or ^jpbo-\d{3}-\d\d",
        r"not jurecadc: $SYSTEMNAME is not there; /nonexistent/systemname is not there; "
        r"host name is not like ^jrlogin(0[1-9]|1[0-2])(i|\.|$) or ^jrc\d{4}",
        "not juwels: hdfml is found before (host name is 'jwlogin04' would fit)",
        r"not juwels_booster: $SYSTEMNAME is not there; /nonexistent/systemname is not there; "
        r"host name is not like ^jwlogin2[1-4](i|\.|$) or ^jwb\d{4}",
        "not laptop: hdfml is found before (always would fit)",
    ]
    for name in machines:
        others = detect(machines, AMBS_MACHINE=name).explanation[1:]
        assert [line.split(":")[0] for line in others] == [
            f"not {other}" for other in machines if other != name
        ]


def test_slurms_commands_without_a_cluster_do_not_make_one(machines, tmp_path):
    """Debian's slurm-client can be installed on a laptop."""
    found = detect(machines, commands=("sbatch",))
    assert found.name == "laptop"
    assert (
        "not generic_slurm: command 'sbatch' is there, but no cluster: neither $SLURM_CONF nor a slurm.conf"
        in (found.explanation)
    )
    configuration = tmp_path / "slurm.conf"
    assert detect(machines, commands=("sbatch",), configurations=[configuration]).name == "laptop"
    configuration.touch()
    found = detect(machines, commands=("sbatch",), configurations=[configuration])
    assert found.name == "generic_slurm" and str(configuration) in found.reason
    assert detect(machines, configurations=[configuration]).name == "laptop"
    for variable in ("SLURM_CONF", "SLURM_CONF_SERVER"):
        assert detect(machines, commands=("sbatch",), **{variable: "host"}).name == "generic_slurm"


def test_a_slurm_that_a_site_has_built_itself(machines, tmp_path):
    sbatch, configuration = tmp_path / "bin" / "sbatch", tmp_path / "etc" / "slurm.conf"
    for path in (sbatch, configuration):
        path.parent.mkdir()
        path.touch()
    found = profiles.detect(
        machines,
        environment={},
        hostname="x",
        systemname_file=NO_FILE,
        which=lambda _: str(sbatch),
        configurations=(),
    )
    assert found.name == "generic_slurm" and str(configuration) in found.reason


def test_a_wrong_variable_is_an_error(machines):
    with pytest.raises(InputError, match="unknown machine 'juwel'; did you mean 'juwels'?"):
        detect(machines, AMBS_MACHINE="juwel")


def test_the_users_profile_is_merged_over(tmp_path):
    (tmp_path / "juwels.toml").write_text(
        'title = "mine"\n[steps.train]\ntime = "02:00:00"\n[account]\nenv = ["MY"]\n'
    )
    machine = profiles.load(tmp_path)["juwels"]
    built_in = profiles.load(tmp_path / "none")["juwels"]
    assert machine.title == "mine"
    assert (machine.step("train").time, machine.step("train").partition) == ("02:00:00", "gpus")
    assert machine.account == profiles.Account(required=True, env=["MY"])
    assert machine.steps["extract"] == built_in.steps["extract"] and machine.partitions == built_in.partitions


def test_the_users_own_machine_is_looked_at_first(tmp_path):
    (tmp_path / "ours.toml").write_text(
        'schema = 1\ntitle = "Ours"\nscheduler = "slurm"\n[identify]\ncommand = "sbatch"\n'
    )
    machines = profiles.load(tmp_path)
    assert detect(machines, commands=("sbatch",), SLURM_CONF="/x").name == "ours"
    (tmp_path / "ours.toml").write_text('schema = 1\ntitle = "Ours"\nscheduler = "slurm"\n')
    why = "not ours: it has no rule; give --machine, or set $AMBS_MACHINE"
    assert why in detect(profiles.load(tmp_path)).explanation


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("titel = 'x'", "unknown key 'titel'; did you mean 'title'?"),
        ("[steps.train]\ntme = '1'", "unknown key 'steps.train.tme'; did you mean 'time'?"),
        ("[steps.trian]\ntime = '01:00:00'", "unknown step 'steps.trian'; did you mean 'train'?"),
        ("[[partitions]]\nname = 'a'\ngpu = 4", "unknown key 'partitions.gpu'"),
        ("[[partitions]]\ncores = 4", "'partitions.name' is missing"),
        ("title = 3", "'title' has the wrong value 3; give one line of text"),
        ("title = 'a\\nb'", None),
        ('title = "a\\nb"', "'title' has the wrong value"),
        ("[steps.train]\ncpus = '4'", "'steps.train.cpus' has the wrong value '4'; give a whole number"),
        ("[steps.train]\ncpus = true", "'steps.train.cpus' has the wrong value True"),
        ("[account]\nenv = 'X'", "'account.env' has the wrong value 'X'; give a list"),
        ("[environment.exports]\nA = 1", "'environment.exports.A' has the wrong value 1"),
        ("scheduler = 'pbs'", "scheduler 'pbs' is unknown"),
        ("resubmit = 'again'", "resubmit 'again' is unknown; write requeue or successor or array"),
        ("[launch]\nmpi = 'mpiexec'", "launch.mpi 'mpiexec' is unknown; write srun or mpirun"),
        (
            "[steps.train]\ntime = '24h'",
            "steps.train.time '24h' is no walltime; write hh:mm:ss or d-hh:mm:ss",
        ),
        ("[[partitions]]\nname = 'a'\nmax_time = '1:0'", "partitions.max_time '1:0' is no walltime"),
        ("schema = 2", "has schema 2"),
        ("name = 'x'", "unknown key 'name'"),
        ("[identify]\nhostname = ['(']", "is not a regular expression"),
        ("title = ", "is not valid TOML"),
    ],
)
def test_wrong_profiles(tmp_path, text, said):
    path = tmp_path / "juwels.toml"
    path.write_text(text)
    if said is None:
        assert profiles.load(tmp_path)["juwels"].title == "a\\nb"
        return
    with pytest.raises(InputError) as caught:
        profiles.load(tmp_path)
    assert said in str(caught.value) and caught.value.where == str(path)


def test_a_new_profile_must_be_complete(tmp_path):
    (tmp_path / "ours.toml").write_text("schema = 1\ntitle = 'Ours'\n")
    with pytest.raises(InputError, match="'scheduler' is missing"):
        profiles.load(tmp_path)


def test_the_default_base_directory(machines):
    assert machines["laptop"].base_dir(None).endswith("/ambs_data")
    assert machines["juwels"].base_dir(None) is None
    assert machines["juwels"].base_dir("deepacf").startswith("/p/scratch/deepacf/")
