"""The kinds of answers: how text of a prompt or flag, or a value of an answers file, becomes a checked value.

A value is what JSON can hold, the same whichever way it came in. `parse` raises ValueError with what is
wrong.
"""

import json
import math
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from video_prediction_tools.config_runscripts import walltime
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.names import ExperimentId

MOST_EXPERIMENTS = 1000  # of a sweep; the usual limit of Slurm's job arrays is 1001
LONGEST_NAME, LONGEST_PATH = 255, 4095  # bytes, on Linux
LONGEST_EXP_ID = (
    150  # it is part of names of files, as in train_model_<dataset>_<exp_id>.model_hparams.<hash>.json
)


@dataclass(frozen=True)
class Kind:
    """One kind of answer.

    Arguments:
        name: for `questions` (JSON): text, path, integer, ...
        form: how to write it, for messages.
        parse: text, list of texts or JSON value -> value.
        show: value -> text that `parse` reads again.
        several: a flag takes several words.
    """

    name: str
    form: str
    parse: Callable[[Any], Any]
    show: Callable[[Any], str] = str
    several: bool = False


def _line(value: Any) -> str:
    """Accept one line of text, blanks at its ends included."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} is not text")
    categories = {unicodedata.category(letter) for letter in value}
    if categories & {"Cc", "Zl", "Zp"}:
        raise ValueError("holds a newline or another control character")
    if "Cs" in categories:  # bytes of a command line that are not UTF-8 come as these
        raise ValueError("holds bytes that are not text (UTF-8)")
    return value


def _text(value: Any) -> str:
    return _line(value).strip()


def _name(value: Any) -> str:
    """Accept the name of a directory; it leads nowhere else."""
    name = _text(value)
    if "/" in name or name in (".", ".."):
        raise ValueError(f"'{name}' is a path, not a name")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise ValueError("is longer than a name can be")
    return name


def _path(value: Any) -> str:
    text = _line(value)
    if text != text.strip():
        raise ValueError("begins or ends with a blank")
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ValueError(
            f"there is no user '{path.partition('/')[0][1:]}' (a directory of this name is ./{path})"
        )
    path = os.path.abspath(path)
    if len(os.fsencode(path)) > LONGEST_PATH or any(
        len(os.fsencode(part)) > LONGEST_NAME for part in path.split("/")
    ):
        raise ValueError("is longer than a path can be")
    return path


def _words(value: Any) -> list[str]:
    """Split text at blanks and commas; a list may hold such texts."""
    parts = value if isinstance(value, list) else [value]
    if any(part is None or isinstance(part, (bool, dict, list)) for part in parts):
        raise ValueError(f"{value!r} is not a list of words")
    words = [
        word
        for part in parts
        for word in re.split(r"[,\s]+", part if isinstance(part, str) else str(part))
        if word
    ]
    if not words:
        raise ValueError(f"{value!r} is not a list of words")
    return [_text(word) for word in words]


def _arguments(value: Any) -> list[str]:
    """Split text into words that a program takes for values of a flag: those that look like flags it does not."""
    words = _words(value)
    for word in words:
        if word.startswith("-") and not re.fullmatch(r"-\d+|-\d*\.\d+", word):
            raise ValueError(f"'{word}' begins with '-' as a flag does")
    return words


def _show_words(value: list[Any]) -> str:
    return " ".join(str(word) for word in value)


def _whole_number(word: Any) -> int:
    if isinstance(word, bool) or not re.fullmatch(r"[+-]?\d+", str(word).strip()):
        raise ValueError(f"'{word}' is not a whole number")
    return int(word)


def _number(word: Any) -> float:
    try:
        number = float(str(word))
    except ValueError:
        raise ValueError(f"'{word}' is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"'{word}' is not a finite number")
    if number < 0 and "e" in repr(number):  # a program would take -1e-05 for a flag
        raise ValueError(f"'{word}' is too close to 0")
    return (
        int(number) if number.is_integer() else number
    )  # 50 and 50.0 are one answer and give the same bytes


def _in_range(number: float, low: float | None, high: float | None) -> Any:
    if low is not None and number < low or high is not None and number > high:
        raise ValueError(f"{number} is not within {low}..{'' if high is None else high}")
    return number


def integer(low: int, high: int | None = None) -> Kind:
    """Return the kind of a whole number within a closed range."""
    return Kind(
        "integer", f"a whole number from {low}", lambda value: _in_range(_whole_number(value), low, high)
    )


def number(low: float, high: float | None = None, unit: str = "") -> Kind:
    """Return the kind of a number within a closed range."""
    return Kind("number", f"a number {unit}".strip(), lambda value: _in_range(_number(value), low, high))


def integers(low: int, high: int, example: str) -> Kind:
    """Return the kind of several whole numbers, made ascending; ``2017-2019`` stands for all three."""

    def parse(value: Any) -> list[int]:
        numbers: list[int] = []
        for word in _words(value):
            first, dash, last = word.partition("-")
            ends = [
                _in_range(_whole_number(end), low, high)
                for end in ((first, last) if dash else (first, first))
            ]
            if ends[0] > ends[1]:
                raise ValueError(f"'{word}' runs backwards")
            numbers += range(ends[0], ends[1] + 1)
        return sorted(set(numbers))

    return Kind("integers", f"whole numbers, for example {example}", parse, _show_words, several=True)


def numbers(count: int, names: str, ranges: list[tuple[float, float]], whole: bool = False) -> Kind:
    """Return the kind of a fixed count of numbers, for example the edges of an area."""

    def parse(value: Any) -> list[float]:
        words = _words(value)
        if len(words) != count:
            raise ValueError(f"{len(words)} numbers given, {count} wanted")
        return [
            _in_range(_whole_number(word) if whole else _number(word), *limits)
            for word, limits in zip(words, ranges, strict=True)
        ]

    return Kind("integers" if whole else "numbers", names, parse, _show_words, several=True)


def _period(start: Any, end: Any) -> list[str]:
    for side in (start, end):
        if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d)?", str(side)):
            raise ValueError(f"'{side}' is not a date (2019-03-22) or an hour (2019-03-22T18)")
        try:
            datetime.fromisoformat(str(side))
        except ValueError:
            raise ValueError(f"there is no {side}") from None
    if str(start)[:10] > str(end)[:10] or ("T" in start and "T" in end and start > end):
        raise ValueError(f"'{start}..{end}' runs backwards")
    return [str(start), str(end)]


def _periods(value: Any) -> list[list[str]]:
    if isinstance(value, list) and value and all(isinstance(one, list) and len(one) == 2 for one in value):
        return [_period(*one) for one in value]
    periods = []
    for word in _words(value):
        start, dots, end = word.partition("..")
        periods.append(_period(start, end if dots else start))
    return periods


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError):  # a date of a TOML file, not a number, bytes that are not UTF-8
        raise ValueError("holds what a JSON file cannot hold") from None
    return text


def _table(value: Any) -> dict[str, Any]:
    if not value:
        raise ValueError("is an empty table")
    _json(value)
    return value


def _pair(key: str, value: Any) -> str:
    return f"{key}={value if isinstance(value, str) else _json(value)}"


def _pairs(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = [_pair(key, one) for key, one in value.items()]
    pairs = [_line(one) for one in (value if isinstance(value, list) else str(value).split())]
    for pair in pairs:
        if not re.fullmatch(r"\w+=.+", pair):
            raise ValueError(f"'{pair}' is not of the form key=value")
    if not pairs:
        raise ValueError("is empty")
    return pairs


def _sweep(value: Any) -> list[str]:
    """Read pairs in which every key has several values; they are put together by key."""
    if isinstance(value, dict):
        if not all(isinstance(ones, list) for ones in value.values()):
            raise ValueError("does not give a list of values for each key")
        value = [_pair(key, one) for key, ones in value.items() for one in ones]
    by_key: dict[str, list[str]] = {}
    for pair in _pairs(value):
        same = by_key.setdefault(pair.partition("=")[0], [])
        if pair in same:
            raise ValueError(f"'{pair}' stands there twice")
        same.append(pair)
    for key, pairs in by_key.items():
        if len(pairs) == 1:
            raise ValueError(f"'{key}' has one value only, which belongs to the hyper-parameters to change")
    if math.prod(len(pairs) for pairs in by_key.values()) > MOST_EXPERIMENTS:
        raise ValueError(f"makes more than {MOST_EXPERIMENTS} experiments")
    return [pair for pairs in by_key.values() for pair in pairs]


def _experiment(value: Any) -> str:
    """Keep a whole exp_id; make one of a short text."""
    text = _text(value)
    try:
        exp_id = str(ExperimentId.parse(text))
    except InputError:  # a text to make one of
        try:
            exp_id = str(ExperimentId.new(text))
        except InputError as error:
            raise ValueError(error.what) from None
    if len(exp_id) > LONGEST_EXP_ID:
        raise ValueError(f"makes an exp_id of more than {LONGEST_EXP_ID} letters")
    return exp_id


def choice(*options: str) -> Kind:
    """Return the kind of one of a few fixed words."""

    def parse(value: Any) -> str:
        if str(value) not in options:
            raise ValueError(f"'{value}' is none of them")
        return str(value)

    return Kind("choice", f"one of {', '.join(options)}", parse)


def _sbatch(value: Any) -> str:
    """Accept what may stand in an #SBATCH line: Slurm reads these lines itself and knows no quotes."""
    text = _text(value)
    if not re.fullmatch(r"[\w./:%@,+=-]+", text, re.ASCII):
        raise ValueError(f"'{text}' holds characters that an #SBATCH line cannot take")
    return text


def _walltime(value: Any) -> str:
    text = _sbatch(value)
    if walltime.seconds(text) == 0:
        raise ValueError(f"'{text}' is no time at all")
    return text


NAME = Kind("name", "a name as it is listed", _name)
PATH = Kind("path", "a path", _path)
WORDS = Kind("words", "words with blanks between them", _arguments, _show_words, several=True)
PERIODS = Kind(
    "periods",
    "first..last, for example 2019-03-01..2019-03-22 (several with blanks between them)",
    _periods,
    lambda value: " ".join(f"{start}..{end}" for start, end in value),
    several=True,
)
PAIRS = Kind("pairs", "key=value, several with blanks between them", _pairs, _show_words, several=True)
SWEEP = Kind(
    "sweep",
    "key=value with several values for each key, for example lr=0.001 lr=0.0003",
    _sweep,
    _show_words,
    several=True,
)
PATH_OR_TABLE = Kind(
    "path or table",
    "the path of a JSON file, or the table itself in an answers file",
    lambda value: _table(value) if isinstance(value, dict) else _path(value),
    lambda value: "(table)" if isinstance(value, dict) else value,
)
EXPERIMENT = Kind(
    "experiment", "a short text of letters, digits, '.', '_' and '-', or a whole exp_id", _experiment
)
SBATCH = Kind("sbatch", "letters, digits and ./:%@,+=-_", _sbatch)
WALLTIME = Kind("walltime", "hours:minutes:seconds or days-hours:minutes:seconds", _walltime)
