"""Write the runscripts of the workflow for this machine: by prompt, by flags, or from an answers file."""

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:  # started as a file: the packages are those of the clone that it lies in
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from video_prediction_tools.config_runscripts import (  # noqa: E402
    answers,
    containers,
    hparams_check,
    kinds,
    limits,
    machines_check,
    overview,
    profiles,
    prompts,
    rendering,
    settings,
    submitting,
    writing,
)
from video_prediction_tools.config_runscripts.context import Context  # noqa: E402
from video_prediction_tools.config_runscripts.questions import QUESTIONS, Question, asked_by  # noqa: E402
from video_prediction_tools.config_runscripts.steps import CHAINS, STEPS  # noqa: E402
from video_prediction_tools.errors import InputError, did_you_mean  # noqa: E402
from video_prediction_tools.main_scripts.program import Parser, run  # noqa: E402
from video_prediction_tools.metadata import chains  # noqa: E402
from video_prediction_tools.metadata.names import Layout  # noqa: E402

COMMANDS = ("machines", "questions", "check", "status", "resume", "cancel")


def build_parser() -> Parser:
    """Return the parser; every question of questions.py is a flag."""
    parser = Parser(__doc__)
    parser.usage = (
        "%(prog)s [STEP|all] [answers ..] [--submit] | check [STEP|all] [answers ..] | "
        "questions STEP [--machine M] | status [NAME] | resume NAME | cancel NAME | "
        "machines [check] [--explain]"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="STEP",
        help=f"{', '.join(STEPS)} or all; or a command: {', '.join(COMMANDS)}. NAME is an exp_id or a data "
        "name that was submitted, or a part of it",
    )
    parser.add_argument(
        "--machine", help="machine profile; default: the one that is found (see the command machines)"
    )
    parser.add_argument(
        "--dataset",
        choices=tuple(CHAINS),
        help="with all: the data set whose steps are meant; default: era5",
    )
    parser.add_argument(
        "--answers", type=Path, help="answers file, JSON or TOML; one lies beside every script"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="key=value",
        help="answers by name; step.name=value for one step of all",
    )
    parser.add_argument(
        "--no-input", action="store_true", help="ask nothing; defaults are taken, what is missing is listed"
    )
    parser.add_argument("--print", action="store_true", help="print the script, write nothing")
    parser.add_argument(
        "--diff", action="store_true", help="print how the script differs from the one there, write nothing"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="overwrite a different script without asking"
    )
    parser.add_argument(
        "--submit",
        action="store_true",
        help="submit the scripts, each after the one before; what needs no Slurm is run at once",
    )
    parser.add_argument(
        "--after",
        metavar="JOBID",
        help="with --submit: a job that must end well before the first",
    )
    parser.add_argument("--yes", action="store_true", help="with --submit: do not ask before submitting")
    parser.add_argument("--json", action="store_true", help="with status: print JSON")
    parser.add_argument(
        "--write",
        action="store_true",
        help="with machines check: write what Slurm says into your profile of the machine",
    )
    parser.add_argument(
        "--scripts_dir",
        type=Path,
        help="where scripts go; default: HPC_scripts or nonHPC_scripts of this clone",
    )
    parser.add_argument(
        "--explain", action="store_true", help="with machines: say which rule found the machine"
    )
    parser.add_argument(
        "--modules",
        action="store_true",
        help="with machines: print only the name of this machine ('gpus' behind it where it has some) and, "
        "a line each, the modules that it loads",
    )
    group = parser.add_argument_group("answers")
    for name in dict.fromkeys(question.name for question in QUESTIONS):
        same = [question for question in QUESTIONS if question.name == name]
        steps = dict.fromkeys(step for question in same for step in question.steps)
        help_text = "; ".join(
            part for part in (same[0].text, same[0].help, f"for {', '.join(steps)}") if part
        )
        group.add_argument(
            f"--{name}",
            nargs="+" if same[0].kind.several else None,
            default=argparse.SUPPRESS,
            metavar=same[0].kind.name.upper().split()[0],
            help=help_text.replace("%", "%%"),
        )
    return parser


def main(options: argparse.Namespace) -> None:
    """Do what the first word says: a command, or the scripts of a step."""
    for name, value in vars(options).items():
        if value == [] and name not in ("words", "set"):  # argparse of Python 3.11 drops '--' in `--name=--`
            raise InputError(f"--{name}", "'--' is no value", "give another one, or leave the flag out")
    try:
        command, word = _words(options)
        if command == "machines":
            _machines(options, check=word == "check")
        elif command == "questions":
            _questions(word, options)
        elif command == "status":
            _status(word, options)
        elif command in ("resume", "cancel"):
            _change_chain(command, word, options)
        else:
            _scripts(word, options, write=command != "check")
    except KeyboardInterrupt:
        print("\nnothing written", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `... --print | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _words(options: argparse.Namespace) -> tuple[str, str | None]:
    words = list(options.words)
    command = words.pop(0) if words and words[0] in COMMANDS else "write"
    word = words.pop(0) if words else None
    if words:
        raise InputError(words[0], "is one word too many", "give one step, or all")
    if command in ("status", "resume", "cancel"):
        return command, word
    known = ["check"] if command == "machines" else [*STEPS, "all"]
    if word is not None and word not in known:
        known = [*known, *COMMANDS] if command == "write" else known
        raise InputError(word, "is no step", did_you_mean(word, known))
    return command, word


def _layout(options: argparse.Namespace) -> Layout:
    """Return where things lie below the base directory, from --base_dir, the user's setting or the profile."""
    base = (
        getattr(options, "base_dir", None) or settings.base_dir() or _machine(options, None)[0].base_dir(None)
    )
    if base is None:
        raise InputError("--base_dir", "is missing", "give it, or set it with setup_runscript_templates.sh")
    return Layout(Path(base).expanduser().absolute())


def _status(name: str | None, options: argparse.Namespace) -> None:
    """Show how far everything has got."""
    layout = _layout(options)
    if options.json:
        print(json.dumps(overview.as_json(layout, name), indent=2))
    else:
        overview.show(layout, name)


def _change_chain(command: str, name: str | None, options: argparse.Namespace) -> None:
    """Go on with what was submitted, or cancel it."""
    if name is None:
        raise InputError(command, "no name is given", "give an exp_id or data name; `status` shows them")
    layout = _layout(options)
    directory = overview.find_chain(layout, name)
    owner = chains.read(directory).user
    if owner != getpass.getuser() and not os.access(directory, os.W_OK):
        raise InputError(
            directory.name, f"was submitted by {owner}, and is not yours to change", f"ask {owner}"
        )
    if command == "cancel":
        _, jobs = submitting.cancel(directory)
        print(f"cancelled: {', '.join(jobs)}" if jobs else "nothing of it waits or runs")
        return
    _, steps = _submitting(lambda: submitting.resume(directory), directory.name, layout)
    print(f"started again: {', '.join(steps)}" if steps else "there is nothing to start again")
    print(f"see: {overview.command('status', directory.name, layout)}")


def _submitting(start: Callable[[], Any], name: str, layout: Layout) -> Any:
    """Call what submits; where a step in the shell fails, end with its exit code and say how to go on."""
    again = overview.command("resume", name, layout)
    try:
        return start()
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: {again}", file=sys.stderr)
        sys.exit(130)
    except submitting.LocalStepFailed as failure:
        print(
            f"ERROR: {failure}, and nothing after it was submitted; see {failure.log}, then: {again}",
            file=sys.stderr,
        )
        sys.exit(failure.code)


def _machines(options: argparse.Namespace, check: bool) -> None:
    """List the machine profiles and say which one fits here; or compare one with what Slurm says."""
    if check:
        machines_check.check(_machine(options, None)[0], write=options.write, overwrite=options.overwrite)
        return
    machines = profiles.load()
    detected = profiles.detect(machines)
    here, reason = machines[detected.name], detected.reason
    if options.machine:
        here, reason = profiles.require_known(options.machine, machines), "--machine"
    if options.modules:
        gpus = " gpus" if any(one.gpus for one in here.partitions) else ""
        print("\n".join([here.name + gpus, *here.environment.modules]))
        return
    for name, machine in machines.items():
        notes = f". {machine.notes}" if machine.notes else ""
        print(f"{'*' if machine is here else ' '} {name:<16} {machine.title}{notes}")
    print(f"this machine: {here.name} ({reason})")
    if options.explain:
        for line in detected.explanation:
            print(f"  {line}")


def _machine(options: argparse.Namespace, said_by_file: str | None) -> tuple[profiles.Machine, str]:
    machines = profiles.load()
    if options.machine:
        return profiles.require_known(options.machine, machines), "--machine"
    if said_by_file:
        return profiles.require_known(said_by_file, machines, "machine"), "the answers"
    detected = profiles.detect(machines)
    return machines[detected.name], detected.reason


def _questions(step: str | None, options: argparse.Namespace) -> None:
    """Print the questions of a step as JSON, with the defaults that hold before anything is answered."""
    if step is None:
        raise InputError("questions", "no step is named", f"give one of {', '.join(STEPS)}, all")
    machine, _ = _machine(options, None)
    listed = []
    for name in STEPS if step == "all" else [step]:
        context = Context(machine, (name,), name, {name: {}})
        for question in asked_by(name):
            value = question.default_value(context)
            if (
                question.name not in ("account", "partition", "time", "nodes", "cpus", "gpus")
                or context.slurm
            ):
                listed.append(
                    {
                        "name": question.name,
                        "step": name,
                        "flag": question.flag,
                        "kind": question.kind.name,
                        "form": question.kind.form,
                        "text": question.text,
                        "help": question.help,
                        "default": value,
                        "optional": question.is_optional(context),
                        "rare": question.rare,
                    }
                )
            context.answers[name][question.name] = value
    print(json.dumps(listed, indent=2, ensure_ascii=False))


def _scripts_dir(options: argparse.Namespace) -> Path | None:
    if options.scripts_dir is None:
        return None
    try:
        return Path(kinds.PATH.parse(str(options.scripts_dir)))
    except ValueError as error:
        raise InputError("--scripts_dir", str(error), f"give {kinds.PATH.form}") from None


def _after(options: argparse.Namespace) -> str:
    """Return the id of the job that the first one shall wait for, or ''."""
    after = options.after
    if after is None:
        return ""
    # sbatch would take conditions and further jobs, too
    if not re.fullmatch(r"[1-9]\d*(_\d+)?", after, re.ASCII):
        raise InputError("--after", f"{after!r} is not the id of a job", "give the number that sbatch said")
    if not options.submit:
        raise InputError("--after", "nothing is submitted", "give --submit, too")
    return after


def _scripts(step: str | None, options: argparse.Namespace, write: bool) -> None:
    """Gather the answers of a step or of all, and write, print, compare, submit or only check the scripts."""
    flags = {name: value for name, value in vars(options).items() if name in answers.NAMES}
    given = answers.given(options.answers, flags, options.set)
    own_directory, after = _scripts_dir(options), _after(options)
    interactive = write and not options.no_input and sys.stdin.isatty() and sys.stdout.isatty()
    step = step or given.step
    if step is None and not interactive:
        raise InputError("STEP", "no step is named", f"give one of {', '.join(STEPS)}, or all")
    if interactive:
        step = step or prompts.step()
    machine, reason = _machine(options, given.machine)
    if not options.print:
        print(f"machine: {machine.name} ({reason})", flush=True)
    chain = _chain(options, given, interactive) if step == "all" else (step,)
    collected = (
        _ask_until_right(machine, chain, given, options.submit)
        if interactive
        else answers.collect(Context(machine, chain, chain[0]), given, None)
    )
    context = collected.context
    if after and not any(map(machine.runs_with_slurm, chain)):
        raise InputError("--after", f"no job is submitted here (machine {machine.name})", "leave it out")
    for remark in collected.remarks:
        print(remark, file=sys.stderr)
    costs = _acceptable(context, options.submit)
    directory = own_directory or rendering.directory(context)
    scripts = {name: rendering.render(context, name, directory) for name in chain}
    if options.print or options.diff:
        for script in scripts.values():
            sys.stdout.write(script.text if options.print else writing.differences(script))
        return
    for line in costs:
        print(line)
    if not write:
        print(f"the answers are right for: {', '.join(script.path.name for script in scripts.values())}")
        return
    ask = (
        (lambda script: prompts.may_overwrite(script.path, writing.differences(script)))
        if interactive
        else None
    )
    written = writing.write(list(scripts.values()), options.overwrite, ask)
    for script in scripts.values():
        for path in (*script.beside, script.path):
            print(f"{'wrote' if path in written else 'unchanged'}: {path}")
    if options.submit and (not interactive or options.yes or prompts.may_submit(list(scripts))):
        _submit(context, scripts, after)
        return
    print("next:" if len(scripts) == 1 else "next, in this order:")
    for name, script in scripts.items():
        print(f"  {script.command}")
        context.step = name
        if context.slurm and context.get("tf_container"):
            print("  or, to try it at once in an allocation of ten minutes:")
            print(f"  {containers.interactive_command(machine, context.answers[name], script.path)}")


def _chain(options: argparse.Namespace, given: answers.Given, interactive: bool) -> tuple[str, ...]:
    dataset = options.dataset or given.dataset
    if dataset is None:
        of_digits = [flag for flag in ("digits_from", "digits_dir", "sequences_file") if flag in given.values]
        if of_digits:
            what = f"is missing, and {given.where[of_digits[0]]} is an answer for moving_mnist"
            raise InputError("--dataset", what, "give --dataset moving_mnist")
        dataset = prompts.dataset() if interactive else "era5"
    if dataset not in CHAINS:
        raise InputError("dataset", f"unknown data set '{dataset}'", did_you_mean(dataset, CHAINS))
    return CHAINS[dataset]


def _acceptable(context: Context, submit: bool) -> list[str]:
    """Compare what each step asks for with what the machine gives; return a line on what each can cost.

    Arguments:
        submit: nobody will look before the jobs wait, so hyper-parameters are checked as well (seconds).

    Raises:
        InputError: the machine will not take a step, or the model its hyper-parameters.
    """
    if submit:
        hparams_check.check(context)
    lines = []
    for name in context.chain:
        context.step = name
        asked = {**context.answers[name], "elements": context.elements()}
        limits.check(context.machine, name, asked)
        if cost := limits.cost(context.machine, name, asked):
            lines.append(f"{name}: {cost}")
    return lines


def _submit(context: Context, scripts: dict[str, rendering.Script], after: str) -> None:
    links = []
    for name, script in scripts.items():
        context.step = name
        local = not context.slurm
        elements = None if local else context.elements()
        targets = STEPS[name].targets(context)
        links.append(
            submitting.Link(name, script.path, local, targets, elements, context.get("array_limit") or 0)
        )
    layout = context.layout
    name = _chain_name(context)
    chain = _submitting(
        lambda: submitting.submit(layout.jobs / name, context.machine.name, links, after), name, layout
    )
    print(f"see: {overview.command('status', chain.name, layout)}")


def _chain_name(context: Context) -> str:
    """Return the name under which the steps are followed: what they are about."""
    context.step = context.chain[-1]
    if context.get("exp_id"):
        return context.get("exp_id")
    if context.step == "extract":
        return context.layout.extracted_data.name
    return context.get("data_name") or context.data_name(context.step)


def _ask_until_right(
    machine: profiles.Machine, chain: tuple[str, ...], given: answers.Given, submit: bool
) -> answers.Collected:
    """Ask, show all answers, and let the user change them until they are right."""
    asked: dict[str, object] = {}

    def ask(question: Question, context: Context, default: object) -> object:
        key = question.key(context.step)
        if key in asked and answers.problem_with(question, context, asked[key]) is None:
            return asked[key]
        asked[key] = prompts.answer(question, context, default)
        return asked[key]

    while True:
        collected = answers.collect(Context(machine, chain, chain[0]), given, ask)
        try:
            problem, costs = "", _acceptable(collected.context, submit)
        except InputError as error:
            problem, costs = str(error), []
        decision = prompts.summary(collected.context, costs, problem)
        if decision == prompts.WRITE:
            return collected
        if decision == prompts.CANCEL:
            raise KeyboardInterrupt
        step, question, value = prompts.change(collected.context)
        given.change(step, question, value)
        given.flags.clear()  # what a changed answer makes unnecessary is no error any more
        asked.pop(question.key(step), None)


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
