"""Code systems and codes: every spelling met in hospitals leads to one, and nothing else does."""

from __future__ import annotations

import pytest

from adapter.systems import canonical_code, canonical_system, is_loinc

LOINC, SNOMED, ATC = "http://loinc.org", "http://snomed.info/sct", "http://www.whocc.no/atc"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10, ICD10_CM, ICD9_CM = (f"http://hl7.org/fhir/sid/icd-{x}" for x in ("10", "10-cm", "9-cm"))
ICD10_GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
THO = "http://terminology.hl7.org/CodeSystem/"


@pytest.mark.parametrize(
    ("spelling", "system"),
    [
        ("http://loinc.org", LOINC), ("https://loinc.org/", LOINC), ("HTTP://LOINC.ORG", LOINC), ("http://www.loinc.org", LOINC),
        (" http://loinc.org ", LOINC), ("http://loinc.org|2.77", LOINC), ("http://loinc.org/2.77", LOINC), ("LN", LOINC),
        ("LOINC", LOINC), ("loinc.org", LOINC), ("2.16.840.1.113883.6.1", LOINC), ("URN:OID:2.16.840.1.113883.6.1", LOINC),
        ("http://snomed.info/sct/900000000000207008/version/20240101", SNOMED), ("http://snomed.info/xsct/21000210109", SNOMED),
        ("http://snomed.info/sct|http://snomed.info/sct/32506021000036107", SNOMED), ("SCT", SNOMED),
        ("urn:oid:2.16.840.1.113883.6.96", SNOMED),
        ("urn:oid:2.16.840.1.113883.6.73", ATC), ("http://fhir.de/CodeSystem/bfarm/atc", ATC), ("ATC", ATC),
        ("urn:oid:2.16.840.1.113883.6.88", RXNORM), ("RXNORM", RXNORM), ("https://www.nlm.nih.gov/research/umls/rxnorm/", RXNORM),
        ("urn:oid:2.16.840.1.113883.6.3", ICD10), ("I10", ICD10), ("urn:oid:2.16.840.1.113883.6.90", ICD10_CM),
        ("http://hl7.org/fhir/sid/icd-10-cm|2024", ICD10_CM), ("urn:oid:2.16.840.1.113883.6.103", ICD9_CM),
        ("http://fhir.de/CodeSystem/dimdi/icd-10-gm", ICD10_GM), ("http://fhir.de/CodeSystem/bfarm/icd-10-gm|2024", ICD10_GM),
        ("urn:oid:2.16.840.1.113883.6.69", "http://hl7.org/fhir/sid/ndc"),
        ("urn:oid:2.16.840.1.113883.12.292", "http://hl7.org/fhir/sid/cvx"), ("CVX", "http://hl7.org/fhir/sid/cvx"),
        ("urn:oid:2.16.840.1.113883.12.78", THO + "v2-0078"), ("http://hl7.org/fhir/v2/0078", THO + "v2-0078"),
        ("urn:oid:2.16.840.1.113883.5.83", THO + "v3-ObservationInterpretation"),
        ("http://hl7.org/fhir/v3/NullFlavor", THO + "v3-NullFlavor"),
        ("http://terminology.hl7.org/CodeSystem/v3-NullFlavor", THO + "v3-NullFlavor"),
        # what is nobody's is left as it is
        ("2.16.156.10011.2.3.1.4", "urn:oid:2.16.156.10011.2.3.1.4"), ("urn:oid:2.16.156.999999.4", "urn:oid:2.16.156.999999.4"),
        ("http://snomed.info/scteria", "http://snomed.info/scteria"), ("http://loinc.org.example", "http://loinc.org.example"),
        ("https://hospital.example/Codes/", "https://hospital.example/Codes"), ("", ""),
        ("http://hospital.example/loinc", "http://hospital.example/loinc"),
    ],
)  # fmt: skip
def test_systems(spelling: str, system: str) -> None:
    assert canonical_system(spelling) == system
    assert canonical_system(system) == system


@pytest.mark.parametrize(
    ("system", "spelling", "code"),
    [
        (LOINC, " 777-3 ", "777-3"), (LOINC, "777–3", "777-3"), (LOINC, "７７７－３", "777-3"), (LOINC, "LOINC:777-3", "777-3"),
        (LOINC, "la6576-8", "LA6576-8"), (LOINC, "LN 777-3", "777-3"),
        (ATC, "l03aa02", "L03AA02"), (ATC, "L03 AA 02", "L03AA02"),
        (ICD10, "c920", "C92.0"), (ICD10_CM, "D89.810", "D89.810"), (ICD10_CM, "d89810", "D89.810"),
        (ICD10_GM, "M07.3*", "M07.3"), (ICD10_GM, "L40.5+", "L40.5"), (ICD10, "C92.-", "C92"), (ICD10, "C92", "C92"),
        (SNOMED, " 12719002 ", "12719002"),
        # a hospital's own codes are its own affair
        ("urn:oid:2.16.156.999999.4", " neut# ", "neut#"), ("", "Plt", "Plt"),
    ],
)  # fmt: skip
def test_codes(system: str, spelling: str, code: str) -> None:
    assert canonical_code(system, spelling) == code


def test_loinc_codes_have_a_check_digit() -> None:
    assert [c for c in ("777-3", "89243-0", "1-8") if not is_loinc(c)] == []
    # what a spreadsheet makes of 2345-7 and 2028-9, a wrong digit, no digit, a part
    assert [c for c in ("Jul-45", "2345/7/1", "Sep-28", "777-4", "777", "LP14449-0", "") if is_loinc(c)] == []
