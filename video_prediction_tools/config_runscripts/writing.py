"""Scripts onto the disk: whole or not at all, and never over a different script without being told so."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

from video_prediction_tools.config_runscripts.rendering import Script
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import raise_as_input_error, whole_file


def differences(script: Script) -> str:
    """Return the unified diff from what is on the disk to what would be written ('' when equal)."""
    return "".join(_difference(path, text) for path, text in _files(script).items())


def write(scripts: list[Script], overwrite: bool, allowed: Callable[[Script], bool] | None) -> list[Path]:
    """Write scripts and the files beside them; what is there already in the same bytes is not touched.

    Arguments:
        scripts: all scripts of the run; nothing is written unless all may be.
        overwrite: different scripts may be overwritten.
        allowed: asks the user whether a different script may be overwritten; None: nobody can be asked.

    Returns:
        The files that were written.

    Raises:
        InputError: a different script is there and may not be overwritten; no space; no right to write.
    """
    for script in scripts:
        if overwrite or not any(
            path.exists() and _read(path) != text for path, text in _files(script).items()
        ):
            continue
        if allowed is None or not allowed(script):
            raise InputError(
                script.path,
                "a different script is there already, nothing was written",
                "look with --diff; then give --overwrite, or move it away",
            )
    written = []
    for script in scripts:
        if script.logs:
            try:
                script.logs.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise_as_input_error(error, script.logs)
                raise
        for path, text in _files(script).items():
            if _read(path) == text:
                continue
            with whole_file(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
                if path == script.path:
                    os.chmod(temporary, 0o755)
            written.append(path)
    return written


def _files(script: Script) -> dict[Path, str]:
    return script.beside | {
        script.path: script.text
    }  # the script last: when it is there, all that it needs is


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise_as_input_error(error, path)
        raise
    except ValueError:
        return ""  # not text, so none of ours: different


def _difference(path: Path, text: str) -> str:
    before = _read(path)
    if before == text:
        return ""
    return "".join(
        difflib.unified_diff(
            (before or "").splitlines(keepends=True),
            text.splitlines(keepends=True),
            str(path) if before is not None else "/dev/null",
            str(path),
        )
    )
