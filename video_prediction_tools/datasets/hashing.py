"""SHA-256 of a file while it is written: large files need not be read again for it."""

import hashlib
from pickle import PickleBuffer
from typing import BinaryIO


class HashedFile:
    """A file that works out size and SHA-256 of what is written to it.

    Arguments:
        handle: an open binary file.
    """

    def __init__(self, handle: BinaryIO):
        self._handle, self._hash, self.size = handle, hashlib.sha256(), 0

    def write(self, part: bytes | memoryview | PickleBuffer) -> int:
        """Write a part; returns the number of bytes."""
        part = memoryview(part)
        self._hash.update(part)
        self.size += part.nbytes
        return self._handle.write(part)

    def sha256(self) -> str:
        """Return the SHA-256 of what was written so far."""
        return self._hash.hexdigest()
