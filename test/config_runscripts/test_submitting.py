"""Chains without Slurm: steps in the shell, what their logs and Slurm's words mean, and what status says of them."""

import getpass
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from video_prediction_tools.config_runscripts import joblog, overview, slurm, status, submitting
from video_prediction_tools.config_runscripts.slurm import QueuedJob
from video_prediction_tools.config_runscripts.steps import Target
from video_prediction_tools.config_runscripts.submitting import Link, LocalStepFailed
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata import chains, record
from video_prediction_tools.metadata.chains import Chain, ChainStep, Submission
from video_prediction_tools.metadata.names import Layout

EXP = "20190401T000000_anna_try"


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def link(tmp_path, layout):
    """Return a function that writes a script for a step and gives its link."""

    def make(step, text, local=True):
        script = tmp_path / f"{step}.sh"
        script.write_text(f"#!/usr/bin/env bash\n{text}\n")
        return Link(step, script, local, [Target("dataset", tmp_path / step)])

    return make


def generator(layout, link, **streams):
    """Start a process in a session of its own that submits one step for the shell."""
    code = (
        "from pathlib import Path; from video_prediction_tools.config_runscripts import submitting as s;"
        "from video_prediction_tools.config_runscripts.steps import Target as T;"
        f"s.submit(Path({str(layout.jobs / EXP)!r}), 'laptop',"
        f" [s.Link({link.step!r}, Path({str(link.script)!r}), True, [T('dataset', Path('/nowhere'))])])"
    )
    # tests that run in the background of a script get SIGINT ignored, and a shell cannot trap what was ignored
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-c", code], start_new_session=True, **streams
    )


def wait_for(path):
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.05)


def states(chain):
    return {one.step.step: one.state for one in status.of_chain(chain)}


# --- steps in the shell ---------------------------------------------------------------------------


def test_steps_run_in_order_and_go_on_where_one_failed(tmp_path, layout, link, capfd):
    directory = layout.jobs / EXP
    links = [
        link("extract", f"echo one >>{tmp_path}/calls"),
        link(
            "train",
            f"echo two >>{tmp_path}/calls; echo 'ERROR: x: is wrong; mend it' >&2; cat {tmp_path}/good",
        ),
        link("postprocess", f"echo three >>{tmp_path}/calls"),
    ]
    with pytest.raises(LocalStepFailed) as caught:
        submitting.submit(directory, "laptop", links)
    assert (caught.value.step, caught.value.code) == ("train", 1)
    assert (tmp_path / "calls").read_text() == "one\ntwo\n"
    assert "ERROR: x: is wrong" in capfd.readouterr().out, "what a script says is seen, too"
    chain = chains.read(directory)
    assert states(chain) == {"extract": "done", "train": "failed", "postprocess": "not started"}
    (overviewed,) = overview.overviews(layout, "try")
    text = "\n".join(overview.lines(overviewed, layout))
    assert "failed (exit code 1)" in text and "| ERROR: x: is wrong; mend it" in text
    assert f"resume {EXP} --base_dir {tmp_path}" in text

    for one in links:  # a change of the original scripts does not change what was begun
        one.script.write_text("exit 9")
    (tmp_path / "good").touch()
    chain, started = submitting.resume(directory)
    assert started == ["train", "postprocess"]
    assert (tmp_path / "calls").read_text() == "one\ntwo\ntwo\nthree\n"
    assert set(states(chain).values()) == {"done"}
    assert submitting.resume(directory)[1] == []
    (unit,) = status.of_chain(chain)[1].units
    assert (unit.runs, unit.failed) == (2, 1)


def test_a_step_that_saved_and_stopped_is_no_failure(layout, link):
    with pytest.raises(LocalStepFailed) as caught:
        submitting.submit(layout.jobs / EXP, "laptop", [link("train", "exit 75")])
    assert caught.value.code == 75
    chain = chains.read(layout.jobs / EXP)
    assert states(chain) == {"train": "stopped"}
    (unit,) = status.of_chain(chain)[0].units
    assert (unit.stopped, unit.failed) == (1, 0)


def test_a_killed_generator_leaves_a_chain_that_can_go_on(layout, link, tmp_path):
    """While it works the step is running; killed with -9, the step counts as killed."""
    one = link("train", f"touch {tmp_path}/begun; [[ -e {tmp_path}/again ]] || sleep 60")
    process = generator(layout, one)
    try:
        wait_for(tmp_path / "begun")
        chain = chains.read(layout.jobs / EXP)
        assert states(chain) == {"train": "running"}
        with pytest.raises(InputError, match="another run of the generator is submitting there"):
            submitting.resume(layout.jobs / EXP)
    finally:
        subprocess.run(["pkill", "-KILL", "-s", str(process.pid)])
        process.wait()
    (unit,) = status.of_chain(chain)[0].units
    assert (unit.state, unit.why, unit.killed) == ("failed", "killed", 1)
    (tmp_path / "again").touch()
    chain, _ = submitting.resume(layout.jobs / EXP)
    assert states(chain) == {"train": "done"}


@pytest.mark.parametrize(("code", "state"), [(75, "stopped"), (130, "cancelled")])
def test_ctrl_c_waits_for_what_the_step_saves_and_knows_how_it_ended(layout, link, tmp_path, code, state):
    """What is said meanwhile is in the log, and is read: a full pipe would hold the step for ever."""
    last_words = f"yes last words | head -c 200000; exit {code}"
    one = link("train", f"trap '{last_words}' INT; touch {tmp_path}/begun; while true; do sleep 0.1; done")
    process = generator(layout, one, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / "begun")
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    (unit,) = status.of_chain(chains.read(layout.jobs / EXP))[0].units
    assert (unit.state, unit.failed, unit.killed) == (state, 0, code == 130)
    assert len(unit.log.read_text()) == 200000


def test_what_was_finished_by_hand_is_done(layout, link, tmp_path):
    with pytest.raises(LocalStepFailed):
        submitting.submit(layout.jobs / EXP, "laptop", [link("preprocess1", "exit 1")])
    with record.running(tmp_path / "preprocess1", kind="dataset", name="x", program="p", arguments={}):
        pass
    assert states(chains.read(layout.jobs / EXP)) == {"preprocess1": "done"}


def test_sbatch_is_told_everything(tmp_path, monkeypatch):
    """A stand-in for sbatch that says how it was called, and of which cluster."""
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(f'#!/bin/sh\necho "$@" "limit:$SBATCH_TIMELIMIT" >{tmp_path}/call\necho "17;cluster"\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    assert slurm.overriding_variables() == ["SBATCH_TIMELIMIT"]
    assert slurm.submit(tmp_path / "t.sh", "aftercorr:16", [1, 2, 3, 7, 9, 10], 4) == "17"
    assert (tmp_path / "call").read_text() == (
        f"--parsable --chdir={tmp_path} --dependency=aftercorr:16 --kill-on-invalid-dep=yes --array=1-3,7,9-10%4 "
        f"{tmp_path}/t.sh limit:\n"
    )
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: Batch job submission failed: no budget' >&2; exit 1\n")
    with pytest.raises(InputError, match="sbatch refuses it .*no budget"):
        slurm.submit(tmp_path / "t.sh")
    sbatch.unlink()
    with pytest.raises(InputError, match="sbatch: there is no such command here"):
        slurm.submit(tmp_path / "t.sh")


# --- logs -----------------------------------------------------------------------------------------


def log_lines(job, *codes, errors=()):
    text = []
    for run, code in enumerate(codes, 1):
        text.append(f"AMBS start job={job} run={run} host=n1 time=2019-04-01T0{run}:00:00Z")
        text += [f"working in run {run}", *errors]
        if code is not None:
            text.append(f"AMBS end job={job} run={run} code={code} time=2019-04-01T0{run}:30:00Z")
    return "\n".join(text) + "\n"


def test_where_a_scripts_log_is():
    script = "#!/bin/sh\n#SBATCH --job-name=ambs-train\n#SBATCH --output=/logs/%x-%A_%a.log\necho\n"
    assert joblog.pattern(script) == "/logs/ambs-train-%A_%a.log"
    assert str(joblog.path_of("/logs/ambs-train-%A_%a.log", "17", 3)) == "/logs/ambs-train-17_3.log"
    assert joblog.pattern("#!/bin/sh\n") == "slurm-%j.out"


def test_successors_are_followed(tmp_path):
    (tmp_path / "t-7.log").write_text(log_lines("7", 75) + "AMBS successor job=9\n")
    (tmp_path / "t-9.log").write_text(log_lines("9", 0))
    log = joblog.follow(f"{tmp_path}/t-%j.log", "7")
    assert (log.job, [run.code for run in log.runs], log.tail) == ("9", [75, 0], ["working in run 1"])


def test_a_very_long_log_is_read_at_both_ends(tmp_path):
    noise = "x" * 99 + "\n"
    (tmp_path / "t-7.log").write_text(log_lines("7", 75) + noise * 40000 + log_lines("7", 0))
    log = joblog.follow(f"{tmp_path}/t-%j.log", "7")
    assert [run.code for run in log.runs] == [75, 0]


STEP = ChainStep("train", "t.sh", False, "model", ["/nowhere"])


def unit(tmp_path, monkeypatch, text, *, queue=None, word="", elements=None, **submission):
    """Return the state of job 7 with this log, queue, and Slurm's word for its end."""
    if text:
        (tmp_path / "t-7.log").write_text(text)
    monkeypatch.setattr(slurm, "queue", lambda user: queue or {})
    monkeypatch.setattr(slurm, "final_state", lambda job: word)
    step = ChainStep(**{**vars(STEP), "submissions": []})
    step.submissions.append(Submission("2019-04-01T00:00:00Z", "7", f"{tmp_path}/t-%j.log", **submission))
    ((one,),) = ([one.units for one in status.of_chain(Chain(tmp_path, "m", steps=[step]))],)
    return one[0]


@pytest.mark.parametrize(
    ("codes", "queue", "word", "submission", "state", "why"),
    [
        ((0,), {}, "", {}, "done", ""),
        ((2,), {}, "FAILED", {}, "failed", "exit code 2"),
        ((75,), {}, "", {}, "stopped", "saved before the end"),
        ((143,), {}, "CANCELLED", {}, "cancelled", "by scancel"),
        ((143,), {}, "TIMEOUT", {}, "failed", "killed at the walltime"),
        ((None,), {}, "NODE_FAIL", {}, "failed", "its node went down"),
        ((None,), {}, "", {}, "failed", "killed"),
        ((143,), {}, "", {"cancelled": "2019"}, "cancelled", ""),
        ((), {}, "CANCELLED", {"after": ["6"]}, "not started", "the step before did not end well"),
        ((), {}, "CANCELLED", {}, "cancelled", "by scancel"),
        ((), {"7": QueuedJob("PENDING", "Dependency")}, "", {}, "waiting", "for the step before"),
        ((75,), {"7": QueuedJob("PENDING", "BeginTime")}, "", {}, "waiting", "to go on from its checkpoint"),
        ((75, None), {"7": QueuedJob("RUNNING", "None")}, "", {}, "running", ""),
        ((75,), {"7_2": QueuedJob("RUNNING", "None")}, "", {}, "running", ""),
    ],
)
def test_states_of_a_job(tmp_path, monkeypatch, codes, queue, word, submission, state, why):
    one = unit(
        tmp_path, monkeypatch, log_lines("7", *codes) if codes else "", queue=queue, word=word, **submission
    )
    assert (one.state, one.why) == (state, why)


def refused(*arguments):
    raise InputError("squeue", "Slurm does not answer (x)", "try again later")


def test_what_slurm_alone_knows_is_unknown_where_it_does_not_answer(layout, monkeypatch):
    """On a laptop to which the directory was copied, and on another cluster with the same files and job ids."""
    directory = layout.jobs / EXP
    log = layout.base / "t-7.log"
    with chains.opened(directory, "m") as chain:
        chain.cluster = "juwels"
        submission = Submission("2019-04-01T00:00:00Z", "7", str(log))
        chain.put(ChainStep(**{**vars(STEP), "submissions": [submission]}), ("train",))
        chain.save()
    monkeypatch.setattr(slurm, "queue", lambda user: {"7": QueuedJob("RUNNING", "None")})
    monkeypatch.setattr(slurm, "final_state", lambda job: "COMPLETED")

    def told():
        (one,) = overview.overviews(layout, EXP)
        return one.state, one.steps[0].units[0].why, overview.next_action(one, layout)

    monkeypatch.setattr(slurm, "cluster", lambda: "juwels")
    assert told() == ("running", "", "nothing: it goes on by itself")
    monkeypatch.setattr(slurm, "cluster", lambda: "hdfml")
    why, action = "its jobs are on the cluster 'juwels', this is 'hdfml'", "ask on a login node of "
    assert told() == ("unknown", why, f"{action}the cluster 'juwels'")
    with pytest.raises(InputError, match="this is 'hdfml'; do it on a login node of 'juwels'"):
        submitting.resume(directory)
    with pytest.raises(InputError, match="this is 'hdfml'"):
        submitting.cancel(directory)
    monkeypatch.setattr(slurm, "cluster", refused)
    log.write_text(log_lines("7", 75, None))
    assert told() == ("unknown", "squeue: Slurm does not answer (x)", f"{action}the cluster 'juwels'")
    assert overview.overviews(layout, EXP)[0].steps[0].units[0].killed == 0
    log.write_text(log_lines("7", 75, 0))
    assert told()[0] == "done", "the log says so"


def test_a_job_that_ends_after_cancel_is_not_called_running_by_itself(tmp_path, monkeypatch):
    ending = {"7": QueuedJob("COMPLETING", "None")}
    one = unit(tmp_path, monkeypatch, log_lines("7", None), queue=ending, cancelled="2019")
    assert (one.state, one.why) == ("running", "being cancelled")


def test_anothers_chain_is_taken_over_only_when_nothing_of_it_runs(layout, link, monkeypatch):
    """Whose jobs are looked for is one name for the chain: jobs of two users would be lost sight of."""
    with pytest.raises(LocalStepFailed):
        submitting.submit(layout.jobs / EXP, "laptop", [link("extract", "exit 1")])
    with chains.opened(layout.jobs / EXP, "laptop") as chain:
        chain.user = "anna"
        chain.put(
            ChainStep(**{**vars(STEP), "submissions": [Submission("2019", "7", "")]}), ("extract", "train")
        )
        chain.save()
    monkeypatch.setattr(
        slurm, "queue", lambda user: {"7": QueuedJob("RUNNING", "None")} if user == "anna" else {}
    )
    with pytest.raises(InputError, match="the jobs 7 of it are waiting or running for anna"):
        submitting.resume(layout.jobs / EXP)
    monkeypatch.setattr(slurm, "queue", lambda user: {})
    monkeypatch.setattr(slurm, "final_state", lambda job: "")
    monkeypatch.setattr(slurm, "cluster", refused)
    with pytest.raises(InputError, match="does not answer"):
        submitting.resume(layout.jobs / EXP)
    monkeypatch.setattr(slurm, "cluster", lambda: "here")
    monkeypatch.setattr(slurm, "test", lambda script: None)
    with pytest.raises(LocalStepFailed):
        submitting.resume(layout.jobs / EXP)
    chain = chains.read(layout.jobs / EXP)
    assert (chain.user, chain.cluster) == (getpass.getuser(), "here")


def test_experiments_wait_for_their_own_training_whichever_job_it_is(layout, monkeypatch):
    """Of three one has failed and two still train; their evaluations were taken out of the queue."""
    directory = layout.jobs / EXP
    with chains.opened(directory, "m") as chain:
        for name, job in (("train", "45"), ("postprocess", "46")):
            log = str(layout.base / f"{name}-%A_%a.log")
            submission = Submission("2019-04-01T00:00:00Z", job, log, ["45"] * (name != "train"), [1, 2, 3])
            step = ChainStep(name, f"{name}.sh", False, name, ["/none"] * 3, 3, submissions=[submission])
            (directory / step.script).touch()
            chain.put(step, ("train", "postprocess"))
        chain.save()
    (layout.base / "train-45_2.log").write_text(log_lines("45_2", 2))
    running = {f"45_{number}": QueuedJob("RUNNING", "None") for number in (1, 3)}
    monkeypatch.setattr(slurm, "queue", lambda user: running)
    monkeypatch.setattr(slurm, "final_state", lambda job: "CANCELLED")
    monkeypatch.setattr(slurm, "cluster", lambda: "here")
    monkeypatch.setattr(slurm, "test", lambda script: None)
    asked = []

    def submit(script, dependency, elements, limit):
        asked.append((script.stem, dependency, elements))
        return str(52 + len(asked))

    monkeypatch.setattr(slurm, "submit", submit)
    submitting.resume(directory)
    assert asked == [
        ("train", "", [2]),
        ("postprocess", "aftercorr:45", [1, 3]),
        ("postprocess", "aftercorr:53", [2]),
    ]


def test_timeouts_failures_and_kills_are_counted_apart(tmp_path, monkeypatch):
    one = unit(tmp_path, monkeypatch, log_lines("7", 75, 75, 1, None, 143, 0))
    assert (one.state, one.runs, one.stopped, one.failed, one.killed) == ("done", 6, 2, 1, 2)
    one = unit(tmp_path, monkeypatch, log_lines("7", 75, None), queue={"7": QueuedJob("RUNNING", "None")})
    assert (one.runs, one.stopped, one.killed) == (2, 1, 0), "the run at work was not killed"


def test_the_lines_that_name_an_error_are_shown(tmp_path, monkeypatch):
    noise = [f"srun: noise {n}" for n in range(9)]
    errors = ["ERROR: a: b; c", *noise]
    assert unit(tmp_path, monkeypatch, log_lines("7", 2, errors=errors)).tail == ["ERROR: a: b; c"]
    assert unit(tmp_path, monkeypatch, log_lines("7", 1, errors=noise)).tail == noise[-5:]


# --- chain.json -----------------------------------------------------------------------------------


def test_damaged_chains_are_named_and_the_others_shown(layout, link, capsys):
    submitting.submit(layout.jobs / EXP, "laptop", [link("extract", "true")])
    for number, text in enumerate(
        ("{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "steps": [{}]}')
    ):
        path = layout.jobs / f"other{number}" / "chain.json"
        path.parent.mkdir()
        path.write_text(text)
        with pytest.raises(InputError, match="move its directory away"):
            overview.overviews(layout, f"other{number}")
    overview.show(layout, None)
    said = capsys.readouterr()
    assert EXP in said.out and said.err.count("left out: ") == 4


def test_names_are_found_by_a_part(layout, link):
    for name in (EXP, f"{EXP}2"):
        submitting.submit(layout.jobs / name, "laptop", [link("extract", "true")])
    assert overview.find_chain(layout, EXP).name == EXP
    assert overview.find_chain(layout, "try2").name == f"{EXP}2"
    with pytest.raises(InputError, match="fits .*; give one of them"):
        overview.find_chain(layout, "try")
    with pytest.raises(InputError, match="did you mean"):
        overview.find_chain(layout, f"{EXP}x")


def test_a_step_that_is_submitted_again_keeps_its_history(layout, link):
    directory = layout.jobs / EXP
    with pytest.raises(LocalStepFailed):
        submitting.submit(directory, "laptop", [link("train", "exit 1"), link("postprocess", "true")])
    submitting.submit(directory, "laptop", [link("train", "true")])
    content = json.loads((directory / "chain.json").read_text())
    assert [(one["step"], len(one["submissions"])) for one in content["steps"]] == [
        ("train", 2),
        ("postprocess", 0),
    ]
    assert submitting.resume(directory)[1] == ["postprocess"]
