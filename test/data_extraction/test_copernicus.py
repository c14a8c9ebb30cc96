"""Extraction from Copernicus against a server on loopback, with the real cdsapi client."""

import json
from datetime import datetime

import netCDF4
import numpy as np
import pytest
from cds_server import KEY, CdsServer, value

from video_prediction_tools.data_extraction import copernicus, copernicus_client
from video_prediction_tools.data_extraction.copernicus_requests import MOST_FIELDS, requests_of_month
from video_prediction_tools.data_extraction.period import Month
from video_prediction_tools.main_scripts.main_data_extraction import build_parser, main
from video_prediction_tools.main_scripts.program import run
from video_prediction_tools.metadata.record import read_record
from video_prediction_tools.metadata.variables import variables

AREA = ["52", "-1", "51", "0.5"]
LAT, LON = 52 - 0.25 * np.arange(5), -1 + 0.25 * np.arange(7)


@pytest.fixture
def extract(tmp_path, monkeypatch):
    """Run the program on a server: ``extract(server, *flags)`` -> exit code."""
    monkeypatch.setattr(copernicus_client, "BACK_OFF", (0.01, 0.05, 2.0))

    def call(
        server, *flags, years=("2020",), months=("2",), names=("2t",), destination=tmp_path / "ExtractedData"
    ):
        for name, setting in server.env.items():
            monkeypatch.setenv(name, setting)
        return run(
            main,
            build_parser(),
            [
                "--source",
                "cds",
                "--destination_dir",
                str(destination),
                "--years",
                *years,
                "--months",
                *months,
                "--variables",
                *names,
                "--area",
                *AREA,
                "--step_hours",
                "6",
                "--constants",
                "none",
                *flags,
            ],
        )

    return call


def stored(tmp_path, name, month="202002"):
    """Return times and values of a variable of a monthly file."""
    with netCDF4.Dataset(tmp_path / "ExtractedData" / month[:4] / month[4:] / f"era5_{month}.nc") as file:
        return np.asarray(file["time"][:]), np.asarray(file[name][:]), file.__dict__


def expected(name, level, times):
    return value(name, level, times, LAT, LON)


@pytest.mark.parametrize(
    "flavour, tolerance", [("grib", 2e-3), ("netcdf", 1e-2), ("netcdf_old", 2e-2), ("zip", 1e-2)]
)
def test_every_answer_gives_the_same_month(flavour, tolerance, tmp_path, extract):
    """2t, msl, gph500 and t850 of February 2020 arrive whole, in their units, whatever form the CDS sends."""
    with CdsServer(flavour) as server:
        assert extract(server, names=("2t", "msl", "gph500", "t850")) == 0
    times, t2m, attributes = stored(tmp_path, "2t")
    assert len(times) == 29 * 4 and times[0] == Month(2020, 2).start and set(np.diff(times)) == {6 * 3600}
    np.testing.assert_allclose(t2m, expected("2m_temperature", None, times), atol=tolerance)
    np.testing.assert_allclose(
        stored(tmp_path, "msl")[1], expected("mean_sea_level_pressure", None, times), atol=tolerance
    )
    np.testing.assert_allclose(
        stored(tmp_path, "t850")[1], expected("temperature", 850, times), atol=tolerance
    )
    np.testing.assert_allclose(
        stored(tmp_path, "gph500")[1], expected("geopotential", 500, times) / 9.80665, atol=tolerance
    )
    assert attributes["synthetic"] == 0 and "Copernicus" in attributes["acknowledgement"]
    # one request a month and data set, cut at the source
    assert [dataset for dataset, _ in server.executed] == [
        "reanalysis-era5-single-levels",
        "reanalysis-era5-pressure-levels",
    ]
    assert all(inputs["area"] == [52.0, -1.0, 51.0, 0.5] for _, inputs in server.executed)
    assert not (tmp_path / "ExtractedData" / ".downloads").exists()


def test_constants(tmp_path, extract):
    """lsm, and oro from the surface geopotential, on the grid of the months."""
    with CdsServer("netcdf") as server:
        assert extract(server, "--constants", "lsm", "oro") == 0
    with netCDF4.Dataset(tmp_path / "ExtractedData" / "constants.nc") as file:
        still = np.array([0])
        np.testing.assert_allclose(file["lsm"][:], expected("land_sea_mask", None, still)[0], atol=1e-6)
        np.testing.assert_allclose(
            file["oro"][:], expected("geopotential", None, still)[0] / 9.80665, atol=1e-3
        )


def test_finished_months_are_not_fetched_again(tmp_path, extract):
    """A second run fetches only the month that is missing and the one that was damaged."""
    with CdsServer() as server:
        assert extract(server, months=("1", "2")) == 0
        assert len(server.executed) == 2
        assert extract(server, months=("1", "2")) == 0
        assert len(server.executed) == 2, "finished months were fetched again"
        january = tmp_path / "ExtractedData" / "2020" / "01" / "era5_202001.nc"
        before = january.read_bytes()
        january.write_bytes(before[:-100])
        assert extract(server, months=("1", "2", "3")) == 0
        assert [inputs["month"] for _, inputs in server.executed[2:]] == [["01"], ["03"]]
    assert january.read_bytes() == before


def test_only_the_missing_variable_is_fetched(tmp_path, extract):
    """A variable asked for later is added to the months that are there."""
    with CdsServer() as server:
        assert extract(server) == 0
        assert extract(server, names=("2t", "msl")) == 0
        assert [inputs["variable"] for _, inputs in server.executed] == [
            ["2m_temperature"],
            ["mean_sea_level_pressure"],
        ]
    times, t2m, _ = stored(tmp_path, "2t")
    np.testing.assert_allclose(t2m, expected("2m_temperature", None, times), atol=2e-3)
    np.testing.assert_allclose(
        stored(tmp_path, "msl")[1], expected("mean_sea_level_pressure", None, times), atol=2e-3
    )


@pytest.mark.parametrize("costing", [True, False])
def test_requests_stay_below_the_limit(costing, tmp_path, extract):
    """Where the CDS allows less than AMBS thinks, requests are halved until they fit; the month is the same."""
    with CdsServer(limit=50, costing=costing) as server:
        assert extract(server, names=("2t", "msl")) == 0
    assert len(server.executed) > 3
    assert all(len(inputs["day"]) * 4 * len(inputs["variable"]) <= 50 for _, inputs in server.executed)
    times, t2m, _ = stored(tmp_path, "2t")
    assert len(times) == 29 * 4
    np.testing.assert_allclose(t2m, expected("2m_temperature", None, times), atol=2e-3)


def test_plan_splits_by_cost():
    """Ten years of all variables: no request above the limit, every variable, level, day and hour in exactly
    one.
    """
    wanted = variables(
        ["2t", "msl", "tcc", "10u", "10v", "2d", "sp"] + [f"t{level}" for level in range(100, 1000, 50)]
    )
    for month in (Month(2019, 2), Month(2020, 2), Month(2019, 12)):
        requests = requests_of_month(month, wanted, (60, 0, 50, 10), 0.25, 1, "grib")
        assert all(request.fields() <= MOST_FIELDS for request in requests)
        assert sum(request.fields() for request in requests) == (7 + 18) * 24 * month.days
        seen = {
            (request.dataset, name, day)
            for request in requests
            for name in request.inputs["variable"]
            for day in request.inputs["day"]
        }
        assert len(seen) == (7 + 1) * month.days
    seven = requests_of_month(Month(2019, 1), wanted[:7], (60, 0, 50, 10), 0.25, 1, "grib")
    assert len(seven) == 1 and "grid" not in seven[0].inputs
    assert (
        requests_of_month(Month(2019, 1), wanted[:1], (60, 0, 50, 10), 0.5, 1, "grib")[0].inputs["grid"]
        == "0.5/0.5"
    )


def test_queue_failed_job_and_broken_download(tmp_path, extract, capsys):
    """A job that waits, one that fails for a while, an answer 503 and downloads that break off: the month
    arrives whole.
    """
    troubles = iter([(503, {"title": "service unavailable"})])

    def fault(server, method, path):
        return next(troubles, None) if path.endswith("/execution") else None

    with CdsServer(polls=1) as server:
        server.fault, server.failing_jobs = fault, ["MARS was not there for a moment"]
        server.break_downloads = [1_300_000, 1_300_000]
        assert extract(server, "--grid", "0.02", names=("2t", "msl", "tcc")) == 0
    assert len(server.executed) == 2, "the failed job is sent again, once"
    # the download goes on behind the last whole megabyte that is there
    assert server.ranges == ["", "bytes=1048576-", "bytes=2097152-"]
    times, t2m, _ = stored(tmp_path, "2t")
    lat, lon = 52 - 0.02 * np.arange(51), -1 + 0.02 * np.arange(76)
    np.testing.assert_allclose(t2m, value("2m_temperature", None, times, lat, lon), atol=2e-3)
    assert "it is sent again" in capsys.readouterr().out


def test_damaged_zip_is_fetched_again(tmp_path, extract, capsys, monkeypatch):
    """A ZIP whose content does not fit its check sum counts as a broken download."""
    result, sent = CdsServer._result, []

    def damaged(server, job):
        content, name = result(server, job)
        sent.append(name)
        if len(sent) == 1:
            half = len(content) // 4
            content = content[:half] + bytes(64) + content[half + 64 :]
        return content, name

    monkeypatch.setattr(CdsServer, "_result", damaged)
    with CdsServer("zip") as server:
        assert extract(server, "--format", "netcdf", names=("2t", "msl")) == 0
    assert len(server.executed) == 2 and "ZIP that the CDS sent is damaged" in capsys.readouterr().out
    assert len(stored(tmp_path, "2t")[0]) == 116


def test_month_that_has_just_begun(monkeypatch):
    """ERA5 comes five days late: the CDS would refuse to send an empty month."""

    class Now(datetime):
        @classmethod
        def now(cls, zone=None):
            return cls(2020, 2, 3, tzinfo=zone)

    monkeypatch.setattr(copernicus, "datetime", Now)
    months = [Month(2020, 1), Month(2020, 2)]
    assert copernicus._months_so_far(months, []) == months[:1]


def test_month_that_is_not_over(tmp_path, extract, capsys):
    """The hours that ERA5 does not have yet are reported as missing."""
    with CdsServer() as server:
        server.last_hour = Month(2020, 2).start + 10 * 86400 - 1
        assert extract(server) == 0
        assert len(stored(tmp_path, "2t")[0]) == 40
        assert "76 time steps are missing: 2020-02-11T00:00Z to 2020-02-29T18:00Z" in capsys.readouterr().out
        assert extract(server) == 0  # nothing new yet
        assert "76 time steps are missing" in capsys.readouterr().out
        server.last_hour = None
        assert extract(server) == 0
        assert len(stored(tmp_path, "2t")[0]) == 116 and len(server.executed) == 3
        assert extract(server) == 0 and len(server.executed) == 3


def refusal(capsys, code):
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ERROR: ")]
    assert code == 2 and len(lines) == 1, (code, lines)
    return lines[0]


def test_wrong_key(tmp_path, extract, capsys, monkeypatch):
    """One line that says where the key belongs; no month is there, and nothing is tried twice."""
    with CdsServer() as server:
        monkeypatch.setattr(
            CdsServer, "env", property(lambda self: {"CDSAPI_URL": self.url, "CDSAPI_KEY": "wrong"})
        )
        line = refusal(capsys, extract(server))
    assert "does not accept the key" in line and "cdsapirc" in line
    assert not list((tmp_path / "ExtractedData").rglob("*.nc"))
    assert read_record(tmp_path / "ExtractedData").state == "failed"
    assert len([call for call in server.log if "catalogue" not in call]) == 1


def test_no_key_and_old_key(tmp_path, extract, capsys, monkeypatch):
    """Found before anything is written."""
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "none"))
    monkeypatch.setattr(CdsServer, "env", {})
    monkeypatch.delenv("CDSAPI_KEY", raising=False)
    with CdsServer() as server:
        line = refusal(capsys, extract(server))
        assert "no Copernicus key" in line and "/profile" in line and str(tmp_path / "none") in line
        (tmp_path / "none").write_text("url: https://cds.climate.copernicus.eu/api/v2\nkey: 1234:abcd\n")
        assert "of the old CDS" in refusal(capsys, extract(server))
    assert not (tmp_path / "ExtractedData").exists()


def test_licence(extract, capsys):
    """The line names the page to accept it at."""
    refused = (
        403,
        {
            "type": "permission denied",
            "title": "required licences not accepted",
            "status": 403,
            "detail": "Not all the required licences have been accepted",
        },
    )
    with CdsServer() as server:
        server.fault = lambda server, method, path: refused if path.endswith("/execution") else None
        line = refusal(capsys, extract(server))
    assert "datasets/reanalysis-era5-single-levels?tab=download#manage-licences" in line
    assert len([call for call in server.log if call.endswith("/execution")]) == 1, (
        "a refusal is not tried again"
    )


def test_unknown_dataset(extract, capsys, monkeypatch):
    """A data set that the CDS renamed is named."""
    monkeypatch.setattr("cds_server.DATASETS", set())
    with CdsServer() as server:
        assert "no data set reanalysis-era5-single-levels" in refusal(capsys, extract(server))


def test_no_data(extract, capsys):
    """A job that fails for good is not sent again."""
    with CdsServer() as server:
        server.failing_jobs = ["MARS returned no data, please check your selection."]
        line = refusal(capsys, extract(server))
    assert "MARS returned no data" in line and len(server.executed) == 1


def test_cds_that_does_not_answer(extract, capsys):
    """After the retries one line; not a traceback."""
    with CdsServer() as server:
        pass  # closed again: nothing listens at its port
    assert "does not answer" in refusal(capsys, extract(server, "--retries", "2"))


def test_interrupted_run_goes_on_by_month(tmp_path, extract, capsys):
    """The second month cannot be had: the first stays, and the next run fetches the second only."""
    with CdsServer() as server:
        server.fault = lambda server, method, path: (
            (500, {"title": "error"}) if len(server.executed) == 1 and path.endswith("/execution") else None
        )
        refusal(capsys, extract(server, "--retries", "1", months=("1", "2")))
        assert (tmp_path / "ExtractedData" / "2020" / "01" / "era5_202001.nc").exists()
        server.fault = lambda server, method, path: None
        assert extract(server, months=("1", "2")) == 0
        assert [inputs["month"] for _, inputs in server.executed] == [["01"], ["02"]]
    assert read_record(tmp_path / "ExtractedData").state == "done"


def test_dry_run_prints_the_requests(tmp_path, extract, capsys, monkeypatch):
    """No key is needed and nobody is asked; what is printed is what would be sent."""
    with CdsServer() as server:
        assert extract(server, "--dry-run", names=("2t", "t850")) == 0
        monkeypatch.setenv("CDSAPI_KEY", KEY)
        assert server.log == [] and not (tmp_path / "ExtractedData").exists()
        printed = [
            json.loads(line[line.index("{") :])
            for line in capsys.readouterr().out.splitlines()
            if "{" in line
        ]
        assert extract(server, names=("2t", "t850")) == 0
    assert printed == [inputs for _, inputs in server.executed]
