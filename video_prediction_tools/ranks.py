"""Work shared out over MPI ranks: same result for any number of them, and a failure on one ends all.

Months and blocks are independent of each other, so all that is needed are rounds: in each, every rank works
on one item, and then all tell all how it went. Whoever fails is heard at the end of the round, and every rank
raises the same error.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from video_prediction_tools.errors import InputError
from video_prediction_tools.progress import say

Item = TypeVar("Item")
Result = TypeVar("Result")

# number of tasks as Open MPI, MPICH and Intel MPI (also ParaStation), MVAPICH and Slurm tell it to each of
# them; srun sets SLURM_STEP_NUM_TASKS, the batch script itself has only SLURM_NTASKS
_TASKS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")


class Ranks:
    """The ranks of this run, one included.

    Arguments:
        communicator: mpi4py's COMM_WORLD, or None for one process without MPI.
    """

    def __init__(self, communicator: Any = None):
        self._communicator = communicator
        self.rank = communicator.Get_rank() if communicator else 0
        self.size = communicator.Get_size() if communicator else 1
        self.shared_failure: BaseException | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that plans, reports and keeps the metadata."""
        return self.rank == 0

    def first_does(self, function: Callable[[], Result]) -> Result | None:
        """Run `function` on the first rank only; its value is returned there, its failure raised on all."""
        outcome = self._try(function) if self.is_first else None
        failure = outcome.failure if outcome else None
        self._raise(self._from_first(failure))
        return outcome.value if outcome else None

    def first_tells(self, function: Callable[[], Result]) -> Result:
        """Run `function` on the first rank only; its value is returned, or its failure raised, on all."""
        value = self.first_does(function)
        return self._from_first(value)

    def own(self, items: Sequence[Item]) -> list[Item]:
        """Return the items that `share_out` gives to this rank, in their order."""
        return [items[number] for number in self._shares(len(items))[self.rank]]

    def share_out(
        self,
        items: Sequence[Item],
        work: Callable[[Item], Result],
        done: Callable[[list[tuple[Item, Result]]], None] = lambda round_: None,
    ) -> list[Result]:
        """Work on all items, each on one rank, one item a rank and round.

        A rank gets items that follow each other, so that it can keep what neighbours share.

        Arguments:
            items: the same on all ranks.
            work: what is to be done with an item; its value must be small, every rank gets it.
            done: called on the first rank after each round with its items and values.

        Returns:
            The values in the order of the items, on all ranks.

        Raises:
            The failure of the earliest item of the round that failed, on all ranks.
        """
        numbers = self._shares(len(items))
        results: dict[int, Result] = {}
        for turn in range(len(numbers[0])):
            at_work = [own[turn] for own in numbers if turn < len(own)]
            mine = numbers[self.rank][turn] if turn < len(numbers[self.rank]) else None
            outcome = None if mine is None else self._try(lambda: work(items[mine]))  # noqa: B023
            outcomes = [one for one in self._from_all(outcome) if one is not None]
            self._raise(next((one.failure for one in outcomes if one.failure), None))
            values = [one.value for one in outcomes]
            results.update(zip(at_work, values, strict=True))
            self.first_does(lambda: done([(items[n], results[n]) for n in at_work]))  # noqa: B023
        return [results[number] for number in range(len(items))]

    def abort(self, code: int) -> None:
        """End all ranks at once, with this exit code; the last resort, because the others cannot tidy up."""
        self._communicator.Abort(code)

    def _shares(self, number: int) -> list[range]:
        """Return the numbers of the items of each rank."""
        rounds = -(-number // self.size)
        return [range(rank * rounds, min((rank + 1) * rounds, number)) for rank in range(self.size)]

    def _from_first(self, value: Any) -> Any:
        self._meet()
        return self._communicator.bcast(value) if self._communicator else value

    def _from_all(self, value: Any) -> list[Any]:
        self._meet()
        return self._communicator.allgather(value) if self._communicator else [value]

    def _meet(self) -> None:
        """Wait asleep until all ranks are here (MPI waits at full load, which those at work would feel)."""
        if self._communicator:
            request = self._communicator.Ibarrier()
            while not request.Test():
                time.sleep(0.002)

    def _try(self, function: Callable[[], Any]) -> "_Outcome":
        try:
            return _Outcome(value=function())
        except InputError as error:
            return _Outcome(failure=error)
        except Exception as error:
            if self.size > 1:  # a traceback cannot be sent, and it is what we need to mend the fault
                traceback.print_exc(file=sys.__stderr__)
                return _Outcome(failure=RuntimeError(f"rank {self.rank}: {type(error).__name__}: {error}"))
            return _Outcome(failure=error)

    def _raise(self, failure: BaseException | None) -> None:
        if failure is not None:
            self.shared_failure = failure
            raise failure


class _Outcome:
    """Value or failure of a piece of work."""

    def __init__(self, value: Any = None, failure: BaseException | None = None):
        self.value, self.failure = value, failure


def find_ranks() -> Ranks:
    """Find out how many ranks there are; MPI is loaded only where something started several tasks.

    Raises:
        InputError: several tasks were started, and each of them believes that it is alone: all would do all
            the work, in the same files.
    """
    tasks = _tasks()
    if not tasks:
        return Ranks()
    name, number = tasks
    # a batch script that starts the program without srun: one process, whatever the job was given
    alone_in_job = name == "SLURM_NTASKS"
    try:
        from mpi4py import MPI  # a second, and on some login nodes an error: not for one process
    except (ImportError, RuntimeError) as error:
        if alone_in_job:
            say(f"no MPI library found ({error}): working with one process")
            return Ranks()
        raise InputError(
            name,
            f"{number} tasks were started, but no MPI library can be loaded ({error})",
            "load the machine's MPI module or install MPI, or start one task only",
        ) from None
    if MPI.COMM_WORLD.Get_size() > 1:
        return Ranks(MPI.COMM_WORLD)
    if alone_in_job:
        raise InputError(
            name,
            f"the job has {number} tasks, but the program was started as one process",
            "start it with srun or mpirun, or give the job one task (--ntasks=1)",
        )
    raise InputError(
        name,
        f"{number} tasks were started, but each of them believes that it is alone",
        "start the program with the mpirun that belongs to mpi4py's MPI library, or with srun --mpi=.. as "
        "this machine needs it (srun --mpi=list shows the choice), or start one task only",
    )


def _tasks() -> tuple[str, int] | None:
    """Return the first environment variable that tells of several tasks, with their number."""
    for name in _TASKS:
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 1:
            return name, int(value)
        if value == "1" and name == "SLURM_STEP_NUM_TASKS":
            return None  # one task of a larger job
    return None
