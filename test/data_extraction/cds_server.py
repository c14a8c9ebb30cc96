"""A Copernicus Climate Data Store on loopback that speaks what cdsapi 0.7.7 speaks, with faults to order.

Paths and answers as in ecmwf-datastores-client 0.5.3 and cads-processing-api-service: catalogue messages,
process, costing,
execution, job, results, download with ranges. The fields are made by `value`, so that a test knows what must
arrive.
"""

import io
import json
import threading
import zipfile
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlparse

import netCDF4
import numpy as np

KEY = "11111111-2222-3333-4444-555555555555"
DATASETS = {"reanalysis-era5-single-levels", "reanalysis-era5-pressure-levels"}
# Copernicus name: GRIB id, NetCDF name, unit, base value
FIELDS = {
    "2m_temperature": (167, "t2m", "K", 280.0),
    "mean_sea_level_pressure": (151, "msl", "Pa", 101000.0),
    "total_cloud_cover": (164, "tcc", "(0 - 1)", 0.5),
    "land_sea_mask": (172, "lsm", "(0 - 1)", 0.5),
    "geopotential": (129, "z", "m**2 s**-2", 50000.0),
    "temperature": (130, "t", "K", 260.0),
}


def value(name: str, level: int | None, seconds: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Field [T, lat, lon] of a variable: differs by variable, level, hour and place; constants do not change
    in time.
    """
    base, scale = FIELDS[name][3], {"total_cloud_cover": 0.1, "land_sea_mask": 0.1}.get(name, 1.0)
    still = name == "land_sea_mask" or (name == "geopotential" and level is None)
    hours = np.zeros(len(seconds)) if still else (np.asarray(seconds) // 3600) % 100
    if name == "geopotential" and level is None:
        base = 1000.0
    pattern = np.sin(np.deg2rad(3 * lat))[:, None] + np.cos(np.deg2rad(5 * lon))[None, :]
    return base + (level or 0) * 0.01 + scale * (pattern[None] + 0.01 * hours[:, None, None])


class _Job:
    def __init__(self, number: int, dataset: str, inputs: dict[str, Any]):
        self.id, self.dataset, self.inputs, self.looks = f"job-{number}", dataset, inputs, 0


class CdsServer:
    """The server; use as a context manager.

    Arguments:
        flavour: how results are sent: grib, netcdf (new), netcdf_old (`time`, `expver`, packed), zip (of two
            new NetCDF).
        limit: cost limit in fields; `costing` False: the server does not answer questions for the cost.
        polls: how often a job says 'accepted' or 'running' before it is done.

    Attributes:
        log: method and path of every call.
        executed: (dataset, inputs) of every accepted job.
        fault: called with (server, method, path) before each call; returns (status, JSON) to answer with, or
            None.
        break_downloads: after how many bytes each download breaks off, used up one by one.
        failing_jobs: messages with which the next jobs fail, used up one by one.
        ranges: the Range headers of the downloads.
    """

    def __init__(self, flavour: str = "grib", limit: int = 60000, costing: bool = True, polls: int = 0):
        self.flavour, self.limit, self.costing, self.polls = flavour, limit, costing, polls
        self.log: list[str] = []
        self.executed: list[tuple[str, dict]] = []
        self.fault: Callable[[CdsServer, str, str], tuple[int, dict] | None] = lambda server, method, path: (
            None
        )
        self.break_downloads: list[int] = []
        self.failing_jobs: list[str] = []
        self.ranges: list[str] = []
        self.jobs: dict[str, _Job] = {}
        self.files: dict[str, bytes] = {}
        self.last_hour: int | None = (
            None  # no data later than this (seconds), as with a month that is not over
        )

    def __enter__(self) -> "CdsServer":
        handler = type("Handler", (_Handler,), {"cds": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/api"
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        """Environment that points cdsapi here."""
        return {"CDSAPI_URL": self.url, "CDSAPI_KEY": KEY, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}

    def answer(self, method: str, path: str, token: str, content: dict) -> tuple[int, dict]:
        """Return status and JSON of the answer to a call."""
        self.log.append(f"{method} {path}")
        fault = self.fault(self, method, path)
        if fault:
            return fault
        parts = path.removeprefix("/api/").split("/")
        if parts[:1] == ["catalogue"]:
            return 200, {"messages": []}
        if token != KEY:
            return 401, {
                "type": "permission denied",
                "title": "authentication failed",
                "status": 401,
                "detail": "operation not allowed",
            }
        if parts[:3] == ["retrieve", "v1", "processes"]:
            return self._process(method, parts[3:], content.get("inputs", {}))
        if parts[:3] == ["retrieve", "v1", "jobs"]:
            return self._job(parts[3:])
        return 404, {"title": "not found"}

    def _process(self, method: str, parts: list[str], inputs: dict) -> tuple[int, dict]:
        dataset = parts[0]
        if dataset not in DATASETS:
            return 404, {
                "type": "process not found",
                "title": "process not found",
                "detail": f"dataset {dataset} not found",
                "status": 404,
            }
        if method == "GET":
            return 200, {"id": dataset, "links": []}
        cost = _fields(inputs)
        if parts[1:] == ["costing"]:
            return (
                (200, {"id": "size", "cost": cost, "limit": self.limit})
                if self.costing
                else (404, {"title": "not found"})
            )
        if cost > self.limit:
            return 403, {
                "type": "permission denied",
                "title": "cost limits exceeded",
                "status": 403,
                "detail": "Your request is too large, please reduce your selection.",
            }
        job = _Job(len(self.jobs) + 1, dataset, inputs)
        self.jobs[job.id] = job
        self.executed.append((dataset, inputs))
        return 201, self._status(job, "accepted")

    def _status(self, job: _Job, status: str) -> dict:
        base = f"{self.url}/retrieve/v1/jobs/{job.id}"
        links = [{"rel": "monitor", "href": base}, {"rel": "self", "href": base}]
        if status in ("successful", "failed"):
            links.append({"rel": "results", "href": base + "/results"})
        return {
            "processID": job.dataset,
            "type": "process",
            "jobID": job.id,
            "status": status,
            "created": "2026-01-01T00:00:00",
            "updated": "2026-01-01T00:00:00",
            "links": links,
            "metadata": {"origin": "api", "log": []},
        }

    def _job(self, parts: list[str]) -> tuple[int, dict]:
        job = self.jobs[parts[0]]
        if parts[1:] == ["results"]:
            if self.failing_jobs:
                return 400, {
                    "type": "job results failed",
                    "title": "The job has failed",
                    "status": 400,
                    "traceback": self.failing_jobs.pop(0),
                }
            content, name = self._result(job)
            self.files[f"/cache/{name}"] = content
            return 200, {
                "asset": {
                    "value": {
                        "type": "application/octet-stream",
                        "href": self.url.removesuffix("/api") + f"/cache/{name}",
                        "file:size": len(content),
                    }
                }
            }
        job.looks += 1
        if job.looks <= self.polls:
            return 200, self._status(job, "accepted" if job.looks == 1 else "running")
        return 200, self._status(job, "failed" if self.failing_jobs else "successful")

    def _result(self, job: _Job) -> tuple[bytes, str]:
        if self.flavour == "grib":
            return _grib(job.inputs, self.last_hour), f"{job.id}.grib"
        if self.flavour == "zip":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                variables = job.inputs["variable"]
                for number, part in enumerate((variables[:1], variables[1:])):
                    if part:
                        name = f"data_stream-oper_stepType-{'instant' if number == 0 else 'accum'}.nc"
                        archive.writestr(
                            name, _netcdf({**job.inputs, "variable": part}, "netcdf", self.last_hour)
                        )
            return packed.getvalue(), f"{job.id}.zip"
        return _netcdf(job.inputs, self.flavour, self.last_hour), f"{job.id}.nc"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cds: CdsServer

    def do_GET(self) -> None:  # noqa: N802
        path = urlparse(self.path).path
        if path.startswith("/cache/"):
            self._file(path)
        else:
            self._json(*self.cds.answer("GET", path, self.headers.get("PRIVATE-TOKEN", ""), {}))

    def do_HEAD(self) -> None:  # noqa: N802
        content = self.cds.files[urlparse(self.path).path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def do_POST(self) -> None:  # noqa: N802
        content = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self._json(
            *self.cds.answer("POST", urlparse(self.path).path, self.headers.get("PRIVATE-TOKEN", ""), content)
        )

    def _json(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path: str) -> None:
        self.cds.log.append(f"GET {path}")
        whole = self.cds.files[path]
        asked = self.headers.get("Range", "")
        self.cds.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        content = whole[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.end_headers()
        if self.cds.break_downloads:
            self.wfile.write(content[: self.cds.break_downloads.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _fields(inputs: dict) -> int:
    count = 1
    for key, values in inputs.items():
        if key not in ("area", "data_format", "download_format", "product_type"):
            count *= len(values) if isinstance(values, list) else 1
    return count


def _grid(inputs: dict) -> tuple[np.ndarray, np.ndarray]:
    north, west, south, east = inputs["area"]
    degrees = float(inputs.get("grid", "0.25/0.25").split("/")[0])
    rows, columns = int((north - south) / degrees + 1e-6) + 1, int((east - west) / degrees + 1e-6) + 1
    return north - degrees * np.arange(rows), west + degrees * np.arange(columns)


def _hours(inputs: dict, last: int | None) -> np.ndarray:
    seconds = np.array(
        [
            int(
                (
                    datetime(int(year), int(month), int(day), int(time[:2])) - datetime(1970, 1, 1)
                ).total_seconds()
            )
            for year in inputs["year"]
            for month in inputs["month"]
            for day in inputs["day"]
            for time in inputs["time"]
        ]
    )
    return seconds if last is None else seconds[seconds <= last]


def _grib(inputs: dict, last: int | None) -> bytes:
    import eccodes

    lat, lon = _grid(inputs)
    levels = [int(level) for level in inputs.get("pressure_level", [])] or [None]
    messages = []
    for second in _hours(inputs, last):
        when = datetime(1970, 1, 1) + (np.datetime64(int(second), "s") - np.datetime64(0, "s")).item()
        for name in inputs["variable"]:
            for level in levels:
                handle = eccodes.codes_grib_new_from_samples(
                    "regular_ll_sfc_grib1" if level is None else "regular_ll_pl_grib1"
                )
                for key, setting in {
                    "centre": 98,
                    "Ni": len(lon),
                    "Nj": len(lat),
                    "dataDate": int(when.strftime("%Y%m%d")),
                    "dataTime": when.hour * 100,
                    "bitsPerValue": 24,
                    "latitudeOfFirstGridPointInDegrees": float(lat[0]),
                    "latitudeOfLastGridPointInDegrees": float(lat[-1]),
                    "longitudeOfFirstGridPointInDegrees": float(lon[0]),
                    "longitudeOfLastGridPointInDegrees": float(lon[-1]),
                    "iDirectionIncrementInDegrees": float(lon[1] - lon[0]),
                    "jDirectionIncrementInDegrees": float(lat[0] - lat[1]),
                }.items():
                    eccodes.codes_set(handle, key, setting)
                eccodes.codes_set(handle, "paramId", FIELDS[name][0])
                if level is not None:
                    eccodes.codes_set(handle, "level", level)
                eccodes.codes_set_values(handle, value(name, level, np.array([second]), lat, lon).ravel())
                messages.append(eccodes.codes_get_message(handle))
                eccodes.codes_release(handle)
    return b"".join(messages)


def _netcdf(inputs: dict, flavour: str, last: int | None) -> bytes:
    lat, lon = _grid(inputs)
    seconds = _hours(inputs, last)
    levels = [int(level) for level in inputs.get("pressure_level", [])]
    old = flavour == "netcdf_old"
    time_name, level_name = ("time", "level") if old else ("valid_time", "pressure_level")
    with TemporaryDirectory() as directory:
        path = Path(directory) / "data.nc"
        with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET" if old else "NETCDF4") as file:
            for name, values, units in (
                (
                    time_name,
                    seconds // 3600 + 613608 if old else seconds,
                    "hours since 1900-01-01 00:00:00.0" if old else "seconds since 1970-01-01",
                ),
                ("latitude", lat, "degrees_north"),
                ("longitude", lon, "degrees_east"),
            ):
                file.createDimension(name, len(values))
                coordinate = file.createVariable(
                    name, "i4" if name == "time" else "f4" if old else "f8", (name,)
                )
                coordinate.units = units
                coordinate[:] = values
            dimensions = [time_name]
            if old:  # the last third of the hours is preliminary
                file.createDimension("expver", 2)
                file.createVariable("expver", "i4", ("expver",))[:] = [1, 5]
                dimensions.append("expver")
            else:
                file.createVariable("number", "i8", ())[...] = 0
                versions = file.createVariable("expver", str, (time_name,))
                versions[:] = np.array(["0001"] * len(seconds), dtype=object)
            if levels:
                file.createDimension(level_name, len(levels))
                coordinate = file.createVariable(level_name, "i4" if old else "f8", (level_name,))
                coordinate.units = "millibars" if old else "hPa"
                coordinate[:] = levels
                dimensions.append(level_name)
            for name in inputs["variable"]:
                _, short, units, _ = FIELDS[name]
                fields = np.stack(
                    [value(name, level, seconds, lat, lon) for level in levels or [None]], axis=1
                )
                if not levels:
                    fields = fields[:, 0]
                if old:
                    low, high = fields.min(), fields.max()
                    stored = file.createVariable(
                        short, "i2", (*dimensions, "latitude", "longitude"), fill_value=-32767
                    )
                    stored.scale_factor, stored.add_offset = max(high - low, 1e-3) / 65000, (low + high) / 2
                    both = np.ma.masked_all((len(seconds), 2, *fields.shape[1:]))
                    final = len(seconds) * 2 // 3
                    both[:final, 0], both[final:, 1] = fields[:final], fields[final:]
                    stored[:] = np.ma.masked_where(both.mask, both.filled(low))
                else:
                    stored = file.createVariable(
                        short,
                        "f4",
                        (*dimensions, "latitude", "longitude"),
                        zlib=True,
                        fill_value=np.float32(np.nan),
                    )
                    stored.GRIB_typeOfLevel = "isobaricInhPa" if levels else "surface"
                    stored[:] = fields
                stored.units = units
        return path.read_bytes()
