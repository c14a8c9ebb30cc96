"""From flags, an answers file, prompts and defaults to one checked answer for each question."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from video_prediction_tools.config_runscripts import settings
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.config_runscripts.questions import QUESTIONS, Question, asked_by
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata.files import read_json

NAMES = tuple(dict.fromkeys(question.name for question in QUESTIONS))

Ask = Callable[[Question, Context, Any], Any]
"""Asks the user one question: (question, context, default) -> value."""


@dataclass
class Given:
    """Answers that need not be asked for, by ``name`` or, for one step of a chain, ``step.name``.

    Arguments:
        values: the answers as they were given.
        where: for each, the flag or file that it came from.
        flags: those that came by flag; not being asked for is an error there, and a remark in a file.
        step, machine, dataset: what an answers file says of them.
    """

    values: dict[str, Any] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    step: str | None = None
    machine: str | None = None
    dataset: str | None = None

    def add(self, key: str, value: Any, where: str, by_flag: bool) -> None:
        """Note one answer; it takes the place of an earlier one.

        Raises:
            InputError: nothing has this name (did you mean).
        """
        step, dot, name = key.rpartition(".")
        if dot and step not in STEPS:
            raise InputError(where, f"unknown step '{step}'", did_you_mean(step, STEPS))
        if name not in NAMES:
            raise InputError(where, f"unknown answer '{name}'", did_you_mean(name, NAMES))
        self.values[key], self.where[key] = value, where
        self.flags.discard(key)
        if by_flag:
            self.flags.add(key)

    def change(self, step: str, question: Question, value: Any) -> None:
        """Put a value in the place of the one that a step would take."""
        key = self.key_for(step, question.name) or question.key(step)
        self.add(key, value, question.flag, by_flag=False)

    def key_for(self, step: str, name: str) -> str | None:
        """Return the key under which a step's answer was given, or None."""
        return next((key for key in (f"{step}.{name}", name) if key in self.values), None)


def given(file: Path | None, flags: dict[str, Any], settings_by_key: Sequence[str]) -> Given:
    """Gather what was given; flags and ``--set`` go before the file.

    Arguments:
        file: answers file (JSON, or TOML by its ending), or None.
        flags: values of the flags that were used, by name.
        settings_by_key: the ``key=value`` of ``--set``.

    Raises:
        InputError: the file is damaged, a name unknown, a ``--set`` without '='.
    """
    answers = Given()
    if file is not None:
        _add_file(answers, file)
    for setting in settings_by_key:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InputError(
                "--set", f"'{setting}' is not of the form key=value", "write for example --set years=2019"
            )
        if key in ("machine", "dataset"):
            setattr(answers, key, value)
        else:
            answers.add(key, value, f"--set {key}", by_flag=True)
    for name, value in flags.items():
        answers.add(name, value, f"--{name}", by_flag=True)
    return answers


def _add_file(answers: Given, file: Path) -> None:
    if file.suffix == ".toml":
        content = settings.read_toml(file)
    else:
        content = read_json(file, "give an answers file (JSON or TOML)")
    if not isinstance(content, dict):
        raise InputError(file, "is not a table of answers", 'write for example {"years": [2019]}')
    content = dict(content)
    for name in ("step", "machine", "dataset"):
        value = content.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise InputError(file, f"'{name}' is not text", "give its name")
        setattr(answers, name, value)
    for key, value in content.items():
        if key in STEPS and isinstance(value, dict):
            for name, one in value.items():
                answers.add(f"{key}.{name}", one, f"{file}: {key}.{name}", by_flag=False)
        else:
            answers.add(key, value, f"{file}: {key}", by_flag=False)


@dataclass
class Collected:
    """All answers of a run; `remarks` say what was given and not used."""

    context: Context
    remarks: list[str]


def collect(context: Context, given: Given, ask: Ask | None) -> Collected:
    """Answer all questions of the chain.

    Arguments:
        context: machine and chain; the answers are put into it.
        given: what need not be asked; an answer that cannot be used is asked for again, and its place taken.
        ask: asks the user; None: nobody can be asked, defaults are taken.

    Raises:
        InputError: nobody can be asked, and an answer cannot be used or answers are missing (all are named).
    """
    used: set[str] = set()
    missing: list[str] = []
    for step in context.chain:
        context.step = step
        context.answers[step] = {}
        for question in asked_by(step):
            if not question.when(context):
                continue
            key = given.key_for(step, question.name)
            used.add(key or "")
            try:
                value = _answer(question, context, given, key, ask)
                context.answers[step][question.name] = value
                if value is not None and question.check and not missing:
                    question.check(context)
            except InputError as error:
                if ask is None:
                    raise
                _ask_again(error, question, context, given, ask)
                return collect(context, given, ask)  # others may follow from it
            if value is None and not question.is_optional(context):
                if not (missing and any(map(context.earlier, question.made_by))):
                    missing.append(_how_to_give(question, context))
    if missing:
        raise InputError(
            "answers",
            f"missing: {', '.join(dict.fromkeys(missing))}",
            "give them by flag, by --set key=value or by --answers FILE",
        )
    return Collected(context, _unused(context, given, used, refused=ask is None))


def _ask_again(error: InputError, question: Question, context: Context, given: Given, ask: Ask) -> None:
    """Ask again for the answer that an error names, or for that of `question`; what was typed is not lost."""
    named = [one for one in asked_by(context.step) if one.flag == error.where]
    if named and named[0].name in context.answers[context.step]:
        question = named[0]
    print(f"  {error}")
    before = context.answers[context.step].get(question.name)
    value = ask(question, context, before)
    if value == before:
        raise error
    given.change(context.step, question, value)


def _answer(question: Question, context: Context, given: Given, key: str | None, ask: Ask | None) -> Any:
    shared = context.shared(question.name) if question.shared else None
    if shared is not None and key != f"{context.step}.{question.name}":
        return shared  # not read again: of a short text, train has made the exp_id that postprocess needs
    if key is not None:
        return _read(question, context, given.values[key], given.where[key])
    default = question.default_value(context)
    decided = default is not None and any(map(context.earlier, question.made_by))
    return ask(question, context, default) if ask and not (question.rare or decided) else default


def _read(question: Question, context: Context, answer: Any, where: str = "") -> Any:
    if question.is_optional(context) and answer in (None, "", []):
        return None
    return question.read(answer, where)


def _how_to_give(question: Question, context: Context) -> str:
    offered = ""
    if question.choices and context.get("base_dir"):
        offered = f"; found: {', '.join(map(str, question.choices(context))) or 'nothing'}"
    return f"{question.name} ({question.flag}{offered})"


def _unused(context: Context, given: Given, used: set[str], refused: bool) -> list[str]:
    unused = [key for key in given.values if key not in used]
    steps = " and ".join(context.chain) if len(context.chain) < 3 else "all"
    for key in unused:
        if refused and key in given.flags:
            raise InputError(
                given.where[key],
                f"is not asked here (step {steps}, machine {context.machine.name})",
                "leave it out, or change what makes it unnecessary",
            )
    return [f"not used: {given.where[key]}" for key in unused]


def problem_with(question: Question, context: Context, answer: Any) -> str | None:
    """Say what is wrong with an answer that a user types, or None."""
    before = context.answers[context.step].get(question.name)
    try:
        value = _read(question, context, answer)
        context.answers[context.step][question.name] = value
        offered = question.choices(context) if question.choices else []
        if offered and value not in [one.name for one in offered if one.usable]:
            return f"there is no finished '{value}'; choose another"
        if value is not None and question.check:
            question.check(context)
    except InputError as error:
        return f"{error.what}; {error.remedy}"
    finally:
        context.answers[context.step][question.name] = before
    return None


def to_be_saved(context: Context, step: str) -> dict[str, Any]:
    """Return what an answers file for one step holds: the same answers make the same script.

    Questions that were left open stand there as null: their default must not come back.
    """
    return {"step": step, "machine": context.machine.name, **context.answers[step]}


def as_json(content: dict[str, Any]) -> str:
    """Return an answers file's text."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
