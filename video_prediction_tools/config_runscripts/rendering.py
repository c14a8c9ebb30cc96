"""From answers to the bytes of scripts and of the files beside them."""

import hashlib
import os
import re
import shlex
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from video_prediction_tools import __version__
from video_prediction_tools.config_runscripts import answers as answering
from video_prediction_tools.config_runscripts import containers, kinds, settings, walltime
from video_prediction_tools.config_runscripts.context import Context
from video_prediction_tools.config_runscripts.profiles import REPOSITORY
from video_prediction_tools.config_runscripts.questions import asked_by
from video_prediction_tools.config_runscripts.steps import STEPS
from video_prediction_tools.errors import InputError, did_you_mean
from video_prediction_tools.metadata.files import TEMPORARY_SUFFIX

TEMPLATES = REPOSITORY / "templates"
GENERATOR = Path(__file__).with_name("generate_runscript.py")
PROGRAMS = REPOSITORY / "video_prediction_tools" / "main_scripts"
SECONDS_TO_SAVE = 300  # warning before the walltime ends, for resumable steps; a third of a shorter walltime
MOST_RESTARTS = 20


@dataclass(frozen=True)
class Script:
    """One script, not yet written.

    Arguments:
        path: where it belongs.
        text: its content.
        beside: JSON files that belong to it (its answers, a data split, ...), by path.
        command: what the user types to run it.
        logs: directory that Slurm writes its logs to; it must be there before the job.
    """

    path: Path
    text: str
    beside: dict[Path, str]
    command: str
    logs: Path | None = None


def directory(context: Context) -> Path:
    """Return where the scripts of a machine go."""
    return REPOSITORY / ("HPC_scripts" if context.machine.scheduler == "slurm" else "nonHPC_scripts")


def render(context: Context, step_name: str, scripts: Path) -> Script:
    """Return the script of one step.

    Arguments:
        context: machine and answers.
        step_name: the step.
        scripts: directory that it is for.

    Raises:
        InputError: a value cannot stand where a template puts it, or the name of a file is too long.
    """
    context.step = step_name
    step, answers = STEPS[step_name], context.answers[step_name]
    path = scripts / step.script(answers)
    saved = answering.to_be_saved(context, step_name)
    beside = {path.with_suffix(".answers.json"): answering.as_json(saved)}
    paths = {}
    for name, content in step.side_files(answers).items():
        # a job that waits in the queue must find what it was submitted with: other content, another name
        text = answering.as_json(content)
        paths[name] = path.with_suffix(f".{name}.{_digest(text, 8)}.json")
        beside[paths[name]] = text
    _require_names_that_fit([path, *beside])
    if context.slurm and "%" in str(scripts):
        raise InputError(
            scripts,
            "holds '%', which Slurm replaces in the name of a log",
            "put the clone elsewhere, or give another --scripts_dir",
        )
    values = (
        {question.name: None for question in asked_by(step_name)}
        | {"nodes": 1, "tasks": 1}
        | answers
        | step.values(context)
        | paths
    )
    with _template_mistakes_named():
        text = (
            _environment()
            .get_template(f"steps/{step_name}.sh.j2")
            .render(
                values,
                layout="slurm.sh.j2" if context.slurm else "bash.sh.j2",
                step=step,
                machine=context.machine,
                program=PROGRAMS / step.program,
                modules=context.machine.modules(step_name),
                exports=context.machine.exports(step_name),
                version=__version__,
                answers_hash=_digest(answering.as_json(saved), 12),
                repeat=_repeat(path, step_name),
                create_env=REPOSITORY / "env_setup" / "create_env.sh",
                logs=scripts / "logs",
                warn_seconds=_warn_seconds(answers.get("time")),
                max_restarts=MOST_RESTARTS,
                elements=context.elements(),
                resubmit=context.machine.resubmit,
                mpi=step.mpi,
                repository=REPOSITORY,
            )
        )
    launcher = "sbatch" if context.slurm else "bash"
    command = f"{launcher} {shlex.quote(str(path))}"
    return Script(path, text, beside, command, scripts / "logs" if context.slurm else None)


def _require_names_that_fit(files: Iterable[Path]) -> None:
    """Refuse files that no file system could take, also under the names that they have while they are written."""
    for file in files:
        temporary = file.with_name(f".{file.name}{TEMPORARY_SUFFIX}")
        if (
            len(os.fsencode(temporary.name)) > kinds.LONGEST_NAME
            or len(os.fsencode(temporary)) > kinds.LONGEST_PATH
        ):
            raise InputError(
                file,
                "is longer than a name or a path can be",
                "take a shorter exp_id, or another --scripts_dir",
            )


def _warn_seconds(time: str | None) -> int | None:
    return min(SECONDS_TO_SAVE, walltime.seconds(time) // 3) if time else None


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _repeat(path: Path, step: str) -> str:
    where = (
        []
        if path.parent in (REPOSITORY / "HPC_scripts", REPOSITORY / "nonHPC_scripts")
        else ["--scripts_dir", str(path.parent)]
    )
    words = ["python", str(GENERATOR), step, "--answers", str(path.with_suffix(".answers.json")), *where]
    return _one_line(shlex.join([*words, "--no-input"]))  # it stands in a comment


def _environment() -> Any:
    import jinja2  # a quarter of a second, needed only after the last question

    # a file of the user's goes before ours; it can extend ours as "ambs/base.sh.j2"
    own = jinja2.FileSystemLoader(settings.directory() / "templates")
    ours = jinja2.FileSystemLoader(TEMPLATES)
    loader = jinja2.ChoiceLoader([own, ours, jinja2.PrefixLoader({"ambs": ours})])
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"sh": _sh, "words": _words, "sbatch": _sbatch}
    environment.filters |= {"mounts": containers.mounts, "assignments": containers.assignments}
    _require_known_blocks(environment, own, ours)
    return environment


def _require_known_blocks(environment: Any, own: Any, ours: Any) -> None:
    """Refuse a block of a user's template that ours do not have: its lines would be left out unsaid."""
    import jinja2

    def blocks(loader: Any, name: str) -> dict[str, int]:
        source, file, _ = loader.get_source(environment, name)
        parsed = environment.parse(source, name, file)
        return {block.name: block.lineno for block in parsed.find_all(jinja2.nodes.Block)}

    templates = [name for name in ours.list_templates() if name.endswith(".j2")]
    known = {block for name in templates for block in blocks(ours, name)}
    for name in set(own.list_templates()) & set(templates):
        for block, line in blocks(own, name).items():
            if block not in known:
                file = settings.directory() / "templates" / name
                raise InputError(f"{file}:{line}", f"unknown block '{block}'", did_you_mean(block, known))


@contextmanager
def _template_mistakes_named() -> Iterator[None]:
    """Say a mistake in a template (a user's, that is) with its file and line."""
    import jinja2

    try:
        yield
    except (jinja2.TemplateError, RecursionError) as error:
        frames = [
            (frame.filename, frame.lineno)
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename.endswith(".j2")
        ]
        file, line = (
            (error.filename, error.lineno) if isinstance(error, jinja2.TemplateSyntaxError) else frames[-1]
        )
        what, remedy = f"the template cannot be used: {error}", "correct it, or move it away"
        if isinstance(error, jinja2.TemplateNotFound):
            what = f"there is no template '{error}'"
        elif isinstance(error, RecursionError):
            what, remedy = "the template extends itself", f'write {{% extends "ambs/{Path(file).name}" %}}'
        raise InputError(f"{file}:{line}", what, remedy) from error


def _one_line(value: Any) -> str:
    text = str(value)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise InputError(repr(text), "holds a newline or another control character", "give another value")
    return text


def _sh(value: Any) -> str:
    """Quote one value for a shell line."""
    return shlex.quote(_one_line(value))


def _words(values: list[Any]) -> str:
    """Quote several values for a shell line."""
    return " ".join(_sh(value) for value in values)


def _sbatch(value: Any) -> str:
    """Check a value of an #SBATCH line, which Slurm reads itself and which knows no quotes."""
    text = _one_line(value)
    if not re.fullmatch(r"[\w./:%@,+=-]+", text, re.ASCII):
        raise InputError(
            repr(text),
            "holds characters that an #SBATCH line cannot take",
            "use letters, digits and ./:%@,+=-_ (for a path: put the clone elsewhere)",
        )
    return text
