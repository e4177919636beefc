"""FHIR dates become site dates: zones, offsets, precision, calendar limits (protocol §2)."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import InputError
from adapter.intake import dates
from adapter.intake.dates import Moment, SiteClock, utc_micros

SHANGHAI = SiteClock("Asia/Shanghai")
VIENNA = SiteClock("Europe/Vienna")
EPOCH = datetime(1970, 1, 1)


def day(text: str) -> int:
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("text", "dtc", "on"),
    [
        ("2024-03-01T17:30:00Z", "2024-03-02T01:30:00", "2024-03-02"),
        ("2024-03-01T15:59:59Z", "2024-03-01T23:59:59", "2024-03-01"),
        ("2024-03-01T16:00:00Z", "2024-03-02T00:00:00", "2024-03-02"),
        ("2024-03-01T23:30:00+08:00", "2024-03-01T23:30:00", "2024-03-01"),
        ("2024-03-01T23:30:00-14:00", "2024-03-02T21:30:00", "2024-03-02"),
        ("2024-03-01T17:30:00", "2024-03-01T17:30:00", "2024-03-01"),
        ("2024-02-28T16:00:00.000Z", "2024-02-29T00:00:00", "2024-02-29"),
        ("2023-12-31T16:00:00+00:00", "2024-01-01T00:00:00", "2024-01-01"),
        ("2024-03-01T10:30Z", "2024-03-01T18:30", "2024-03-01"),
        ("2024-03-01T10:30", "2024-03-01T10:30", "2024-03-01"),
        ("2024-03-01T17:30:00.987654321+08:00", "2024-03-01T17:30:00", "2024-03-01"),
        ("2016-12-31T23:59:60Z", "2017-01-01T07:59:59", "2017-01-01"),
        ("2024-02-29", "2024-02-29", "2024-02-29"),
        ("0001-01-01", "0001-01-01", "0001-01-01"),
        ("9999-12-31", "9999-12-31", "9999-12-31"),
    ],
)
def test_site_time_in_shanghai(text: str, dtc: str, on: str) -> None:
    moment = SHANGHAI.read(text)
    assert moment is not None
    assert (moment.dtc, moment.day) == (dtc, day(on))
    assert (moment.micros is None) == ("T" not in text)


def test_partial_dates_have_no_day() -> None:
    assert SHANGHAI.read("2024") == Moment("2024", None, None)
    assert SHANGHAI.read("2024-03") == Moment("2024-03", None, None)


@pytest.mark.parametrize(
    "text",
    [
        "", "24", "2024-13", "2024-00", "2024-3", "2024-02-30", "2023-02-29", "2024-04-31", "2024-01-00", "0000",
        "0000-01-01", "10000-01-01", "2024-03-01T24:00:00Z", "2024-03-01T25:00:00Z", "2024-03-01T10:60:00Z",
        "2024-03-01T10:00:61Z", "2024-03-01 10:00:00Z", "2024-03-01t10:00:00Z", "2024-03-01T10:00:00z",
        "2024-03-01T10", "2024-03-01T", "2024-03-01Z", "2024-03-01T10:00:00+0800", "2024-03-01T10:00:00+15:00",
        "2024-03-01T10:00:00+08", "2024-03-01T10:00:00.Z", "2024-W10-1", "20240301", "2024-061", " 2024-03-01",
        "2024-03-01\n", "２０２４-03-01", "-2024-03-01", "today", "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
    ],
)  # fmt: skip
def test_what_is_no_fhir_date_is_none(text: str) -> None:
    assert SHANGHAI.read(text) is None
    assert SHANGHAI.read(text) is None  # from the cache too


@pytest.mark.parametrize(
    ("text", "dtc"),
    [
        # Summer time starts 2024-03-31 02:00 → 03:00 and ends 2024-10-27 03:00 → 02:00.
        ("2024-03-31T00:59:59Z", "2024-03-31T01:59:59"),
        ("2024-03-31T01:00:00Z", "2024-03-31T03:00:00"),
        ("2024-10-27T00:30:00Z", "2024-10-27T02:30:00"),
        ("2024-10-27T01:30:00Z", "2024-10-27T02:30:00"),
        ("2024-03-31T02:30:00", "2024-03-31T02:30:00"),
        ("2024-07-01T22:30:00Z", "2024-07-02T00:30:00"),
    ],
)
def test_summer_time_in_vienna(text: str, dtc: str) -> None:
    moment = VIENNA.read(text)
    assert moment is not None
    assert moment.dtc == dtc


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from([SHANGHAI, VIENNA]),
)
def test_instants_agree_with_the_naive_way(wall: datetime, minutes: int, clock: SiteClock) -> None:
    instant = wall.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    local = instant.astimezone(ZoneInfo(clock.zone)).replace(tzinfo=None)
    moment = clock.read(instant.isoformat())
    assert moment is not None
    assert moment.dtc == local.isoformat(timespec="seconds")
    assert moment.day == local.toordinal() - date(1970, 1, 1).toordinal()
    assert moment.micros == (local - EPOCH) // timedelta(microseconds=1)
    assert utc_micros(instant.isoformat()) == (wall - timedelta(minutes=minutes) - EPOCH) // timedelta(microseconds=1)


@given(st.dates())
def test_every_date_reads_back(on: date) -> None:
    assert SHANGHAI.read(on.isoformat()) == Moment(on.isoformat(), (on - date(1970, 1, 1)).days, None)


@given(st.text("0123456789-:TZ+. ", max_size=30))
def test_whatever_is_read_is_iso_8601(text: str) -> None:
    moment = SHANGHAI.read(text)
    if moment is not None:
        assert moment.dtc == text or datetime.fromisoformat(moment.dtc)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)), st.integers(0, 10**13))
def test_order_of_instants_is_order_of_micros_without_summer_time(instant: datetime, later: int) -> None:
    # Shanghai has had no clock change since 1991.
    if instant.year < 1992:
        instant = instant.replace(year=1992, day=1)
    after = instant + timedelta(microseconds=later)
    one, two = SHANGHAI.read(instant.isoformat()), SHANGHAI.read(after.isoformat())
    assert one is not None
    assert two is not None
    assert one.micros is not None
    assert two.micros is not None
    assert two.micros - one.micros == later


@pytest.mark.parametrize("text", ["2024-03-01", "2024-03-01T10:00:00", "2024-02-30T10:00:00Z", "x"])
def test_utc_needs_an_instant_with_offset(text: str) -> None:
    assert utc_micros(text) is None


@pytest.mark.parametrize("zone", ["", "Asia", "Asia/Nowhere", "../tzdata/zoneinfo/UTC", "/etc/localtime", "tzdata.zi"])
def test_unknown_zone(zone: str) -> None:
    with pytest.raises(InputError, match="time zone"):
        SiteClock(zone)


def test_clock_pickles_without_its_cache() -> None:
    clock = SiteClock("Asia/Shanghai")
    clock.read("2024-03-01T17:30:00Z")
    copy = pickle.loads(pickle.dumps(clock))
    assert len(pickle.dumps(clock)) < 200
    assert copy.read("2024-03-01T17:30:00Z") == clock.read("2024-03-01T17:30:00Z")


def test_full_cache_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dates, "CACHE_SIZE", 2)
    clock = SiteClock("UTC")
    read = [clock.read(f"2024-03-{d:02}") for d in (1, 2, 3, 1, 2)]
    assert [m and m.dtc for m in read] == [f"2024-03-{d:02}" for d in (1, 2, 3, 1, 2)]
