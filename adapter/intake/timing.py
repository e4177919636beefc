"""When an event took place: FHIR effective[x], performed[x], occurrence[x].

A dateTime or a Period dates an event. A Timing, string, Age or Range does not: such times stay text and are submitted as
a supplemental qualifier (fhir-input point 25). What a Timing says of dates is its plan, not a moment of the event.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from msgspec import Struct

from adapter.intake.dosage import amount_text, timing_text
from adapter.intake.event_structs import Timing
from adapter.intake.reading import NO_DATE, Date, Reading, Reject
from adapter.intake.structs import Period, Quantity, Range


class When(NamedTuple):
    """start, end: (SDTM text, site day, site clock). open: a Period with a start and no end. words: a time that is no date."""

    start: Date = NO_DATE
    end: Date = NO_DATE
    open: bool = False
    words: str | None = None

    def columns(self) -> tuple[Any, ...]:
        return (*self.start, *self.end, self.open, self.words)


NEVER = When()


class Times(NamedTuple):
    """The elements of a struct that say when: `effectiveDateTime`, `occurencePeriod` …, and how to get all at once."""

    names: tuple[str, ...]
    get: Callable[[Struct], tuple[Any, ...]]


def times_of(kind: type[Struct], *stems: str) -> Times:
    names = tuple(f for stem in stems for f in kind.__struct_fields__ if f.startswith(stem))
    return Times(names, attrgetter(*names))


def when(r: Struct, times: Times, read: Reading) -> When:
    """Return when an event took place. Raises Reject where two elements say different times."""
    name, time = "", None
    for candidate, found in zip(times.names, times.get(r), strict=True):
        if found is not None:
            if time is not None and found != time:
                raise Reject("two-values", f"{_stem(candidate)}[x]")
            name, time = candidate, found
    if time is None:
        return NEVER
    if type(time) is str and not name.endswith("String"):
        return When(read.date(time, name))
    if isinstance(time, Period):
        start, end = read.date(time.start, f"{name}.start"), read.date(time.end, f"{name}.end")
        if start[1] is not None and end[1] is not None and _before(end, start):
            read.notes.append(f"end-before-start@{name}")
        return When(start, end, time.start is not None and time.end is None)
    if isinstance(time, Timing):
        return When(words=timing_text(time, read) or None)
    if isinstance(time, Quantity | Range):  # performedAge, performedRange: how old the patient was
        amount = amount_text(time, read)
        return When(words=f"at age {amount}" if amount else None)
    return When(words=str(time).strip() or None)  # a string


def _before(end: Date, start: Date) -> bool:
    """Return whether an end lies before its start; a date without a time includes its whole day (fhir-input point 26)."""
    if end[1] != start[1] or end[2] is None or start[2] is None:
        return (end[1] or 0) < (start[1] or 0)
    return end[2] < start[2]


def _stem(name: str) -> str:
    for kind in ("DateTime", "Period", "Timing", "String", "Age", "Range"):
        name = name.removesuffix(kind)
    return name
