"""CM, Concomitant/Prior Medications: every drug given that is no trial product, and every transfusion, in one place."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.coding import coded, resolved_units, unmapped
from adapter.derive.exposure import derived_dose_flag, rate_times_period
from adapter.derive.intervals import first_overlap, spans
from adapter.spec import (
    ASSIGNED,
    COLLECTED,
    DERIVED,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    call,
    issues_of,
    joined,
    path,
)
from mappings.coding import WHODRUG, originals, with_drugs
from mappings.parts import (
    collected,
    each_ingredient,
    end_point_of,
    identifiers,
    not_given,
    noted,
    number,
    of_others,
    ongoing,
    open_end,
    reasons,
    said_in_words,
    study_day_of,
    text,
    without_dose,
    without_end,
)
from mappings.sdtm.ec import product_of
from mappings.timing import epoch_of

DOMAIN = "CM"
TRANSFUSION = "TRANSFUSION"
NO_DRUG = "NONE"
"""CMCAT, in drugs.csv, of codes and names that say that nothing is taken."""

ADMINISTRATION, STATEMENT, PROCEDURE = "MedicationAdministration", "MedicationStatement", "Procedure"
SUPPLIES = ("SupplyDelivery", "BiologicallyDerivedProductDispense")


def medications(inputs: Inputs) -> Records:
    """Return one record per drug or blood product given, and per stated intake that no administration records.

    A drug that no map knows stays with its reported name and is listed in unmapped.csv. Transfusions have one place,
    whichever resource they came as, so that the days that break a run have one source. A request or a dispense of a drug
    never gets here.
    """
    made = [
        _administrations(inputs),
        _statements(inputs),
        _procedures(inputs),
        *(_supplies(inputs, k) for k in SUPPLIES),
    ]
    frame = pd.concat([r.frame for r in made], ignore_index=True)
    dropped = {k: v for r in made for k, v in r.dropped.items()}
    nothing = frame["cat"] == NO_DRUG
    for kind, rows in frame.loc[nothing, "row"].groupby(frame["resource"]):
        dropped[str(kind)] = _first(dropped[str(kind)], reasons(rows, "nothing-taken"))
    frame = frame[~nothing].reset_index(drop=True)
    for column in ("route", "route_text", "dose_text", "until"):
        frame[column] = frame.get(column)
    frame["until"] = text(frame["until"])
    frame[["enrtpt", "entpt"]] = ongoing(frame, inputs.subjects["cut_date"])
    issues = [r.issues for r in made if r.issues is not None]
    days = _days(frame)
    by = _outranked(frame, days)
    why = "a MedicationStatement of the same substance and time was left out"
    issues.append(issues_of(by, frame.loc[by.index, "USUBJID"].to_numpy(), "statement-outranked", why))
    dropped[STATEMENT] = _first(dropped[STATEMENT], reasons(frame.loc[by.index, "row"], "outranked-statement"))
    frame, days = frame.drop(by.index), days.drop(by.index)
    issues += [_doubles(frame, days), without_end(frame)]
    frame["open"] = open_end(frame)
    _doses(frame, inputs)
    frame, uncoded = with_drugs(frame, inputs)
    unknown = joined([r for r in (*(r.unmapped for r in made), uncoded) if r is not None])
    return Records(frame, originals(frame, "CMTRT"), dropped, joined(issues), unknown)


def _days(frame: pd.DataFrame) -> pd.DataFrame:
    """Return subject, substance (where no map knows it, its name), first and last day of each event."""
    substance = text(frame["decod"]).where(text(frame["decod"]) != "", text(frame["code_text"]).str.casefold())
    days = spans(frame["dtc"], frame["end_dtc"], frame["entpt"])
    return days.assign(subject=frame["USUBJID"], key=substance)


def _outranked(frame: pd.DataFrame, days: pd.DataFrame) -> pd.Series[Any]:
    """Return for each statement (label) the label of the first administration of that substance on one of its days.

    The statement is then no second record, whatever it says of dose or period (fhir-input point 16).
    """
    stated, given = frame["resource"] == STATEMENT, frame["resource"] == ADMINISTRATION
    by = first_overlap(days[stated], days[given])
    by = by[by >= 0]
    return pd.Series(days.index[given][by.to_numpy()], index=by.index)


def _administrations(inputs: Inputs) -> Records:
    a = inputs.frame(ADMINISTRATION)
    a = a[product_of(a, inputs.trial.products, inputs.knowledge.codes) == ""].copy()
    a, dropped, issues = _given(a)
    a, missing = _drugs(each_ingredient(a), inputs, ADMINISTRATION)
    return Records(a, dropped={ADMINISTRATION: dropped}, issues=issues, unmapped=missing)


def _statements(inputs: Inputs) -> Records:
    """Return what is stated to be or have been taken (fhir-input points 1 and 16); statuses that say otherwise are gone.

    A statement of a trial product makes no exposure: it is refused, unless administrations of that time record it.
    """
    s = inputs.frame(STATEMENT)
    s["product"] = product_of(s, inputs.trial.products, inputs.knowledge.codes)
    # active is what goes on, whether an open Period or only its begin is told; known to until the day it was said
    s["open"] = s["open"].fillna(False).astype(bool) | ((s["status"] == "active") & s["end_dtc"].isna())
    said, cut = text(s["asserted_dtc"]).str.slice(0, 10), text(inputs.subjects["cut_date"].reindex(s["USUBJID"]))
    s["until"] = said.where((said.str.len() == 10) & (said.to_numpy() < cut.to_numpy()), "")
    ours = s[s["product"] != ""]
    recorded = _recorded(ours, inputs)
    lost = reasons(ours["row"], recorded.map({True: "outranked-statement", False: "product-not-administered"}))
    s, missing = _drugs(each_ingredient(s[s["product"] == ""]), inputs, STATEMENT)
    return Records(s, dropped={STATEMENT: lost}, unmapped=missing)


def _recorded(statements: pd.DataFrame, inputs: Inputs) -> pd.Series[bool]:
    """Return which statements of a trial product an administration of that product and time records."""
    given = inputs.records["EC"].frame
    given = given[given["occur"] == "Y"]
    cut = inputs.subjects["cut_date"]
    until = [text(cut.reindex(e["USUBJID"]).set_axis(e.index)).where(open_end(e), "") for e in (statements, given)]
    days = [
        spans(e["dtc"], e["end_dtc"], u).assign(subject=e["USUBJID"], key=e["product"])
        for e, u in zip((statements, given), until, strict=True)
    ]
    return first_overlap(*days) >= 0


def _procedures(inputs: Inputs) -> Records:
    p = inputs.frame(PROCEDURE)
    procedure = coded(inputs.knowledge.codes["procedures"], p["code"], p["code_text"], names=True)
    p["decod"], p["cat"] = procedure["decod"], procedure["cat"]
    p = p[procedure["domain"] == DOMAIN]
    others = of_others(p)
    about = reasons(p.loc[others, "row"], "about-somebody-else")
    p, dropped, issues = _given(p[~others].copy())
    return Records(p, dropped={PROCEDURE: pd.concat([about, dropped])}, issues=issues)


def _supplies(inputs: Inputs, kind: str) -> Records:
    """Return the blood products that a blood bank gave out for a subject; other supplies prove nothing."""
    d = inputs.frame(kind)
    product = product_of(d, inputs.trial.products, inputs.knowledge.codes)
    drug = coded(inputs.knowledge.codes["drugs"], d["code"], d["code_text"], names=True)
    d["decod"], d["cat"] = drug["cmdecod"], drug["cmcat"]
    blood = (d["cat"] == TRANSFUSION) & (product == "")
    unknown = ~drug["known"].astype(bool) & (product == "") & (text(d["code"]) + text(d["code_text"]) != "")
    why = pd.Series("no-proof-of-intake", index=d.index, dtype="str").where(~unknown, "unmapped-code")
    missing = unmapped(kind, d.loc[unknown, "code"], d.loc[unknown, "code_text"], used=False)
    other = reasons(d.loc[~blood, "row"], why[~blood])
    d, dropped, issues = _given(d[blood].copy())
    return Records(d, dropped={kind: _first(other, dropped)}, issues=issues, unmapped=missing)


def _given(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[str], pd.DataFrame]:
    """Return the events that took place, why the others did not, and the issues of those that seem to have begun."""
    why = not_given(events)
    lost = why != ""
    message = "neither dose, rate nor period shows that any was given; no record"
    return events[~lost], reasons(events.loc[lost, "row"], why[lost]), without_dose(events, why, message, known=False)


def _drugs(events: pd.DataFrame, inputs: Inputs, kind: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the events with decod and cat of their drug, and the drugs that no map knows."""
    drug = coded(inputs.knowledge.codes["drugs"], events["code"], events["code_text"], names=True)
    unknown = ~drug["known"].astype(bool)
    missing = unmapped(kind, events.loc[unknown, "code"], events.loc[unknown, "code_text"], used=True)
    return events.assign(decod=drug["cmdecod"], cat=drug["cmcat"]), missing


def _first(*given: pd.Series[str]) -> pd.Series[str]:
    """Return rows -> reason; of several reasons of one row (a mixture has several drugs) the first."""
    both = pd.concat(given)
    return both[~both.index.duplicated()]


def _doubles(frame: pd.DataFrame, days: pd.DataFrame) -> pd.DataFrame:
    """Return issues for blood products that another resource type reports for the same day: one bag twice, or two."""
    found = []
    blood = frame["cat"] == TRANSFUSION
    order = (ADMINISTRATION, PROCEDURE, *SUPPLIES)
    for n, kind in enumerate(order):
        mine, earlier = blood & (frame["resource"] == kind), blood & frame["resource"].isin(order[:n])
        hit = first_overlap(days[mine], days[earlier])
        found.append(hit.index[hit >= 0])
    labels = [label for index in found for label in index]
    why = "another resource type reports the same blood product for that day; both are kept"
    return issues_of(labels, frame.loc[labels, "USUBJID"].to_numpy(), "possible-double", why)


def _doses(frame: pd.DataFrame, inputs: Inputs) -> None:
    """Add dose, unit, dose in words and route. Without any dose, a rate and a period with clock times make one."""
    none = frame["dose"].isna() & ~noted(frame, "dose-not-single@") & (frame["resource"] == ADMINISTRATION)
    infused = rate_times_period(frame.assign(rate=frame["rate"].where(none, None)))
    frame["infused"] = infused["amount"]
    known = infused["amount"] == ""
    dose, code = frame["dose"].where(known, infused["amount"]), frame["dose_unit"].where(known, infused["unit"])
    written = frame["dose_unit_text"].where(known, infused["unit"])
    unit = resolved_units(inputs.knowledge.units, code, pd.Series(None, index=frame.index), written)
    frame["cmdose"] = number(dose)
    given = text(written).where(text(written) != "", text(code))
    frame["cmdosu"] = unit["ct"].where(unit["ct"] != "", given).where(dose.notna(), "")
    frame["cmdostxt"] = text(frame["dose_text"]).where(dose.isna(), "")
    frame["cmroute"] = coded(inputs.knowledge.codes["routes"], frame["route"], frame["route_text"], names=True)["ct"]


NAMED = (
    "MedicationAdministration.medication[x]",
    "MedicationStatement.medication[x]",
    "Procedure.code",
    "SupplyDelivery.suppliedItem.item[x]",
    "BiologicallyDerivedProductDispense.product",
)
DOSED = (
    "MedicationAdministration.dosage",
    "MedicationStatement.dosage",
    "Procedure.extension",
    "SupplyDelivery.suppliedItem.quantity",
    "BiologicallyDerivedProductDispense.quantity",
)
STARTED = (
    "MedicationAdministration.effective[x]",
    "MedicationStatement.effective[x]",
    "Procedure.performed[x]",
    "SupplyDelivery.occurrence[x]",
    "BiologicallyDerivedProductDispense.whenHandedOver",
)
ENDED = (
    "MedicationAdministration.effectivePeriod.end",
    "MedicationStatement.effectivePeriod.end",
    "Procedure.performedPeriod.end",
    "SupplyDelivery.occurrencePeriod.end",
)


def _class(name: str, label: str, column: str) -> Variable:
    why = "From the sponsor's coding of the drug; empty where the drug is not coded."
    role = "Variable Qualifier"
    return Variable(name, label, "Char", path(column), ASSIGNED, "Perm", role, dictionary=WHODRUG, comment=why)


DATASET = Dataset(
    name=DOMAIN,
    label="Concomitant/Prior Medications",
    cls="INTERVENTIONS",
    structure="One record per recorded intervention occurrence or constant-dosing interval per subject",
    keys=("STUDYID", "USUBJID", "CMCAT", "CMDECOD", "CMTRT", "CMSTDTC", "CMENDTC", "CMDOSE", "CMROUTE"),
    records=medications,
    needs=("EC",),
    value_levels=(ValueLevel("CMDOSE", "CMDOSU"),),
    sequence="CMSEQ",
    variables=(
        *identifiers(DOMAIN),
        collected("CMTRT", "Reported Name of Drug, Med, or Therapy", "trt", "Req", "Topic", *NAMED),
        collected("CMDECOD", "Standardized Medication Name", "named", "Perm", "Synonym Qualifier", *NAMED),
        collected("CMCAT", "Category for Medication", "cat", "Perm", "Grouping Qualifier", *NAMED),
        collected(
            "CMINDC",
            "Indication",
            "indication",
            "Perm",
            "Record Qualifier",
            "MedicationAdministration.reasonCode",
            "MedicationStatement.reasonCode",
            "Procedure.reasonCode",
        ),
        _class("CMCLAS", "Medication Class", "clas"),
        _class("CMCLASCD", "Medication Class Code", "clas_code"),
        Variable(
            "CMDOSE",
            "Dose per Administration",
            "Num",
            path("cmdose", *DOSED),
            COLLECTED,
            "Perm",
            "Record Qualifier",
            comment="As recorded. Where a rate and a period were recorded and no dose, rate times period (CMDOSDRV = Y).",
        ),
        collected(
            "CMDOSTXT",
            "Dose Description",
            "cmdostxt",
            "Perm",
            "Record Qualifier",
            "MedicationAdministration.dosage",
            "MedicationStatement.dosage",
        ),
        collected("CMDOSU", "Dose Units", "cmdosu", "Perm", "Variable Qualifier", *DOSED, codelist="C71620"),
        collected(
            "CMROUTE",
            "Route of Administration",
            "cmroute",
            "Perm",
            "Variable Qualifier",
            "MedicationAdministration.dosage.route",
            "MedicationStatement.dosage.route",
            codelist="C66729",
        ),
        epoch_of("CMSTDTC"),
        collected("CMSTDTC", "Start Date/Time of Medication", "dtc", "Perm", "Timing", *STARTED),
        collected("CMENDTC", "End Date/Time of Medication", "end_dtc", "Perm", "Timing", *ENDED),
        study_day_of("CMSTDY", "Study Day of Start of Medication", "CMSTDTC"),
        study_day_of("CMENDY", "Study Day of End of Medication", "CMENDTC"),
        *end_point_of(
            "CM",
            *ENDED,
            comment="The data cut; of what a MedicationStatement says is taken, its dateAsserted where that is earlier.",
        ),
        Variable(
            "CMDOSDRV",
            "Dose Derived from Rate and Period Flag",
            "Char",
            call(derived_dose_flag, "infused"),
            DERIVED,
            supplemental=True,
        ),
        said_in_words("CMSTTXT", *STARTED),
    ),
)
