"""The decoding ladder below its first step: what is done with a line that does not decode at once, or must not be used.

1. No JSON object: one reject with its place, never its content.
2. About nobody in the trial: counted, and nothing else.
3. A key that stands twice, or a modifier inside an element: rejected.
4. Element by element (adapter.intake.mend): what has a wrong type is left out and noted where the record has a meaning
   without it; else the record is rejected, or that component of it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from adapter.intake.keys import Held, Struct, all_values, held, values_of
from adapter.intake.mend import NULL, WRONG, Droppable, mended
from adapter.intake.reading import UNREADABLE, Reading, Reject
from adapter.intake.structs import Component, Reference, Specimen
from adapter.intake.taken import RejectLine, Taken

_elements = msgspec.json.Decoder(dict[str, Raw]).decode
_entries = msgspec.json.Decoder(list[Raw]).decode
_reference = msgspec.json.Decoder(Reference | None).decode
_text = msgspec.json.Decoder(str).decode
SOMEBODY_ELSE = Raw(b'{"reference":"Group/none"}')
"""A subject that is no subject of the trial, where who it is cannot be told from a line that says it twice."""

OWNER = {"Patient": ("id",), "Consent": ("patient",), "ResearchSubject": ("individual", "subject")}
"""The elements that say whose a resource is, the first that is there, where that is not `subject`."""

OPTIONAL: dict[str, frozenset[str]] = {
    "Observation": frozenset(["meta", "issued"]),
    "MedicationAdministration": frozenset(
        ["meta", "statusReason", "reasonCode", "supportingInformation", "extension", "dosage.text", "dosage.route"]
    ),
    "MedicationStatement": frozenset(["meta", "statusReason", "reasonCode", "extension", "dateAsserted"]),
    "Procedure": frozenset(["meta", "statusReason", "reasonCode", "bodySite", "usedCode", "extension"]),
    # without its extensions a grade, without its stages a grade of GVHD would be missing: those are no optional elements
    "Condition": frozenset(["meta", "category", "bodySite", "encounter", "note"]),
    "AdverseEvent": frozenset(["meta", "category", "encounter", "detected", "recordedDate", "note"]),
    "Encounter": frozenset(["meta", "serviceType", "reasonCode", "statusHistory", "location", "hospitalization"]),
    "Patient": frozenset(["meta", "identifier", "active", "gender", "birthDate", "extension"]),
}
"""Elements that may be left out where their type is wrong. Without any other the record would say something else: a wrong
value or date must not become none, a wrong dose must not make an administration one that was not given. The elements
of an Observation that are kept raw say for themselves (adapter.intake.observation). Other types have none: nobody would
be told."""


def second_look(
    kind: str, struct: Struct | None, line: bytes, e: Exception, taken: Taken, read: Reading, reject: RejectLine
) -> Any | None:
    """Return what can be used of a line that was not usable at once, None where nothing is; that is counted and told here.

    struct: the elements that are read of the type, None where it is not read. e: what stopped the first look. reject:
    the reject so far. What was left out stands in `read.notes`, components that cannot be used in `read.parts`.
    """
    kind = kind or "(none)"
    try:
        elements = _elements(line)
        if not isinstance(e, msgspec.ValidationError):
            raise e
        found = e if isinstance(e, Held) else held(struct, line) if struct else None
        owners = _owners(kind, elements, line, found, read)
        own = _own_id(elements) if found is None or found.where != "id" else ""
        if owners == {None}:
            if kind == "Specimen" and own:  # whose its results are must not be forgotten (fhir-input point 16)
                return Specimen(id=own, subject=SOMEBODY_ELSE)
            taken.read[kind] += 1
            taken.dropped[kind, "not-a-subject"] += 1
            return None
        if own and struct is not None and len(owners) == 1 and not owners.isdisjoint(read.subjects):
            reject = reject._replace(rid=read.keyer.keyed(f"{kind}/{own}"))
        if found is not None:
            raise Reject(found.reason, found.where)
        if struct is not None:
            return _mended(kind, struct, elements, read.notes, read.parts)
        raise Reject(WRONG, _where(e))
    except Reject as r:
        reject = reject._replace(reason=r.reason, where=r.where)
    except UNREADABLE:
        reject = reject._replace(reason="json-broken", rid=None)
    read.notes.clear()
    read.parts.clear()
    taken.read[kind] += 1
    taken.dropped[kind, reject.reason] += 1
    taken.rejects.append(reject)
    return None


def _owners(kind: str, elements: dict[str, Raw], line: bytes, found: Held | None, read: Reading) -> set[bytes | None]:
    """Return whose the resource is (Reading.owner); empty where nobody is named. Raises Reject where that is unreadable.

    Where it is said twice, everybody who is named: a resource is a stranger's only if all of them are strangers.
    """
    names = OWNER.get(kind, ("subject", "patient", "individual"))
    name = next((n for n in names if n in elements), names[0])
    if name not in elements:
        return set()
    try:
        if kind == "Patient":
            named: list[Reference | None] = [
                Reference(f"Patient/{i}") for i in values_of(line, name) if isinstance(i, str)
            ]
        elif found is not None and found.where.partition(".")[0] == name:
            texts = [r for v in values_of(line, name) if isinstance(v, dict) for r in all_values(v, "reference")]
            named = [Reference(r) for r in texts if isinstance(r, str)]
        else:
            named = [_reference(elements[name])]
    except msgspec.ValidationError:
        raise Reject(WRONG, name) from None
    return {read.owner(r) for r in named}


def _own_id(elements: dict[str, Raw]) -> str:
    try:
        return _text(elements["id"]) if "id" in elements else ""
    except UNREADABLE:
        return ""


def _where(e: Exception) -> str:
    # msgspec names the element (`$.status`) and the types, never the value
    return str(e).rpartition("$")[2].strip("`. ") if "$" in str(e) else ""


def usable(kind: str, struct: Struct, line: bytes) -> Any | None:
    """Return what intake will use of a line, None where it will reject it; nothing is told here.

    For identification, which must know the same patients. Raises DecodeError for broken JSON.
    """
    if held(struct, line) is not None:
        return None
    try:
        return msgspec.json.decode(line, type=struct)
    except msgspec.ValidationError:
        pass
    try:
        return _mended(kind, struct, _elements(line), [], [])
    except Reject:
        return None


def _mended(kind: str, struct: Struct, elements: dict[str, Raw], notes: list[str], parts: list[tuple[str, str]]) -> Any:
    """Return the resource without the elements of a wrong type. Raises Reject, and DecodeError for broken JSON."""
    optional = OPTIONAL.get(kind, frozenset())

    def droppable(where: str) -> bool:
        return any(f"{where}.".startswith(f"{name}.") for name in optional)

    components = None
    if kind == "Observation" and "component" in elements:
        components = _components(bytes(elements.pop("component")), droppable, notes, parts)
    values = {}
    for f in msgspec.structs.fields(struct):
        if f.encode_name in elements:
            raw = bytes(elements[f.encode_name])
            found = mended(raw, f.type, f.encode_name, droppable, notes)
            if found is not None:
                values[f.name] = found
    if components is not None:
        values["component"] = components
    return struct(**values)


def _components(
    raw: bytes, droppable: Droppable, notes: list[str], parts: list[tuple[str, str]]
) -> list[Component | None] | None:
    """Return the components, None in the place of each that cannot be used: it is told on its own (`parts`)."""
    if raw == NULL:
        return None
    try:
        entries = _entries(raw)
    except msgspec.ValidationError:
        raise Reject(WRONG, "component") from None
    found: list[Component | None] = []
    for i, entry in enumerate(entries):
        where = f"component[{i}]"
        if bytes(entry) == NULL:
            notes.append(f"element-dropped@{where}")
            found.append(None)
            continue
        own: list[str] = []
        try:
            found.append(mended(bytes(entry), Component, where, droppable, own))
            notes += own
        except Reject as r:
            parts.append((r.reason, r.where))
            found.append(None)
    return found
