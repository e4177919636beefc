"""CM, Concomitant/Prior Medications: every drug given that is no trial product, and every transfusion, in one place."""

from __future__ import annotations

import pandas as pd

from adapter.derive.coding import coded, resolved_units, unmapped
from adapter.spec import COLLECTED, Dataset, Inputs, Records, ValueLevel, Variable, joined, path
from mappings.parts import identifiers, not_given, number, ongoing, open_end, reasons, study_day_of, text, without_dose
from mappings.sdtm.ec import product_of

DOMAIN = "CM"


def medications(inputs: Inputs) -> Records:
    """Return one record per drug or blood product given (MedicationAdministration, Procedure).

    A drug that no map knows stays with its reported name and is listed in unmapped.csv. Transfusions have one place,
    whichever resource they came as, so that the days that break a run have one source.
    """
    a = inputs.frame("MedicationAdministration")
    a = a[product_of(a, inputs.trial.products, inputs.knowledge.codes) == ""].copy()
    a, dropped_a, issues_a = _given(a)
    drug = coded(inputs.knowledge.codes["drugs"], a["code"], a["code_text"], names=True)
    a["decod"], a["cat"] = drug["cmdecod"], drug["cmcat"]
    unknown = ~drug["known"].astype(bool)
    missing = [unmapped("MedicationAdministration", a.loc[unknown, "code"], a.loc[unknown, "code_text"], used=True)]
    p = inputs.frame("Procedure")
    procedure = coded(inputs.knowledge.codes["procedures"], p["code"], p["code_text"], names=True)
    p["decod"], p["cat"] = procedure["decod"], procedure["cat"]
    p, dropped_p, issues_p = _given(p[procedure["domain"] == DOMAIN].copy())
    frame = pd.concat([a, p], ignore_index=True)
    for column in ("route", "route_text", "dose_text"):
        frame[column] = frame.get(column)
    units = inputs.knowledge.units
    unit = resolved_units(units, frame["dose_unit"], pd.Series(None, index=frame.index), frame["dose_unit_text"])
    frame["cmdose"] = number(frame["dose"])
    given = text(frame["dose_unit_text"]).where(text(frame["dose_unit_text"]) != "", text(frame["dose_unit"]))
    frame["cmdosu"] = unit["ct"].where(unit["ct"] != "", given).where(frame["dose"].notna(), "")
    frame["cmdostxt"] = text(frame["dose_text"]).where(frame["dose"].isna(), "")
    frame["cmroute"] = coded(inputs.knowledge.codes["routes"], frame["route"], frame["route_text"], names=True)["ct"]
    frame["open"] = open_end(frame)
    frame[["enrtpt", "entpt"]] = ongoing(frame, inputs.subjects["cut_date"])
    dropped = {"MedicationAdministration": dropped_a, "Procedure": dropped_p}
    return Records(frame, dropped=dropped, issues=joined([issues_a, issues_p]), unmapped=joined(missing))


def _given(events: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[str], pd.DataFrame]:
    """Return the events that took place, why the others did not, and the issues of those that seem to have begun."""
    why = not_given(events)
    lost = why != ""
    message = "neither dose, rate nor period shows that any was given; no record"
    return events[~lost], reasons(events.loc[lost, "row"], why[lost]), without_dose(events, why, message, known=False)


def _collected(name: str, label: str, column: str, role: str, *fhir: str, codelist: str | None = None) -> Variable:
    return Variable(name, label, "Char", path(column, *fhir), COLLECTED, "Perm", role, codelist=codelist)


DATASET = Dataset(
    name=DOMAIN,
    label="Concomitant/Prior Medications",
    cls="INTERVENTIONS",
    structure="One record per recorded intervention occurrence or constant-dosing interval per subject",
    keys=("STUDYID", "USUBJID", "CMCAT", "CMDECOD", "CMTRT", "CMSTDTC", "CMENDTC", "CMDOSE", "CMROUTE"),
    records=medications,
    value_levels=(ValueLevel("CMDOSE", "CMDOSU"),),
    sequence="CMSEQ",
    variables=(
        *identifiers(DOMAIN),
        Variable(
            "CMTRT",
            "Reported Name of Drug, Med, or Therapy",
            "Char",
            path("code_text", "MedicationAdministration.medication[x]", "Procedure.code"),
            COLLECTED,
            "Req",
            "Topic",
        ),
        _collected(
            "CMDECOD",
            "Standardized Medication Name",
            "decod",
            "Synonym Qualifier",
            "MedicationAdministration.medication[x]",
            "Procedure.code",
        ),
        _collected(
            "CMCAT",
            "Category for Medication",
            "cat",
            "Grouping Qualifier",
            "MedicationAdministration.medication[x]",
            "Procedure.code",
        ),
        _collected(
            "CMINDC",
            "Indication",
            "indication",
            "Record Qualifier",
            "MedicationAdministration.reasonCode",
            "Procedure.reasonCode",
        ),
        Variable(
            "CMDOSE",
            "Dose per Administration",
            "Num",
            path("cmdose", "MedicationAdministration.dosage.dose", "Procedure.extension"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
        ),
        _collected(
            "CMDOSTXT", "Dose Description", "cmdostxt", "Record Qualifier", "MedicationAdministration.dosage.text"
        ),
        _collected(
            "CMDOSU",
            "Dose Units",
            "cmdosu",
            "Variable Qualifier",
            "MedicationAdministration.dosage.dose.unit",
            "Procedure.extension",
            codelist="C71620",
        ),
        _collected(
            "CMROUTE",
            "Route of Administration",
            "cmroute",
            "Variable Qualifier",
            "MedicationAdministration.dosage.route",
            codelist="C66729",
        ),
        _collected(
            "CMSTDTC",
            "Start Date/Time of Medication",
            "dtc",
            "Timing",
            "MedicationAdministration.effective[x]",
            "Procedure.performed[x]",
        ),
        _collected(
            "CMENDTC",
            "End Date/Time of Medication",
            "end_dtc",
            "Timing",
            "MedicationAdministration.effectivePeriod.end",
            "Procedure.performedPeriod.end",
        ),
        study_day_of("CMSTDY", "Study Day of Start of Medication", "CMSTDTC"),
        study_day_of("CMENDY", "Study Day of End of Medication", "CMENDTC"),
        _collected(
            "CMENRTPT",
            "End Relative to Reference Time Point",
            "enrtpt",
            "Timing",
            "MedicationAdministration.effectivePeriod.end",
            codelist="C66728",
        ),
        _collected("CMENTPT", "End Reference Time Point", "entpt", "Timing", "data cut"),
    ),
)
