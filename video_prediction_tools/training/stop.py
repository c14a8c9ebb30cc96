"""Being asked to stop: the warning signal of a scheduler becomes a flag, looked at after each batch."""

import atexit
import signal

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)  # not USR1: some versions of NCCL take it for themselves


class StopRequest:
    """Notes that one of `SIGNALS` has come; nothing is interrupted.

    Installed at the very beginning of the program: a signal that comes while TensorFlow is still being
    imported is obeyed after the first batch, where it would otherwise kill the process. At the end of Python
    signals are ignored: one that comes then would kill a process that has done its work.
    """

    def __init__(self):
        self.name = ""
        for number in SIGNALS:
            signal.signal(number, self._note)
        atexit.register(_ignore_signals)

    def __bool__(self) -> bool:
        return bool(self.name)

    def _note(self, number: int, frame: object) -> None:
        self.name = signal.Signals(number).name


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
