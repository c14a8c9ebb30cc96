"""SHA-256 of a file while it is written or read: large files need not be read once more for it."""

import hashlib
from pickle import PickleBuffer
from typing import BinaryIO


class HashedFile:
    """A file that works out size and SHA-256 of what passes, in the order in which it passes.

    Arguments:
        handle: an open binary file, at its beginning.
    """

    def __init__(self, handle: BinaryIO):
        self._handle, self._hash, self.size = handle, hashlib.sha256(), 0

    def write(self, part: bytes | memoryview | PickleBuffer) -> int:
        """Write a part; returns the number of bytes."""
        part = memoryview(part)
        self._pass(part)
        return self._handle.write(part)

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, or all that are left."""
        part = self._handle.read(size)
        self._pass(part)
        return part

    def readline(self) -> bytes:
        """Read to the end of the line (unpicklers ask for it)."""
        part = self._handle.readline()
        self._pass(part)
        return part

    def readinto(self, buffer: memoryview) -> int:
        """Read into existing memory; returns the number of bytes."""
        size = self._handle.readinto(buffer)
        self._pass(memoryview(buffer)[:size])
        return size

    def sha256(self) -> str:
        """Return the SHA-256 of what has passed."""
        return self._hash.hexdigest()

    def rest_sha256(self) -> str:
        """Read what is left, and return the SHA-256 of the whole file."""
        while self.read(1 << 20):
            pass
        return self.sha256()

    def _pass(self, part: bytes | memoryview) -> None:
        self._hash.update(part)
        self.size += len(part) if isinstance(part, bytes) else part.nbytes
