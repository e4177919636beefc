"""LB, Laboratory Test Results: Observations whose code the observations table sends to LB, and counts derived from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from adapter.derive.coding import coded, resolved_units, unmapped
from adapter.derive.results import (
    counts_from_percent,
    last_before_exposure,
    limit_number,
    number_of,
    range_indicator,
    standard_text,
)
from adapter.derive.strings import numeric_parts
from adapter.spec import (
    ASSIGNED,
    COLLECTED,
    DERIVED,
    LABORATORY,
    NOT_AVAILABLE,
    Dataset,
    Inputs,
    Records,
    ValueLevel,
    Variable,
    call,
    issues_of,
    joined,
    parents_of,
    path,
    ref,
    setting,
)
from mappings.parts import identifiers, study_day_of, text

DOMAIN = "LB"


def laboratory_results(inputs: Inputs) -> Records:
    """Return one record per laboratory result (Observation or component), and one per derived count.

    A result about somebody else (Observation.focus), without a known code, without a value, or in a unit that cannot be
    converted becomes no record; each such row has its reason.
    """
    o = inputs.frame("Observation")
    meaning = coded(inputs.knowledge.codes["observations"], o["code"], o["code_text"], only=MEANING)
    silent = o["kind"].isna() & o["absent"].isna()
    here = meaning["domain"] == DOMAIN
    known = meaning["known"].astype(bool)
    # the first reason that holds; a result of another domain that is built has none: that domain answers for it
    why = np.select(
        [
            o["focus"].fillna(False).astype(bool),
            silent & o["members"].fillna(False).astype(bool),
            ~known,
            meaning["domain"] == "IGNORE",
            ~here & ~meaning["domain"].isin(inputs.built),
            here & silent,
            here & (o["kind"] == "other").fillna(False),
        ],
        [
            "about-somebody-else",
            "panel-without-value",
            "unmapped-code",
            "code-ignored",
            "domain-not-built",
            "no-result",
            "value-type-not-read",
        ],
        "",
    )
    unknown = why == "unmapped-code"
    missing = unmapped("Observation", o.loc[unknown, "code"], o.loc[unknown, "code_text"], used=False)
    lost = pd.Series(why, index=o["row"], dtype="str")
    specimen = _numbers(inputs.facts["Observation"].keyed.column("specimen"))
    kept = here & (why == "")
    o = o[kept].assign(specimen_key=specimen[kept.to_numpy()]).join(meaning[kept].add_prefix("to_"))
    o = _with_specimen(o, inputs)
    o = _standardised(o, inputs)
    o.loc[_replayed(o, inputs), "why"] = "duplicate-result"
    lost.loc[o["row"]] = o["why"].to_numpy()
    o = o[o["why"] == ""].assign(derived="")
    from_specimen = _specimen_parents(o.reset_index(drop=True))
    made, parents = _derived_counts(o, inputs)
    frame = pd.concat([o, made], ignore_index=True) if len(made) else o.reset_index(drop=True)
    if parents is not None:
        parents["record"] += len(o)
    parents = joined([p for p in (parents, from_specimen) if p is not None])
    bare = frame.index[frame["unitless"].astype(bool) & (frame["derived"] == "")]
    issues = issues_of(bare, frame.loc[bare, "USUBJID"].to_numpy(), "unit-missing", UNITLESS)
    return Records(
        frame, parents, {"Observation": lost[lost != ""]}, joined([issues]), missing if len(missing) else None
    )


def _replayed(o: pd.DataFrame, inputs: Inputs) -> pd.Index:
    """Return the results that an interface sent again under another id: same test, instant, value, unit and specimen.

    Of such copies the one whose content hashes lowest stays (fhir-input point 3), whatever order they came in.
    """
    same = ["USUBJID", "code", "to_testcd", "dtc", "orres", "orresu", "specimen_key"]
    timed = o[(text(o["dtc"]).str.len() > 10) & (o["why"] == "") & o["kind"].notna()]
    copies = timed[timed.duplicated(same, keep=False)]
    if not len(copies):
        return copies.index
    sha = inputs.facts["Observation"].keyed.column("sha").take(pa.array(copies["row"].to_numpy())).to_pylist()
    content = [f"{s.hex()}{e}" for s, e in zip(sha, copies["element"], strict=True)]
    ordered = copies.assign(content=content).sort_values("content", kind="stable")
    return ordered.index[ordered.duplicated(same, keep="first")]


UNITLESS = "a number without a unit where the test needs one; no standard result"


MEANING = (
    "domain",
    "testcd",
    "test",
    "cat",
    "specimen",
    "method",
    "standard_unit",
    "standard_ucum",
    "decimals",
    "molar_mass",
    "charge",
    "result_type",
    "loinc",
)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return small numbers for keyed ids, -1 where there is none."""
    encoded = column.combine_chunks().dictionary_encode()
    found: npt.NDArray[np.int64] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _with_specimen(o: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Add what the Specimen tells: its type, where a table knows it, and when it was taken, where the result does not.

    Columns type_row and time_row: the Specimen's row where its type, or its collection time, was used; else -1.
    """
    o = o.assign(type_row=-1, time_row=-1)
    facts = inputs.facts["Specimen"]
    if not len(facts.frame) or not len(o):
        return o
    wanted = inputs.facts["Observation"].keyed.column("specimen").take(pa.array(o["row"].to_numpy()))
    row = pc.index_in(wanted, facts.keyed.column("rid")).fill_null(-1).to_numpy().astype(np.int64)
    known = row >= 0
    table = inputs.knowledge.codes["specimens"]
    types = coded(table, facts.frame["code"], facts.frame["code_text"], names=True, only=("ct",))["ct"]
    found = pd.Series(types.to_numpy(dtype=object)[np.maximum(row, 0)], index=o.index).where(known, "")
    o["type_row"] = np.where(found != "", row, -1)
    o["to_specimen"] = o["to_specimen"].where(found == "", found)
    undated = o["dtc"].isna() | text(o["notes"]).str.contains("date-from-issued", regex=False)
    taken = facts.frame[["dtc", "day", "micros"]].iloc[np.maximum(row, 0)].set_axis(o.index)
    use = undated & known & taken["dtc"].notna()
    o["time_row"] = np.where(use, row, -1)
    for column in ("dtc", "day", "micros"):
        o[column] = o[column].where(~use, taken[column])
    o["notes"] = o["notes"].where(~use, None)
    return o


def _specimen_parents(o: pd.DataFrame) -> pd.DataFrame | None:
    """Return the Specimens as further sources of LBSPEC and LBDTC."""
    parts = []
    for column, variable in (("type_row", "LBSPEC"), ("time_row", "LBDTC")):
        used = o[o[column] >= 0]
        parts.append(parents_of(used.index, variable, "Specimen", used[column].to_numpy()))
    return joined(parts)


def _standardised(o: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Add the result as received, its unit, the standard result, the limits, and `why` where it cannot be converted."""
    units = inputs.knowledge.units
    o = o.copy()
    value, comparator, unit_text = text(o["value"]), text(o["comparator"]), text(o["unit_text"])
    is_string = o["kind"] == "string"
    if is_string.any():
        parts = numeric_parts(value[is_string])
        numeric = parts["number"] != ""
        where = parts.index[numeric]
        value.loc[where], comparator.loc[where] = parts.loc[numeric, "number"], parts.loc[numeric, "comparator"]
        unit_text.loc[where] = parts.loc[numeric, "rest"].where(parts.loc[numeric, "rest"] != "", unit_text.loc[where])
        o["kind"] = o["kind"].astype(object)
        o.loc[where, "kind"] = "quantity"
    unit = resolved_units(units, o["unit_code"], o["unit_system"], unit_text)
    numeric = o["kind"].isin(["quantity", "integer"]) & (o["to_result_type"] != "text")
    needs = numeric & (o["to_standard_ucum"] != "")
    standard, why = units.standard_results(
        value.where(numeric, None),
        unit["ucum"].where(unit["ucum"] != "", None),
        o["to_standard_ucum"],
        o["to_decimals"],
        o["to_molar_mass"].where(o["to_molar_mass"] != "", None),
        o["to_charge"].where(o["to_charge"] != "", None),
        comparator.where(comparator != "", None),
    )
    o["why"] = pd.Series(why, index=o.index, dtype="object").fillna("")
    o.loc[needs & (unit["ucum"] == "") & unit["given"], "why"] = "unit-unknown"
    # a number without any unit stays as it was received; what it means in the standard unit is not known
    o["unitless"] = needs & (unit["ucum"] == "") & ~unit["given"] & (o["to_standard_ucum"] != "1")
    o.loc[o["unitless"], "why"] = ""
    front = comparator.where(numeric, "")
    o["orres"] = front + value
    o["orresu"] = unit["ct"].where(unit["ct"] != "", unit["ucum"]).where(numeric, "")
    o["stresc"] = pd.Series(standard, index=o.index, dtype="object").fillna("").astype("str")
    o.loc[~numeric, "stresc"] = _terms(value[~numeric], inputs)
    o["stresu"] = o["to_standard_unit"].where(numeric & ~o["unitless"], "")
    for side in ("low", "high"):
        limit_unit = resolved_units(units, o[f"{side}_unit"], pd.Series(None, index=o.index), o[f"{side}_unit"])["ucum"]
        limit, _ = units.standard_results(
            text(o[side]).where(numeric & o[side].notna(), None),
            limit_unit.where(limit_unit != "", unit["ucum"]).where(lambda u: u != "", None),
            o["to_standard_ucum"],
            o["to_decimals"],
            o["to_molar_mass"].where(o["to_molar_mass"] != "", None),
            o["to_charge"].where(o["to_charge"] != "", None),
        )
        o[f"st_{side}"] = pd.Series(limit, index=o.index, dtype="object").fillna("")
    limits = o["low"].notna() | o["high"].notna()
    o["stnrc"] = text(o["range_text"]).where(~limits, "")
    o["stat"] = np.where(o["kind"].isna(), "NOT DONE", "")
    o["reasnd"] = text(o["absent"]).where(o["kind"].isna(), "")
    return o


def _terms(value: pd.Series[str], inputs: Inputs) -> pd.Series[str]:
    """Return text results as terms of LBSTRESC (C102580) where they are one but for case, else as received."""
    terms = {t.upper(): t for t in inputs.knowledge.terminology.codelist("C102580").terms}
    return value.map(lambda v: terms.get(v.upper(), v)).astype("str")


def _derived_counts(o: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return records of counts computed from a count and percentages (trial: analytes.*.derivations), and their parents."""
    results = pd.DataFrame(
        {
            "subject": o["USUBJID"],
            "testcd": o["to_testcd"],
            "text": o["stresc"],
            "specimen": o["specimen_key"],
            "instant": text(o["dtc"]),
        }
    ).reset_index(drop=True)
    results["record"] = results.index
    table = [row for row in inputs.knowledge.codes["observations"] if row["domain"] == DOMAIN]
    tests = {row["testcd"]: row for row in reversed(table)}
    made, parents = [], []
    done: set[int] = set()
    start = 0
    for analyte in inputs.trial.analytes.values():
        for rule in analyte.derivations:
            # white cells of the urine are no parents of a count in the blood
            kind = tests[analyte.testcd]["cat"] if analyte.testcd in tests else ""
            alike = (o["to_cat"] == kind).to_numpy() | (kind == "")
            same = results.assign(testcd=results["testcd"].where(alike, ""))
            found = counts_from_percent(same, rule.count, rule.percents, rule.match, analyte.testcd)
            found = found[~found["record"].isin(done)]
            if not len(found):
                continue
            done |= set(found["record"])
            new = o.iloc[found["record"].to_numpy()].copy()
            for column in ("orres", "orresu", "st_low", "st_high", "stnrc", "low", "high", "notes", "interpretation"):
                new[column] = "" if column != "notes" else None
            new["stresc"], new["derived"] = found["text"].to_numpy(), "Y"
            for column in ("testcd", "test", "cat", "standard_unit", "specimen"):
                new[f"to_{column}"] = tests[analyte.testcd][column] if analyte.testcd in tests else ""
            new["stresu"], new["to_loinc"], new["to_method"] = new["to_standard_unit"], "", ""
            made.append(new)
            rows = o["row"].to_numpy()[[p for group in found["parents"] for p in group]]
            record = np.repeat(np.arange(start, start + len(found)), found["parents"].str.len())
            parents += [parents_of(record, v, "Observation", rows) for v in ("LBSTRESC", "LBSTRESN")]
            start += len(found)
    return (pd.concat(made, ignore_index=True) if made else o.iloc[:0]), joined(parents)


VARIABLES = (
    *identifiers(DOMAIN),
    Variable(
        "LBTESTCD",
        "Lab Test or Examination Short Name",
        "Char",
        path("to_testcd", "Observation.code"),
        ASSIGNED,
        "Req",
        "Topic",
        codelist="C65047",
    ),
    Variable(
        "LBTEST",
        "Lab Test or Examination Name",
        "Char",
        path("to_test", "Observation.code"),
        ASSIGNED,
        "Req",
        "Synonym Qualifier",
        codelist="C67154",
    ),
    Variable(
        "LBCAT",
        "Category for Lab Test",
        "Char",
        path("to_cat", "Observation.code"),
        ASSIGNED,
        "Exp",
        "Grouping Qualifier",
    ),
    Variable(
        "LBORRES",
        "Result or Finding in Original Units",
        "Char",
        path("orres", "Observation.value[x]"),
        LABORATORY,
        "Exp",
        "Result Qualifier",
        comment="The number as the hospital wrote it, digit for digit; a comparator in front.",
    ),
    Variable(
        "LBORRESU",
        "Original Units",
        "Char",
        path("orresu", "Observation.value[x].unit"),
        LABORATORY,
        "Exp",
        "Variable Qualifier",
        codelist="C71620",
        comment="CDISC spelling of the unit the result was reported in; the number is unchanged.",
    ),
    Variable(
        "LBORNRLO",
        "Reference Range Lower Limit in Orig Unit",
        "Char",
        path("low", "Observation.referenceRange.low"),
        LABORATORY,
        "Exp",
        "Variable Qualifier",
    ),
    Variable(
        "LBORNRHI",
        "Reference Range Upper Limit in Orig Unit",
        "Char",
        path("high", "Observation.referenceRange.high"),
        LABORATORY,
        "Exp",
        "Variable Qualifier",
    ),
    Variable(
        "LBSTRESC",
        "Character Result/Finding in Std Format",
        "Char",
        call(standard_text, "stresc"),
        DERIVED,
        "Exp",
        "Result Qualifier",
    ),
    Variable(
        "LBSTRESN",
        "Numeric Result/Finding in Standard Units",
        "Num",
        call(number_of, "LBSTRESC"),
        DERIVED,
        "Exp",
        "Result Qualifier",
    ),
    Variable(
        "LBSTRESU",
        "Standard Units",
        "Char",
        path("stresu", "Observation.code"),
        ASSIGNED,
        "Exp",
        "Variable Qualifier",
        codelist="C71620",
    ),
    Variable(
        "LBSTNRLO",
        "Reference Range Lower Limit-Std Units",
        "Num",
        call(limit_number, "st_low"),
        DERIVED,
        "Exp",
        "Variable Qualifier",
    ),
    Variable(
        "LBSTNRHI",
        "Reference Range Upper Limit-Std Units",
        "Num",
        call(limit_number, "st_high"),
        DERIVED,
        "Exp",
        "Variable Qualifier",
    ),
    Variable(
        "LBSTNRC",
        "Reference Range for Char Rslt-Std Units",
        "Char",
        path("stnrc", "Observation.referenceRange.text"),
        LABORATORY,
        "Perm",
        "Variable Qualifier",
    ),
    Variable(
        "LBNRIND",
        "Reference Range Indicator",
        "Char",
        call(range_indicator, "interpretation", "LBSTRESN", "LBSTNRLO", "LBSTNRHI"),
        DERIVED,
        "Exp",
        "Variable Qualifier",
        codelist="C78736",
    ),
    Variable(
        "LBSTAT",
        "Completion Status",
        "Char",
        path("stat", "Observation.dataAbsentReason"),
        COLLECTED,
        "Perm",
        "Record Qualifier",
        codelist="C66789",
    ),
    Variable(
        "LBREASND",
        "Reason Test Not Done",
        "Char",
        path("reasnd", "Observation.dataAbsentReason"),
        COLLECTED,
        "Perm",
        "Record Qualifier",
    ),
    Variable(
        "LBLOINC",
        "LOINC Code",
        "Char",
        path("to_loinc", "Observation.code"),
        COLLECTED,
        "Perm",
        "Synonym Qualifier",
        dictionary="LOINC",
    ),
    Variable(
        "LBSPEC",
        "Specimen Type",
        "Char",
        path("to_specimen", "Observation.specimen", "Specimen.type"),
        ASSIGNED,
        "Perm",
        "Record Qualifier",
        codelist="C78734",
    ),
    Variable(
        "LBMETHOD",
        "Method of Test or Examination",
        "Char",
        path("to_method", "Observation.code"),
        ASSIGNED,
        "Perm",
        "Record Qualifier",
        codelist="C85492",
    ),
    Variable(
        "LBLOBXFL",
        "Last Observation Before Exposure Flag",
        "Char",
        call(
            last_before_exposure,
            "USUBJID",
            "LBDTC",
            "LBSTRESC",
            ref("DM.RFSTDTC"),
            "LBTESTCD",
            "LBSPEC",
            "LBMETHOD",
            untimed=setting("reference_dates.untimed_at_baseline"),
        ),
        DERIVED,
        "Exp",
        "Record Qualifier",
        codelist="C66742",
    ),
    Variable(
        "LBDRVFL",
        "Derived Flag",
        "Char",
        path("derived"),
        ASSIGNED,
        "Perm",
        "Record Qualifier",
        codelist="C66742",
        comment="Y: a count computed from a count and percentages of one specimen or instant; its parents are in the trace.",
    ),
    Variable(
        "VISITNUM",
        "Visit Number",
        "Num",
        None,
        NOT_AVAILABLE,
        "Exp",
        "Timing",
        comment="Results are placed by date and study day; visits are not assigned in this version.",
    ),
    Variable(
        "LBDTC",
        "Date/Time of Specimen Collection",
        "Char",
        path("dtc", "Observation.effective[x]", "Specimen.collection.collected[x]"),
        LABORATORY,
        "Exp",
        "Timing",
        comment="Site time; as precise as the source, never imputed.",
    ),
    Variable(
        "LBENDTC",
        "End Date/Time of Specimen Collection",
        "Char",
        path("end_dtc", "Observation.effectivePeriod.end"),
        LABORATORY,
        "Perm",
        "Timing",
    ),
    study_day_of("LBDY", "Study Day of Specimen Collection", "LBDTC"),
)

DATASET = Dataset(
    name=DOMAIN,
    label="Laboratory Test Results",
    cls="FINDINGS",
    structure="One record per lab test per time point per visit per subject",
    keys=("STUDYID", "USUBJID", "LBCAT", "LBTESTCD", "LBSPEC", "LBMETHOD", "LBDTC", "LBLOINC", "LBORRES"),
    variables=VARIABLES,
    records=laboratory_results,
    value_levels=(
        ValueLevel("LBORRES", "LBTESTCD"),
        ValueLevel("LBSTRESC", "LBTESTCD"),
        ValueLevel("LBSTRESN", "LBTESTCD"),
    ),
    sequence="LBSEQ",
)
