"""EX, Exposure: the doses of EC that were given, per kilogram of body weight (sdtm-conventions EX/EC)."""

from __future__ import annotations

import pandas as pd

from adapter.derive.coding import coded, resolved_units
from adapter.derive.exposure import derived_dose_flag, given_dose, weight_before
from adapter.derive.results import number_of
from adapter.spec import DERIVED, Dataset, Inputs, Records, Variable, call, issues_of, joined, parents_of
from mappings.parts import assigned, collected, identifiers, study_day_of, text
from mappings.sdtm.ec import given_as
from mappings.timing import epoch_of

DOMAIN = "EX"


def exposures(inputs: Inputs) -> Records:
    """Return one record per dose given. A total dose is divided by the body weight nearest before (protocol §8)."""
    e = inputs.records["EC"].frame
    e = e[e["occur"] == "Y"].copy()
    # collected as it is in EC; here the dose is derived, where need be from the rate and the period (fhir-input point 27)
    e["infused"] = e["infused"].where(e["ecdose"] == "", "")
    for dose, computed in (("ecdose", "infused"), ("ecdosu", "infdosu")):
        e[dose] = e[dose].where(e["infused"] == "", e[computed])
    weights = body_weights(inputs)
    at = weight_before(e["USUBJID"], clock(e, DAY_ENDS), weights["USUBJID"], clock(weights, DAY_BEGINS), weights["kg"])
    known = at[at >= 0]
    e["weight"] = ""
    e.loc[known.index, "weight"] = weights["kg"].to_numpy(dtype=object)[known.to_numpy()]
    dosing = inputs.trial.dosing
    e["planned_unit"] = e["product"].map({k: d.unit for k, d in dosing.items()}).astype("str")
    total = (e["ecdosu"] != e["planned_unit"]) & (e["ecdose"] != "")
    missing = total & (e["weight"] == "")
    e["per_unit"] = e["product"].map({k: str(d.total_per_dose_unit) for k, d in dosing.items()}).astype("str")
    e["exdosu"] = e["planned_unit"].where((e["ecdose"] != "") & ~missing, "")
    rows = weights["row"].to_numpy()[known.to_numpy()] if len(known) else []
    used = total[known.index] if len(known) else pd.Series(dtype=bool)
    parents = parents_of(known.index, "EXDOSE", "Observation", rows)[used.to_numpy(dtype=bool)] if len(known) else None
    why = "a total dose cannot be given per kg: no body weight on or before the day"
    issues = issues_of(e.index[missing], e.loc[missing, "USUBJID"], "dose-weight-missing", why)
    end = text(e["end_dtc"])
    # a dose given at one moment ends when it begins (SDTMIG 3.4 section 6.1.3); an open Period has no end to give
    e["end_dtc"] = end.where((end != "") | e["open"] | e["unended"], text(e["dtc"]))
    e["notes"] = None  # reported once, with EC
    return Records(e, parents, issues=joined([issues]))


DAY_BEGINS, DAY_ENDS = 0, 86_400_000_000 - 1


def clock(events: pd.DataFrame, untimed: int) -> pd.Series[float]:
    """Return the site's clock in microseconds since 1970; what has no time stands at `untimed` of its day.

    A weight without a time counts as taken before an infusion of that day (like A-26), a timed one where it was.
    """
    micros, day = events["micros"].astype("Float64"), events["day"].astype("Float64")
    return micros.fillna(day * 86_400_000_000 + untimed).astype("float64")


def body_weights(inputs: Inputs) -> pd.DataFrame:
    """Return the subjects' body weights: USUBJID, day, micros, kg (exact text, above 0), row; in a content order."""
    o = inputs.frame("Observation")
    meaning = coded(inputs.knowledge.codes["observations"], o["code"], o["code_text"])
    o = o[(meaning["testcd"] == "WEIGHT") & (meaning["domain"] == "VS") & (o["kind"] == "quantity")]
    units = inputs.knowledge.units
    ucum = resolved_units(units, o["unit_code"], o["unit_system"], o["unit_text"])["ucum"]
    kg, _ = units.standard_results(
        text(o["value"]), ucum.where(ucum != "", None), pd.Series("kg", index=o.index), pd.Series("2", index=o.index)
    )
    found = o[["USUBJID", "day", "micros", "row", "dtc"]].assign(kg=pd.Series(kg, index=o.index, dtype="object"))
    found = found[(number_of(found["kg"]) > 0).to_numpy()]
    return found.sort_values(["USUBJID", "dtc", "kg", "row"], kind="stable").reset_index(drop=True)


DATASET = Dataset(
    name=DOMAIN,
    label="Exposure",
    cls="INTERVENTIONS",
    structure="One record per protocol-specified study treatment, constant-dosing interval, per subject",
    keys=("STUDYID", "USUBJID", "EXTRT", "EXSTDTC", "EXENDTC", "EXLOT"),
    records=exposures,
    needs=("EC",),
    sequence="EXSEQ",
    variables=(
        *identifiers(DOMAIN),
        assigned("EXTRT", "Name of Treatment", "trt", "Req", "Topic", "MedicationAdministration.medication[x]"),
        Variable(
            "EXDOSE",
            "Dose",
            "Num",
            call(given_dose, "ecdose", "ecdosu", "planned_unit", "per_unit", "weight"),
            DERIVED,
            "Exp",
            "Record Qualifier",
        ),
        assigned(
            "EXDOSU",
            "Dose Units",
            "exdosu",
            "Exp",
            "Variable Qualifier",
            "MedicationAdministration.dosage.dose.unit",
            codelist="C71620",
        ),
        *given_as(DOMAIN),
        epoch_of("EXSTDTC"),
        collected(
            "EXSTDTC", "Start Date/Time of Treatment", "dtc", "Exp", "Timing", "MedicationAdministration.effective[x]"
        ),
        collected(
            "EXENDTC",
            "End Date/Time of Treatment",
            "end_dtc",
            "Exp",
            "Timing",
            "MedicationAdministration.effective[x]",
            comment="A dose recorded at one moment ends at that moment.",
        ),
        study_day_of("EXSTDY", "Study Day of Start of Treatment", "EXSTDTC"),
        study_day_of("EXENDY", "Study Day of End of Treatment", "EXENDTC"),
        Variable(
            "EXDOSDRV",
            "Dose Derived from Rate and Period Flag",
            "Char",
            call(derived_dose_flag, "infused"),
            DERIVED,
            supplemental=True,
        ),
    ),
)
