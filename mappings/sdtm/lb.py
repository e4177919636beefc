"""LB, Laboratory Test Results: Observations whose code the observations table sends to LB, and counts derived from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from adapter.derive.coding import coded, resolved_units, unmapped
from adapter.derive.days import age_in_years
from adapter.derive.findings import standardised
from adapter.derive.ranges import COLUMNS as LIMITS
from adapter.derive.ranges import applicable
from adapter.derive.results import counts_from_percent, limit_number, number_of, range_indicator, standard_text
from adapter.spec import (
    DERIVED,
    LABORATORY,
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
    related_to,
)
from mappings.parts import assigned, collected, identifiers, study_day_of, text
from mappings.specimens import loinc_and_specimen_of, specimen_numbers, specimen_parents, with_specimen
from mappings.timing import epoch_of, last_before_of, visit_of

DOMAIN = "LB"


def laboratory_results(inputs: Inputs) -> Records:
    """Return one record per laboratory result (Observation or component), and one per derived count.

    A result about somebody else (Observation.focus), without a known code, without a value, or in a unit that cannot be
    converted becomes no record; each such row has its reason. So has a Quantity without a value whose unit is none: it
    may be the result.
    """
    o = inputs.frame("Observation")
    meaning = meanings(inputs)
    silent = o["kind"].isna() & o["absent"].isna()
    here = meaning["domain"] == DOMAIN
    known = meaning["known"].astype(bool)
    no_unit = _unit_is_none(o, here & silent, inputs)
    # the first reason that holds; a result of another domain that is built has none: that domain answers for it
    why = np.select(
        [
            o["focus"].fillna(False).astype(bool),
            silent & o["members"].fillna(False).astype(bool),
            ~known,
            meaning["domain"] == "IGNORE",
            ~here & ~meaning["domain"].isin(inputs.built),
            no_unit,
            here & silent,
            here & (o["kind"] == "other").fillna(False),
        ],
        [
            "about-somebody-else",
            "panel-without-value",
            "unmapped-code",
            "code-ignored",
            "domain-not-built",
            "unit-unknown",
            "no-result",
            "value-type-not-read",
        ],
        "",
    )
    unknown = why == "unmapped-code"
    missing = unmapped("Observation", o.loc[unknown, "code"], o.loc[unknown, "code_text"], used=False)
    lost = pd.Series(why, index=o["row"], dtype="str")
    specimen = specimen_numbers(inputs)
    kept = here & (why == "")
    o = o[kept].assign(specimen_key=specimen[kept.to_numpy()]).join(meaning[kept].add_prefix("to_"))
    o = with_specimen(o, inputs)
    o = _with_ranges(o, inputs)
    o = standardised(o, inputs.knowledge.units, inputs.knowledge.terminology.codelist("C102580").terms)
    o.loc[replayed(o, inputs), "why"] = "duplicate-result"
    lost.loc[o["row"]] = o["why"].to_numpy()
    o = o[o["why"] == ""].assign(derived="")
    from_specimen = specimen_parents(o.reset_index(drop=True), DOMAIN)
    made, parents = _derived_counts(o, inputs)
    frame = pd.concat([o, made], ignore_index=True) if len(made) else o.reset_index(drop=True)
    related = None
    if parents is not None:
        parents["record"] += len(o)
        related = _related(frame, parents)
    parents = joined([p for p in (parents, from_specimen) if p is not None])
    issues = []
    for column, (code, message) in ISSUES.items():
        odd = frame.index[frame[column].astype(bool) & (frame["derived"] == "")]
        issues.append(issues_of(odd, frame.loc[odd, "USUBJID"].to_numpy(), code, message))
    dropped = {"Observation": lost[lost != ""]}
    return Records(frame, parents, dropped, joined(issues), missing if len(missing) else None, related)


def _related(frame: pd.DataFrame, parents: pd.DataFrame) -> pd.DataFrame:
    """Return what a derived count belongs with (RELREC): the count and the percentages that it was computed from."""
    made = frame[frame["derived"] == "Y"]
    percents = parents[["record", "row"]].drop_duplicates()
    rows = pd.concat([percents, pd.DataFrame({"record": made.index, "row": made["row"].to_numpy()})], ignore_index=True)
    return related_to(rows["record"], "Observation", rows["row"])


ISSUES = {
    "unitless": ("unit-missing", "a number without a unit where the test needs one; no standard result"),
    "unread": ("number-not-read", "a text with digits where the test has a number; it stays a text"),
    "odd_limit": ("range-unit-unknown", "the unit of a reference range is in no unit table; its limits were left out"),
}
"""Column of the records -> what a human should look at."""


def _unit_is_none(o: pd.DataFrame, silent: pd.Series[bool], inputs: Inputs) -> pd.Series[bool]:
    """Return which results without a value have a unit that is none: `{"unit": "negative"}`."""
    found = pd.Series(False, index=o.index)
    some = silent & (o["unit_code"].notna() | o["unit_text"].notna())
    if some.any():
        q = o[some]
        found[some] = (
            resolved_units(inputs.knowledge.units, q["unit_code"], q["unit_system"], q["unit_text"])["ucum"] == ""
        )
    return found


def replayed(o: pd.DataFrame, inputs: Inputs) -> pd.Index:
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
    "detail",
)


def meanings(inputs: Inputs) -> pd.DataFrame:
    """Return what the observations table says of each row of Observation, and `known`; looked up once for all domains."""
    found: pd.DataFrame | None = inputs.shared.get(MEANING)
    if found is None:
        o = inputs.facts["Observation"].frame
        found = coded(inputs.knowledge.codes["observations"], o["code"], o["code_text"], only=MEANING)
        inputs.shared[MEANING] = found
    return found


def _with_ranges(o: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Take the reference range that applies to the subject's sex and age, where a result has several (point 24)."""
    several = o["ranges"].notna()
    if not several.any():
        return o
    terms = [r for r in inputs.knowledge.codes["demographics"] if r["variable"] == "SEX" and r["ct"] in ("F", "M")]
    sexes = {name.casefold(): r["ct"] for r in terms for name in (r["code"], r["display"]) if name}
    p = inputs.facts["Patient"].frame
    records = p.groupby("USUBJID")[["gender", "birth_dtc"]]
    alike = records.first().where(records.nunique() == 1)  # records of one person that differ tell nothing
    who = alike.reindex(o.loc[several, "USUBJID"]).set_axis(o.index[several])
    sex = text(who["gender"]).str.casefold().map(sexes).fillna("")
    age = age_in_years(who["birth_dtc"], text(o.loc[several, "dtc"]), "empty")
    chosen = applicable(o.loc[several, "ranges"], sex, age, sexes)
    for column in LIMITS:
        o[column] = o[column].astype(object)
        o.loc[several, column] = chosen[column].where(chosen[column].notna(), None)
    return o


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
            new["stresc"], new["derived"], new["counted"] = found["text"].to_numpy(), "Y", True
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
    assigned(
        "LBTESTCD",
        "Lab Test or Examination Short Name",
        "to_testcd",
        "Req",
        "Topic",
        "Observation.code",
        codelist="C65047",
    ),
    assigned(
        "LBTEST",
        "Lab Test or Examination Name",
        "to_test",
        "Req",
        "Synonym Qualifier",
        "Observation.code",
        codelist="C67154",
    ),
    assigned("LBCAT", "Category for Lab Test", "to_cat", "Exp", "Grouping Qualifier", "Observation.code"),
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
        call(number_of, "LBSTRESC", "counted"),
        DERIVED,
        "Exp",
        "Result Qualifier",
    ),
    assigned(
        "LBSTRESU", "Standard Units", "stresu", "Exp", "Variable Qualifier", "Observation.code", codelist="C71620"
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
    collected(
        "LBSTAT",
        "Completion Status",
        "stat",
        "Perm",
        "Record Qualifier",
        "Observation.dataAbsentReason",
        codelist="C66789",
    ),
    collected("LBREASND", "Reason Test Not Done", "reasnd", "Perm", "Record Qualifier", "Observation.dataAbsentReason"),
    *loinc_and_specimen_of(DOMAIN, "Specimen Type"),
    assigned(
        "LBMETHOD",
        "Method of Test or Examination",
        "to_method",
        "Perm",
        "Record Qualifier",
        "Observation.code",
        codelist="C85492",
    ),
    last_before_of(DOMAIN, "LBTESTCD", "LBSPEC", "LBMETHOD"),
    assigned(
        "LBDRVFL",
        "Derived Flag",
        "derived",
        "Perm",
        "Record Qualifier",
        codelist="C66742",
        comment="Y: a count computed from a count and percentages of one specimen or instant; its parents are in the trace.",
    ),
    *visit_of("LBDTC"),
    epoch_of("LBDTC", finding=True),
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
    study_day_of("LBENDY", "Study Day of End of Observation", "LBENDTC"),
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
