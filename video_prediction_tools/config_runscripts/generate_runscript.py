"""Write the runscripts of the workflow for this machine: by prompt, by flags, or from an answers file."""

import argparse
import json
import os
import sys
from pathlib import Path

if not __package__:  # started as a file: the packages are those of the clone that it lies in
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from video_prediction_tools.config_runscripts import answers, profiles, prompts, rendering, writing  # noqa: E402
from video_prediction_tools.config_runscripts.context import Context  # noqa: E402
from video_prediction_tools.config_runscripts.questions import QUESTIONS, Question, asked_by  # noqa: E402
from video_prediction_tools.config_runscripts.steps import CHAINS, STEPS  # noqa: E402
from video_prediction_tools.errors import InputError, did_you_mean  # noqa: E402
from video_prediction_tools.main_scripts.program import Parser, run  # noqa: E402

COMMANDS = ("machines", "questions", "check")


def build_parser() -> Parser:
    """Return the parser; every question of questions.py is a flag."""
    parser = Parser(__doc__)
    parser.usage = (
        "%(prog)s [STEP|all] [answers ..] | check [STEP|all] [answers ..] | questions STEP [--machine M] | "
        "machines [--explain]"
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="STEP",
        help=f"{', '.join(STEPS)} or all; or a command: {', '.join(COMMANDS)}",
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
        help="with machines: print only the name of this machine and, a line each, the modules that it loads",
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
    try:
        command, step = _words(options)
        if command == "machines":
            _machines(options)
        elif command == "questions":
            _questions(step, options)
        else:
            _scripts(step, options, write=command != "check")
    except KeyboardInterrupt:
        print("\nnothing written", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `... --print | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _words(options: argparse.Namespace) -> tuple[str, str | None]:
    words = list(options.words)
    command = words.pop(0) if words and words[0] in COMMANDS else "write"
    step = words.pop(0) if words else None
    if words:
        raise InputError(words[0], "is one word too many", "give one step, or all")
    known = [*STEPS, "all"]
    if step is not None and step not in known:
        raise InputError(
            step, "is no step", did_you_mean(step, known if command != "write" else [*known, *COMMANDS])
        )
    return command, step


def _machines(options: argparse.Namespace) -> None:
    """List the machine profiles and say which one fits here."""
    machines = profiles.load()
    detected = profiles.detect(machines)
    if options.modules:
        print("\n".join([detected.name, *machines[detected.name].environment.modules]))
        return
    for name, machine in machines.items():
        notes = f". {machine.notes}" if machine.notes else ""
        print(f"{'*' if name == detected.name else ' '} {name:<16} {machine.title}{notes}")
    print(f"this machine: {detected.name} ({detected.reason})")
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


def _scripts(step: str | None, options: argparse.Namespace, write: bool) -> None:
    """Gather the answers of a step or of all, and write, print, compare or only check the scripts."""
    flags = {name: value for name, value in vars(options).items() if name in answers.NAMES}
    given = answers.given(options.answers, flags, options.set)
    interactive = write and not options.no_input and sys.stdin.isatty() and sys.stdout.isatty()
    step = step or given.step
    if step is None and not interactive:
        raise InputError("STEP", "no step is named", f"give one of {', '.join(STEPS)}, or all")
    if interactive:
        step = step or prompts.step()
    machine, reason = _machine(options, given.machine)
    if not options.print:
        print(f"machine: {machine.name} ({reason})", flush=True)
    chain = CHAINS[options.dataset or given.dataset or "era5"] if step == "all" else (step,)
    collected = (
        _ask_until_right(machine, chain, given)
        if interactive
        else answers.collect(Context(machine, chain, chain[0]), given, None)
    )
    for remark in collected.remarks:
        print(remark, file=sys.stderr)
    directory = (options.scripts_dir or rendering.directory(collected.context)).absolute()
    scripts = [rendering.render(collected.context, name, directory) for name in chain]
    if options.print or options.diff:
        for script in scripts:
            sys.stdout.write(script.text if options.print else writing.differences(script))
        return
    if not write:
        print(f"the answers are right for: {', '.join(script.path.name for script in scripts)}")
        return
    ask = (
        (lambda script: prompts.may_overwrite(script.path, writing.differences(script)))
        if interactive
        else None
    )
    written = writing.write(scripts, options.overwrite, ask)
    for script in scripts:
        for path in (*script.beside, script.path):
            print(f"{'wrote' if path in written else 'unchanged'}: {path}")
    print("next:" if len(scripts) == 1 else "next, in this order:")
    for script in scripts:
        print(f"  {script.command}")


def _ask_until_right(
    machine: profiles.Machine, chain: tuple[str, ...], given: answers.Given
) -> answers.Collected:
    """Ask, show all answers, and let the user change them until they are right."""
    asked: dict[str, object] = {}

    def ask(question: Question, context: Context, default: object) -> object:
        key = question.name if question.shared else f"{context.step}.{question.name}"
        if key in asked and answers.problem_with(question, context, asked[key]) is None:
            return asked[key]
        asked[key] = prompts.answer(question, context, default)
        return asked[key]

    while True:
        collected = answers.collect(Context(machine, chain, chain[0]), given, ask)
        decision = prompts.summary(collected.context)
        if decision == prompts.WRITE:
            return collected
        if decision == prompts.CANCEL:
            raise KeyboardInterrupt
        key, value = prompts.change(collected.context)
        given.add(key, value, key, by_flag=False)
        given.flags.clear()  # what a changed answer makes unnecessary is no error any more
        asked.pop(key, None)


if __name__ == "__main__":
    sys.exit(run(main, build_parser()))
