"""HTML pages that stand by themselves: one template for their look, pictures inside."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from video_prediction_tools.metadata.files import whole_file

_MIME = {".png": "image/png", ".gif": "image/gif"}


def write_page(template: Path, content: Mapping[str, Any], path: Path) -> Path:
    """Write a page, whole or not at all; return its path.

    Arguments:
        template: that extends page.html.j2.
        content: all that it shows.
        path: of the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    html = environment.get_template(template.name).render(content)
    with whole_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def picture(path: Path) -> str:
    """Return a picture as a data URI."""
    return f"data:{_MIME[path.suffix]};base64," + base64.b64encode(path.read_bytes()).decode()
