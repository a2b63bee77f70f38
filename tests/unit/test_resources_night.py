"""Test nights from noon to noon: windows before, after and across UTC midnight, sites east and west, summer time."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from gozen.resources.nights import bounds, format_time, night_of, read_time, window

KISO = ZoneInfo("Asia/Tokyo")
NIGHT = date(2023, 12, 12)


def utc(*fields):
    return datetime(*fields, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        (time(8), time(10, 30), utc(2023, 12, 12, 8), utc(2023, 12, 12, 10, 30)),
        (time(14), time(2), utc(2023, 12, 12, 14), utc(2023, 12, 13, 2)),
        (time(0), time(2, 59, 59), utc(2023, 12, 13, 0), utc(2023, 12, 13, 2, 59, 59)),
        (time(23, 59, 59, 999_999), time(0), utc(2023, 12, 12, 23, 59, 59, 999_999), utc(2023, 12, 13, 0)),
        (time(3), time(3), utc(2023, 12, 12, 3), utc(2023, 12, 13, 3)),
    ],
)
def test_a_window_falls_between_the_noons_of_kiso(start, end, first, last):
    assert window(start, end, NIGHT, KISO) == (first, last)


@pytest.mark.parametrize(("start", "end"), [(time(2), time(4)), (time(10), time(8)), (time(8), time(8))])
def test_a_window_that_crosses_local_noon_is_refused(start, end):
    with pytest.raises(ValueError, match="night 20231212, which lasts from 2023-12-12 03:00 to 2023-12-13 03:00 UTC"):
        window(start, end, NIGHT, KISO)


def test_west_of_greenwich_a_night_lies_in_the_next_utc_day():
    hawaii = timezone(timedelta(hours=-10))
    assert bounds(NIGHT, hawaii) == (utc(2023, 12, 12, 22), utc(2023, 12, 13, 22))
    assert window(time(5), time(15), NIGHT, hawaii) == (utc(2023, 12, 13, 5), utc(2023, 12, 13, 15))


def test_a_night_in_which_clocks_change_is_an_hour_longer():
    begin, end = bounds(date(2023, 10, 28), ZoneInfo("Europe/Paris"))
    assert (begin, end - begin) == (utc(2023, 10, 28, 10), timedelta(hours=25))


@pytest.mark.parametrize(
    ("moment", "night"),
    [
        (utc(2023, 12, 12, 2, 59, 59), date(2023, 12, 11)),
        (utc(2023, 12, 12, 3), date(2023, 12, 12)),
        (utc(2023, 12, 12, 20), date(2023, 12, 12)),
        (utc(2023, 12, 13, 2, 59), date(2023, 12, 12)),
    ],
)
def test_a_moment_belongs_to_the_night_that_began_at_the_last_local_noon(moment, night):
    assert night_of(moment, KISO) == night


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("08:00:00.0", time(8)),
        ("8:05", time(8, 5)),
        ("23:59:59.5", time(23, 59, 59, 500_000)),
        ("00:00:00.000001", time(0, 0, 0, 1)),
    ],
)
def test_times_of_day_are_read(text, clock):
    assert read_time(text) == clock


@pytest.mark.parametrize("text", ["24:00:00", "08:60", "08:00:60", "8", 8, None, "08:00:00.0Z", "٠٨:٠٠"])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a time of day; write UTC as '08:00:00\.0'"):
        read_time(text)


def test_a_time_of_day_is_written_in_utc_with_its_fraction():
    assert format_time(datetime(2023, 12, 12, 17, tzinfo=KISO)) == "08:00:00.0"
    assert format_time(utc(2023, 12, 12, 8, 0, 0, 250_000)) == "08:00:00.25"
