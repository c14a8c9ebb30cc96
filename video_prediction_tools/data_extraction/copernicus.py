"""ERA5 from the Copernicus Climate Data Store, through its own client cdsapi.

A month's downloads lie in a hidden directory below the destination while the month is written. What comes
back is read as
an archive is: GRIB, both flavours of the CDS' NetCDF (`time`/`expver` and `valid_time`/`number`), alone or in
    a ZIP, which
the CDS sends for variables of different step types whatever was asked for.
"""

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from video_prediction_tools.data_extraction.copernicus_requests import (
    DataRequest,
    request_of_constants,
    requests_of_month,
)
from video_prediction_tools.data_extraction.period import Month
from video_prediction_tools.data_extraction.weather import ConstantField, WeatherMonth
from video_prediction_tools.errors import InputError
from video_prediction_tools.metadata.files import raise_as_input_error
from video_prediction_tools.metadata.variables import Variable
from video_prediction_tools.metadata.variables import variables as look_up
from video_prediction_tools.progress import say

if TYPE_CHECKING:
    from video_prediction_tools.data_extraction.extraction import Plan
    from video_prediction_tools.data_extraction.grids import Grid
    from video_prediction_tools.data_extraction.request import Request
    from video_prediction_tools.data_extraction.series import Contents

DOWNLOADS = ".downloads"
_FIRST_MONTH = Month(1940, 1)
_DELAY = 5 * 86400  # seconds after which ERA5 has preliminary data


class CopernicusSource:
    """The CDS as a source; see `weather.Source`.

    Arguments:
        request: the checked flags.
        months: the months to fetch.
        there: months that an earlier run has fetched.

    Raises:
        InputError: no key, or a year that ERA5 does not have.
    """

    synthetic = False
    text = "ERA5 (ECMWF), from the Copernicus Climate Data Store"

    def __init__(self, request: "Request", months: Sequence[Month], there: Sequence[Month] = ()):
        self._request, self._directory = request, request.destination / DOWNLOADS
        self.step_hours, self.grid = request.step_hours, None
        self.months = _months_so_far(months, there)
        years = sorted({month.year for month in self.months})
        self.attributes: dict[str, Any] = {
            "acknowledgement": "Contains modified Copernicus Climate Change Service information "
            f"{years[-1] if years else ''}; "
            "neither the European Commission nor ECMWF is responsible for any use that may be made of it",
            "references": "Hersbach et al. (2020), doi:10.1002/qj.3803; "
            "doi:10.24381/cds.adbb2d47 (single levels); "
            "doi:10.24381/cds.bd0915c6 (pressure levels)",
            "license": "CC-BY-4.0",
        }
        self._client = None
        if not request.dry_run:
            from video_prediction_tools.data_extraction.copernicus_client import check_credentials

            check_credentials()

    @contextmanager
    def open_month(self, month: Month, variables: Sequence[Variable]) -> Iterator[WeatherMonth]:
        """Download one month, deliver it, and remove the downloads."""
        from video_prediction_tools.data_extraction.archive import ArchiveSource

        with self._downloads():
            contents = self._fetch(self._requests(month, variables), variables, str(month))
            archive = ArchiveSource(
                f"(what the CDS sent for {month})", None, [month], contents, variables, []
            )
            if archive.step_hours != self.step_hours:
                raise InputError(
                    "--step_hours",
                    f"the CDS sent {archive.step_hours}-hourly data for {month}",
                    "report this to the authors of AMBS",
                )
            with archive.open_month(month, variables) as weather:
                yield weather

    def constants(self, variables: Sequence[Variable], grid: "Grid") -> dict[str, ConstantField]:
        """Download the fields that do not change in time."""
        from video_prediction_tools.data_extraction.archive import ArchiveSource

        with self._downloads():
            contents = self._fetch([self._request_of_constants(variables)], variables, "constants")
            archive = ArchiveSource("(constants that the CDS sent)", None, [], contents, [], contents.series)
            return {
                name: ConstantField(field.values, self.text)
                for name, field in archive.constants(variables, grid).items()
            }

    def dry_run(self, plan: "Plan") -> list[str]:
        """Return the requests that would be sent."""
        lines = [
            f"{task.month}: ERA5 has no data yet" for task in plan.tasks if task.month not in self.months
        ]
        labelled = [
            (str(task.month), request)
            for task in plan.tasks
            if task.month in self.months
            for request in self._requests(task.month, look_up(task.fetch))
        ]
        if plan.constants:
            labelled.append(("constants", self._request_of_constants(look_up(plan.constants))))
        return [
            *lines,
            *(
                f"{label}: {request.dataset} ({request.fields()} fields) {json.dumps(request.inputs)}"
                for label, request in labelled
            ),
        ]

    def _requests(self, month: Month, variables: Sequence[Variable]) -> list[DataRequest]:
        return requests_of_month(
            month,
            variables,
            self._request.area,
            self._request.grid,
            self.step_hours,
            self._request.data_format,
        )

    def _request_of_constants(self, variables: Sequence[Variable]) -> DataRequest:
        return request_of_constants(
            variables, self._request.area, self._request.grid, self._request.data_format
        )

    @contextmanager
    def _downloads(self) -> Iterator[None]:
        shutil.rmtree(self._directory, ignore_errors=True)  # of a run that was killed
        try:
            self._directory.mkdir(parents=True)
            yield
        except OSError as error:
            raise_as_input_error(error, self._directory)
            raise
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _fetch(
        self, requests: Sequence[DataRequest], variables: Sequence[Variable], label: str
    ) -> "Contents":
        from video_prediction_tools.data_extraction.archive import index_tree
        from video_prediction_tools.data_extraction.copernicus_client import CopernicusClient
        from video_prediction_tools.data_extraction.series import Wanted

        self._client = self._client or CopernicusClient(self._request.retries)
        waiting, number = list(requests), 0
        while waiting:
            request = waiting.pop(0)
            if self._client.too_large(request):
                waiting = [*_halves(request), *waiting]
                continue
            number += 1
            say(f"{label}: request {number}, {request.dataset}, {request.fields()} fields")
            target = self._directory / f"{number:03d}"
            if not self._download(request, target, label):
                waiting = [*_halves(request), *waiting]
        return index_tree(self._directory, Wanted(variables, {}))

    def _download(self, request: DataRequest, target: Path, label: str) -> bool:
        """Download and unpack, again when the ZIP is damaged; False when the request is too large."""
        for _ in range(self._request.retries + 1):
            if not self._client.download(request, target, label):
                return False
            try:
                _unpack(target)
                return True
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                say(f"{label}: the ZIP that the CDS sent is damaged ({error})")
                for part in self._directory.glob(f"{target.name}*"):
                    part.unlink()
        raise InputError(
            request.dataset,
            f"what the CDS sent for {label} is damaged each time",
            "start again later: finished months are kept",
        )


def _halves(request: DataRequest) -> list[DataRequest]:
    halves = request.halves()
    if not halves:
        raise InputError(
            "--area",
            "a single day of one variable is more than the CDS allows in a request",
            "ask for a smaller area",
        )
    say(f"the CDS allows no request of {request.fields()} fields; it is halved")
    return halves


def _unpack(download: Path) -> None:
    """Replace a ZIP by the files in it."""
    if not zipfile.is_zipfile(download):
        return
    with zipfile.ZipFile(download) as archive:
        for number, member in enumerate(archive.infolist()):
            if not member.is_dir():
                name = f"{download.name}-{number:02d}-{Path(member.filename).name}"
                with archive.open(member) as packed, open(download.with_name(name), "wb") as plain:
                    shutil.copyfileobj(packed, plain)
    download.unlink()


def _months_so_far(months: Sequence[Month], there: Sequence[Month]) -> list[Month]:
    """Return the months of which ERA5 has begun to have data.

    Raises:
        InputError: a year has none, and none from before.
    """
    now = datetime.now(UTC).timestamp()
    begun = [month for month in months if month.start < now - _DELAY]
    for year in sorted({month.year for month in months} - {month.year for month in [*begun, *there]}):
        raise InputError(
            "--years",
            f"ERA5 has no data for {year} (in the months asked for)",
            f"it covers {_FIRST_MONTH} to about five days ago",
        )
    return begun
