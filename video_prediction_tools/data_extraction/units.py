"""Units: how sources spell them, and the conversion to the unit of the table of variables."""

from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.variables import Variable

# Spellings of CDS, ECMWF, cfgrib, NCEP and CF, brought to those of variables.toml.
_SPELLINGS = {
    "K": ("k", "kelvin", "degk", "degrees_k", "deg_k"),
    "degC": ("c", "degc", "celsius", "deg_c", "degrees_c", "degree_celsius", "degrees_celsius", "°c"),
    "Pa": ("pa", "pascal", "pascals"),
    "hPa": ("hpa", "mbar", "mb", "millibar", "millibars", "hectopascal"),
    "m s-1": ("m s-1", "m/s", "meter/sec", "meters/second", "m.s-1"),
    "m2 s-2": ("m2 s-2", "m2/s2", "m2.s-2", "j kg-1"),
    "m": ("m", "gpm", "metre", "meter", "metres", "meters", "geopotential metre"),
    "dam": ("dam", "gpdam", "gpdm"),
    "1": ("1", "(0-1)", "0-1", "(0 - 1)", "0 - 1", "fraction", "proportion", "dimensionless", "-", "none"),
    "%": ("%", "percent"),
}
# (unit of the source, unit wanted): factor and offset
_CONVERSIONS = {
    ("degC", "K"): (1.0, 273.15),
    ("hPa", "Pa"): (100.0, 0.0),
    ("dam", "m"): (10.0, 0.0),
    ("%", "1"): (0.01, 0.0),
}


def spelled(units: str) -> str:
    """Return a unit in the spelling of variables.toml (unchanged when it is not known)."""
    plain = " ".join(units.replace("**", "").replace("^", "").split()).lower()
    return next((unit for unit, spellings in _SPELLINGS.items() if plain in spellings), units)


def conversion(
    variable: Variable, units: str | None, other_quantity: bool, where: str
) -> tuple[float, float]:
    """Return factor and offset that bring a field of the source to the variable's unit.

    The unit decides where it is there: a field named `z` in metres is a height already, one named `gh` in m2
        s-2 is a
    geopotential.

    Arguments:
        variable: what the field is to become.
        units: as the source spells them; None or '' when it says nothing.
        other_quantity: the source's name or id is one of `variable.convert` (geopotential for a height).
        where: file and field, for the error message.

    Raises:
        InputError: the unit is another one.
    """
    found = spelled(units or "")
    if variable.convert and found == spelled(variable.convert.units):
        return variable.convert.factor, 0.0
    if found == variable.units:
        return 1.0, 0.0
    if (found, variable.units) in _CONVERSIONS:
        return _CONVERSIONS[found, variable.units]
    if not found:  # old archives leave it out; the range of the values is checked in any case
        return (variable.convert.factor if variable.convert and other_quantity else 1.0), 0.0
    wanted = variable.units + (f" or {variable.convert.units}" if variable.convert else "")
    raise InputError(
        where,
        f"has the unit '{units}', {variable.short_name} needs {wanted}",
        "correct the unit in the file, or name the right field with --source_names",
    )
