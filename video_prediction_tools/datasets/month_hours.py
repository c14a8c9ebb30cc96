"""Calendar months and hours of the day (UTC): what a climatology has a mean of each."""

import numpy as np


def hours_covered(times: np.ndarray) -> np.ndarray:
    """Return which months and hours the times fall into, bool [12, 24]."""
    month, hour = month_and_hour(times)
    covered = np.zeros((12, 24), bool)
    covered[month - 1, hour] = True
    return covered


def month_and_hour(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return calendar month (1..12) and hour of the day (0..23), UTC, of seconds since 1970."""
    stamps = np.asarray(times, dtype=np.int64).astype("datetime64[s]")
    month = stamps.astype("datetime64[M]").astype(np.int64) % 12 + 1
    hour = (stamps - stamps.astype("datetime64[D]")).astype(np.int64) // 3600
    return month, hour


def hours_in_words(chosen: np.ndarray) -> str:
    """Write months and hours (bool [12, 24]) as ``month 4 at 00, 01 UTC; month 5 at all hours``; '' for none."""
    return "; ".join(
        f"month {month + 1} "
        + (
            "at all hours"
            if hours.all()
            else f"at {', '.join(f'{hour:02d}' for hour in np.flatnonzero(hours))} UTC"
        )
        for month, hours in enumerate(chosen)
        if hours.any()
    )
