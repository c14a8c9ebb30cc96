"""Being asked to stop: the warning signal of a scheduler becomes a flag, looked at after each batch."""

import signal

SIGNALS = (signal.SIGUSR2, signal.SIGTERM)  # not USR1: some versions of NCCL take it for themselves


class StopRequest:
    """Notes that one of `SIGNALS` has come; nothing is interrupted.

    Installed at the very beginning of the program: a signal that comes while TensorFlow is still being
    imported is obeyed after the first batch, where it would otherwise kill the process.
    """

    def __init__(self):
        self.name = ""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def __bool__(self) -> bool:
        return bool(self.name)

    def _note(self, number: int, frame: object) -> None:
        self.name = signal.Signals(number).name
