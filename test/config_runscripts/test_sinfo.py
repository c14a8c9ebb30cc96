"""What sinfo prints, of Slurms that are not at hand here; test/slurm asks a real one."""

import pytest

from video_prediction_tools.config_runscripts import sinfo
from video_prediction_tools.config_runscripts.profiles import Partition
from video_prediction_tools.errors import InputError


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("1-00:00:00", "24:00:00"),
        ("2:00:00", "02:00:00"),
        ("30:00", "00:30:00"),
        ("0:45", "00:00:45"),
        ("3-02:00:00", "74:00:00"),
        ("30-00:00:01", "30-00:00:01"),
        ("365-12:00:00", "365-12:00:00"),
        ("infinite", ""),
        ("n/a", ""),
    ],
)
def test_longest_runs(said, written):
    assert sinfo.max_time(said) == written


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", (0, "")),
        ("", (0, "")),
        ("gpu:4", (4, "")),
        ("gpu", (1, "")),
        ("gpu:a100", (1, "a100")),
        ("gpu:a100:4(S:0-1)", (4, "a100")),
        ("gpu:a100:4(S:0,2),nvme:1", (4, "a100")),
        ("gpu:a100:2(S:0),gpu:v100:6(S:1)", (8, "a100 v100")),
        ("craynetwork:4,gpu:0", (0, "")),
        ("mps:400,gpu:tesla_v100:1", (1, "tesla_v100")),
    ],
)
def test_gpus(gres, gpus):
    assert sinfo.gpus_of(gres) == gpus


def test_partitions():
    text = """\
batch*|up|1-00:00:00|1-512|2271|2:24:2|94208|(null)|EXCLUSIVE
large|up|infinite|513-infinite|2271|2:24:2|94208+|(null)|EXCLUSIVE
mixed|up|2-12:00:00|1-infinite|40|2+:32:1|257000+|(null)|NO
mixed|up|2-12:00:00|1-infinite|8|2:16:1|128000|gpu:a100:4(S:0-1)|NO
develgpus|drain|2:00:00|1-2|12|2:20:2|191488|gpu:4,mem192:1|EXCLUSIVE
empty|up|1:00:00|1-infinite|0|0:0:0|0|(null)|NO
one|inactive|30:00|1|7|8:1:1|1|(null)|FORCE:4
"""
    found = sinfo.read(text)
    assert [one.state for one in found] == ["up", "up", "up", "drain", "inactive"]
    day = {"cores": 48, "memory_gb": 92, "exclusive": True}
    assert [one.partition for one in found] == [
        Partition("batch", max_nodes=512, max_time="24:00:00", default=True, **day),
        Partition("large", min_nodes=513, max_nodes=2271, **day),
        Partition("mixed", 64, 250, 4, "a100", 0, 48, "60:00:00"),
        Partition("develgpus", 40, 187, 4, "", 0, 2, "02:00:00", exclusive=True, devel=True),
        Partition("one", 8, max_nodes=1, max_time="00:30:00"),
    ]


@pytest.mark.parametrize("text", ["a|up", "a|up|soon|1|1|1:1:1|1|(null)|NO", "a|up|1:00|1|1|x|1|(null)|NO"])
def test_what_is_not_understood(text):
    with pytest.raises(InputError, match="is not understood .*; write the profile by hand: docs/machines.md"):
        sinfo.read(text)


def test_nothing_to_see():
    with pytest.raises(InputError, match="reports no partition"):
        sinfo.read("")
