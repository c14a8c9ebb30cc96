"""The user's settings: ``$XDG_CONFIG_HOME/ambs/settings.toml``, written by setup_runscript_templates.sh."""

import os
import tomllib
from pathlib import Path
from typing import Any

from video_prediction_tools.errors import InputError, did_you_mean


def directory() -> Path:
    """Return the user's configuration directory (``~/.config/ambs``, or below ``$XDG_CONFIG_HOME``)."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ambs"


def base_dir() -> str | None:
    """Return the base target directory that the user has set, or None.

    Raises:
        InputError: settings.toml is damaged or holds unknown keys.
    """
    path = directory() / "settings.toml"
    if not path.exists():
        return None
    content = read_toml(path)
    for key in content:
        if key != "base_dir":
            raise InputError(path, f"unknown key '{key}'", did_you_mean(key, ["base_dir"]))
    found = content.get("base_dir")
    if not isinstance(found, str):
        raise InputError(
            path, "'base_dir' is not text", "run setup_runscript_templates.sh <base_target_dir> again"
        )
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: it cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            path, f"cannot be read ({error.strerror})", "check the path and its rights"
        ) from error
    except ValueError as error:
        raise InputError(path, f"is not valid TOML ({error})", "correct that line") from error
