"""The closed list of reasons why something that came in was not used, or was used and needs a human.

`drop`   counted only; says nothing is wrong with the resource (exit code 0)
`reject` written to rejects.ndjson without content; the build ends with exit code 3
`issue`  the record is used; a line in data-issues.csv asks a human to look
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Reason(NamedTuple):
    kind: Literal["drop", "reject", "issue"]
    meaning: str


REASONS: dict[str, Reason] = {
    # drops
    "not-a-subject": Reason("drop", "the patient is in neither the enrolment log nor a ResearchSubject"),
    "no-fhir-file": Reason("drop", "a JSON file without resourceType, such as the manifest of a bulk export"),
    "another-server": Reason("drop", "the resource comes from a server that is not the hospital's own (site.toml)"),
    "deletion-entry": Reason("drop", "a Bundle entry that deletes a resource"),
    "deleted-by-hospital": Reason("drop", "the hospital has deleted the resource since"),
    "type-not-read": Reason("drop", "no domain reads this resource type"),
    "duplicate-copy": Reason("drop", "an identical copy of a resource that was read already"),
    "duplicate-result": Reason("drop", "the same result once more under another id (interface replay)"),
    "superseded-version": Reason("drop", "a newer version of the same resource exists"),
    "status-entered-in-error": Reason("drop", "the hospital withdrew the record"),
    "status-cancelled": Reason("drop", "the event or test was cancelled"),
    "status-unknown": Reason("drop", "the hospital does not know whether the event took place"),
    "status-not-final": Reason("drop", "preliminary or registered result, which the trial does not allow"),
    "status-planned": Reason("drop", "the event has not begun (preparation, on hold without a dose given)"),
    "not-done": Reason("drop", "the event did not take place, and its domain records given events only"),
    "about-somebody-else": Reason(
        "drop", "by its focus, Specimen or own subject the record is about a donor, a lot or a relative"
    ),
    "no-proof-of-intake": Reason("drop", "a request, a dispense or a delivery does not prove that anything was taken"),
    "outranked-statement": Reason(
        "drop", "a MedicationStatement of what MedicationAdministrations of that time record"
    ),
    "outranked-cause": Reason("drop", "a cause of death that was recorded before another one"),
    "nothing-taken": Reason("drop", "a statement that no medication is taken"),
    "no-own-results": Reason(
        "drop", "the report contains no result of its own; those it names are read where they stand"
    ),
    "after-data-cut": Reason("drop", "dated after the data cut"),
    "after-withdrawal": Reason("drop", "dated after the subject withdrew consent"),
    "unmapped-code": Reason("drop", "no code map knows the code; listed in unmapped.csv"),
    "code-ignored": Reason("drop", "the site's codes.csv says that nobody needs the code (map_to = ignore)"),
    "domain-not-built": Reason("drop", "the code belongs to a domain that this version does not produce"),
    "panel-without-value": Reason("drop", "a panel that only groups other results"),
    "no-result": Reason("drop", "the result is absent and no reason is given"),
    "not-needed": Reason("drop", "read, but nothing in this trial's datasets comes from it"),
    "status-refuted": Reason("drop", "the diagnosis was refuted"),
    "status-not-confirmed": Reason("drop", "the diagnosis is provisional, differential or unconfirmed: held back"),
    "status-potential": Reason("drop", "an adverse event that could have happened, and did not (actuality)"),
    "adverse-event-candidate": Reason(
        "drop", "a Condition after consent that no AdverseEvent names; listed as a candidate"
    ),
    "relapse-not-dated": Reason("drop", "a relapse that neither onset nor recordedDate puts after the transplant"),
    "not-an-admission": Reason("drop", "an Encounter that is no stay in hospital: outpatient, home, virtual"),
    "part-of-stay": Reason("drop", "a part of a stay in hospital that is told by the whole stay"),
    # rejects
    "file-cut-short": Reason("reject", "the file breaks off or is damaged there; everything before it was read"),
    "deletion-not-applied": Reason("reject", "a Bundle entry deletes by a search, which only the server could answer"),
    "json-broken": Reason("reject", "the line is not a JSON object"),
    "element-wrong-type": Reason("reject", "an element has another JSON type than FHIR gives it"),
    "element-twice": Reason("reject", "an element stands twice with different content; which one holds is not known"),
    "comparator-unknown": Reason("reject", "the comparator of a value is none of <, <=, >=, >"),
    "no-resource-type": Reason("reject", "the object has no resourceType"),
    "no-id": Reason("reject", "the resource has no id, so it cannot be followed through versions"),
    "no-subject": Reason("reject", "the resource names no patient"),
    "subject-unresolved": Reason("reject", "the patient is named by an identifier that nobody or several bear"),
    "no-status": Reason("reject", "the status is missing or is no FHIR status"),
    "held-back-modifier": Reason("reject", "modifierExtension or implicitRules may change the meaning"),
    "two-values": Reason("reject", "more than one value[x] is filled"),
    "decimal-malformed": Reason("reject", "a Quantity value is not a FHIR decimal"),
    "no-code": Reason("reject", "neither a coding nor a text says what the record is about"),
    "medication-not-found": Reason("reject", "what it refers to did not come in, and nothing else names the drug"),
    "product-not-administered": Reason("reject", "only an administration proves exposure to a trial product"),
    "result-not-found": Reason("reject", "the report names a contained result that it does not contain"),
    "result-not-named": Reason("reject", "the report contains an Observation, but does not name it as its result"),
    "value-type-not-read": Reason("reject", "the value is of a type that no domain reads, or half a Ratio"),
    "decimals-not-declared": Reason("reject", "the code table names no decimals for a test whose result is converted"),
    "unit-unknown": Reason("reject", "the unit is in no unit table"),
    "unit-not-convertible": Reason("reject", "the unit cannot be converted to the test's standard unit"),
    # issues
    "date-malformed": Reason("issue", "a date is not a FHIR date; it was left empty"),
    "date-in-future": Reason("issue", "dated more than a day after the resource was last updated"),
    "date-missing": Reason("issue", "nothing dates the result, or the hospital says that the time is not known"),
    "date-from-issued": Reason("issue", "only `issued` dates the result; the collection time is unknown"),
    "end-before-start": Reason("issue", "the end is before the start"),
    "end-after-cut": Reason("issue", "the end lies after the data cut and was left empty"),
    "death-after-cut": Reason("issue", "the death lies after the data cut and was left out"),
    "end-unknown": Reason("issue", "it is over, but no end is given; the end was left empty"),
    "named-by-display": Reason("issue", "the Medication referred to did not come in; the reference's display names it"),
    "ingredient-unknown": Reason("issue", "an ingredient of a mixture has neither code nor name; it was left out"),
    "dose-not-single": Reason("issue", "several doses, or one with a comparator: kept as text, no number"),
    "statement-outranked": Reason("issue", "a MedicationStatement of the same substance and time was left out"),
    "possible-double": Reason("issue", "another resource type reports the same blood product for that day"),
    "clinical-status-unknown": Reason("issue", "clinicalStatus is no FHIR status; what it says was left out"),
    "actuality-unknown": Reason("issue", "the AdverseEvent does not say that it took place; taken as an actual one"),
    "date-from-history": Reason("issue", "no period: the Encounter is dated by its statusHistory"),
    "condition-not-reported": Reason("issue", "a Condition that no AdverseEvent names: a candidate for one"),
    "relapse-date-unknown": Reason(
        "issue", "neither onset nor recordedDate of a relapse is after the transplant; no event"
    ),
    "relapse-date-recorded": Reason("issue", "the onset is not after the transplant: recordedDate dates the relapse"),
    "onset-unknown": Reason("issue", "the start is not known: whether it was after consent is not either"),
    "event-kind-unknown": Reason("issue", "GVHD of which it is not told whether it is acute or chronic"),
    "grade-not-read": Reason(
        "issue", "the grade is none of CTCAE (1 to 5), or the text holds several; it was left empty"
    ),
    "ctcae-term-unknown": Reason("issue", "a grade of a term that the sponsor's list of CTCAE terms does not have"),
    "seriousness-criterion-unknown": Reason("issue", "serious, but no criterion is given"),
    "seriousness-contradicted": Reason("issue", "reported as not serious, but a criterion of seriousness is met"),
    "hospitalisation-suspected": Reason("issue", "an admission on or after its start, not said to be for this event"),
    "suspect-unresolved": Reason("issue", "what is suspected of the event is neither a trial product nor a known drug"),
    "score-not-on-scale": Reason("issue", "the score is no point of its scale; no standard result"),
    "cause-of-death-unknown": Reason("issue", "the subject is dead; no record tells the cause"),
    "death-not-recorded": Reason("issue", "an event was fatal, but the Patient is not recorded as dead"),
    "cause-of-death-several": Reason("issue", "several records tell a cause of death; the last one stands as primary"),
    "stay-without-start": Reason("issue", "a stay in hospital without a start"),
    "dose-unit-unknown": Reason("issue", "the dose's unit is in no unit table or cannot be a dose of the product"),
    "dose-weight-missing": Reason("issue", "a total dose cannot be given per kg: no weight on or before the day"),
    "stopped-without-dose": Reason("issue", "stopped, with neither dose, rate nor period: recorded as not given"),
    "decimal-dropped": Reason("issue", "a secondary number (dose, range limit) is no FHIR decimal; left empty"),
    "subset-only": Reason("issue", "only a part of the resource came in (SUBSETTED); what is missing is not known"),
    "decimal-as-string": Reason("issue", "a number was sent as a JSON string; it was used, digit for digit"),
    "element-dropped": Reason("issue", "an element that the record can do without has a wrong type; it was left out"),
    "value-and-absent-reason": Reason(
        "issue", "a result with a value and a reason why it has none; the value was used"
    ),
    "control-character": Reason("issue", "a text holds control characters; each became a blank"),
    "version-tie": Reason("issue", "two versions cannot be ordered by lastUpdated or versionId and differ"),
    "death-date-unknown": Reason("issue", "the patient is dead; the date is not known"),
    "age-unknown": Reason("issue", "age at consent cannot be computed from the dates given"),
    "no-patient-resource": Reason("issue", "the subject is in the log, but no Patient resource came in"),
    "actual-arm-differs": Reason("issue", "the treatment given is not that of the randomised arm"),
    "not-in-codelist": Reason("issue", "the value is no term of a codelist that cannot be extended"),
    "unit-missing": Reason("issue", "a number without a unit where the test needs one; no standard result"),
    "number-not-read": Reason("issue", "a text with digits where the test has a number; it stays a text"),
    "range-unit-unknown": Reason(
        "issue", "the unit of a reference range is in no unit table; its limits were left out"
    ),
    "non-ascii": Reason("issue", "the value is not ASCII; listed once with the number of its records"),
    "element-out-of-order": Reason("issue", "by its rule an element begins before the one ahead of it in the plan"),
    "visit-out-of-order": Reason("issue", "a visit took place before one that is planned ahead of it had ended"),
    "consent-differs": Reason("issue", "a Consent to research has another day than the enrolment log"),
    "death-contradicted": Reason("issue", "deceasedBoolean is false, but there is a date of death; the date counts"),
    "death-before-last-fact": Reason("issue", "something that shows the subject alive is dated after the death"),
    "death-only-in-log": Reason("issue", "the enrolment log says that the subject died, the Patient resource does not"),
    "disposition-unmapped": Reason("issue", "a reason of the enrolment log is in no row of dispositions.csv"),
    "disposition-unknown": Reason("issue", "study treatment ended before it was completed, and nothing says why"),
    "criterion-unknown": Reason("issue", "neither the data nor the enrolment log decide an eligibility criterion"),
    "criterion-contradicted": Reason("issue", "data and enrolment log disagree on an eligibility criterion"),
    "value-implausible": Reason("issue", "a result is physiologically impossible; it is in LB, but not analysed"),
    "analysis-date-partial": Reason(
        "issue", "a date that a derivation needs is not known to the day; every day that it may mean was taken"
    ),
    "date-imputed": Reason("issue", "a date that is not known to the day was completed for analysis"),
    "origin-unknown": Reason("issue", "what analysis counts from is not known; not evaluable, no time to event"),
    "transplant-after-randomisation": Reason("issue", "a transplant after randomisation, and none before it"),
    "event-before-origin": Reason("issue", "a death before the day that is counted from; it was not taken as an event"),
    "duplicate-key": Reason("issue", "another record has the same keys"),
}


def kind_of(code: str) -> str:
    return REASONS[code].kind
