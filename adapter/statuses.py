"""What the FHIR status of a resource says: whether it may be used, and whether it proves that the subject was there.

Statuses that stand nowhere here may be used. What was done of an event that was stopped or is on hold, and what was not
done, is for the domains to say (mappings.parts.not_given).
"""

from __future__ import annotations

ERROR = {"entered-in-error": "status-entered-in-error"}
UNKNOWN = {"unknown": "status-unknown"}
EVENT = {**ERROR, **UNKNOWN, "preparation": "status-planned"}
RESULT = {
    **ERROR,
    **UNKNOWN,
    "cancelled": "status-cancelled",
    "registered": "status-not-final",
    "preliminary": "status-not-final",
}

STATUS: dict[str, dict[str, str]] = {
    "Observation": RESULT,
    # of the results that the report contains; what its own status does stands in adapter.intake.reports
    "DiagnosticReport": RESULT,
    "MedicationAdministration": EVENT,
    "Procedure": EVENT,
    # active, completed, stopped and on-hold say that it was taken, as does `recorded` of R5
    "MedicationStatement": {
        **ERROR,
        **UNKNOWN,
        "intended": "status-planned",
        "draft": "status-planned",
        "not-taken": "not-done",
    },
    "SupplyDelivery": {**ERROR, **UNKNOWN, "in-progress": "status-planned", "abandoned": "status-cancelled"},
    # only what was handed over (issued) can have been given
    "BiologicallyDerivedProductDispense": {
        **ERROR,
        **UNKNOWN,
        "preparation": "status-planned",
        "in-progress": "status-planned",
        "allocated": "status-planned",
        "unfulfilled": "status-cancelled",
        "returned": "status-cancelled",
    },
    "Specimen": ERROR,
    "Consent": {**ERROR, "draft": "status-planned", "proposed": "status-planned"},
    # verificationStatus: what is not confirmed is held back, what was refuted never was
    "Condition": {
        **ERROR,
        "refuted": "status-refuted",
        "unconfirmed": "status-not-confirmed",
        "provisional": "status-not-confirmed",
        "differential": "status-not-confirmed",
    },
    # actuality, and the status of R5
    "AdverseEvent": {**ERROR, **UNKNOWN, "potential": "status-potential"},
    "Encounter": {**ERROR, **UNKNOWN, "planned": "status-planned", "cancelled": "status-cancelled"},
}
"""FHIR status -> why a resource with it is not used (fhir-input points 1, 4 and 16)."""

NO_PROOF = frozenset(["entered-in-error", "cancelled", "unknown", "registered", "preparation", "not-done", "planned"])
"""Statuses that do not show that the subject was there on the day; `on-hold` does where a part was given."""

FINISHED = ("completed", "final", "amended", "corrected", "finished", "discharged")
"""Statuses that show that the subject was there at the end."""

CLINICAL = (
    "Observation",
    "DiagnosticReport",
    "MedicationAdministration",
    "MedicationStatement",
    "Procedure",
    "SupplyDelivery",
    "BiologicallyDerivedProductDispense",
    "Patient",
    "Consent",
    "Condition",
    "AdverseEvent",
    "Encounter",
)
"""Resource types whose dates make the default data cut; a ResearchSubject's period may end in plans."""

PROOFS = frozenset({"Observation", "DiagnosticReport", "MedicationAdministration", "Procedure", "Encounter"})
"""Resource types that show that the subject was seen or alive (protocol §6): result, administration, procedure, stay.

What somebody states was taken, and what a blood bank gave out, do not.
"""
