"""What the tests of the extraction share: the program called in this process, and small archives."""

import pytest

from video_prediction_tools.main_scripts.main_data_extraction import build_parser, main
from video_prediction_tools.main_scripts.program import run


@pytest.fixture
def archive_run(tmp_path, capsys):
    """Run an extraction from an archive: ``archive_run(source_dir, *flags)`` -> (exit code, stdout, stderr)."""

    def call(
        source_dir,
        *flags,
        years=("2019",),
        months=("3",),
        names=("2t",),
        destination=tmp_path / "ExtractedData",
    ):
        code = run(
            main,
            build_parser(),
            [
                "--source",
                "archive",
                "--source_dir",
                str(source_dir),
                "--destination_dir",
                str(destination),
                "--years",
                *years,
                "--months",
                *months,
                "--variables",
                *names,
                *map(str, flags),
            ],
        )
        captured = capsys.readouterr()
        assert code != 1, captured.err
        return code, captured.out, captured.err

    return call


@pytest.fixture
def refused(archive_run, tmp_path):
    """Run an extraction that must be refused: exit code 2, one ERROR line, no monthly file; returns the line."""

    def call(*args, **options):
        code, _, err = archive_run(*args, **options)
        lines = [line for line in err.splitlines() if line.startswith("ERROR: ")]
        assert code == 2 and len(lines) == 1 and "; " in lines[0] and "Traceback" not in err, (code, err)
        directory = options.get("destination", tmp_path / "ExtractedData")
        assert not list(directory.rglob("*.nc")), "something is left behind that looks whole"
        return lines[0]

    return call
