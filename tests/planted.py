"""What is planted for each reason, and what it must do: the table of tests/e2e/test_reasons_planted.py.

A new reason needs a line here: plant(reason, resources...), the odd one last, about the subject `@` (tests.own). By
default it is counted, or rejected, or an issue of that resource; what else it does is told by name (see Plant).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.lines import changed, line_of
from tests.own import COUNT, DOSE, DRUG, LAB, MINE, PERSON, bundle

CUT, EARLIER, LATER = "2024-12-31", "2024-01-05", "2025-02-03"
ANSWERS = {f"ie_INCL{i:02d}": "Y" for i in range(1, 7)} | {f"ie_EXCL{i:02d}": "N" for i in range(1, 9)}
LOG = {
    "consent_date": "2024-01-01",
    "randomisation_date": "",
    "arm": "",
    "withdrawal_date": "",
    "withdrawal_type": "",
    "withdrawal_reason": "",
    **ANSWERS,
}
COLUMNS = tuple(LOG)
# a subject of an arm, whose treatment ended for a reason that is known
LEFT = {"withdrawal_date": "2024-01-20", "withdrawal_type": "treatment", "withdrawal_reason": "relapse"}
TREATED = {"randomisation_date": "2024-01-02", "arm": "MSC"} | LEFT

# The site's own settings, in both builds: its server, a test without decimals, a gender that is no term of the codelist.
SITE = {
    "site.toml": 'server.base = ["https://here/fhir"]\n',
    "observations.csv": "system,code,display,domain,testcd,test,cat,specimen,standard_unit,standard_ucum,molar_mass,result_type\n"
    "urn:lab,NODEC,Creatinine,LB,CREAT,Creatinine,CHEMISTRY,SERUM,umol/L,umol/L,113.12,numeric\n",
    "codes.csv": "resource,system,code,display,map_to\nObservation,urn:lab,IGNORED,Ignored,ignore\n",
    "demographics.csv": "system,code,display,variable,ct\n"
    "http://hl7.org/fhir/administrative-gender,other,Other,SEX,OTHER\n",
}
# The sponsor's coding, in both builds, with an invented dictionary: every term that is planted, but one that is not CTCAE.
TERMS = ("Headache", "Itching", "Infection", "GVHD", "Leukaemia in relapse")
CODING = {
    "versions.csv": "dictionary,version\nMedDRA,0.0 (invented)\n",
    "meddra.csv": "verbatim,pt,pt_code\n" + "".join(f"{t},{t},{n}\n" for n, t in enumerate(TERMS, 90000001)),
    "ctcae.csv": "term\nHeadache\n",
}


class Plant(NamedTuple):
    """What is planted for a reason, and what it must do. The last line is the odd one; those before it are used."""

    reason: str
    lines: tuple[Any, ...]
    element: str = ""  # FHIR path in the reject, or in brackets in the message
    records: str = ""  # what the subject's datasets gain and lose: "CM+1", "DM+1-1" (one row changed)
    dataset: str = ""  # of an issue
    keyed: bool | str = True  # whose keyed id is told: the odd resource's, nobody's, or `Type/id`
    subject: bool = True  # an issue names the subject
    line: int | None = None  # of a reject; default: the last
    offset: int | None = None  # of a reject of a file
    kind: str = ""  # resource type it is counted under; default: the odd line's
    dropped: tuple[str, ...] = ()  # what else is dropped, "Type reason"
    no_patient: bool = False  # the subject's own Patient does not come in
    file: str = "@.ndjson"
    of: str = ""  # the plant that shows this too; then it has no lines and no subject of its own
    log: Mapping[str, str] = {}  # columns of the enrolment log, in both builds
    told: Mapping[str, str] = {}  # and in the planted one only


def plant(reason: str, *lines: Any, **expected: Any) -> Plant:
    return Plant(reason, lines, **expected)


def timed(**more: Any) -> Any:
    return changed(LAB, id="@-2", **more)


def serious(*codes: str) -> Any:
    system = "http://terminology.hl7.org/CodeSystem/adverse-event-seriousness"
    return {"coding": [{"system": system, "code": c} for c in codes]}


A_BUNDLE: dict[str, Any] = {"file": "@.json", "kind": "Observation"}


def deletion(url: str) -> Any:
    return {"request": {"method": "DELETE", "url": url}}


CONSENT = {"resourceType": "Consent", "id": "@-1", "status": "active", "patient": MINE, "dateTime": "2024-01-01"}
STATEMENT = changed(DRUG, resourceType="MedicationStatement", id="@-2")
A_TRANSFUSION = {"coding": [{"system": "http://www.whocc.no/atc", "code": "B05AX02"}], "text": "Platelets"}
REPORT: dict[str, Any] = {
    "resourceType": "DiagnosticReport",
    "id": "@-1",
    "status": "final",
    "code": {"text": "Blood count"},
    "subject": MINE,
    "effectiveDateTime": EARLIER,
}
EVENT = {
    "resourceType": "AdverseEvent",
    "id": "@-1",
    "actuality": "actual",
    "event": {"text": "Headache"},
    "subject": MINE,
    "date": EARLIER,
}
CONDITION = {
    "resourceType": "Condition",
    "id": "@-1",
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "40733004"}], "text": "Infection"},
    "subject": MINE,
    "onsetDateTime": EARLIER,
}
ITS_GRADE = changed(CONDITION, id="@-2", code={"text": "Headache"}, severity={"text": "CTCAE grade 2"})
GRADED = changed(EVENT, resultingCondition=[{"reference": "Condition/@-2"}])
RELAPSE = changed(
    CONDITION,
    code={
        "coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C91.02"}],
        "text": "Leukaemia in relapse",
    },
)
GRAFT = {
    "resourceType": "Procedure",
    "id": "@-3",
    "status": "completed",
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "234336002"}], "text": "Allogeneic transplant"},
    "subject": MINE,
    "performedDateTime": "2024-01-02",
}
STAY = {
    "resourceType": "Encounter",
    "id": "@-1",
    "status": "finished",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "subject": MINE,
    "period": {"start": EARLIER, "end": "2024-01-09"},
}
# of those who died, so that the cause is not what is missing
CAUSE = changed(
    LAB,
    id="@-8",
    code={"coding": [{"system": "http://loinc.org", "code": "69453-9"}]},
    valueQuantity=...,
    valueString="Sepsis",
)
WITHDREW = {"withdrawal_date": "2024-06-01", "withdrawal_type": "consent"}
CUT_SHORT = b'{"resourceType":"Bundle","type":"collection","entry":[{"resource":%s},{"resour' % line_of(LAB)

PLANTS = (
    # drops
    plant("not-a-subject", changed(LAB, subject={"reference": "Patient/somebody"})),
    plant("no-fhir-file", b'{"transactionTime":"2024-01-01"}', file="@.json", kind="(none)"),
    plant(
        "another-server",
        bundle("collection", {"fullUrl": "https://there/fhir/Observation/1", "resource": LAB}),
        **A_BUNDLE,
    ),
    plant("deletion-entry", bundle("history", deletion("Observation/@-9")), **A_BUNDLE),
    plant(
        "deleted-by-hospital",
        LAB,
        bundle("history", deletion("Observation/@-1")),
        kind="Observation",
        dropped=("Observation deletion-entry",),
    ),
    plant("type-not-read", {"resourceType": "NutritionOrder", "id": "@-1", "status": "active", "patient": MINE}),
    plant("duplicate-copy", LAB, LAB, records="LB+1"),
    plant("duplicate-result", LAB, timed(), records="LB+1"),
    plant(
        "superseded-version",
        changed(LAB, meta={"versionId": "2"}),
        changed(LAB, meta={"versionId": "1"}, valueQuantity=COUNT | {"value": 21}),
        records="LB+1",
    ),
    plant("status-entered-in-error", changed(LAB, status="entered-in-error")),
    plant("status-cancelled", changed(LAB, status="cancelled")),
    plant("status-unknown", changed(LAB, status="unknown")),
    plant("status-not-final", changed(LAB, status="preliminary")),
    plant("status-planned", changed(DOSE, status="on-hold", dosage=...), log=TREATED),
    plant("not-done", changed(DRUG, status="not-done")),
    plant("about-somebody-else", changed(LAB, focus=[{"reference": "Patient/donor"}])),
    plant("after-data-cut", changed(LAB, effectiveDateTime=LATER)),
    plant("after-withdrawal", changed(LAB, effectiveDateTime="2024-07-01"), log=WITHDREW),
    plant("unmapped-code", changed(LAB, code={"coding": [{"system": "urn:lab", "code": "ZZ"}], "text": "Zz"})),
    plant("domain-not-built", changed(LAB, code={"coding": [{"system": "http://loinc.org", "code": "13949-3"}]})),
    plant("panel-without-value", changed(LAB, valueQuantity=..., hasMember=[{"reference": "Observation/@-0"}])),
    plant("no-result", changed(LAB, valueQuantity=...)),
    plant("not-needed", {"resourceType": "Specimen", "id": "@-1", "subject": MINE}),
    plant(
        "no-proof-of-intake", {"resourceType": "MedicationRequest", "id": "@-1", "status": "active", "subject": MINE}
    ),
    plant(
        "outranked-statement",
        DRUG,
        STATEMENT,
        records="CM+1",
    ),
    plant(
        "nothing-taken",
        changed(
            STATEMENT,
            medicationCodeableConcept={"coding": [{"system": "http://snomed.info/sct", "code": "787481004"}]},
        ),
    ),
    plant("no-own-results", REPORT),
    plant(
        "outranked-cause",
        changed(PERSON, deceasedDateTime="2024-03-02"),
        changed(CAUSE, id="@-9", effectiveDateTime="2024-03-01T08:00:00+08:00", valueString="Bleeding"),
        CAUSE,
        records="DD+1 DM+1-1 DS+1 SE+1-1",
        no_patient=True,
    ),
    plant("status-refuted", changed(CONDITION, verificationStatus={"coding": [{"code": "refuted"}]})),
    plant("status-not-confirmed", changed(CONDITION, verificationStatus={"coding": [{"code": "provisional"}]})),
    plant("status-potential", changed(EVENT, actuality="potential")),
    plant("adverse-event-candidate", changed(CONDITION, code={"text": "Headache"})),
    plant("relapse-not-dated", RELAPSE),
    plant("not-an-admission", changed(STAY, **{"class": STAY["class"] | {"code": "AMB"}})),
    plant("part-of-stay", STAY, changed(STAY, id="@-2", partOf={"reference": "Encounter/@-1"}), records="HO+1"),
    plant("code-ignored", changed(LAB, code={"coding": [{"system": "urn:lab", "code": "IGNORED"}]})),
    # rejects
    plant(
        "file-cut-short",
        CUT_SHORT,
        records="LB+1",
        file="@.json",
        kind="(none)",
        line=0,
        offset=CUT_SHORT.rindex(b'{"'),
        keyed=False,
    ),
    plant(
        "deletion-not-applied",
        bundle("history", deletion("Observation?code=1")),
        file="@.json",
        kind="(none)",
        line=0,
        offset=0,
        keyed=False,
    ),
    plant("json-broken", line_of(LAB)[:-9], kind="Observation", keyed=False),
    plant("element-wrong-type", changed(LAB, status=["final"]), element="status"),
    plant("no-resource-type", {"id": "@-1", "status": "final"}, kind="(none)", keyed=False),
    plant("no-id", changed(LAB, id=...), element="id", keyed=False),
    plant("no-subject", changed(LAB, subject=...), keyed=False),
    plant("subject-unresolved", changed(LAB, subject={"identifier": {"system": "urn:mrn", "value": "9"}}), keyed=False),
    plant("no-status", changed(LAB, status="done"), element="status"),
    plant("held-back-modifier", changed(LAB, modifierExtension=[{"url": "urn:x"}]), element="modifierExtension"),
    plant("two-values", changed(LAB, valueString="20"), element="value[x]"),
    plant("decimal-malformed", changed(LAB, valueQuantity=COUNT | {"value": "20,5"}), element="valueQuantity.value"),
    plant("no-code", changed(LAB, code=...), element="code"),
    plant("value-type-not-read", changed(LAB, valueQuantity=..., valueSampledData={"origin": {"value": 0}})),
    plant(
        "decimals-not-declared",
        changed(
            LAB,
            code={"coding": [{"system": "urn:lab", "code": "NODEC"}]},
            valueQuantity={"value": 1, "unit": "mg/dL", "code": "mg/dL"},
        ),
    ),
    plant("unit-unknown", changed(LAB, valueQuantity={"value": 20, "unit": "furlong"})),
    plant("unit-not-convertible", changed(LAB, valueQuantity={"value": 20, "unit": "mmol/L", "code": "mmol/L"})),
    plant(
        "element-twice",
        line_of(LAB)[:-1] + b',"valueQuantity":{"value":21}}',
        kind="Observation",
        element="valueQuantity",
        keyed="Observation/@-1",
    ),
    plant(
        "comparator-unknown",
        changed(LAB, valueQuantity=COUNT | {"comparator": "ad"}),
        element="valueQuantity.comparator",
    ),
    plant(
        "medication-not-found",
        changed(DRUG, medicationCodeableConcept=..., medicationReference={"reference": "Medication/@-9"}),
        element="medication[x]",
    ),
    plant(
        "product-not-administered",
        changed(STATEMENT, medicationCodeableConcept=DOSE["medicationCodeableConcept"]),
    ),
    plant("result-not-found", changed(REPORT, result=[{"reference": "#a"}]), element="result[0]"),
    plant("result-not-named", changed(REPORT, contained=[changed(LAB, id="a")]), element="contained[0]"),
    # issues
    plant("subset-only", changed(LAB, meta={"tag": [{"code": "SUBSETTED"}]}), dataset="LB", records="LB+1"),
    plant(
        "date-malformed",
        changed(LAB, effectiveDateTime="2024-13-05"),
        element="Observation.effectiveDateTime",
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "date-in-future",
        changed(LAB, meta={"lastUpdated": "2024-01-01T00:00:00Z"}),
        element="Observation.date",
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "date-from-issued",
        changed(LAB, effectiveDateTime=..., issued="2024-01-05T08:00:00Z"),
        element="Observation.issued",
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "end-before-start",
        changed(DRUG, effectiveDateTime=..., effectivePeriod={"start": EARLIER, "end": "2024-01-04"}),
        element="MedicationAdministration.effectivePeriod",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "end-after-cut",
        changed(DRUG, effectiveDateTime=..., effectivePeriod={"start": EARLIER, "end": LATER}),
        element="MedicationAdministration.end",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "death-after-cut",
        changed(PERSON, deceasedDateTime=LATER),
        element="Patient.deceasedDateTime",
        dataset="DM",
        no_patient=True,
    ),
    plant(
        "dose-unit-unknown",
        changed(DOSE, dosage={"dose": {"value": 1, "unit": "furlong"}}),
        dataset="EC",
        records="DM+1-1 EC+1 EX+1",
        log=TREATED,
    ),
    plant(
        "dose-weight-missing",
        changed(DOSE, dosage={"dose": {"value": 60, "unit": "10*6", "code": "10*6"}}),
        dataset="EX",
        records="DM+1-1 EC+1 EX+1",
        log=TREATED,
    ),
    plant(
        "stopped-without-dose", changed(DOSE, status="stopped", dosage=...), dataset="EC", records="EC+1", log=TREATED
    ),
    plant(
        "decimal-dropped",
        changed(DRUG, dosage={"dose": {"value": "much", "unit": "mg"}}),
        element="MedicationAdministration.dosage.dose.value",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "version-tie",
        LAB,
        changed(LAB, valueQuantity=COUNT | {"value": 21}),
        subject=False,
        records="LB+1",
        dropped=("Observation superseded-version",),
    ),
    plant(
        "death-date-unknown",
        CAUSE,
        changed(PERSON, deceasedBoolean=True),
        dataset="DM",
        records="DD+1 DM+1-1 DS+1",
        no_patient=True,
    ),
    plant("age-unknown", changed(PERSON, birthDate="1980"), dataset="DM", records="DM+1-1", no_patient=True),
    plant("no-patient-resource", dataset="DM", records="DM+1-1", no_patient=True, keyed=False),
    plant(
        "actual-arm-differs",
        DOSE,
        dataset="DM",
        records="DM+1-1 DV+1 EC+1 EX+1 SE+1-1 SUPPDV+1",  # treated as in another arm: a deviation
        keyed="Patient/@",
        log=TREATED | {"arm": "CTRL"},
    ),
    plant(
        "not-in-codelist",
        changed(PERSON, gender="other"),
        dataset="DM",
        records="DM+1-1",
        no_patient=True,
        keyed=False,
        subject=False,
    ),
    plant(
        "clinical-status-unknown",
        changed(CONDITION, clinicalStatus={"coding": [{"code": "better"}]}),
        element="Condition.clinicalStatus",
        dataset="CE",
        records="CE+1",
    ),
    plant(
        "actuality-unknown",
        changed(EVENT, actuality=...),
        element="AdverseEvent.actuality",
        dataset="AE",
        records="AE+1",
    ),
    plant(
        "date-from-history",
        changed(STAY, period=..., statusHistory=[{"status": "in-progress", "period": STAY["period"]}]),
        element="Encounter.statusHistory",
        dataset="HO",
        records="HO+1",
    ),
    plant("condition-not-reported", of="adverse-event-candidate", dataset="CE", keyed="Condition/@-1"),
    plant("relapse-date-unknown", of="relapse-not-dated", dataset="CE", keyed="Condition/@-1"),
    plant(
        "relapse-date-recorded",
        GRAFT,
        changed(RELAPSE, onsetDateTime="2024-01-02", recordedDate=EARLIER),  # on the day of the transplant
        dataset="CE",
        records="CE+1 PR+1",
    ),
    plant("onset-unknown", changed(CONDITION, onsetDateTime=...), dataset="CE", records="CE+1"),
    plant(
        "event-kind-unknown",
        changed(
            CONDITION,
            code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "D89.813"}], "text": "GVHD"},
        ),
        dataset="CE",
        records="CE+1",
    ),
    plant("grade-not-read", changed(ITS_GRADE, severity={"text": "Grade 6"}), GRADED, dataset="AE", records="AE+1"),
    plant("ctcae-term-unknown", ITS_GRADE, changed(GRADED, event={"text": "Itching"}), dataset="AE", records="AE+1"),
    plant(
        "seriousness-criterion-unknown", changed(EVENT, seriousness=serious("Serious")), dataset="AE", records="AE+1"
    ),
    plant(
        "seriousness-contradicted",
        changed(EVENT, seriousness=serious("Non-serious", "SeriousIsLifeThreatening")),
        dataset="AE",
        records="AE+1",
    ),
    plant(
        "hospitalisation-suspected",
        changed(STAY, id="@-2"),
        changed(EVENT, encounter={"reference": "Encounter/@-2"}),
        dataset="AE",
        records="AE+1 HO+1",
    ),
    plant(
        "suspect-unresolved",
        changed(
            EVENT,
            suspectEntity=[
                {"instance": {"reference": "Medication/@-9"}, "causality": [{"assessment": {"text": "possible"}}]}
            ],
        ),
        dataset="AE",
        records="AE+1",
    ),
    plant(
        "score-not-on-scale",
        changed(
            LAB,
            code={"coding": [{"system": "http://loinc.org", "code": "89243-0"}]},
            valueQuantity=...,
            valueInteger=75,
        ),
        dataset="RS",
        records="RS+1 SUPPRS+1",
    ),
    plant("death-not-recorded", changed(EVENT, outcome={"text": "fatal"}), dataset="DD", records="AE+1 DD+1 RELREC+2"),
    plant(
        "cause-of-death-unknown",
        changed(PERSON, deceasedDateTime="2024-03-02"),
        dataset="DD",
        records="DM+1-1 DS+1 SE+1-1",
        no_patient=True,
        keyed=False,
    ),
    plant("cause-of-death-several", of="outranked-cause", dataset="DD", keyed="Observation/@-9"),
    plant("stay-without-start", changed(STAY, period=...), dataset="HO", records="HO+1"),
    plant("unit-missing", changed(LAB, valueQuantity={"value": 20}), dataset="LB", records="LB+1"),
    plant(
        "non-ascii",
        changed(
            DRUG,
            medicationCodeableConcept={
                "coding": [{"system": "http://www.whocc.no/atc", "code": "L03AA02"}],
                "text": "非格司亭",
            },
        ),
        dataset="CM",
        records="CM+1",
        keyed=False,
        subject=False,
    ),
    plant("date-missing", changed(LAB, effectiveDateTime=...), dataset="LB", records="LB+1"),
    plant(
        "decimal-as-string",
        changed(LAB, valueQuantity=COUNT | {"value": "20.0"}),
        element="Observation.valueQuantity.value",
        dataset="LB",
        records="LB+1",
    ),
    plant("element-dropped", changed(LAB, method=5), element="Observation.method", dataset="LB", records="LB+1"),
    plant(
        "value-and-absent-reason",
        changed(LAB, dataAbsentReason={"text": "error"}),
        element="Observation.dataAbsentReason",
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "control-character",
        changed(DRUG, medicationCodeableConcept=DRUG["medicationCodeableConcept"] | {"text": "G\u0000CSF"}),
        element="MedicationAdministration.string",
        dataset="CM",
        records="CM+1",
    ),
    plant("number-not-read", changed(LAB, valueQuantity=..., valueString="5-10"), dataset="LB", records="LB+1"),
    plant(
        "range-unit-unknown",
        changed(LAB, referenceRange=[{"low": {"value": 1, "unit": "furlong"}}]),
        dataset="LB",
        records="LB+1",
    ),
    plant(
        "end-unknown",
        changed(DRUG, effectiveDateTime=..., effectivePeriod={"start": EARLIER}),
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "named-by-display",
        changed(
            DRUG,
            medicationCodeableConcept=...,
            medicationReference={"reference": "Medication/@-9", "display": "Filgrastim"},
        ),
        element="MedicationAdministration.medication[x]",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "ingredient-unknown",
        changed(
            DRUG,
            medicationCodeableConcept=...,
            medicationReference={"reference": "#m"},
            contained=[
                {
                    "resourceType": "Medication",
                    "id": "m",
                    "ingredient": [{"itemCodeableConcept": {"text": "Filgrastim"}}, {"strength": {}}],
                }
            ],
        ),
        element="MedicationAdministration.medication[x]",
        dataset="CM",
        records="CM+1",
    ),
    plant(
        "dose-not-single",
        changed(STATEMENT, dosage=[{"doseAndRate": [{"doseQuantity": {"value": n, "unit": "mg"}}]} for n in (5, 6)]),
        dataset="CM",
        records="CM+1",
    ),
    plant("statement-outranked", of="outranked-statement", dataset="CM", keyed="MedicationAdministration/@-1"),
    plant(
        "possible-double",
        changed(DRUG, medicationCodeableConcept=A_TRANSFUSION),
        {
            "resourceType": "Procedure",
            "id": "@-2",
            "status": "completed",
            "code": {"coding": [{"system": "http://snomed.info/sct", "code": "12719002"}], "text": "Platelets given"},
            "subject": MINE,
            "performedDateTime": EARLIER,
        },
        dataset="CM",
        records="CM+2",
    ),
    plant(
        "element-out-of-order",
        dataset="SE",
        records="DM+1-1 DS+2-2 LB+1-1 SE+2-2 SV+1-1",  # consent after the treatment began
        keyed=False,
        log=TREATED,
        told={"consent_date": "2024-01-04"},
    ),
    plant("visit-out-of-order", of="element-out-of-order", dataset="SV", keyed="Observation/@-02"),
    plant("consent-differs", CONSENT, changed(CONSENT, id="@-2", dateTime=EARLIER), dataset="DS", records="DS+1"),
    plant(
        "death-contradicted",
        CAUSE,
        changed(PERSON, deceasedDateTime="2024-03-02", deceasedBoolean=False),
        dataset="DM",
        records="DD+1 DM+1-1 DS+1 SE+1-1",
        no_patient=True,
    ),
    plant(
        "death-before-last-fact",
        CAUSE,
        changed(PERSON, deceasedDateTime="2024-01-01"),  # the day before randomisation
        dataset="DS",
        records="DD+1 DM+1-1 DS+2-1 LB+2-2 SE+1-3 SV-14",  # taking part ended before treatment could begin
        no_patient=True,
        log=TREATED,
    ),
    plant(
        "death-only-in-log",
        dataset="DS",
        records="DM+1-1 DS+1 SE+1-1",
        keyed=False,
        told={"withdrawal_date": "2024-03-02", "withdrawal_reason": "died"},
    ),
    plant(
        "disposition-unmapped",
        dataset="DS",
        records="DM+1-1 DS+1 SE+1-1",
        keyed=False,
        told={"withdrawal_date": "2024-03-02", "withdrawal_reason": "moved"},
    ),
    plant(
        "disposition-unknown",
        dataset="DS",
        records="DS-1 DV+1 SUPPDV+1",  # without it nothing excuses that three infusions are missing
        keyed=False,
        log=TREATED,
        told=dict.fromkeys(LEFT, ""),
    ),
    plant("criterion-unknown", dataset="IE", keyed=False, log=TREATED, told={"ie_EXCL08": ""}),
    plant("criterion-contradicted", dataset="IE", keyed=False, log=TREATED, told={"ie_INCL02": "N"}),
    plant(
        "value-implausible",
        changed(LAB, valueQuantity=COUNT | {"value": 60000}),
        dataset="ADLB",
        records="LB+1",
        keyed=False,
    ),
    plant(
        "analysis-date-partial",
        changed(DRUG, medicationCodeableConcept=A_TRANSFUSION, effectiveDateTime="2024-01"),
        dataset="ADRS",
        records="CM+1",
        keyed=False,
    ),
    plant("date-imputed", of="death-date-unknown", dataset="ADSL", keyed=False),
    plant("origin-unknown", of="transplant-after-randomisation", dataset="ADSL", keyed=False),
    plant(
        "transplant-after-randomisation",
        changed(GRAFT, id="@-had", performedDateTime=EARLIER, meta={"versionId": "2"}),  # the one before is corrected
        dataset="ADSL",
        records="LB+1-1 PR+1-1 SV+1-11",  # without a transplant no visit is counted from it
        keyed=False,
        log=TREATED,
        dropped=("Procedure superseded-version",),
    ),
    plant("event-before-origin", of="death-before-last-fact", dataset="ADTTE", keyed=False),
    plant("duplicate-key", DRUG, changed(DRUG, id="@-2"), dataset="CM", records="CM+2", keyed=False),
)
