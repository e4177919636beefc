"""FHIR dates and instants in site time: SDTM --DTC text, day number, and wall-clock microseconds for ordering.

Protocol §2 "Time": an instant with an offset is converted to the site's zone before its date is taken; an instant
without one is already site time; --DTC is truncated to the precision that the source had and never imputed.
Grammar: FHIR R4 datatypes date, dateTime, instant; strict, except that seconds and offset may be missing.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from importlib import resources
from typing import NamedTuple
from zoneinfo import ZoneInfo

from adapter.errors import InputError

# Read times repeat within a shipment (panels share one), so a cache pays. It is emptied when full.
CACHE_SIZE = 1_000_000

_TEXT = re.compile(
    r"[0-9]{4}(?:-(?:0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01])"
    r"(?:T(?:[01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]|60)(?:\.[0-9]+)?)?"
    r"(Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?)?)?)?",
    re.ASCII,
)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MICROS = 86_400_000_000


class Moment(NamedTuple):
    """A date or instant as the site's calendar and clock show it.

    dtc: ISO 8601 text for --DTC: `2024`, `2024-03`, `2024-03-02`, `2024-03-02T01:30` or `2024-03-02T01:30:00`;
        fractions of a second are dropped.
    day: days since 1970-01-01, None for a partial date.
    micros: wall-clock microseconds since 1970-01-01T00:00 at the site, None without a time. For ordering within a site;
        the hour that is repeated when summer time ends is not told apart.
    """

    dtc: str
    day: int | None
    micros: int | None


class SiteClock:
    """Reads FHIR date, dateTime and instant texts as moments in one time zone, such as `Asia/Shanghai`.

    Raises InputError for an unknown zone. Zone rules come from the `tzdata` package, not from the machine, so that
    the same input gives the same dates everywhere.
    """

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone = _load_zone(zone)
        self._cache: dict[str, Moment | None] = {}

    def __reduce__(self) -> tuple[type[SiteClock], tuple[str]]:
        return SiteClock, (self.zone,)

    def read(self, text: str) -> Moment | None:
        """Return the moment, or None if the text is not a valid FHIR date or instant of the years 0001 to 9999.

        `24:00`, `2024-02-30`, a blank or `t` instead of `T` and `z` are None. Second 60 counts as 59 (FHIR allows leap
        seconds, a calendar date does not change by it). A time that the site's clock skipped stays as written.
        """
        try:
            return self._cache[text]
        except KeyError:
            if len(self._cache) >= CACHE_SIZE:
                self._cache.clear()
            moment = self._cache[text] = self._read(text)
            return moment

    def _read(self, text: str) -> Moment | None:
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        day, minute, second, offset = found.groups()
        if text.startswith("0000"):
            return None
        if day is None:
            return Moment(text, None, None)
        try:
            if minute is None:
                return Moment(text, date.fromisoformat(text).toordinal() - _EPOCH_ORDINAL, None)
            wall = _clock(text, second)
            if offset is not None:
                wall = wall.astimezone(self._zone).replace(tzinfo=None)
        except (ValueError, OverflowError):
            return None
        since = wall - _EPOCH
        dtc = wall.isoformat(timespec="seconds" if second else "minutes")
        return Moment(dtc, since.days, since.days * _DAY_MICROS + since.seconds * 1_000_000 + since.microseconds)


def utc_micros(text: str) -> int | None:
    """Return microseconds since 1970-01-01T00:00Z of a FHIR instant with offset (`meta.lastUpdated`), else None."""
    found = _TEXT.fullmatch(text)
    if found is None or found[4] is None:
        return None
    try:
        since = _clock(text, found[3]) - _EPOCH_UTC
    except (ValueError, OverflowError):
        return None
    return since.days * _DAY_MICROS + since.seconds * 1_000_000 + since.microseconds


def _clock(text: str, second: str | None) -> datetime:
    # The pattern has already refused what fromisoformat takes beyond FHIR (week dates, 24:00, a space, ...).
    return datetime.fromisoformat(text[:17] + "59" + text[19:] if second == "60" else text)


def _load_zone(zone: str) -> ZoneInfo:
    parts = zone.split("/")
    file = resources.files("tzdata").joinpath("zoneinfo", *parts)
    if not all(re.fullmatch(r"[A-Za-z0-9_+-]+", p) for p in parts) or not file.is_file():
        raise InputError(f"unknown time zone {zone!r}; expected an IANA name such as 'Asia/Shanghai'")
    with file.open("rb") as f:
        try:
            return ZoneInfo.from_file(f, key=zone)
        except ValueError as e:  # a file of the package that is no zone, such as tzdata.zi
            raise InputError(f"{zone!r} is no time zone; expected an IANA name such as 'Asia/Shanghai'") from e
