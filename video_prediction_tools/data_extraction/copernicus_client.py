"""Requests sent to the CDS through cdsapi (0.7.7), and its answers in one line each.

cdsapi polls, downloads and resumes broken downloads by itself; its waiting between tries is set to
exponential back-off.
What it repeats are faults of the network and the answers 408, 429, 500, 502, 503 and 504; a wrong key, a
licence that was
not accepted and the like are told at once.
"""

import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

import requests
from cdsapi.api import Client, get_url_key_verify

from video_prediction_tools.data_extraction.copernicus_requests import DataRequest
from video_prediction_tools.errors import InputError
from video_prediction_tools.progress import say

STORE = "https://cds.climate.copernicus.eu"
BACK_OFF = (
    2.0,
    120.0,
    2.0,
)  # seconds before the first repetition, at most, and the factor from one to the next
LONGEST_POLL = 60.0  # seconds between two looks at a request in the queue
_TOO_LARGE = ("cost limits exceeded", "too large")
_FINAL = ("no data", "check your selection", "invalid", "not available", "maximum number")  # of failed jobs


def check_credentials() -> tuple[str, str]:
    """Return the CDS' address and the user's key, found as cdsapi finds them.

    Raises:
        InputError: there is no key, or it is one of the CDS before September 2024.
    """
    place = os.environ.get("CDSAPI_RC", os.path.expanduser("~/.cdsapirc"))
    try:
        url, key, _ = get_url_key_verify(None, None, None)
    except Exception:  # cdsapi raises the bare class
        raise InputError(
            "--source cds",
            f"there is no Copernicus key (looked for in CDSAPI_URL, CDSAPI_KEY and {place})",
            f"log in at {STORE}/profile, and write its two lines 'url: {STORE}/api' and 'key: <your key>' to "
            f"{place}",
        ) from None
    if ":" in key or url.rstrip("/").endswith("/v2"):
        raise InputError(
            "--source cds",
            f"the key or address in {place} is of the old CDS, which was closed in 2024",
            f"copy the new two lines from {STORE}/profile",
        )
    return url, key


class CopernicusClient:
    """cdsapi's client.

    Arguments:
        retries: how often a passing fault is tried again.
    """

    def __init__(self, retries: int):
        self._retries = retries
        self._url, _ = check_credentials()
        self._label = ""
        _say_repetitions()
        with warnings.catch_warnings():  # the news of the CDS could not be read: of no concern
            warnings.simplefilter("ignore")
            self._client = Client(
                quiet=True,
                progress=False,
                delete=False,
                timeout=60,
                retry_max=1,
                sleep_max=BACK_OFF[0],
                info_callback=self._tell,
            )
        sender = self._client.client  # before this point one try has to do: it only read the news
        sender.maximum_tries, sender.retry_after, sender.sleep_max = retries + 1, BACK_OFF, LONGEST_POLL

    def _tell(self, message: str, *rest: Any) -> None:
        say(f"{self._label}: CDS: {message % rest if rest else message}")

    def too_large(self, request: DataRequest) -> bool:
        """Ask the CDS whether the cost of a request passes its limit; False where it does not say.

        Raises:
            InputError: wrong key, unknown data set, or the CDS cannot be reached.
        """
        try:
            answer = self._client.client.estimate_costs(request.dataset, request.inputs)
            return float(answer["cost"]) > float(answer["limit"])
        except (KeyError, TypeError, ValueError):
            return False  # another form of answer; the CDS refuses by itself what is too large
        except requests.RequestException as error:
            raise_for(error, request, self._url)
            return False

    def download(self, request: DataRequest, target: Path, label: str) -> bool:
        """Submit a request, wait for it and download the result.

        Arguments:
            target: the file to write.
            label: what it is for, for the progress lines.

        Returns:
            False when the CDS finds the request too large.

        Raises:
            InputError: the CDS refuses it for good, or cannot be reached.
        """
        self._label, pause, tries_left = label, BACK_OFF[0], self._retries
        while True:
            try:
                self._client.retrieve(request.dataset, request.inputs, str(target))
                return True
            except requests.RequestException as error:
                reason = _text(error)
                if any(words in reason.lower() for words in _TOO_LARGE):
                    return False
                if not (_status(error) == 400 and "/jobs/" in reason):  # anything but a job that failed
                    raise_for(error, request, self._url)
            except RuntimeError as error:  # cdsapi: a job that was dismissed, a download of another size
                reason = _text(error)
            if not tries_left or any(words in reason.lower() for words in _FINAL):
                raise InputError(
                    request.dataset,
                    f"the CDS could not serve {label}: {reason[:300]}",
                    "check variables, period and area, or start again later: finished months are kept",
                )
            say(f"{label}: the request failed ({reason[:200]}); it is sent again in {pause:.0f} s")
            time.sleep(pause)
            pause, tries_left = min(pause * BACK_OFF[2], BACK_OFF[1]), tries_left - 1


def raise_for(error: requests.RequestException, request: DataRequest, url: str) -> None:
    """Raise the InputError that says in one line what the CDS or the network answered, and what to do.

    Returns for an answer that only the question for the cost can have (the CDS knows no such question).
    """
    status, reason = _status(error), _text(error)
    page = f"{STORE}/datasets/{request.dataset}"
    if status == 401:
        raise InputError(
            "--source cds",
            "the CDS does not accept the key",
            f"copy the key from {STORE}/profile to ~/.cdsapirc (or CDSAPI_KEY)",
        ) from error
    if status == 403 and "licence" in reason.lower():
        raise InputError(
            "--source cds",
            f"the licence of {request.dataset} has not been accepted",
            f"accept it once, logged in, at {page}?tab=download#manage-licences",
        ) from error
    if status in (404, 405) and "costing" in reason:
        return
    if status == 404 and "/processes/" in reason:
        raise InputError(
            "--source cds",
            f"the CDS has no data set {request.dataset}",
            f"look at {page}; update AMBS if it was renamed",
        ) from error
    if status is None or status >= 500 or status in (408, 429):
        raise InputError(
            "--source cds",
            f"{url} does not answer ({reason[:200]})",
            "check the network (compute nodes often have none) and start again: finished months are kept",
        ) from error
    raise InputError(
        "--source cds", f"the CDS refuses the request ({reason[:300]})", f"look at {page}"
    ) from error


def _status(error: requests.RequestException) -> int | None:
    return error.response.status_code if error.response is not None else None


def _text(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class _Sayer(logging.Handler):
    """Prints what the download library says of repetitions."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        say(f"CDS: {record.getMessage()}")


def _say_repetitions() -> None:
    logger = logging.getLogger("multiurl")
    if not any(isinstance(handler, _Sayer) for handler in logger.handlers):
        logger.addHandler(_Sayer(level=logging.WARNING))
        logger.propagate = False
