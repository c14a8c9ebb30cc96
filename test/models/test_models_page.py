"""docs/models.md has something to say of every model."""

import re

from video_prediction_tools.models import registry


def test_every_model_has_a_section_and_a_line(repository):
    page = (repository / "docs" / "models.md").read_text()
    for name in registry.names():
        section = re.search(rf"^## {name}\n\n(.+?)(?=^## |\Z)", page, flags=re.M | re.S)
        assert section, (
            f"docs/models.md has no section '{name}': two to five lines (what, paper, ours, when to use)"
        )
        assert len(section[1].split()) >= 12, name
        assert f"| [{name}](#{name.lower()}) |" in page, (
            f"docs/models.md: the first table has no line of {name}"
        )
