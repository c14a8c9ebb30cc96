"""Scripts become jobs: submit a chain, cancel it, go on with it. Steps without Slurm run in the shell at once."""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from video_prediction_tools.config_runscripts import joblog, slurm, status
from video_prediction_tools.config_runscripts.steps import STEPS, Target
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata import chains
from video_prediction_tools.metadata.chains import Chain, ChainStep, Submission
from video_prediction_tools.metadata.files import raise_as_input_error, whole_file
from video_prediction_tools.progress import say


@dataclass(frozen=True)
class Link:
    """One script that is to be submitted.

    Arguments:
        step: the generator's name of the step.
        script: its file.
        local: it is run by bash and not submitted.
        targets: what it makes.
        elements: number of experiments of a sweep, or None.
        array_limit: how many of them run at a time.
    """

    step: str
    script: Path
    local: bool
    targets: list[Target]
    elements: int | None = None
    array_limit: int = 0


class LocalStepFailed(Exception):
    """A step that runs in the shell did not end well.

    Arguments:
        step: its name.
        code: its exit code.
        log: its log.
    """

    def __init__(self, step: str, code: int, log: Path):
        super().__init__(f"the step '{step}' ended with exit code {code}")
        self.step, self.code, self.log = step, code, log


def submit(directory: Path, machine: str, links: list[Link], after: str = "") -> Chain:
    """Submit scripts, each after the one before; what runs in the shell is run first and must end well.

    Arguments:
        directory: of the chain, ``<base>/Jobs/<name>``.
        machine: name of the machine profile.
        links: the scripts in the order of the workflow.
        after: id of a job that the first job waits for, or empty.

    Returns:
        The chain as it stands now.

    Raises:
        InputError: jobs of this chain are still waiting or running; Slurm refuses a script (jobs submitted so far
            are cancelled again).
        LocalStepFailed: a step in the shell failed; nothing after it was submitted.
    """
    with chains.opened(directory, machine) as chain:
        _require_idle(chain)
        chain.user = getpass.getuser()  # no job is left of who submitted it before
        for link in links:
            step = ChainStep(
                link.step,
                _freeze(link.script, directory).name,
                link.local,
                link.targets[0].kind,
                [str(target.directory) for target in link.targets],
                link.elements,
                link.array_limit,
            )
            chain.put(step, tuple(STEPS))
        chain.machine = machine
        chain.save()
        names = [link.step for link in links]
        _start(chain, [step for step in chain.steps if step.step in names], {}, after)
        return chain


def resume(chain_directory: Path) -> tuple[Chain, list[str]]:
    """Start the steps of a chain again that are not done and neither wait nor run; what is done is not redone.

    Returns:
        The chain, and the names of the steps that were started.

    Raises:
        InputError, LocalStepFailed: as `submit`.
    """
    with chains.opened(chain_directory, "") as chain:
        states = status.of_chain(chain, held=True)
        _take_over(chain, states)
        # a job behind a failed one can never run: some versions of Slurm keep it in the queue all the same
        stuck = _behind_an_ended_step(states)
        _cancel(chain, stuck)
        again = [one for one in states if one.stopped_units or one in stuck]
        waiting = {one.step.step: one.live_jobs[-1] for one in states if one.live_jobs and one not in again}
        elements = {one.step.step: [unit.element for unit in one.stopped_units] for one in again}
        queued = {job for one in states if one not in stuck for job in one.live_jobs}
        wanted = [one.step.step for one in again]
        steps = [step for step in chain.steps if step.step in (*wanted, *waiting)]
        _start(chain, steps, waiting, "", elements, queued)
        return chain, wanted


def cancel(chain_directory: Path) -> tuple[Chain, list[str]]:
    """Cancel the waiting and running jobs of a chain, the last steps first.

    Returns:
        The chain, and the ids of the cancelled jobs.
    """
    with chains.opened(chain_directory, "") as chain:
        states = [one for one in status.of_chain(chain, held=True) if one.live_jobs]
        _cancel(chain, states)
        return chain, [job for one in states for job in one.live_jobs]


def _behind_an_ended_step(states: list[status.StepStatus]) -> list[status.StepStatus]:
    """Return the steps whose jobs wait for one that has ended, and not well."""
    behind, broken = [], False
    for one in states:
        if broken and one.state == status.WAITING and one.step.elements is None:
            behind.append(one)
        broken = broken or bool(one.stopped_units)
    return behind


def _cancel(chain: Chain, states: list[status.StepStatus]) -> None:
    for one in reversed(states):
        slurm.cancel(one.live_jobs)
        one.step.submissions[-1].cancelled = chains.now()
    chain.save()


def _require_idle(chain: Chain) -> None:
    live = [job for one in status.of_chain(chain, held=True) for job in one.live_jobs] if chain.steps else []
    if live:
        raise InputError(
            chain.name,
            f"the jobs {', '.join(live)} of it are waiting or running",
            f"wait for them (status {chain.name}), or cancel them (cancel {chain.name})",
        )


def _take_over(chain: Chain, states: list[status.StepStatus]) -> None:
    """Make a chain one of this user's: whose jobs are looked for is said for the whole chain."""
    user, live = getpass.getuser(), [job for one in states for job in one.live_jobs]
    if user != chain.user and live:
        raise InputError(
            chain.name,
            f"the jobs {', '.join(live)} of it are waiting or running for {chain.user}",
            f"wait for them, or ask {chain.user} to go on with it",
        )
    chain.user = user


def _freeze(script: Path, directory: Path) -> Path:
    """Copy a script into the chain's directory: later changes of the original do not change this chain."""
    copy = directory / script.name
    with whole_file(copy) as temporary:
        shutil.copy(script, temporary)
    return copy


def _start(
    chain: Chain,
    steps: list[ChainStep],
    waiting: dict[str, str],
    after: str,
    elements: dict[str, list[int]] | None = None,
    queued: Iterable[str] = (),
) -> None:
    """Run or submit steps, in their order.

    Arguments:
        waiting: jobs of steps that are in the queue already and are not submitted again.
        after: id of a job that the first one waits for, or empty.
        elements: for a sweep's steps, the experiments that are to be started; all where a step is not named.
        queued: all jobs of the chain that wait or run, also those of experiments beside the ones to be started.
    """
    for name in slurm.overriding_variables():
        if any(not step.local for step in steps):
            say(f"not used: the variable {name}, which would override the script")
    jobs = [step for step in steps if not step.local and step.step not in waiting]
    if jobs:
        chain.cluster = slurm.cluster()
    for step in jobs:
        slurm.test(chain.directory / step.script)
    submitted: list[Submission] = []
    before = after
    for step in steps:
        if step.step in waiting:
            before = waiting[step.step]
        elif step.local:
            _run_in_shell(chain, step)
        else:
            wanted = (elements or {}).get(step.step)
            try:
                live = {*queued, *(one.job_id for one in submitted)}
                submitted += _submit(chain, step, before, wanted, live)
            except InputError:
                slurm.cancel(one.job_id for one in reversed(submitted))
                for one in submitted:
                    one.cancelled = chains.now()
                chain.save()
                raise
            before = submitted[-1].job_id


def _submit(
    chain: Chain, step: ChainStep, after: str, elements: list[int] | None, live: set[str]
) -> list[Submission]:
    """Submit a step; an experiment of a sweep waits for its own training only, if that is among the live jobs."""
    if step.elements is None:
        return [_sbatch(chain, step, f"afterok:{after}" if after else "", None)]
    wanted = elements or list(range(1, step.elements + 1))
    trained = next((one for one in chain.steps if one.step == "train" and one is not step), None)
    trainings = [one for one in trained.submissions if one.job_id in live] if trained else []
    if not trainings:
        return [_sbatch(chain, step, f"afterok:{after}" if after else "", wanted)]
    parts: dict[str, list[int]] = {}
    for number in wanted:
        own = [one.job_id for one in trainings if number in (one.elements or [])]
        parts.setdefault(f"aftercorr:{own[-1]}" if own else "", []).append(number)
    return [_sbatch(chain, step, dependency, part) for dependency, part in sorted(parts.items())]


def _sbatch(chain: Chain, step: ChainStep, dependency: str, elements: list[int] | None) -> Submission:
    script, time = chain.directory / step.script, chains.now()
    job = slurm.submit(script, dependency, elements, step.array_limit)
    after = dependency.partition(":")[2]
    log = joblog.pattern(script.read_text(encoding="utf-8"))
    submission = Submission(time, job, log, [after] if after else [], elements)
    step.submissions.append(submission)
    chain.save()
    say(f"submitted: {step.step} as job {job}{f', after job {after}' if after else ''}")
    return submission


def _run_in_shell(chain: Chain, step: ChainStep) -> None:
    script = chain.directory / step.script
    log = chain.directory / f"{Path(step.script).stem}.{len(step.submissions) + 1}.log"
    submission = Submission(chains.now(), "", str(log))
    step.submissions.append(submission)
    chain.save()
    say(f"running: {step.step} (log: {log})")
    submission.exit_code, interrupted = _run(script, log)
    chain.save()
    if interrupted:
        raise KeyboardInterrupt
    if submission.exit_code:
        raise LocalStepFailed(step.step, submission.exit_code, log)


def _run(script: Path, log: Path) -> tuple[int, bool]:
    """Run a script; what it says goes to the terminal and to its log.

    Returns:
        Its exit code, and whether Ctrl-C was pressed: the script gets it too, saves, and is waited for.
    """
    try:
        file = open(log, "wb")
    except OSError as error:
        raise_as_input_error(error, log)
        raise
    interrupted, chunk = False, b"begun"
    with file:
        process = subprocess.Popen(
            ["bash", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        while chunk or process.returncode is None:
            try:
                if chunk := os.read(process.stdout.fileno(), 1 << 16):
                    file.write(chunk)
                    file.flush()
                    sys.stdout.buffer.write(chunk)
                    sys.stdout.flush()
                else:
                    process.wait()
            except KeyboardInterrupt:
                interrupted = True
    code = process.returncode
    return (code if code >= 0 else 128 - code), interrupted
