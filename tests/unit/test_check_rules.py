"""Rule files of any origin: what makes a rule, what is refused and why, joins and operations of whole rules."""

# ruff: noqa: E501 - a row of a table stands on one line
from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from adapter.check.cases import findings
from adapter.check.operations import OPERATIONS
from adapter.check.readers import read_package
from adapter.check.rule_model import Rule, Unusable
from adapter.check.rules import load_rule, load_rules, rule_files
from adapter.check.world import World
from adapter.check.yaml_safe import MAX_BYTES, BadYaml, parse
from adapter.errors import InputError

RULE = """
Core: {{Id: X-1}}
Check:
  all:
    - {check}
Outcome:
  Message: a message
{outcome}
Rule Type: {kind}
Sensitivity: {sensitivity}
Scope:
  Domains: {{Include: [{domains}]}}
{more}
"""


def text_of(
    check: str,
    more: str = "",
    outcome: str = "",
    kind: str = "Record Data",
    domains: str = "ALL",
    sensitivity: str = "Record",
) -> str:
    shown = f"  Output Variables: {outcome}" if outcome else ""
    return RULE.format(check=check, more=more, outcome=shown, kind=kind, domains=domains, sensitivity=sensitivity)


def rule_of(folder: Path, text: str) -> Rule:
    (folder / "rule.yml").write_text(text, "utf-8")
    found = load_rule(folder / "rule.yml")
    assert isinstance(found, Rule), found
    return found


def package_of(folder: Path, **datasets: str) -> World:
    """Write datasets as CSV (lines divided by blanks, cells by commas) and read them."""
    (folder / "data").mkdir()
    for name, text in datasets.items():
        (folder / "data" / f"{name}.csv").write_text("\n".join(text.split()) + "\n", "utf-8")
    return World(read_package(folder / "data"))


def found(rule: Rule, world: World) -> tuple[list[str], tuple[str, ...]]:
    hits, skipped = findings(rule, world)
    return sorted(" ".join(f for f in h if f) for h in hits), skipped


# --- files -----------------------------------------------------------------------------------------------------------

BAD = {
    "no rule": (b"just text", "the file is no mapping"),
    "a key twice": (b"Check: {all: []}\nCheck: {}", "stands twice"),
    "an alias": (b"a: &x [1]\nb: *x", "aliases are not taken"),
    "a tag": (b"a: !!python/object/apply:os.system ['echo']", "is not taken"),
    "too deep": (b"[" * 500 + b"]" * 500, "levels"),
    "too deep in block style": (b"- " * 5000 + b"x", "levels"),
    "not UTF-8": (b"a: \xff", "not UTF-8"),
    "not YAML": (b"a: [1, 2", "expected"),
    "too large": (b"#" * (MAX_BYTES + 1), "at most"),
    "no check": (text_of("{name: A, operator: empty}").replace("Check:", "Czech:").encode(), "'Check' is missing"),
    "an empty branch": (text_of("any: []").encode(), "any of Check is empty"),
    "a leaf without operator": (text_of("{name: A}").encode(), "has no operator"),
    "an unknown operator": (text_of("{name: A, operator: is_empty}").encode(), "unknown operator 'is_empty'"),
    "an unknown setting": (text_of("{name: A, operator: empty, valeu: 1}").encode(), "valeu"),
    "an unknown type": (text_of("{name: A, operator: empty}", kind="Recrod Data").encode(), "unknown Rule Type"),
    "an unknown operation": (
        text_of("{name: A, operator: empty}", more="Operations: [{id: $a, operator: distinkt}]").encode(),
        "did you mean 'distinct'?",
    ),
    "a look-behind": (text_of("{name: A, operator: matches_regex, value: '(?<=a)b'}").encode(), "invalid perl operator"),
    "an unknown sensitivity": (text_of("{name: A, operator: empty}", sensitivity="Row").encode(), "unknown Sensitivity"),
    "a bad severity": (text_of("{name: A, operator: empty}", more="Severity: fatal").encode(), "unknown Severity"),
    "keys that are no sides": (
        text_of("{name: A, operator: empty}", more="Match Datasets: [{Name: DM, Keys: [{Up: A}]}]").encode(),
        "expected left and right",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_file_that_is_no_rule_says_why_and_the_others_still_run(name: str, tmp_path: Path) -> None:
    raw, why = BAD[name]
    for folder, data in (("bad", raw), ("good", text_of("{name: A, operator: empty}").encode())):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rule.yml").write_bytes(data)
    rules, unusable = load_rules(rule_files(tmp_path))
    assert [r.id for r in rules] == ["X-1"]
    (bad,) = unusable
    assert why in bad.reason
    assert str(tmp_path / "bad" / "rule.yml") == bad.file


def test_a_word_of_the_format_that_is_not_supported_is_no_fault_of_the_file(tmp_path: Path) -> None:
    operation = "Operations: [{id: $a, operator: valid_meddra_code_references}]"
    (tmp_path / "rule.yml").write_text(text_of("{name: $a, operator: equal_to, value: false}", operation))
    found = load_rule(tmp_path / "rule.yml")
    assert isinstance(found, Unusable)
    assert (found.broken, found.reason) == (False, "the operation valid_meddra_code_references is not supported")


def test_a_rule_id_stands_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rule.yml").write_text(text_of("{name: A, operator: empty}"))
    rules, unusable = load_rules(rule_files(tmp_path))
    assert len(rules) == 1
    assert unusable[0].broken


def test_a_folder_without_rules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no rule"):
        rule_files(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        rule_files(tmp_path / "none")


def test_dates_in_yaml_stay_text_and_words_for_yes_are_bools() -> None:
    assert parse(b"a: 2024-01-05\nb: true\nc: 1\nd: 1.5\ne: ~\nf: 'true'") == {
        "a": "2024-01-05", "b": True, "c": 1, "d": 1.5, "e": None, "f": "true"
    }  # fmt: skip
    with pytest.raises(BadYaml):
        parse(b"? [a]\n: 1")


def test_a_regex_bomb_ends(tmp_path: Path) -> None:
    """Backtracking would need longer than the universe has; no time is asserted, only that it ends."""
    rule = rule_of(tmp_path, text_of("{name: AETERM, operator: matches_regex, value: '^(([a-z])+.)+[A-Z]([a-z])+$'}"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ae.csv").write_text("DOMAIN,AETERM\nAE," + "a" * 50_000 + "\n")
    begun = time.monotonic()
    assert found(rule, World(read_package(tmp_path / "data")))[0] == []
    assert time.monotonic() - begun < 60


# --- names, joins ----------------------------------------------------------------------------------------------------

DM = "STUDYID,DOMAIN,USUBJID,RFSTDTC S,DM,1,2024-01-10 S,DM,2,"
AE = "STUDYID,DOMAIN,USUBJID,AESEQ,AETERM,AESTDTC S,AE,1,1,RASH,2024-01-09 S,AE,1,2,PAIN,2024-01-12 S,AE,2,1,RASH,2024-01-01"


def test_columns_of_a_matched_dataset_come_by_key(tmp_path: Path) -> None:
    rule = rule_of(
        tmp_path,
        text_of(
            "{name: --STDTC, operator: date_less_than, value: RFSTDTC}", "Match Datasets: [{Name: DM, Keys: [USUBJID]}]",
            "[--STDTC, RFSTDTC]", domains="AE",
        ),
    )  # fmt: skip
    assert found(rule, package_of(tmp_path, ae=AE, dm=DM))[0] == ["AE 1 AESTDTC", "AE 1 RFSTDTC"]


def test_a_rule_whose_matched_dataset_is_not_there_is_skipped(tmp_path: Path) -> None:
    rule = rule_of(
        tmp_path,
        text_of(
            "{name: AETERM, operator: not_equal_to, value: RFSTDTC}", "Match Datasets: [{Name: DM, Keys: [USUBJID]}]"
        ),
    )
    assert found(rule, package_of(tmp_path, ae=AE)) == ([], ("AE: SKIPPED: there is no dataset DM to match with",))


def test_a_dataset_and_variable_may_be_named_together(tmp_path: Path) -> None:
    rule = rule_of(
        tmp_path,
        text_of(
            "{name: VISITDY, operator: not_equal_to, value: TV.VISITDY}", "Match Datasets: [{Name: TV, Keys: [VISITNUM]}]",
            "[VISITDY, TV.VISITDY]", domains="SV",
        ),
    )  # fmt: skip
    sv, tv = "DOMAIN,USUBJID,VISITNUM,VISITDY SV,1,1,1 SV,1,2,9", "DOMAIN,VISITNUM,VISITDY TV,1,1 TV,2,8"
    assert found(rule, package_of(tmp_path, sv=sv, tv=tv))[0] == ["SV 2 TV.VISITDY", "SV 2 VISITDY"]


def test_supplemental_qualifiers_become_columns(tmp_path: Path) -> None:
    rule = rule_of(
        tmp_path,
        text_of(
            "{name: AETRTEM, operator: equal_to, value: Y}",
            "Match Datasets: [{Name: SUPPAE, Keys: [USUBJID]}]",
            domains="AE",
        ),
    )
    supp = "STUDYID,RDOMAIN,USUBJID,IDVAR,IDVARVAL,QNAM,QVAL S,AE,1,AESEQ,2,AETRTEM,Y S,AE,2,AESEQ,1,AETRTEM,N"
    assert found(rule, package_of(tmp_path, ae=AE, suppae=supp))[0] == ["AE 2 AETRTEM"]


RELREC = "STUDYID,RDOMAIN,USUBJID,IDVAR,IDVARVAL,RELTYPE,RELID "
CM = "STUDYID,DOMAIN,USUBJID,CMSEQ,CMTRT S,CM,1,1,RASH S,CM,1,2,OTHER S,CM,2,1,RASH"


@pytest.mark.parametrize(
    ("relrec", "marked"),
    [
        ("S,AE,1,AESEQ,1,,R1 S,CM,1,CMSEQ,1,,R1 S,AE,1,AESEQ,2,,R2 S,CM,1,CMSEQ,2,,R2", ["AE 1 AETERM", "AE 1 RELREC.**TRT"]),
        ("S,AE,,AESEQ,,ONE,R1 S,CM,,CMSEQ,,ONE,R1", ["AE 1 AETERM", "AE 1 RELREC.**TRT", "AE 3 AETERM", "AE 3 RELREC.**TRT"]),
        ("S,AE,1,AESEQ,1,,R1 S,EX,1,EXSEQ,1,,R1", []),
    ],
    ids=["by value", "by variable", "to a dataset that is not there"],
)  # fmt: skip
def test_related_records_come_with_wildcards(relrec: str, marked: list[str], tmp_path: Path) -> None:
    rule = rule_of(
        tmp_path,
        text_of(
            "{name: AETERM, operator: equal_to, value: RELREC.**TRT}", "Match Datasets: [{Name: RELREC}]",
            "[AETERM, RELREC.**TRT]", domains="AE",
        ),
    )  # fmt: skip
    assert found(rule, package_of(tmp_path, ae=AE, cm=CM, relrec=RELREC + relrec))[0] == marked


def test_the_parts_of_a_split_dataset_are_one_domain(tmp_path: Path) -> None:
    rule = rule_of(tmp_path, text_of("{name: --SEQ, operator: is_not_unique_set, value: USUBJID}"))
    head = "DOMAIN,USUBJID,QSSEQ,QSTESTCD"
    world = package_of(tmp_path, qsaa=f"{head} QS,1,1,A QS,1,2,B", qsbb=f"{head} QS,1,2,C QS,2,1,D")
    assert found(rule, world)[0] == ["QSAA 2 QSSEQ", "QSBB 1 QSSEQ"]


# --- operations ------------------------------------------------------------------------------------------------------

EX = "DOMAIN,USUBJID,EXSEQ,EXDOSE,EXSTDTC EX,1,1,10,2024-01-10 EX,1,2,20,2024-01-12 EX,2,1,30,2024-01-05"
# operation (YAML), leaf, what it marks in AE (three records of subjects 1, 1, 2)
OPERATED: list[tuple[str, str, list[int]]] = [
    ("{id: $x, operator: distinct, domain: EX, name: EXDOSE}", "{name: $x, operator: contains_all, value: [x]}", []),
    ("{id: $x, operator: distinct, domain: DM, name: USUBJID}", "{name: USUBJID, operator: is_contained_by, value: $x}", [1, 2, 3]),
    ("{id: $x, operator: distinct, domain: EX, name: EXSEQ, group: [USUBJID]}", "{name: AESEQ, operator: is_not_contained_by, value: $x}", []),
    ("{id: $x, operator: record_count}", "{name: $x, operator: equal_to, value: 3}", [1, 2, 3]),
    ("{id: $x, operator: record_count, group: [USUBJID]}", "{name: $x, operator: equal_to, value: 2}", [1, 2]),
    ("{id: $x, operator: record_count, domain: EX, group: [USUBJID], filter: {EXSEQ: 2}}", "{name: $x, operator: equal_to, value: 0}", [3]),
    ("{id: $x, operator: record_count, filter: {AETERM: RA&}}", "{name: $x, operator: equal_to, value: 2}", [1, 2, 3]),
    ("{id: $x, operator: max_date, domain: EX, name: EXSTDTC, group: [USUBJID]}", "{name: $x, operator: equal_to, value: '2024-01-12'}", [1, 2]),
    ("{id: $x, operator: min_date, domain: EX, name: EXSTDTC}", "{name: $x, operator: equal_to, value: '2024-01-05'}", [1, 2, 3]),
    ("{id: $x, operator: max, domain: EX, name: EXDOSE}", "{name: $x, operator: equal_to, value: 30}", [1, 2, 3]),
    ("{id: $x, operator: min, domain: EX, name: EXDOSE, group: [USUBJID]}", "{name: $x, operator: equal_to, value: 10}", [1, 2]),
    ("{id: $x, operator: mean, domain: EX, name: EXDOSE, group: [USUBJID]}", "{name: $x, operator: equal_to, value: 15}", [1, 2]),
    ("{id: $x, operator: mean, domain: EX, name: EXDOSE}", "{name: $x, operator: equal_to, value: 20}", [1, 2, 3]),
    ("{id: $x, operator: dy, name: --STDTC}", "{name: $x, operator: equal_to, value: -1}", [1]),
    ("{id: $x, operator: dy, name: --STDTC}", "{name: $x, operator: equal_to, value: 3}", [2]),
    ("{id: $x, operator: map, map: [{AETERM: RASH, output: a}, {output: b}]}", "{name: $x, operator: equal_to, value: b}", [2]),
    ("{id: $x, operator: split_by, name: AESTDTC, delimiter: '-'}", "{name: $x, operator: contains, value: '12'}", [2]),
    ("{id: $x, operator: variable_count, name: --SEQ}", "{name: $x, operator: equal_to, value: 2}", [1, 2, 3]),
    ("{id: $x, operator: variable_exists, name: AETERM}", "{name: $x, operator: equal_to, value: true}", [1, 2, 3]),
    ("{id: $x, operator: variable_is_null, name: AETERM}", "{name: $x, operator: equal_to, value: false}", [1, 2, 3]),
    ("{id: $x, operator: variable_value_count, name: --SEQ}", "{name: AESEQ, operator: value_has_multiple_references, value: $x}", [1, 2, 3]),
    ("{id: $x, operator: dataset_names}", "{name: $x, operator: contains, value: EX}", [1, 2, 3]),
    ("{id: $x, operator: study_domains}", "{name: DOMAIN, operator: is_contained_by, value: $x}", [1, 2, 3]),
    ("{id: $x, operator: domain_label}", "{name: $x, operator: equal_to, value: Adverse Events}", [1, 2, 3]),
    ("{id: $x, operator: domain_is_custom}", "{name: $x, operator: equal_to, value: false}", [1, 2, 3]),
    ("{id: $x, operator: related_domain_is_custom}", "{name: $x, operator: equal_to, value: false}", [1, 2, 3]),
    ("{id: $x, operator: standard_domains}", "{name: DOMAIN, operator: is_contained_by, value: $x}", [1, 2, 3]),
    ("{id: $x, operator: get_library_class_domains, domain_class: EVENTS}", "{name: DOMAIN, operator: is_contained_by, value: $x}", [1, 2, 3]),
    ("{id: $x, operator: extract_metadata, name: dataset_name}", "{name: $x, operator: equal_to, value: AE}", [1, 2, 3]),
    ("{id: $x, operator: get_column_order_from_dataset}", "{name: $x, operator: contains, value: AETERM, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: required_variables}", "{name: $x, operator: contains, value: AEDECOD, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: expected_variables}", "{name: $x, operator: contains, value: AESTDTC, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: permissible_variables}", "{name: $x, operator: contains, value: AESPID, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: variable_names}", "{name: $x, operator: contains, value: LBTESTCD}", [1, 2, 3]),
    ("{id: $x, operator: get_model_column_order}", "{name: $x, operator: contains, value: AEEVDTYP, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: get_column_order_from_library}", "{name: $x, operator: contains, value: AETERM, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: get_model_filtered_variables, key_name: role, key_value: Timing}", "{name: $x, operator: does_not_contain, value: AETERM, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: get_dataset_filtered_variables, key_name: role, key_value: Timing}", "{name: $x, operator: contains, value: AESTDTC, value_is_literal: true}", [1, 2, 3]),
    ("{id: $x, operator: get_parent_model_column_order}", "{name: $x, operator: non_empty}", []),
    ("{id: $x, operator: name_referenced_variable_metadata, name: AETERM}", "{name: $x_name, operator: empty}", [1, 2, 3]),
    ("{id: $x, operator: label_referenced_variable_metadata, name: AETERM}", "{name: $x_name, operator: empty}", [1, 2, 3]),
    ("{id: $x, operator: codelist_terms, codelists: [NY], level: term, returntype: value}", "{name: $x, operator: contains, value: Y}", [1, 2, 3]),
    ("{id: $x, operator: codelist_terms, codelists: [NY], level: codelist, returntype: code}", "{name: $x, operator: contains, value: C66742}", [1, 2, 3]),
    ("{id: $x, operator: codelist_extensible, codelist: NY}", "{name: $x, operator: equal_to, value: false}", [1, 2, 3]),
    ("{id: $x, operator: valid_codelist_dates}", "{name: $x, operator: contains, value: '2025-03-28'}", [1, 2, 3]),
    ("{id: $x, operator: define_extensible_codelists, codelist: [ALL]}", "{name: $x, operator: non_empty}", []),
    ("{id: $x, operator: define_variable_metadata, name: AETERM, attribute_name: define_variable_label}", "{name: $x, operator: non_empty}", []),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "leaf", "marked"), OPERATED, ids=[re.search(r"operator: (\w+)", o)[1] for o, _, _ in OPERATED])  # type: ignore[index] # fmt: skip
def test_an_operation_gives_what_it_means(operation: str, leaf: str, marked: list[int], tmp_path: Path) -> None:
    rule = rule_of(tmp_path, text_of(leaf, f"Operations: [{operation}]", "[AETERM]", domains="AE"))
    hits, _ = found(rule, package_of(tmp_path, ae=AE, dm=DM, ex=EX))
    assert hits == [f"AE {i} AETERM" for i in marked]


def test_every_operation_has_a_case() -> None:
    named = {m[1] for o, _, _ in OPERATED if (m := re.search(r"operator: (\w+)", o))}
    assert set(OPERATIONS) - named == {"minus"}


def test_minus_leaves_what_the_other_list_has_not(tmp_path: Path) -> None:
    operations = (
        "Operations: [{id: $a, operator: required_variables}, {id: $b, operator: get_column_order_from_dataset},"
        " {id: $c, operator: minus, name: $a, subtract: $b}]"
    )
    rule = rule_of(
        tmp_path,
        text_of(
            "{name: $c, operator: contains, value: AEDECOD, value_is_literal: true}", operations, "[$c]", domains="AE"
        ),
    )
    assert found(rule, package_of(tmp_path, ae=AE))[0] == ["AE 1 $c", "AE 2 $c", "AE 3 $c"]


# --- scope -----------------------------------------------------------------------------------------------------------

SCOPES: list[tuple[str, str, list[str]]] = [
    ("{Domains: {Include: [ALL]}}", "", ["AE", "APMH", "FACM", "SUPPAE", "ZZ"]),
    ("{Domains: {Include: [AE]}}", "", ["AE"]),
    ("{Domains: {Exclude: [AE]}}", "", ["APMH", "FACM", "SUPPAE", "ZZ"]),
    ("{Domains: {Include: [SUPP--]}}", "", ["SUPPAE"]),
    ("{Domains: {Include: [AP--]}}", "", ["APMH"]),
    ("{Domains: {Include: [FA]}}", "", ["FACM"]),
    ("{Classes: {Include: [EVENTS]}}", "", ["AE", "APMH"]),
    ("{Classes: {Include: [FINDINGS]}}", "", ["FACM", "ZZ"]),
    ("{Classes: {Include: [FINDINGS ABOUT]}}", "", ["FACM"]),
    ("{Classes: {Exclude: [FINDINGS]}}", "", ["AE", "APMH", "SUPPAE"]),
    ("{Classes: {Include: [RELATIONSHIP]}}", "", ["SUPPAE"]),
]


@pytest.mark.parametrize(("scope", "_", "names"), SCOPES, ids=[s for s, _, _ in SCOPES])
def test_a_rule_is_run_on_the_datasets_of_its_scope(scope: str, _: str, names: list[str], tmp_path: Path) -> None:
    text = re.sub(
        r"Scope:\n.*\n", f"Scope: {scope}\n", text_of("{name: STUDYID, operator: non_empty}", outcome="[STUDYID]")
    )
    world = package_of(
        tmp_path, ae="STUDYID,DOMAIN,AETERM S,AE,x", apmh="STUDYID,DOMAIN,APID,MHTERM S,APMH,1,x",
        facm="STUDYID,DOMAIN,FATESTCD,FAOBJ S,FA,x,y", suppae="STUDYID,RDOMAIN,QNAM S,AE,x", zz="STUDYID,DOMAIN,ZZTESTCD S,ZZ,x",
    )  # fmt: skip
    assert [h.split()[0] for h in found(rule_of(tmp_path, text), world)[0]] == names


def test_a_finding_about_a_dataset_has_no_record(tmp_path: Path) -> None:
    rule = rule_of(tmp_path, text_of("{name: AETERM, operator: exists}", sensitivity="Dataset", domains="AE"))
    assert found(rule, package_of(tmp_path, ae=AE))[0] == ["AE AETERM"]
