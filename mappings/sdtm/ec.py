"""EC, Exposure as Collected: administrations of the trial's products, given or not (protocol §1, sdtm-conventions)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.derive.coding import coded, resolved_units
from adapter.derive.exposure import rate_times_period
from adapter.derive.strings import first_place
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
from mappings.parts import (
    assigned,
    collected,
    identifiers,
    not_given,
    noted,
    open_end,
    reasons,
    said_in_words,
    study_day_of,
    text,
    without_dose,
    without_end,
)
from mappings.timing import epoch_of

DOMAIN = "EC"


def product_of(frame: pd.DataFrame, products: tuple[Any, ...], codes: Any) -> pd.Series[str]:
    """Return the id of the trial product each administration names by code, text or lot (products.csv), else empty.

    codes: the code tables: the site's own products.csv and drugs. A coding of another drug outranks the text, and of two
    names in a text the first one counts: "dexamethasone before UC-MSC" is dexamethasone. A lot says what nothing else does.
    """
    by_code = {(p.system, p.code): p.id for p in products if p.code}
    own, drugs = codes["products"], codes["drugs"]
    lots = text(frame["lot"]).tolist() if "lot" in frame else [""] * len(frame)
    keys = list(zip(text(frame["code"]).tolist(), text(frame["code_text"]).tolist(), lots, strict=True))
    found = {}
    for code, name, lot in dict.fromkeys(keys):
        codings = [tuple(c.rsplit("|", 1)) for c in code.split("\n") if c]
        hits = [by_code[c] for c in codings if c in by_code]
        if not hits and (row := own.find(codings)) is not None:
            hits = [row["product"]]
        if not hits and drugs.find(codings) is None:
            row = own.by_text(name)
            hits = [row["product"]] if row is not None else _named(name, products, drugs)
            if not hits and drugs.match_text(name) is None and (row := own.get("lot", lot)) is not None:
                hits = [row["product"]]
        found[code, name, lot] = (hits or [""])[0]
    return pd.Series([found[k] for k in keys], index=frame.index, dtype="str")


def _named(name: str, products: tuple[Any, ...], drugs: Any) -> list[str]:
    """Return the ids of the products in a text, in the order they stand there; none where a drug stands before them."""
    places = sorted((place, p.id) for p in products if (place := first_place(p.text, name)) >= 0)
    if not places:
        return []
    drug = drugs.match_text(name)
    other = first_place(drug["match"].split("|"), name) if drug is not None else -1
    return [] if 0 <= other < places[0][0] else [product for _, product in places]


def administrations(inputs: Inputs) -> Records:
    """Return one record per MedicationAdministration of a trial product; a dose not given is kept with ECOCCUR N.

    Stopped, in-progress and on-hold with a dose, a rate or an elapsed period are what was given; stopped without any of
    them, or with a dose of 0, is recorded as not given and reported (fhir-input point 1).
    """
    a = inputs.frame("MedicationAdministration")
    a["product"] = product_of(a, inputs.trial.products, inputs.knowledge.codes)
    a = a[a["product"] != ""].copy()
    why = not_given(a)
    waiting = why == "status-planned"
    dropped = reasons(a.loc[waiting, "row"], "status-planned")
    a, why = a[~waiting].copy(), why[~waiting]
    given = why == ""
    ends = without_end(a[given])
    a["occur"] = given.map({True: "Y", False: "N"}).astype("str")
    none = given & a["dose"].isna() & ~noted(a, "dose-not-single@")
    infused = rate_times_period(a.assign(rate=a["rate"].where(none, None)))
    a["ecdose"], a["ecdosu"] = _doses(text(a["dose"]).where(given, ""), a["dose_unit"], a["dose_unit_text"], a, inputs)
    a["infused"], a["infdosu"] = _doses(infused["amount"], infused["unit"], infused["unit"], a, inputs)
    a["infused"] = a["infused"].where(a["infdosu"] != "", "")
    bad = given & a["dose"].notna() & (a["ecdosu"] == "")
    a.loc[bad, "ecdose"] = ""
    products = inputs.trial.by_key("products")
    for column, attribute in (("trt", "name"), ("dosfrm", "dose_form"), ("dosfrq", "frequency")):
        a[column] = a["product"].map({k: getattr(p, attribute) for k, p in products.items()}).astype("str")
    route = coded(inputs.knowledge.codes["routes"], a["route"], a["route_text"], names=True)["ct"]
    a["ecroute"] = route.where(route != "", a["product"].map({k: p.route for k, p in products.items()}).astype("str"))
    a["ecdostxt"] = text(a["dose_text"]).where(given & (a["ecdose"] == ""), "")
    a["reason"] = text(a["status_reason"]).where(~given, "")
    a["unended"] = a["open"].fillna(False).astype(bool)  # a Period without an end, whatever the status says of it
    a["open"] = open_end(a)
    issues = [
        ends,
        without_dose(a, why, MESSAGE, known=True),
        issues_of(a.index[bad], a.loc[bad, "USUBJID"], "dose-unit-unknown", "the dose was left empty"),
    ]
    return Records(a, dropped={"MedicationAdministration": dropped}, issues=joined(issues))


MESSAGE = "neither dose, rate nor period shows that any was given; recorded as not given"


def _doses(
    amount: pd.Series[Any], code: pd.Series[Any], unit_text: pd.Series[Any], a: pd.DataFrame, inputs: Inputs
) -> tuple[pd.Series[str], pd.Series[str]]:
    """Return doses and their ECDOSU; the unit is empty where it cannot be a dose of the product."""
    units, dosing = inputs.knowledge.units, inputs.trial.dosing
    ucum = resolved_units(units, code, pd.Series(None, index=a.index), unit_text)["ucum"]
    found = [
        _collected(dose, u, dosing[p], units) if p in dosing else (dose, "")
        for dose, u, p in zip(amount, ucum, a["product"], strict=True)
    ]
    dose, unit = (pd.Series([f[i] for f in found], index=a.index, dtype="str") for i in (0, 1))
    return dose, unit.where(dose != "", "")


def _collected(dose: str, ucum: str, dosing: Any, units: Any) -> tuple[str, str]:
    """Return the dose and its ECDOSU: per kg as it is, a total in the unit the trial declares; no unit if unknown."""
    if not dose or not ucum:
        return dose, ""
    per_kg = units.resolve(None, None, dosing.unit)
    total = units.resolve(None, None, dosing.total_unit)
    if total is None and per_kg is not None:
        # CDISC names a total ("10^6 Therapeutic Cells") as no hospital does: it is the unit per kg without its kg
        bare = units.unit(per_kg.ucum.removesuffix("/kg"))
        total = bare if bare is not None and bare.ct == dosing.total_unit else None
    for target, submitted in ((per_kg, dosing.unit), (total, dosing.total_unit)):
        if target is not None:
            converted, why = units.standard_result(dose, ucum, target.ucum, "6")
            if converted is not None and why is None:
                return converted, submitted
    return dose, ""


def given_as(domain: str) -> tuple[Variable, ...]:
    """Return --DOSFRM, --DOSFRQ, --ROUTE and --LOT of a trial product, as EC and EX have them."""
    return (
        Variable(
            f"{domain}DOSFRM",
            "Dose Form",
            "Char",
            path("dosfrm", "products.csv"),
            ASSIGNED,
            "Exp",
            "Variable Qualifier",
            codelist="C66726",
        ),
        Variable(
            f"{domain}DOSFRQ",
            "Dosing Frequency per Interval",
            "Char",
            path("dosfrq", "products.csv"),
            ASSIGNED,
            "Perm",
            "Record Qualifier",
            codelist="C71113",
        ),
        Variable(
            f"{domain}ROUTE",
            "Route of Administration",
            "Char",
            path("ecroute", "MedicationAdministration.dosage.route"),
            COLLECTED,
            "Perm",
            "Variable Qualifier",
            codelist="C66729",
        ),
        Variable(
            f"{domain}LOT",
            "Lot Number",
            "Char",
            path("lot", "MedicationAdministration.medication[x]"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
            comment="Medication.batch.lotNumber; else the identifier of a BiologicallyDerivedProduct in "
            "supportingInformation; else an extension that the trial names.",
        ),
    )


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
        assigned(
            "ECTRT",
            "Name of Treatment",
            "trt",
            "Req",
            "Topic",
            "MedicationAdministration.medication[x]",
            comment="Name of the trial product (products.csv), recognised by its code or text.",
        ),
        Variable(
            "ECMOOD", "Mood", "Char", const("PERFORMED"), ASSIGNED, "Perm", "Record Qualifier", codelist="C125923"
        ),
        Variable(
            "ECPRESP", "Pre-Specified", "Char", const("Y"), ASSIGNED, "Perm", "Variable Qualifier", codelist="C66742"
        ),
        collected(
            "ECOCCUR",
            "Occurrence",
            "occur",
            "Perm",
            "Record Qualifier",
            "MedicationAdministration.status",
            codelist="C66742",
            comment="N where it is not-done, where it is stopped with neither dose, rate nor period, or the dose is 0.",
        ),
        collected(
            "ECREASOC",
            "Reason for Occur Value",
            "reason",
            "Perm",
            "Record Qualifier",
            "MedicationAdministration.statusReason",
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
        collected(
            "ECDOSTXT",
            "Dose Description",
            "ecdostxt",
            "Perm",
            "Record Qualifier",
            "MedicationAdministration.dosage",
            comment="What is no single number: several doses, a rate, the text of the dosage. No dose is computed here.",
        ),
        collected(
            "ECDOSU",
            "Dose Units",
            "ecdosu",
            "Exp",
            "Variable Qualifier",
            "MedicationAdministration.dosage.dose.unit",
            codelist="C71620",
        ),
        *given_as(DOMAIN),
        epoch_of("ECSTDTC"),
        collected(
            "ECSTDTC", "Start Date/Time of Treatment", "dtc", "Exp", "Timing", "MedicationAdministration.effective[x]"
        ),
        collected(
            "ECENDTC",
            "End Date/Time of Treatment",
            "end_dtc",
            "Exp",
            "Timing",
            "MedicationAdministration.effectivePeriod.end",
        ),
        study_day_of("ECSTDY", "Study Day of Start of Treatment", "ECSTDTC"),
        study_day_of("ECENDY", "Study Day of End of Treatment", "ECENDTC"),
        said_in_words("ECSTTXT", "MedicationAdministration.effective[x]"),
    ),
)
