"""Code systems: one spelling for each, whether it comes as URI, OID or name, with a version or not; and one for its codes.

URIs: HL7 Terminology (THO) and FHIR R4 "Using Code Systems"; object identifiers: HL7 OID registry; names: HL7 table 0396.
"""

from __future__ import annotations

import re
import unicodedata

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ATC = "http://www.whocc.no/atc"
CPT = "http://www.ama-assn.org/go/cpt"
UCUM = "http://unitsofmeasure.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
NDC = "http://hl7.org/fhir/sid/ndc"
CVX = "http://hl7.org/fhir/sid/cvx"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD10_GM = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
ICD10_PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
ICD9_CM = "http://hl7.org/fhir/sid/icd-9-cm"

# Other spellings met for the same code systems; scheme, `www.`, case and a slash at the end do not matter.
_SPELLINGS: dict[str, tuple[str, ...]] = {
    LOINC: ("2.16.840.1.113883.6.1", "LOINC", "LN"),
    SNOMED: (
        "2.16.840.1.113883.6.96",
        "http://snomed.info/xsct",
        "http://snomed.info",
        "SNOMED CT",
        "SNOMED-CT",
        "SCT",
    ),
    ATC: (
        "2.16.840.1.113883.6.73",
        "http://www.whocc.no/atcddd",
        "http://www.whocc.no/atc_ddd_index",
        "http://fhir.de/CodeSystem/bfarm/atc",
        "http://fhir.de/CodeSystem/dimdi/atc",
        "ATC",
    ),
    CPT: ("2.16.840.1.113883.6.12", "CPT", "CPT-4"),
    UCUM: ("2.16.840.1.113883.6.8", "UCUM"),
    RXNORM: ("2.16.840.1.113883.6.88", "RxNorm"),
    NDC: ("2.16.840.1.113883.6.69", "NDC"),
    CVX: ("2.16.840.1.113883.12.292", "2.16.840.1.113883.6.59", "CVX"),
    ICD10: (
        "2.16.840.1.113883.6.3",
        "2.16.156.10011.2.3.3.11",  # GB/T 14396, the Chinese edition
        "2.16.156.10011.2.3.3.11.3",
        "http://id.who.int/icd/release/10",
        "ICD-10",
        "ICD10",
        "I10",
    ),
    ICD10_CM: ("2.16.840.1.113883.6.90", "ICD-10-CM", "ICD10CM", "I10C"),
    ICD10_GM: ("http://fhir.de/CodeSystem/dimdi/icd-10-gm", "http://hl7.org/fhir/sid/icd-10-de", "ICD-10-GM"),
    ICD10_PCS: ("2.16.840.1.113883.6.4", "http://hl7.org/fhir/sid/icd-10-pcs", "ICD-10-PCS", "I10P"),
    ICD9_CM: (
        "2.16.840.1.113883.6.2",
        "2.16.840.1.113883.6.103",
        "2.16.840.1.113883.6.104",
        "http://hl7.org/fhir/sid/icd-9-cm/diagnosis",
        "http://hl7.org/fhir/sid/icd-9-cm/procedure",
        "ICD-9-CM",
        "ICD9CM",
        "I9C",
    ),
}

# HL7 v3 code systems that are met as object identifiers, 2.16.840.1.113883.5.N; v2 tables have their own rule.
_V3 = {
    "1": "AdministrativeGender",
    "4": "ActCode",
    "14": "ActStatus",
    "83": "ObservationInterpretation",
    "84": "ObservationMethod",
    "111": "RoleCode",
    "112": "RouteOfAdministration",
    "129": "SpecimenType",
    "139": "TimingEvent",
    "1008": "NullFlavor",
    "1022": "GTSAbbreviation",
}
_HL7 = "http://terminology.hl7.org/CodeSystem/"
_V2_TABLE = re.compile(r"2\.16\.840\.1\.113883\.12\.(\d{1,4})")
_V3_SYSTEM = re.compile(r"2\.16\.840\.1\.113883\.5\.(\d{1,4})")
# http://hl7.org/fhir/v2/0203 and http://hl7.org/fhir/v3/NullFlavor are the STU3 spellings
_STU3 = re.compile(r"https?://(?:www\.)?hl7\.org/fhir/(v[23])/([\w-]+)", re.IGNORECASE)
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*)){3,}")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−﹣－", "-"))
_ICD_WITH_DOT = frozenset([ICD10, ICD10_CM, ICD10_GM])
_WITHOUT_CASE = frozenset([LOINC, ATC, ICD10, ICD10_CM, ICD10_GM, ICD10_PCS, ICD9_CM])


def _bare(uri: str) -> str:
    """Return a URI or name as it is compared: no scheme, `www.`, slash at the end, and in lower case."""
    return re.sub(r"^(https?://)?(www\.)?", "", uri.lower()).rstrip("/")


_INDEX = {_bare(s): uri for uri, spellings in _SPELLINGS.items() for s in (uri, *spellings)}
_VERSIONED = re.compile(r"/v?\d+(\.\d+)*$")


def canonical_system(uri: str) -> str:
    """Return one spelling of a code system; an unknown one as it is, without blanks and slash at the end.

    `http://loinc.org|2.77`, `https://LOINC.org/`, `urn:oid:2.16.840.1.113883.6.1` and `LN` are all http://loinc.org;
    editions of SNOMED CT are SNOMED CT.
    """
    text = uri.strip().partition("|")[0].strip().rstrip("/")
    bare = text.lower().removeprefix("urn:oid:")
    if _OID.fullmatch(bare):
        return _of_oid(bare)
    found = _INDEX.get(_bare(text)) or _INDEX.get(_VERSIONED.sub("", _bare(text)))
    if found is not None:
        return found
    if re.match(r"(https?://)?(www\.)?snomed\.info/(x?sct)(/|$)", text.lower()):  # editions and versions are path parts
        return SNOMED
    old = _STU3.fullmatch(text)
    if old is not None:
        return f"{_HL7}{old[1].lower()}-{old[2]}"
    return text


def _of_oid(oid: str) -> str:
    known = _INDEX.get(oid)
    if known is not None:
        return known
    table = _V2_TABLE.fullmatch(oid)
    if table is not None:
        return f"{_HL7}v2-{table[1].zfill(4)}"
    system = _V3_SYSTEM.fullmatch(oid)
    if system is not None and system[1] in _V3:
        return f"{_HL7}v3-{_V3[system[1]]}"
    return f"urn:oid:{oid}"


def canonical_code(system: str, code: str) -> str:
    """Return one spelling of a code of a system in its canonical spelling: the published one where it is known.

    A code of a hospital's own system loses the blanks around it and nothing else. LOINC: any dash, a `LOINC` in front;
    ICD-10: the dot after three characters, without the marks that hospitals add (dagger, asterisk, exclamation mark).
    """
    if system not in _WITHOUT_CASE:
        return code.strip()
    text = "".join(unicodedata.normalize("NFKC", code).translate(_DASHES).upper().split())
    if system == LOINC:
        return re.sub(r"^(LOINC|LN)[:#-]?", "", text)
    if system in _ICD_WITH_DOT:
        text = text.rstrip("+*!†-.")
        return text if "." in text or len(text) < 4 else f"{text[:3]}.{text[3:]}"
    return text


def is_loinc(code: str) -> bool:
    """Return whether a code has the form of a LOINC code, with its check digit (mod 10, as LOINC defines it)."""
    if not re.fullmatch(r"[1-9]\d{0,6}-\d", code):
        return False
    body, check = code.split("-")
    doubled = [int(d) * (2 if i % 2 == 0 else 1) for i, d in enumerate(reversed(body))]
    return (10 - sum(n // 10 + n % 10 for n in doubled) % 10) % 10 == int(check)
