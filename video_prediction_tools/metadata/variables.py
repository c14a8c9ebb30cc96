"""The table of variables (variables.toml): short names, units, and what archives and Copernicus call them."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from video_prediction_tools.errors import InputError, did_you_mean

TABLE = Path(__file__).with_name("variables.toml")


@dataclass(frozen=True)
class Conversion:
    """Another quantity that the variable can be made from: same field times `factor`.

    Arguments:
        grib_ids, names, units: of the other quantity.
        factor: variable = factor * other quantity.
    """

    grib_ids: tuple[int, ...]
    names: tuple[str, ...]
    units: str
    factor: float


@dataclass(frozen=True)
class Variable:
    """One variable; variables.toml says what the entries mean.

    Arguments:
        short_name: as in data names, for example ``2t``, ``t850``.
        pressure: level in hPa, or None.
    """

    short_name: str
    long_name: str
    standard_name: str
    units: str
    dataset: str
    copernicus: str
    grib_ids: tuple[int, ...]
    names: tuple[str, ...]
    level: str
    valid_range: tuple[float, float]
    convert: Conversion | None = None
    pressure: int | None = None


@cache
def table() -> dict[str, Variable]:
    """Return the table as it stands in variables.toml, by short name (pressure-level variables without level)."""
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: _variable(name, dict(entry)) for name, entry in entries.items()}


def _variable(name: str, entry: dict) -> Variable:
    convert = entry.pop("convert", None)
    if convert:
        convert = Conversion(
            tuple(convert["grib_ids"]), tuple(convert["names"]), convert["units"], convert["factor"]
        )
    lists = {key: tuple(entry.pop(key)) for key in ("grib_ids", "names")}
    return Variable(short_name=name, valid_range=tuple(entry.pop("range")), convert=convert, **lists, **entry)


def variable(short_name: str, flag: str = "--variables") -> Variable:
    """Look a variable up; any pressure level may follow the names of pressure-level variables (``gph500``, ``t850``).

    Raises:
        InputError: it is unknown, or its level is not between 1 and 1000 hPa.
    """
    known = table()
    found = known.get(short_name)
    if found and found.level != "pressure":
        return found
    match = re.fullmatch(r"([a-z]+)(\d{1,4})", short_name)
    if match and match[1] in known and known[match[1]].level == "pressure":
        pressure = int(match[2])
        if not 1 <= pressure <= 1000:
            raise InputError(
                flag, f"'{short_name}' asks for {pressure} hPa", "give a level from 1 to 1000 hPa"
            )
        base = known[match[1]]
        return replace(
            base,
            short_name=f"{match[1]}{pressure}",
            pressure=pressure,
            long_name=f"{base.long_name} at {pressure} hPa",
        )
    if found:
        raise InputError(
            flag, f"'{short_name}' needs a pressure level in hPa", f"write for example {short_name}500"
        )
    for name, entry in known.items():  # t2m, 2m_temperature: what files and Copernicus call it
        if short_name in (*entry.names, entry.copernicus):
            meant = f"{name}500" if entry.level == "pressure" else name
            raise InputError(flag, f"unknown variable '{short_name}'", f"did you mean '{meant}'?")
    names = [f"{name}850" if entry.level == "pressure" else name for name, entry in known.items()]
    raise InputError(
        flag, f"unknown variable '{short_name}'", did_you_mean(short_name, [*names, "gph500", "t500"])
    )


def variables(short_names: Iterable[str], flag: str = "--variables") -> list[Variable]:
    """Look several variables up, in their order.

    Raises:
        InputError: one is unknown, or named twice.
    """
    found = [variable(name, flag) for name in short_names]
    for index, one in enumerate(found):
        if one in found[:index]:
            raise InputError(flag, f"'{one.short_name}' is named twice", "name every variable once")
    return found


def is_temperature(name: str) -> bool:
    """Say whether a short name is that of a temperature in kelvin; data that are no weather have none."""
    try:
        known = variable(name)
    except InputError:
        return False
    return known.units == "K" and known.standard_name.endswith("temperature")
