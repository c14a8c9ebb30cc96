"""The size that a classic NetCDF file must have, from its header.

The NetCDF library reads what lies beyond the end of a truncated classic file as zeros, without a word: a
    field of 0 K, or
of no clouds. Format: Unidata, 'NetCDF Classic Format Specification' (CDF-1, CDF-2 and CDF-5).
"""

import struct
from math import prod
from pathlib import Path
from typing import BinaryIO

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_STREAMING = {4: 2**32 - 1, 8: 2**64 - 1}  # the number of records was not known to the writer


def required_bytes(path: Path) -> int:
    """Return the number of bytes that the header promises; 0 where it leaves it open.

    Raises:
        EOFError: the file ends within the header.
    """
    with open(path, "rb") as file:
        return _Header(file).required_bytes()


class _Header:
    """Reads a header from front to back; numbers are big-endian."""

    def __init__(self, file: BinaryIO):
        self._file = file
        version = self._bytes(4)[3]
        self._count_bytes = 8 if version == 5 else 4
        self._offset_bytes = 4 if version == 1 else 8
        self.records = self._count()
        self.dimensions = [self._dimension() for _ in range(self._list_length())]
        self._attributes()
        self.variables = [self._variable() for _ in range(self._list_length())]

    def required_bytes(self) -> int:
        if self.records == _STREAMING[self._count_bytes]:
            return 0
        of_records = [variable for variable in self.variables if variable[2]]
        # one record variable alone is not padded
        record = of_records[0][1] if len(of_records) == 1 else sum(_padded(size) for _, size, _ in of_records)
        ends = [
            begin + (record * (self.records - 1) if is_record else 0) + size
            for begin, size, is_record in self.variables
            if not is_record or self.records
        ]
        return max(ends, default=0)

    def _dimension(self) -> int:
        self._name()
        return self._count()

    def _variable(self) -> tuple[int, int, bool]:
        """Return begin, bytes (of one record for a record variable) and whether it is a record variable."""
        self._name()
        shape = [self.dimensions[self._count()] for _ in range(self._count())]
        self._attributes()
        kind = self._number(4)
        self._count()  # vsize: too small a number for large variables, hence worked out here
        is_record = bool(shape) and shape[0] == 0
        return self._number(self._offset_bytes), prod(shape[is_record:]) * _TYPE_BYTES[kind], is_record

    def _attributes(self) -> None:
        for _ in range(self._list_length()):
            self._name()
            kind = self._number(4)
            self._bytes(_padded(self._count() * _TYPE_BYTES[kind]))

    def _list_length(self) -> int:
        self._number(4)  # the tag says dimension, attribute or variable; the order is fixed
        return self._count()

    def _name(self) -> None:
        self._bytes(_padded(self._count()))

    def _count(self) -> int:
        return self._number(self._count_bytes)

    def _number(self, size: int) -> int:
        return struct.unpack(">Q" if size == 8 else ">I", self._bytes(size))[0]

    def _bytes(self, size: int) -> bytes:
        content = self._file.read(size)
        if len(content) < size:
            raise EOFError("the file ends within its header")
        return content


def _padded(size: int) -> int:
    return -(-size // 4) * 4
