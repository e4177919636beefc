"""How much was given: one dose as a number, what is no single number as text; one rate; the route.

A dose is a number only where exactly one is given. Several doses, a range, or a dose with a comparator are text
(--DOSTXT): their sum or middle is nobody's record (fhir-input point 12).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from adapter.intake.event_structs import Dosage, Timing
from adapter.intake.reading import Reading, Reject, codings, text_of, unit_of
from adapter.intake.structs import NONE, Period, Quantity, Range, Ratio

Amount = Quantity | Range
Rate = Quantity | Ratio | Range


class Dose(NamedTuple):
    """The columns of a dosage; adapter.intake.tables says what each holds."""

    dose: str | None = None
    dose_unit: str | None = None
    dose_unit_text: str | None = None
    rate: str | None = None
    rate_unit: str | None = None
    rate_per: str | None = None
    rate_per_unit: str | None = None
    dose_text: str | None = None
    route: str | None = None
    route_text: str | None = None


_NONE = Dose()


def dose_of(dosage: Dosage | list[Dosage | None] | None, read: Reading) -> Dose:
    """Return the columns of MedicationAdministration.dosage or MedicationStatement.dosage, one or an array of them."""
    if dosage is None:
        return _NONE
    if isinstance(dosage, Dosage) and dosage.dose is not None and not dosage.dose.comparator:
        d = dosage
        if d.doseAndRate is None and d.rateRatio is None and not d.modifierExtension:  # the usual: one dose, one rate
            q, r, words = dosage.dose, d.rateQuantity, d.text if d.text and not d.text.isspace() else None
            value = read.number(q.value, "dosage.dose.value")
            rate = unit = None
            if r is not None:
                rate, unit = read.number(r.value, "dosage.rateQuantity.value"), unit_of(r)
            return Dose(value, q.code, q.unit, rate, unit, None, None, words, codings(d.route), text_of(d.route))
    listed = [dosage] if isinstance(dosage, Dosage) else [d for d in dosage if d is not None]
    if any(d.modifierExtension for d in listed):
        raise Reject("held-back-modifier", "dosage")
    doses = [x for d in listed for x in _doses(d)]
    rates = [x for d in listed for x in _rates(d)]
    said = [d.text for d in listed if d.text and not d.text.isspace()]
    amount, speed = _NONE, _NONE
    one = doses[0] if len(doses) == 1 else ("", None)
    if isinstance(one[1], Quantity) and not one[1].comparator:
        amount = Dose(read.number(one[1].value, f"{one[0]}.value"), one[1].code, one[1].unit)
    elif doses:
        said += ["; ".join(filter(None, (amount_text(x, read) for _, x in doses)))]
        if not isinstance(one[1], Range):
            read.notes.append("dose-not-single@dosage")
    if len(rates) == 1:
        speed = _rate(*rates[0], read)
    if rates and not doses and not said:
        said += [_rate_text(x, read) for _, x in rates]
    route = next((d.route for d in listed if d.route is not None), None)
    words = "; ".join(filter(None, said)) or None
    return Dose(*amount[:3], *speed[3:7], words, codings(route), text_of(route))


def _doses(d: Dosage) -> Iterator[tuple[str, Amount]]:
    if d.dose is not None:
        yield "dosage.dose", d.dose
    for x in d.doseAndRate or ():
        if x is not None and x.doseQuantity is not None:
            yield "dosage.doseAndRate.doseQuantity", x.doseQuantity
        if x is not None and x.doseRange is not None:
            yield "dosage.doseAndRate.doseRange", x.doseRange


def _rates(d: Dosage) -> Iterator[tuple[str, Rate]]:
    if d.rateQuantity is not None:
        yield "dosage.rateQuantity", d.rateQuantity
    if d.rateRatio is not None:
        yield "dosage.rateRatio", d.rateRatio
    for x in d.doseAndRate or ():
        if x is None:
            continue
        if x.rateQuantity is not None:
            yield "dosage.doseAndRate.rateQuantity", x.rateQuantity
        if x.rateRatio is not None:
            yield "dosage.doseAndRate.rateRatio", x.rateRatio
        if x.rateRange is not None:
            yield "dosage.doseAndRate.rateRange", x.rateRange


def _rate(where: str, rate: Rate, read: Reading) -> Dose:
    """Return value and unit of a rate, and of what it is per, where that is told apart (rateRatio); a range is none."""
    if isinstance(rate, Quantity):
        return Dose(rate=read.number(rate.value, f"{where}.value"), rate_unit=unit_of(rate))
    if isinstance(rate, Range) or rate.numerator is None or rate.denominator is None:
        return Dose()
    value = read.number(rate.numerator.value, f"{where}.numerator.value")
    per = read.number(rate.denominator.value, f"{where}.denominator.value")
    return Dose(rate=value, rate_unit=unit_of(rate.numerator), rate_per=per, rate_per_unit=unit_of(rate.denominator))


def _rate_text(rate: Rate, read: Reading) -> str:
    if isinstance(rate, Ratio):
        return " / ".join(amount_text(x, read) for x in (rate.numerator, rate.denominator) if x is not None)
    return amount_text(rate, read)


def amount_text(amount: Amount, read: Reading) -> str:
    """Return an amount as it reads: `<5 mg`, `1-2 mg`, `500 mL`; empty where it has no number."""
    if isinstance(amount, Range):
        low, high = (amount_text(x, read) if x is not None else "" for x in (amount.low, amount.high))
        if low and high:
            same = amount.low is not None and amount.high is not None and unit_of(amount.low) == unit_of(amount.high)
            return f"{low.partition(' ')[0] if same else low}-{high}"
        return f">={low}" if low else f"<={high}" if high else ""
    value = read.decimal(amount.value) if amount.value != NONE else None
    return f"{amount.comparator or ''}{value} {amount.unit or amount.code or ''}".strip() if value else ""


def timing_text(t: Timing, read: Reading) -> str:
    """Return a Timing as it reads: its name, its moments, how often and between which dates."""
    parts = [text_of(t.code) or "", ", ".join(e for e in t.event or () if e)]
    if t.repeat is not None:
        r = t.repeat
        often, every = (read.decimal(x) if x != NONE else None for x in (r.frequency, r.period))
        if every and r.periodUnit:
            parts.append(f"{often or 1} per {every} {r.periodUnit}")
        parts.append(period_text(r.boundsPeriod))
    return "; ".join(filter(None, parts))


def period_text(p: Period | None) -> str:
    return f"{p.start or ''}/{p.end or ''}" if p is not None and (p.start or p.end) else ""
