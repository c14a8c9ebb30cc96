"""Limits: what a machine does not take is refused with what it would take; what a job costs is said."""

import dataclasses
from pathlib import Path

import pytest

from video_prediction_tools.config_runscripts import limits, profiles
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError

MACHINES = profiles.load(Path("/nonexistent"))
JUWELS = MACHINES["juwels"]
GIVEN = {"account": "deepacf", "tf_container": "/images/tf.sif"}


def asked(machine, step, **values):
    """Return the answers of a step where nobody changes what the profile proposes."""
    own = machine.step(step)
    resources = {name: getattr(own, name) for name in ("partition", "time", "nodes", "tasks", "cpus", "gpus")}
    return GIVEN | resources | values


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", MACHINES)
def test_what_a_profile_proposes_fits(name, step):
    machine = MACHINES[name]
    limits.check(machine, step, asked(machine, step))
    price = limits.cost(machine, step, asked(machine, step))
    assert (price is None) == (not machine.runs_with_slurm(step))
    if price and machine.step(step).partition:
        assert price.core_hours >= price.node_hours and str(price).startswith("1 node x ")


@pytest.mark.parametrize(
    ("step", "values", "flag", "said"),
    [
        (
            "train",
            {"partition": "develgpus"},
            "--time",
            "partition 'develgpus' ends jobs after 02:00:00, 24:00:00 is asked for; "
            "give --time 02:00:00 or --partition gpus",
        ),
        (
            "preprocess1",
            {"partition": "devel", "nodes": 9, "time": "01:00:00"},
            "--nodes",
            "partition 'devel' gives a job at most 8 nodes, 9 are asked for; give --nodes 8 or --partition batch",
        ),
        (
            "train",
            {"nodes": 47},
            "--nodes",
            "partition 'gpus' gives a job at most 46 nodes, 47 are asked for; give --nodes 46 (no other partition "
            "takes it: 'batch' has no GPUs, 'mem192' has no GPUs, 'devel' ends jobs after 02:00:00, "
            "'develgpus' ends jobs after 02:00:00)",
        ),
        (
            "train",
            {"nodes": 47, "time": "01:00:00"},
            "--nodes",
            "give --nodes 46 (no other partition takes it: 'batch' has no GPUs, 'mem192' has no GPUs, "
            "'devel' gives a job at most 8 nodes, 'develgpus' gives a job at most 2 nodes)",
        ),
        (
            "preprocess1",
            {"partition": "gpus"},
            "--cpus",
            None,
        ),
        (
            "preprocess1",
            {"cpus": 4},
            "--cpus",
            "partition 'batch' has 48 cores a node, 13 tasks x 4 cores are asked for; give --cpus 3 (no other "
            "partition takes it: 'mem192' has 48 cores a node, 'gpus' has 40 cores a node, 'devel' ends",
        ),
        (
            "preprocess1",
            {"partition": "gpus", "tasks": 42},
            "--tasks",
            "'gpus' has 40 cores a node, 42 tasks x 1 core are asked for; give --tasks 40 or --partition batch",
        ),
        ("preprocess1", {"tasks": 49, "cpus": 2}, "--tasks", "give --tasks 48 --cpus 1 (no other"),
        (
            "train",
            {"partition": "batch"},
            "--gpus",
            "partition 'batch' has no GPUs, 4 are asked for; give --set gpus= (none) or --partition gpus",
        ),
        (
            "train",
            {"gpus": 5, "cpus": 1},
            "--gpus",
            "partition 'gpus' has 4 GPUs a node, 5 are asked for; give --gpus 4 (no other",
        ),
        (
            "preprocess1",
            {"memory_gb": 97},
            "--memory_gb",
            "partition 'batch' has 96 GB a node, 97 GB are asked for; give --memory_gb 96 or --partition mem192",
        ),
        (
            "train",
            {"partition": "gpu"},
            "--partition",
            "JUWELS Cluster (JSC) has no partition 'gpu'; did you mean 'gpus'?",
        ),
        (
            "train",
            {"account": None},
            "--account",
            "bills every job to an account, and none is given; give --account <budget>, or set $SBATCH_ACCOUNT",
        ),
    ],
)
def test_what_a_machine_does_not_take(step, values, flag, said):
    answers = asked(JUWELS, step, **values)
    if said is None:
        limits.check(JUWELS, step, answers)
        return
    with pytest.raises(InputError) as caught:
        limits.check(JUWELS, step, answers)
    assert caught.value.where == flag and said in str(caught.value)


def test_a_partition_for_short_tests_is_proposed_last_and_as_such():
    partitions = [
        profiles.Partition("short", cores=8, max_time="01:00:00", devel=True),
        profiles.Partition("small", cores=4, max_time="24:00:00"),
        profiles.Partition("wide", cores=64, min_nodes=2, max_time="24:00:00"),
    ]
    machine = dataclasses.replace(JUWELS, partitions=partitions)
    eight = {**GIVEN, "partition": "small", "cpus": 8, "time": "01:00:00"}
    with pytest.raises(InputError, match=r"or --partition short \(which is for short tests\)$"):
        limits.check(machine, "train", eight)
    with pytest.raises(InputError, match="or --partition wide$"):
        limits.check(machine, "train", {**eight, "nodes": 2})
    with pytest.raises(
        InputError, match="'wide' takes jobs of 2 nodes or more, 1 is asked for; give --nodes 2"
    ):
        limits.check(machine, "train", {**eight, "partition": "wide"})


@pytest.mark.parametrize(
    ("time", "fits"), [("24:00:00", True), ("1-00:00:00", True), ("24:00:01", False), ("1-00:00:01", False)]
)
def test_the_last_second(time, fits):
    answers = asked(JUWELS, "preprocess1", time=time)
    if fits:
        limits.check(JUWELS, "preprocess1", answers)
    else:
        with pytest.raises(InputError, match="ends jobs after 24:00:00"):
            limits.check(JUWELS, "preprocess1", answers)


def test_compute_nodes_without_internet_do_not_download():
    on_nodes = {**JUWELS.steps, "extract": profiles.StepResources(partition="batch")}
    machine = dataclasses.replace(JUWELS, steps=on_nodes)
    answers = asked(machine, "extract", source="cds")
    limits.check(JUWELS, "extract", answers)  # on the login node
    with pytest.raises(InputError, match="compute nodes of JUWELS .* do not have; write steps.extract.local"):
        limits.check(machine, "extract", answers)
    limits.check(machine, "extract", {**answers, "source": "synthetic"})
    limits.check(
        dataclasses.replace(machine, network=profiles.Network(compute_internet=True)), "extract", answers
    )


@pytest.mark.parametrize("step", ["train", "postprocess"])
def test_a_step_that_needs_a_container(step):
    machine = MACHINES["jupiter"]
    limits.check(machine, step, asked(machine, step))
    with pytest.raises(InputError, match="uses no GPU on aarch64.*; give --tf_container <image>.sif"):
        limits.check(machine, step, asked(machine, step, tf_container=None))
    limits.check(machine, "preprocess1", asked(machine, "preprocess1", tf_container=None))


def test_unknown_limits_are_not_checked():
    machine = MACHINES["generic_slurm"]
    limits.check(
        machine,
        "train",
        {
            "partition": "theirs",
            "time": "99-00:00:00",
            "nodes": 999,
            "cpus": 999,
            "gpus": 99,
            "memory_gb": 9999,
        },
    )
    limits.check(machine, "train", {})


def test_without_a_name_the_limits_of_the_sites_default_hold():
    partitions = [
        profiles.Partition("long", max_time="48:00:00"),
        profiles.Partition("short", max_time="02:00:00", default=True),
    ]
    machine = dataclasses.replace(MACHINES["generic_slurm"], partitions=partitions)
    with pytest.raises(InputError, match="'short' ends jobs after 02:00:00, .* or --partition long$"):
        limits.check(machine, "train", {"time": "03:00:00"})
    assert str(limits.cost(machine, "train", {"time": "01:00:00"})).startswith("1 node x 01:00:00 on short: ")


@pytest.mark.parametrize(
    ("machine", "step", "values", "said"),
    [
        (
            "juwels_booster",
            "train",
            {},
            "1 node x 24:00:00 on booster: at most 1152 core hours, 96 GPU hours a run",
        ),
        (
            "juwels_booster",
            "postprocess",
            {},
            "1 node x 01:00:00 on booster: at most 48 core hours, 4 GPU hours",
        ),
        # whole nodes are billed, also where less is asked for
        ("juwels", "preprocess1", {}, "1 node x 04:00:00 on batch: at most 192 core hours"),
        (
            "juwels",
            "train",
            {"gpus": 1, "cpus": 1, "time": "00:30:00"},
            "at most 20 core hours, 2 GPU hours a run",
        ),
        (
            "juwels_booster",
            "train",
            {"nodes": 2, "elements": 6, "time": "1-00:00:00"},
            "6 jobs of 2 nodes x 1-00:00:00 on booster: at most 13824 core hours, 1152 GPU hours a run",
        ),
        (
            "generic_slurm",
            "train",
            {},
            "1 node x 12:00:00 on the default partition: at most 12 node hours, 12 GPU hours a run "
            "(the size of its nodes is unknown)",
        ),
        ("generic_slurm", "postprocess", {}, "on the default partition: at most 1 node hour (the size"),
        (
            "generic_slurm",
            "preprocess1",
            {"partition": "lab", "time": "00:01:00"},
            "on lab: at most 0.02 node hours",
        ),
    ],
)
def test_costs(machine, step, values, said):
    machine = MACHINES[machine]
    assert said in str(limits.cost(machine, step, asked(machine, step, **values)))


def test_shared_nodes_cost_what_is_asked_for():
    machine = dataclasses.replace(JUWELS, partitions=[profiles.Partition("shared", cores=64, gpus=8)])
    price = limits.cost(
        machine,
        "postprocess",
        {"partition": "shared", "time": "02:00:00", "nodes": 3, "tasks": 2, "cpus": 4, "gpus": 1},
    )
    assert (price.node_hours, price.core_hours, price.gpu_hours) == (6, 48, 6)
