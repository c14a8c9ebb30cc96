"""Questions on the terminal. questionary, which takes half a second, is imported when the first is asked."""

from typing import Any

from video_prediction_tools.config_runscripts.answers import problem_with
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.config_runscripts.found import Found
from video_prediction_tools.config_runscripts.kinds import PATH, PATH_OR_TABLE
from video_prediction_tools.config_runscripts.questions import Question, asked_by
from video_prediction_tools.config_runscripts.steps import STEPS

WRITE, CHANGE, CANCEL = "write", "change", "cancel"


def _asked(question: Any) -> Any:
    """Return what the user answers to a question of questionary; Ctrl-D, or no terminal any more, is as Ctrl-C."""
    try:
        return question.unsafe_ask()
    except EOFError:
        raise KeyboardInterrupt from None


def step() -> str:
    """Ask which script is wanted; returns a step's name or ``all``."""
    from questionary import Choice, select

    width = max(map(len, STEPS))
    choices = [Choice(f"{one.name:<{width}}  {one.title}", one.name) for one in STEPS.values()]
    choices.append(Choice(f"{'all':<{width}}  all steps of a data set", "all"))
    return _asked(select("Which runscript shall be generated?", choices=choices))


def dataset() -> str:
    """Ask which data set all steps are for."""
    from questionary import Choice, select

    choices = [
        Choice(f"{'era5':<14} weather: reanalysis, an archive of yours, or synthetic", "era5"),
        Choice(f"{'moving_mnist':<14} moving digits, to compare with computer vision", "moving_mnist"),
    ]
    return _asked(select("Which data set?", choices=choices))


def may_submit(steps: list[str]) -> bool:
    """Ask whether the scripts shall be submitted."""
    import questionary

    return _asked(questionary.confirm(f"Submit {', '.join(steps)} now?", default=True))


def answer(question: Question, context: Context, default: Any) -> Any:
    """Ask one question; returns its value, checked (None: left open)."""
    offered = question.choices(context) if question.choices else []
    if offered or question.kind.name == "choice":
        return _select(question, context, default, offered)
    return _type(question, context, default)


def _select(question: Question, context: Context, default: Any, offered: list[Found]) -> Any:
    from questionary import Choice, select

    _show_help(question)
    if offered:
        choices = [
            Choice(str(one), one.name, disabled=None if one.usable else "not finished") for one in offered
        ]
        usable = [one.name for one in offered if one.usable]
        default = default if default in usable else next(iter(usable), None)
    else:
        choices = [Choice(word, word) for word in question.kind.form.removeprefix("one of ").split(", ")]
    while True:
        chosen = _asked(select(f"{question.text}?", choices=choices, default=default))
        problem = problem_with(question, context, chosen)
        if problem is None:
            return question.read(chosen)
        print(f"  {problem}")


def _type(question: Question, context: Context, default: Any) -> Any:
    import questionary

    optional = question.is_optional(context)

    def validate(text: str) -> bool | str:
        if optional and not text.strip():
            return True
        return problem_with(question, context, text) or True

    _show_help(question)
    ask = questionary.path if question.kind in (PATH, PATH_OR_TABLE) else questionary.text
    # checked at Enter only: a check may look at files
    typed = _asked(
        ask(
            f"{question.text}:",
            default="" if default is None else question.kind.show(default),
            validate=validate,
            validate_while_typing=False,
        )
    )
    return None if optional and not typed.strip() else question.read(typed)


def _show_help(question: Question) -> None:
    import questionary

    if question.help:
        questionary.print(f"  {question.help}", style="fg:ansibrightblack")


def summary(context: Context, costs: list[str], problem: str) -> str:
    """Show all answers and ask what to do with them.

    Arguments:
        costs: a line for each step that can cost something.
        problem: why the machine will not take the answers; empty: it will.
    """
    from questionary import Choice, select

    shown: set[tuple[str, str]] = set()
    for name in context.chain:
        print(f"\n{name} on {context.machine.title}")
        context.step = name
        for question in asked_by(name):
            if question.name not in context.answers[name]:
                continue
            value = context.answers[name][question.name]
            text = "-" if value is None else question.kind.show(value)
            if (question.name, text) not in shown:  # in a chain, what the steps share stands there once
                print(f"  {question.name:<18} {text}")
                shown.add((question.name, text))
    print("", *costs, *([problem] if problem else []), sep="\n")
    choices = [
        Choice("write the script", WRITE, disabled="the machine will not take them" if problem else None),
        Choice("change an answer", CHANGE),
        Choice("cancel", CANCEL),
    ]
    return _asked(select("Are these answers right?", choices=choices))


def change(context: Context) -> tuple[str, Question, Any]:
    """Ask which answer shall be changed, and for the new one; returns its step, its question and the value."""
    from questionary import Choice, select

    choices, seen = [], set()
    for name in context.chain:
        for question in asked_by(name):
            if question.name in context.answers[name] and not (question.shared and question.name in seen):
                seen.add(question.name)
                choices.append(Choice(question.key(name), (name, question)))
    name, question = _asked(select("Which answer?", choices=choices))
    context.step = name
    return name, question, answer(question, context, context.answers[name][question.name])


def may_overwrite(path: object, differences: str) -> bool:
    """Show how a script differs from the one on the disk, and ask whether to overwrite it."""
    import questionary

    print(differences)
    return _asked(questionary.confirm(f"{path} is there already and differs. Overwrite it?", default=False))
