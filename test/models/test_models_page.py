"""docs/models.md has something to say of every model."""

import re

import pytest

from video_prediction_tools.models import registry


@pytest.mark.parametrize("name", registry.names())
def test_every_model_has_a_section_and_a_line(repository, name):
    page = (repository / "docs" / "models.md").read_text()
    section = re.search(rf"^## {name}\n\n(.+?)(?=^## |\Z)", page, flags=re.M | re.S)
    assert section, (
        f"docs/models.md has no section '{name}': two to five lines (what, paper, ours, when to use)"
    )
    assert len(section[1].split()) >= 12
    assert f"| [{name}](#{name.lower()}) |" in page, f"docs/models.md: the first table has no line of {name}"
