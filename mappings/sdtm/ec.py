"""EC, Exposure as Collected: administrations of the trial's products, given or not (protocol §1; sdtm-conventions EX/EC)."""

from __future__ import annotations

import pandas as pd

from adapter.derive.coding import coded, resolved_units
from adapter.spec import (
    ASSIGNED,
    COLLECTED,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    const,
    issues_of,
    joined,
    path,
)
from mappings.parts import identifiers, reasons, study_day_of, text

DOMAIN = "EC"
GIVEN = ("completed", "in-progress", "stopped", "on-hold")


def product_of(frame: pd.DataFrame, products: tuple[object, ...]) -> pd.Series[str]:
    """Return the id of the trial product each administration names by code or text (products.csv), else empty."""
    by_code = {f"{p.system}|{p.code}": p.id for p in products if p.code}  # type: ignore[attr-defined]
    by_text = {t.casefold(): p.id for p in products for t in p.text}  # type: ignore[attr-defined]
    pairs = pd.DataFrame({"code": text(frame["code"]), "text": text(frame["code_text"])})
    found = {}
    for one in pairs.drop_duplicates().itertuples(index=False):
        hits = [by_code[c] for c in one.code.split("\n") if c in by_code]
        named = [by_text[t] for t in sorted(by_text, key=len, reverse=True) if t in one.text.casefold()]
        found[one.code, one.text] = (hits or named or [""])[0]
    return pd.Series([found[k] for k in zip(pairs["code"], pairs["text"], strict=True)], index=frame.index, dtype="str")


def administrations(inputs: Inputs) -> Records:
    """Return one record per MedicationAdministration of a trial product; a dose not given is kept with ECOCCUR N.

    Stopped, in-progress and on-hold with a dose, a rate or an elapsed period are what was given; stopped without any of
    them is recorded as not given and reported (fhir-input point 1).
    """
    a = inputs.frame("MedicationAdministration")
    a["product"] = product_of(a, inputs.trial.products)
    a = a[a["product"] != ""].copy()
    elapsed = a["dose"].notna() | a["rate"].notna() | a["end_dtc"].notna()
    partly = a["status"].isin(["stopped", "on-hold"])
    waiting = (a["status"] == "on-hold") & ~elapsed
    dropped = reasons(a.loc[waiting, "row"], "status-planned")
    a = a[~waiting]
    elapsed, partly = elapsed[~waiting], partly[~waiting]
    a["occur"] = "Y"
    a.loc[(a["status"] == "not-done") | (partly & ~elapsed), "occur"] = "N"
    given = a["occur"] == "Y"
    products = inputs.trial.by_key("products")
    dosing = inputs.trial.dosing
    unit = resolved_units(
        inputs.knowledge.units, a["dose_unit"], pd.Series(None, index=a.index), a["dose_unit_text"]
    )
    a["dose_ucum"] = unit["ucum"]
    doses = [
        _collected(dose, ucum, dosing[p], inputs.knowledge.units) if p in dosing else (dose, "")
        for dose, ucum, p in zip(text(a["dose"]), unit["ucum"], a["product"], strict=True)
    ]
    a["ecdose"] = pd.Series([d for d, _ in doses], index=a.index, dtype="str").where(given, "")
    a["ecdosu"] = pd.Series([u for _, u in doses], index=a.index, dtype="str").where(a["ecdose"] != "", "")
    bad = given & a["dose"].notna() & (a["ecdosu"] == "")
    a.loc[bad, "ecdose"] = ""
    for column, attribute in (("trt", "name"), ("dosfrm", "dose_form"), ("dosfrq", "frequency")):
        a[column] = a["product"].map({k: getattr(p, attribute) for k, p in products.items()}).astype("str")
    route = coded(inputs.knowledge.codes["routes"], a["route"], a["route_text"], names=True)["ct"]
    a["ecroute"] = route.where(route != "", a["product"].map({k: p.route for k, p in products.items()}).astype("str"))
    a["reason"] = text(a["status_reason"]).where(~given, "")
    issues = [
        issues_of(a.index[partly & ~elapsed], a.loc[partly & ~elapsed, "USUBJID"], "stopped-without-dose", MESSAGE),
        issues_of(a.index[bad], a.loc[bad, "USUBJID"], "dose-unit-unknown", "the dose was left empty"),
    ]
    return Records(a, dropped={"MedicationAdministration": dropped}, issues=joined(issues))


MESSAGE = "stopped, with neither dose, rate nor period; recorded as not given"


def _collected(dose: str, ucum: str, dosing: object, units: object) -> tuple[str, str]:
    """Return the dose and its ECDOSU: per kg as it is, a total in the unit the trial declares; unit empty if unknown."""
    if not dose:
        return "", ""
    for target in (dosing.unit, dosing.total_unit):  # type: ignore[attr-defined]
        wanted = units.resolve(None, None, target)  # type: ignore[attr-defined]
        if wanted is None:
            continue
        converted, why = units.standard_result(dose, ucum or None, wanted.ucum, "6")  # type: ignore[attr-defined]
        if converted is not None and why is None and ucum:
            return converted, target
    return dose, ""


DATASET = Dataset(
    name=DOMAIN,
    label="Exposure as Collected",
    cls="INTERVENTIONS",
    structure="One record per protocol-specified study treatment, collected-dosing interval, per subject, per mood",
    keys=("STUDYID", "USUBJID", "ECTRT", "ECSTDTC", "ECENDTC", "ECLOT", "ECOCCUR"),
    records=administrations,
    value_levels=(ValueLevel("ECDOSE", "ECDOSU"),),
    sequence="ECSEQ",
    variables=(
        *identifiers(DOMAIN),
        Variable(
            "ECTRT",
            "Name of Treatment",
            "Char",
            path("trt", "MedicationAdministration.medication[x]"),
            ASSIGNED,
            "Req",
            "Topic",
            comment="Name of the trial product (products.csv), recognised by its code or text.",
        ),
        Variable("ECMOOD", "Mood", "Char", const("PERFORMED"), ASSIGNED, "Perm", "Record Qualifier", codelist="C125923"),
        Variable(
            "ECPRESP", "Pre-Specified", "Char", const("Y"), ASSIGNED, "Perm", "Variable Qualifier", codelist="C66742"
        ),
        Variable(
            "ECOCCUR",
            "Occurrence",
            "Char",
            path("occur", "MedicationAdministration.status"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
            codelist="C66742",
            comment="N where the status is not-done, or stopped with neither dose, rate nor period.",
        ),
        Variable(
            "ECREASOC",
            "Reason for Occur Value",
            "Char",
            path("reason", "MedicationAdministration.statusReason"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
        ),
        Variable(
            "ECDOSE",
            "Dose",
            "Num",
            path("ecdose", "MedicationAdministration.dosage.dose"),
            COLLECTED,
            "Exp",
            "Record Qualifier",
            comment="As given; empty, never 0, where no dose was given.",
        ),
        Variable(
            "ECDOSU",
            "Dose Units",
            "Char",
            path("ecdosu", "MedicationAdministration.dosage.dose.code"),
            COLLECTED,
            "Exp",
            "Variable Qualifier",
            codelist="C71620",
        ),
        Variable(
            "ECDOSFRM",
            "Dose Form",
            "Char",
            path("dosfrm", "products.csv"),
            ASSIGNED,
            "Exp",
            "Variable Qualifier",
            codelist="C66726",
        ),
        Variable(
            "ECDOSFRQ",
            "Dosing Frequency per Interval",
            "Char",
            path("dosfrq", "products.csv"),
            ASSIGNED,
            "Perm",
            "Record Qualifier",
            codelist="C71113",
        ),
        Variable(
            "ECROUTE",
            "Route of Administration",
            "Char",
            path("ecroute", "MedicationAdministration.dosage.route"),
            COLLECTED,
            "Perm",
            "Variable Qualifier",
            codelist="C66729",
        ),
        Variable(
            "ECLOT",
            "Lot Number",
            "Char",
            path("lot", "Medication.batch.lotNumber or BiologicallyDerivedProduct.identifier"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
        ),
        Variable(
            "ECSTDTC",
            "Start Date/Time of Treatment",
            "Char",
            path("dtc", "MedicationAdministration.effective[x]"),
            COLLECTED,
            "Exp",
            "Timing",
        ),
        Variable(
            "ECENDTC",
            "End Date/Time of Treatment",
            "Char",
            path("end_dtc", "MedicationAdministration.effectivePeriod.end"),
            COLLECTED,
            "Exp",
            "Timing",
        ),
        study_day_of("ECSTDY", "Study Day of Start of Treatment", "ECSTDTC"),
        study_day_of("ECENDY", "Study Day of End of Treatment", "ECENDTC"),
    ),
)
