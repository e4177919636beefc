"""Who is who: merges, identifiers, ResearchSubject and Consent, in whatever order and number they come."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.enrolment import Enrolled
from adapter.errors import EnrolmentError
from adapter.identify import (
    Identities,
    Subject,
    disagreements,
    from_research_subjects,
    identify,
    log_key,
    resolve_subjects,
    resource_type,
)
from adapter.intake.reading import LookUp
from tests.lines import CLOCK, KEYER, Json, changed, line_of

STUDY = "urn:study|T1"
ARMS = {"MSC": "MSC", "UC-MSC": "MSC", "CTRL": "CTRL"}


def patient(pid: str, *links: tuple[str, str], mrn: str = "") -> Json:
    found: Json = {"resourceType": "Patient", "id": pid}
    if links:
        found["link"] = [{"type": t, "other": {"reference": f"Patient/{o}"}} for t, o in links]
    if mrn:
        found["identifier"] = [{"system": "urn:mrn", "value": mrn}]
    return found


def enrolled(name: str, number: int = 1, **more: str) -> Enrolled:
    return Enrolled(
        patient=name, subjid=f"{number:03d}", siteid="01", source=f"enrolment log, line {number + 1}", **more
    )


def known(*resources: Any, log: list[Enrolled] | None = None) -> Identities:
    wanted = frozenset(log_key(e.patient, KEYER) for e in log or [])
    return identify([line_of(r) for r in resources], KEYER, CLOCK, wanted)


def resolved(log: list[Enrolled], *resources: Json) -> list[Subject]:
    return resolve_subjects(log, known(*resources, log=log), KEYER, "T1")


def keys(*pids: str) -> tuple[bytes, ...]:
    return tuple(sorted(KEYER.keyed(f"Patient/{p}") for p in pids))


# --- lines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"resourceType":"Patient","id":"1"}', "Patient"),
        (b'{ "id":"1", "resourceType" : "Patient" }', "Patient"),
        (b'{"resourceType":"P\\u0061tient"}', "Patient"),
        (b'{"resourceType":"Zhang San","id":"1"}', None),
        (b'{"resourceType":""}', None),
        (b'{"resourceType":null}', None),
        (b"{}", None),
        ('{"resourceType":"患者"}'.encode(), None),
        (b'{"resourceType":"' + b"A" * 61 + b'"}', None),
    ],
)
def test_resource_types(line: bytes, expected: str | None) -> None:
    assert resource_type(line) == expected


GARBAGE = [
    b"", b"\n", b"x", b"null", b"[]", b'"Patient"', b'{"resourceType":5}', b'{"resourceType":"Patient"',
    b"\xff\xfe\x00",
    b'{"resourceType":"Patient","id":"\\ud800"}', b'{"resourceType":"Patient","id":"\xff"}',
    b'{"resourceType":"Patient","id":1}', b'{"resourceType":"Patient","id":"1","link":[null]}',
    b'{"resourceType":"Patient","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"[" * 100_000,
    b'{"x":' + b'{"a":' * 100_000, b'{"resourceType":"Consent","patient":{"reference":5}}',
    b'{"resourceType":"ResearchSubject","individual":null}', b'{"resourceType":"ResearchSubject","individual":"\xff"}',
    b'{"resourceType":"Medication","id":"m","code":[]}', b'{"resourceType":"Medication"}',
]  # fmt: skip


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
def test_what_cannot_be_read_is_passed_over(line: bytes) -> None:
    found = identify([line, line_of(patient("a", ("replaces", "b")))], KEYER, CLOCK, frozenset())
    assert found.lines == 2
    assert [p.key for p in found.patients] == [KEYER.keyed("Patient/a")]
    assert (found.candidates, found.consents, found.look_ups) == ([], [], {})


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=80), st.sampled_from(["Patient", "Consent", "ResearchSubject", "Medication", "ResearchStudy"])
)
def test_anything_may_stand_in_a_line(tail: bytes, kind: str) -> None:
    found = identify([tail, f'{{"resourceType":"{kind}",'.encode() + tail], KEYER, CLOCK, frozenset())
    assert found.lines == 2


def test_only_patients_that_matter_are_kept_and_none_by_name() -> None:
    log = [enrolled("urn:mrn|1"), enrolled("b", 2)]
    found = known(patient("a", mrn="1"), patient("b"), patient("c", ("seealso", "b")), patient("d", mrn="2"), log=log)
    assert {p.key for p in found.patients} == set(keys("a", "b"))
    assert b"urn" not in repr(found).encode()


def test_look_ups() -> None:
    medication = {
        "resourceType": "Medication",
        "id": "m",
        "code": {"text": "MSC"},
        "form": {"coding": [{"display": "suspension"}]},
        "batch": {"lotNumber": "L1", "expirationDate": "2025"},
    }
    product = {
        "resourceType": "BiologicallyDerivedProduct",
        "id": "b",
        "productCode": {"coding": [{"system": "s", "code": "c"}]},
        "identifier": [{"system": "x"}, {"value": "LOT"}],
    }
    assert known(medication, product).look_ups == {
        KEYER.keyed("Medication/m"): LookUp(None, "MSC", "suspension", "L1", "2025"),
        KEYER.keyed("BiologicallyDerivedProduct/b"): LookUp("s|c", "c", None, "LOT", None),
    }


def test_a_look_up_given_twice_is_the_fuller_one_in_any_order() -> None:
    thin: Json = {"resourceType": "Medication", "id": "m", "code": {"text": "zzz"}}
    full = changed(thin, code={"text": "aaa"}, batch={"lotNumber": "L"})
    for order in itertools.permutations([known(thin), known(full)]):
        whole = Identities()
        for part in order:
            whole.add(part)
        assert whole.look_ups[KEYER.keyed("Medication/m")].lot == "L"
        assert whole.lines == 2


# --- log and patients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1", "Patient/1", "http://h/fhir/Patient/1", "Patient/1/_history/2"])
def test_how_the_log_may_name_a_patient(name: str) -> None:
    assert log_key(name, KEYER) == KEYER.keyed("Patient/1")


def test_identifiers_and_keyed_names_in_the_log() -> None:
    assert log_key("urn:oid:1.2|MRN-1", KEYER) == KEYER.keyed("urn:oid:1.2|MRN-1")
    assert log_key("keyed:" + "ab" * 16, KEYER) == bytes.fromhex("ab" * 16)


MERGES: dict[str, list[Json]] = {
    "from the old record": [patient("old", ("replaced-by", "new")), patient("new")],
    "from the new record": [patient("old"), patient("new", ("replaces", "old"))],
    "from both": [patient("old", ("replaced-by", "new")), patient("new", ("replaces", "old"))],
    "only the old record came in": [patient("old", ("replaced-by", "new"))],
    "only the new record came in": [patient("new", ("replaces", "old"))],
}


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("in_log", ["old", "new"])
def test_merges(name: str, in_log: str) -> None:
    (one,) = resolved([enrolled(in_log)], *MERGES[name])
    assert one.identities == keys("old", "new")
    assert one.survivor == KEYER.keyed("Patient/new")
    assert one.usubjid == "T1-01-001"


def test_a_chain_of_merges_ends_at_its_last() -> None:
    chain = [patient("a", ("replaced-by", "b")), patient("c", ("replaces", "b")), patient("c", ("replaced-by", "d"))]
    (one,) = resolved([enrolled("b")], *chain)
    assert (one.identities, one.survivor) == (keys("a", "b", "c", "d"), KEYER.keyed("Patient/d"))


@pytest.mark.parametrize("names", ["abcde", "jefia", "aeifj"])  # the second once fell apart: keyed ids in a bad order
def test_long_chains_hold_together_in_every_order(names: str) -> None:
    chain = [patient(a, ("replaced-by", b)) for a, b in itertools.pairwise(names)]
    for order in itertools.permutations(chain):
        (one,) = resolved([enrolled(names[2])], *order)
        assert (one.identities, one.survivor) == (keys(*names), KEYER.keyed(f"Patient/{names[-1]}"))


def test_a_circle_of_merges_has_a_survivor_all_the_same() -> None:
    circle = [
        patient("a", ("replaced-by", "b")),
        patient("b", ("replaced-by", "c")),
        patient("c", ("replaced-by", "a")),
    ]
    survivors = {resolved([enrolled(p)], *order)[0].survivor for p in "abc" for order in itertools.permutations(circle)}
    assert survivors == {keys("a", "b", "c")[0]}


def test_a_patient_who_replaces_himself() -> None:
    (one,) = resolved([enrolled("a")], patient("a", ("replaces", "a")))
    assert (one.identities, one.survivor) == (keys("a"), keys("a")[0])


@pytest.mark.parametrize("kind", ["seealso", "refer", "", "REPLACES"])
def test_other_links_make_no_merge(kind: str) -> None:
    (one,) = resolved([enrolled("a")], patient("a", (kind, "b")), patient("b"))
    assert one.identities == keys("a")


def test_a_relative_is_no_second_record() -> None:
    link = [{"type": "replaces", "other": {"reference": "RelatedPerson/r"}}]
    log = [enrolled("a"), enrolled("b", 2)]
    both = resolved(log, patient("a") | {"link": link}, patient("b") | {"link": link})
    assert [s.identities for s in both] == [keys("a"), keys("b")]


def test_two_lines_of_one_person_are_an_error_that_names_both() -> None:
    with pytest.raises(EnrolmentError, match="line 3 and enrolment log, line 2 are the same person") as e:
        resolved([enrolled("zhang-a"), enrolled("zhang-b", 2)], patient("zhang-a", ("replaces", "zhang-b")))
    assert "zhang" not in e.value.message
    with pytest.raises(EnrolmentError, match="same person"):
        resolved([enrolled("a"), enrolled("urn:mrn|1", 2)], patient("a", mrn="1"))
    with pytest.raises(EnrolmentError, match="same person"):
        resolved([enrolled("a"), enrolled("Patient/a", 2)], patient("a"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"birthDate": 19800229},
        {"gender": ["female"]},
        {"meta": {"versionId": 5}},
        {"extension": [{"url": 5}]},
        {"identifier": [{"system": "urn:mrn", "value": 5}, {"system": "urn:mrn", "value": "m"}]},
    ],
)
def test_a_patient_with_an_element_of_a_wrong_type_is_known_as_intake_will_know_him(wrong: Json) -> None:
    (one,) = resolved([enrolled("urn:mrn|m")], patient("a", ("replaced-by", "b"), mrn="m") | wrong, patient("b"))
    assert one.identities == keys("a", "b")


def test_a_link_that_is_said_twice_merges_nobody() -> None:
    """Intake rejects the record: which of the two holds is not known."""
    line = line_of(patient("a", ("replaced-by", "b")))
    other = line_of(patient("a", ("replaced-by", "c")))
    start = other.index(b'"link"')
    found = identify([line[:-1] + b"," + other[start:-1] + b"}"], KEYER, CLOCK, frozenset())
    assert found.patients == []


def test_an_identifier_names_one_patient_several_or_none() -> None:
    log = [enrolled("urn:mrn|1")]
    (one,) = resolved(log, patient("a", mrn="1"), patient("b", mrn="2"))
    assert (one.identities, one.survivor) == (keys("a"), keys("a")[0])
    with pytest.raises(EnrolmentError, match=r"line 2: the identifier names 2 patients; expected exactly one"):
        resolved(log, patient("a", mrn="1"), patient("b", mrn="1"))
    # the same number on both records of a merge is one person
    (one,) = resolved(log, patient("a", ("replaces", "b"), mrn="1"), patient("b", mrn="1"))
    assert (one.identities, one.survivor) == (keys("a", "b"), KEYER.keyed("Patient/a"))
    (nobody,) = resolved(log, patient("b", mrn="2"))
    assert nobody.identities == (KEYER.keyed("urn:mrn|1"),)


def test_an_identifier_on_the_record_that_was_replaced() -> None:
    (one,) = resolved([enrolled("urn:mrn|1")], patient("a", mrn="1"), patient("b", ("replaces", "a")))
    assert (one.identities, one.survivor) == (keys("a", "b"), KEYER.keyed("Patient/b"))


def test_the_system_of_an_identifier_counts() -> None:
    (one,) = resolved([enrolled("urn:other|1")], patient("a", mrn="1"))
    assert one.identities == (KEYER.keyed("urn:other|1"),)


PIDS = "abcdef"
LINKS = st.lists(
    st.tuples(st.sampled_from(PIDS), st.sampled_from(["replaces", "replaced-by"]), st.sampled_from(PIDS)), max_size=6
)


@settings(max_examples=200, deadline=None)
@given(LINKS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_order_and_cuts_change_nothing(links: list[tuple[str, str, str]], shuffle: Any, parts: int) -> None:
    """Any order of the files, any cut into ranges, gives the same people; each is exactly what its links connect."""
    lines = [line_of(patient(p, (kind, other))) for p, kind, other in links] + [line_of(patient(p)) for p in PIDS]
    wanted = frozenset(keys(*PIDS))
    # connected sets by hand: follow the links until nothing changes
    group = {p: {p} for p in PIDS}
    for _ in PIDS:
        for p, _kind, other in links:
            both = group[p] | group[other]
            for member in both:
                group[member] = both
    heads = sorted({min(g) for g in group.values()})
    log = [enrolled(h, i) for i, h in enumerate(heads, 1)]
    expected = None
    for _ in range(2):
        whole = Identities()
        for i in range(parts):
            whole.add(identify(lines[i::parts], KEYER, CLOCK, wanted))
        found = resolve_subjects(log, whole, KEYER, "T1")
        assert [s.identities for s in found] == [keys(*group[h]) for h in heads]
        assert all(s.survivor in s.identities for s in found)
        assert expected is None or found == expected
        expected = found
        shuffle.shuffle(lines)


# --- ResearchSubject and Consent -------------------------------------------------------------------------------------


def study(name: str = "st", value: str = "T1") -> Json:
    return {"resourceType": "ResearchStudy", "id": name, "identifier": [{"system": "urn:study", "value": value}]}


def candidate(pid: str, subjid: str = "001", **more: Any) -> Json:
    base: Json = {
        "resourceType": "ResearchSubject",
        "id": f"rs-{pid}",
        "status": "on-study",
        "study": {"reference": "ResearchStudy/st"},
        "individual": {"reference": f"Patient/{pid}"},
        "identifier": [{"value": subjid}],
        "assignedArm": "UC-MSC",
        "period": {"start": "2024-01-02T16:30:00Z"},
    }
    return changed(base, **more)


def consent(pid: str, day: str = "2024-01-01", cid: str = "c", **more: Any) -> Json:
    base: Json = {
        "resourceType": "Consent",
        "id": f"{cid}-{pid}",
        "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "research"}]},
        "patient": {"reference": f"Patient/{pid}"},
        "dateTime": day,
    }
    return changed(base, **more)


def made(*resources: Json, identifiers: tuple[str, ...] = (STUDY,)) -> list[Enrolled]:
    return from_research_subjects(known(*resources), "T1", "01", ARMS, identifiers)


def test_a_log_made_of_research_subjects() -> None:
    (one,) = made(study(), candidate("a"), consent("a"))
    assert one == Enrolled(
        patient=f"keyed:{keys('a')[0].hex()}",
        subjid="001",
        siteid="01",
        arm="MSC",
        consent_date="2024-01-01",
        randomisation_date="2024-01-03",  # the site's day
        source="ResearchSubject 001",
    )
    (subject,) = resolve_subjects([one], known(patient("a", ("replaced-by", "b"))), KEYER, "T1")
    assert subject.identities == keys("a", "b")


@pytest.mark.parametrize(
    ("change", "arm", "randomised"),
    [
        ({"actualArm": "CTRL"}, "CTRL", "2024-01-03"),
        ({"assignedArm": ...}, "", ""),
        ({"period": ...}, "MSC", ""),
        ({"period": {"start": "2024-01"}}, "MSC", ""),
    ],
)
def test_arms_and_days(change: Json, arm: str, randomised: str) -> None:
    (one,) = made(study(), candidate("a", **change))
    assert (one.arm, one.randomisation_date) == (arm, randomised)


@pytest.mark.parametrize("status", ["candidate", "potential-candidate", "not-registered", "entered-in-error"])
def test_who_was_only_looked_at_is_no_subject(status: str) -> None:
    assert made(study(), candidate("a", status=status)) == []


@pytest.mark.parametrize("status", ["screening", "ineligible", "withdrawn", "off-study"])
def test_who_was_screened_or_left_is_a_subject(status: str) -> None:
    assert len(made(study(), candidate("a", status=status))) == 1


def test_subjects_of_another_trial_are_none_of_ours() -> None:
    other = candidate("b", "900", study={"reference": "ResearchStudy/else"})
    (one,) = made(study(), study("else", "T2"), candidate("a"), other)
    assert one.subjid == "001"
    assert made(study("st", "T2"), candidate("a")) == []
    assert made(candidate("a")) == []  # a study nobody knows
    logical = {"identifier": {"system": "urn:study", "value": "T1"}}
    assert len(made(candidate("a", study=logical), candidate("b", "2", study=...))) == 1
    assert len(made(study(), candidate("a"), other, identifiers=())) == 2


def test_copies_and_versions_count_once() -> None:
    old = candidate("a", assignedArm="CTRL", meta={"versionId": "9", "lastUpdated": "2024-01-01T00:00:00Z"})
    new = candidate("a", meta={"versionId": "10", "lastUpdated": "2024-01-01T00:00:00Z"})
    for order in itertools.permutations([study(), old, new, new]):
        (one,) = made(*order)
        assert one.arm == "MSC"
    gone = candidate("a", status="entered-in-error", meta={"lastUpdated": "2024-06-01T00:00:00Z"})
    assert made(study(), gone, new) == []


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ([candidate("a", identifier=...)], "a ResearchSubject of T1 has no identifier"),
        ([candidate("a", assignedArm="X")], "ResearchSubject 001: unknown arm 'X'"),
        ([candidate("a"), candidate("b")], "two ResearchSubjects are both 001"),
    ],
)
def test_research_subjects_that_cannot_make_a_log(resources: list[Json], message: str) -> None:
    with pytest.raises(EnrolmentError, match=message):
        made(study(), *resources)


@pytest.mark.parametrize(
    ("consents", "day"),
    [
        ([], ""),
        ([consent("a", "2024-01-05"), consent("a", "2024-01-03", cid="earlier", status="inactive")], "2024-01-03"),
        ([consent("a", status="rejected")], ""),
        ([consent("a", status="draft")], ""),
        ([consent("a"), consent("a", status="entered-in-error", meta={"lastUpdated": "2024-06-01T00:00:00Z"})], ""),
        ([consent("a", scope={"coding": [{"code": "treatment"}]})], ""),
        ([consent("a", scope=...)], "2024-01-01"),
        ([consent("a", "2024-01-01T16:00:00Z")], "2024-01-02"),
        ([consent("a", "2024-01")], ""),
        ([consent("b")], ""),
    ],
)
def test_the_day_of_consent(consents: list[Json], day: str) -> None:
    (one,) = made(study(), candidate("a"), *consents)
    assert one.consent_date == day


def against(log: list[Enrolled], *resources: Json, identifiers: tuple[str, ...] = (STUDY,)) -> list[str]:
    found = known(*resources, log=log)
    return disagreements(resolve_subjects(log, found, KEYER, "T1"), found, ARMS, identifiers)


RANDOMISED = {"arm": "MSC", "randomisation_date": "2024-01-03", "consent_date": "2024-01-01"}


def test_log_and_fhir_agree() -> None:
    log = [enrolled("a", **RANDOMISED)]
    assert against(log, study(), patient("a"), candidate("a"), consent("a")) == []
    assert against(log, study(), candidate("a", assignedArm=...)) == []
    assert against(log, consent("a", "2023-01-01", scope={"coding": [{"code": "patient-privacy"}]})) == []
    assert against(log, consent("a", "2023-01-01", cid="an older one"), consent("a")) == []
    assert (
        against(log, study("else", "T2"), candidate("a", study={"reference": "ResearchStudy/else"}, actualArm="X"))
        == []
    )
    assert against(log, study(), candidate("z", status="screening")) == []


def test_log_and_fhir_disagree() -> None:
    log = [enrolled("a", **RANDOMISED), enrolled("b", 2, consent_date="2024-01-01")]
    found = against(
        log,
        study(),
        patient("a", ("replaces", "a0")),
        candidate("a0", actualArm="CTRL"),
        candidate("b", actualArm="CTRL"),
        candidate("zhang", "099"),
        consent("a0", "2024-01-02"),
    )
    assert found == [
        "T1-01-001: arm is MSC in the enrolment log, line 2, CTRL in the ResearchSubject",
        "T1-01-001: consent is 2024-01-01 in the enrolment log, line 2, 2024-01-02 in Consent",
        "T1-01-002: arm is empty in the enrolment log, line 3, CTRL in the ResearchSubject",
        "patients who take part by their ResearchSubject and are not in the log: 1",
    ]


def test_a_research_subject_of_r5() -> None:
    """R5: `individual` is `subject`, and what became of the person stands in `progress`."""
    line = json.dumps(
        {
            "resourceType": "ResearchSubject",
            "id": "r5",
            "status": "active",
            "subject": {"reference": "Patient/s"},
            "progress": [{"subjectState": {"coding": [{"code": c}]}} for c in ("screening", "on-study")],
        }
    ).encode()
    (found,) = identify([line], KEYER, CLOCK, frozenset()).candidates
    assert (found.patient, found.status) == (KEYER.keyed("Patient/s"), "on-study")
