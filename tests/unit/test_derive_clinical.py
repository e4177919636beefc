"""Kinds of diagnoses and stays, grades told in texts, judgements of events, dates against a day: tables of cases."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from adapter.codes import load_codes
from adapter.derive.diagnoses import against, diagnosed, later_than
from adapter.derive.judgements import CRITERIA, closest, judged, serious
from adapter.derive.stays import kinds_of_stay
from adapter.derive.terms import grade, grades

SHIPPED = files("mappings.codes")
CONDITIONS, JUDGEMENTS, STAYS = (load_codes(n, SHIPPED) for n in ("conditions", "judgements", "encounters"))
ICD, CM, SCT = "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm", "http://snomed.info/sct"
CHINA = "urn:oid:2.16.156.10011.2.3.3.11"


def column(*values: str | None) -> pd.Series:  # type: ignore[type-arg]
    return pd.Series(values, dtype=object)


@pytest.mark.parametrize(
    ("code", "text", "domain", "cat", "scat"),
    [
        (f"{CM}|D89.810", "", "CE", "ACUTE GVHD", ""),
        (f"{CM}|D89.811", "", "CE", "CHRONIC GVHD", ""),
        (f"{CM}|D89.812", "", "CE", "ACUTE GVHD;CHRONIC GVHD", ""),
        (f"{CM}|D89.813", "", "CE", "GVHD", ""),
        (f"{CM}|D89.813", "aGVHD of the skin", "CE", "ACUTE GVHD", ""),  # the text says what the code leaves open
        (f"{CM}|D89.810", "慢性移植物抗宿主病", "CE", "ACUTE GVHD", ""),  # but it does not contradict a code
        (f"{SCT}|402355000", "", "CE", "ACUTE GVHD", ""),
        (f"{SCT}|402356004", "", "CE", "CHRONIC GVHD", ""),
        ("", "急性移植物抗宿主病（皮肤）", "CE", "ACUTE GVHD", ""),
        ("", "移植物抗宿主病", "CE", "GVHD", ""),
        ("", "GVHD prophylaxis", "", "", ""),
        # ranges: A00 to B99 and J09 to J18 with all below them
        (f"{ICD}|A00", "", "CE", "INFECTION", ""),
        (f"{ICD}|B99.9", "", "CE", "INFECTION", ""),
        (f"{ICD}|J18.9", "", "CE", "INFECTION", ""),
        (f"{ICD}|j189", "", "CE", "INFECTION", ""),
        (f"{ICD}|J19.0", "", "", "", ""),
        (f"{ICD}|J08", "", "", "", ""),
        (f"{ICD}|C00.1", "", "", "", ""),
        (f"{CHINA}|A41.900x001", "脓毒症", "CE", "INFECTION", ""),
        ("", "肺部感染", "CE", "INFECTION", ""),
        ("", "Cytomegalovirus infection", "CE", "INFECTION", ""),
        ("", "间质性肺炎", "", "", ""),
        ("", "noninfectious enteritis", "", "", ""),
        ("", "预防感染", "", "", ""),
        # malignancies
        (f"{ICD}|C81.9", "", "", "MALIGNANCY", ""),
        (f"{ICD}|C96.9", "", "", "MALIGNANCY", ""),
        (f"{ICD}|C97", "", "", "", ""),
        (f"{ICD}|D45", "", "", "MALIGNANCY", ""),
        (f"{ICD}|D46.2", "", "", "MALIGNANCY", ""),
        (f"{ICD}|D47.1", "", "", "MALIGNANCY", ""),
        (f"{ICD}|D47.2", "", "", "", ""),
        (f"{CM}|C92.02", "", "CE", "RELAPSE", "HAEMATOLOGICAL"),
        (f"{CM}|C92.01", "", "", "MALIGNANCY", ""),
        (f"{ICD}|C92.0", "急性髓系白血病，分子学复发", "CE", "RELAPSE", "MOLECULAR/GENETIC"),
        (f"{ICD}|C92.0", "急性髓系白血病，未复发", "", "MALIGNANCY", ""),
        ("", "白血病复发", "CE", "RELAPSE", ""),
        # grafts
        (f"{CM}|T86.01", "", "CE", "GRAFT FAILURE", ""),
        (f"{CM}|T86.02", "植入功能不良", "MH", "POOR GRAFT FUNCTION", ""),
        (f"{CM}|T86.09", "", "", "", ""),
        ("", "secondary graft failure", "CE", "GRAFT FAILURE", ""),
        ("", "renal graft failure", "", "", ""),
        ("", "Poor graft function", "MH", "POOR GRAFT FUNCTION", ""),
        (f"{SCT}|312824007", "Family history of leukaemia", "OTHER", "", ""),
        ("urn:local|1\n" + f"{ICD}|A41.9", "", "CE", "INFECTION", ""),  # the first coding that the table knows
        ("urn:local|1", "Rash", "", "", ""),
    ],
)
def test_kind_of_a_diagnosis(code: str, text: str, domain: str, cat: str, scat: str) -> None:
    found = diagnosed(CONDITIONS, column(code or None), column(text or None)).iloc[0]
    assert (found["domain"], found["cat"], found["scat"]) == (domain, cat, scat)


def test_a_site_s_own_row_outranks_the_shipped_ranges(tmp_path: Path) -> None:
    (tmp_path / "conditions.csv").write_text(
        f"system,code,domain,cat\n{ICD},A41.9,,\nurn:h,X1,CE,INFECTION\n", encoding="utf-8"
    )
    table = load_codes("conditions", SHIPPED, tmp_path)
    found = diagnosed(table, column(f"{ICD}|A41.9", "urn:h|X1", f"{ICD}|A41.8"), column(None, None, None))
    assert found["cat"].tolist() == ["", "INFECTION", "INFECTION"]


@pytest.mark.parametrize(
    ("day", "limit", "expected"),
    [
        ("2024-02-29", "2024-03-01", "before"),
        ("2024-03-01", "2024-03-01", "after"),  # the day itself is no history
        ("2024-03-01T23:59:00", "2024-03-01", "after"),
        ("2024-02-29T23:59:59", "2024-03-01", "before"),
        ("2024-02", "2024-03-01", "before"),
        ("2024-03", "2024-03-01", ""),  # some day of the month may be either
        ("2024", "2024-03-01", ""),
        ("2023", "2024-03-01", "before"),
        ("2025", "2024-03-01", "after"),
        ("", "2024-03-01", ""),
        ("2024-03-01", "", ""),
    ],
)
def test_before_and_after_a_day(day: str, limit: str, expected: str) -> None:
    assert against(column(day or None), column(limit)).iloc[0] == expected


@pytest.mark.parametrize(
    ("day", "later"),
    [
        ("2024-01-10", False),
        ("2024-01-11", True),
        ("2024-01-10T23:00:00", False),
        ("2024-01", False),
        ("2024-02", True),
    ],
)
def test_later_than_the_transplant(day: str, later: bool) -> None:
    assert bool(later_than(column(day), column("2024-01-10")).iloc[0]) is later


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Grade II", "2"), ("grade 3", "3"), ("G3", "3"), ("g 4", "4"), ("2级", "2"), ("三度", "3"), ("Ⅲ度", "3"),
        ("IIb度", "2"), ("3", "3"), ("IV", "4"), ("CTCAE v5.0: 3", "3"), ("CTCAE grade 2", "2"), ("grade 2a", "2"),
        ("Grade 6", "6"), ("toxicity grade 0", "0"),
        # none, or several
        ("Severe", ""), ("重度", ""), ("", ""), ("III-IV度", ""), ("skin stage 2, grade 3", ""), ("grade 3.5", ""),
        ("day 30", ""), ("grade 2 of 4", ""), ("Grading pending", ""),
    ],
)  # fmt: skip
def test_the_grade_that_a_text_tells(text: str, expected: str) -> None:
    assert grade(text) == expected
    assert grades(column(text)).iloc[0] == expected


def test_an_unmarked_number_is_a_grade_only_where_the_caller_knows_it_to_be_one() -> None:
    assert grade("Gvhd-acute-1") == ""
    assert grade("Gvhd-acute-1", marked=False) == "1"


HL7 = "http://terminology.hl7.org/CodeSystem/adverse-event-"


def one(variables: tuple[str, ...], code: str, text: str = "") -> tuple[str, ...]:
    found = judged(JUDGEMENTS, variables, column(code or None), column(text or None)).iloc[0]
    return tuple(found[v] for v in variables)


@pytest.mark.parametrize(
    ("variable", "code", "text", "term"),
    [
        ("AESEV", f"{HL7}severity|moderate", "", "MODERATE"),
        ("AESEV", f"{SCT}|24484000", "", "SEVERE"),
        ("AESEV", "", "重度", "SEVERE"),
        ("AESEV", f"{HL7}severity|mild", "severe", "MILD"),  # a code outranks the text
        ("AESEV", "urn:local|3", "三级", ""),
        ("AEOUT", f"{HL7}outcome|ongoing", "", "NOT RECOVERED/NOT RESOLVED"),
        ("AEOUT", f"{HL7}outcome|resolvedWithSequelae", "", "RECOVERED/RESOLVED WITH SEQUELAE"),
        ("AEOUT", "", "痊愈", "RECOVERED/RESOLVED"),
        ("AEOUT", "", "未恢复", "NOT RECOVERED/NOT RESOLVED"),
        ("AEREL", f"{HL7}causality-assess|Probably-Likely", "", "PROBABLY RELATED"),
        ("AEREL", "", "可能无关", "UNLIKELY RELATED"),
        ("AEREL", "", "not related", "NOT RELATED"),
        ("AEREL", "", "related", "RELATED"),
        ("RSSTRESC", "", "血液学复发", "RELAPSED DISEASE"),
        ("RSSTRESC", "", "未复发", "NED"),
        ("RSSTRESC", "", "CRi", "CRi"),
    ],
)
def test_judgements(variable: str, code: str, text: str, term: str) -> None:
    assert one((variable,), code, text) == (term,)


def test_every_criterion_of_seriousness_that_is_coded_counts() -> None:
    codes = (
        f"{HL7}seriousness|Serious\n{HL7}seriousness|SeriousResultsInDeath\n{HL7}seriousness|SeriousIsLifeThreatening"
    )
    found = dict(zip(("AESER", *CRITERIA), one(("AESER", *CRITERIA), codes), strict=True))
    assert {k for k, v in found.items() if v == "Y"} == {"AESER", "AESDTH", "AESLIFE"}


def test_of_several_products_the_closest_relationship_counts() -> None:
    assert closest(["NOT RELATED", "", "POSSIBLY RELATED", "UNLIKELY RELATED"]) == "POSSIBLY RELATED"
    assert closest(["", ""]) == ""


@pytest.mark.parametrize(
    ("reported", "hospital", "life", "counts", "expected"),
    [
        ("N", "", "", True, "N"), ("Y", "", "", True, "Y"), ("", "", "", True, ""), ("", "Y", "", True, "Y"),
        ("N", "Y", "", True, "Y"), ("N", "Y", "", False, "N"), ("N", "", "Y", False, "Y"),
    ],
)  # fmt: skip
def test_seriousness(reported: str, hospital: str, life: str, counts: bool, expected: str) -> None:
    none = column("")
    found = serious(
        column(reported), none, none, none, column(hospital), column(life), none, none, hospitalisation=counts
    )
    assert found.tolist() == [expected]


ACT, ROLE = "http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://terminology.hl7.org/CodeSystem/v3-RoleCode"


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (f"{ACT}|IMP", "inpatient encounter", "HOSPITAL STAY"),
        (f"{ACT}|ACUTE", "", "HOSPITAL STAY"),
        (f"{ACT}|IMP", "IMP; 重症监护病房", "INTENSIVE CARE UNIT STAY"),
        (f"{ROLE}|ICU", "", "INTENSIVE CARE UNIT STAY"),
        (f"{ACT}|AMB", "ambulatory", ""),
        (f"{ACT}|EMER", "", ""),
        ("urn:local|ZY", "ZY; 住院", "HOSPITAL STAY"),
        ("urn:local|MZ", "MZ; 血液科门诊", ""),
        ("urn:local|??", "特需", None),
    ],
)
def test_kind_of_a_stay(code: str, text: str, kind: str | None) -> None:
    assert kinds_of_stay(STAYS, column(code), column(text or None)).tolist() == [kind]


def test_nothing_in_nothing_out() -> None:
    none = column()
    assert len(diagnosed(CONDITIONS, none, none)) == 0
    assert len(judged(JUDGEMENTS, ("AESEV",), none, none)) == 0
    assert len(kinds_of_stay(STAYS, none, none)) == 0
    assert len(grades(none)) == 0
