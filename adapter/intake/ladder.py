"""What is done with a line that does not decode as its resource type says: counted, reported, attributed if certain."""

from __future__ import annotations

import msgspec

from adapter.intake.reading import UNREADABLE, Reading
from adapter.intake.structs import ATTRIBUTION, Attribution, Reference
from adapter.intake.taken import RejectLine, Taken

_ID = msgspec.json.Decoder(str)


def report_broken(kind: str, line: bytes, e: Exception, taken: Taken, read: Reading, reject: RejectLine) -> None:
    """Count and report a line that could not be decoded; say whose it is only where that is certain.

    A wrong type in one element leaves the rest readable, so a non-subject's resource can be told and stays unreported.
    """
    kind = kind or "(none)"
    taken.read[kind] += 1
    if not isinstance(e, msgspec.ValidationError) or not line.lstrip().startswith(b"{"):
        taken.dropped[kind, "json-broken"] += 1
        taken.rejects.append(reject)
        return
    rid = None
    try:
        a = ATTRIBUTION.decode(line)
    except UNREADABLE:
        a = None
    own_id = _own_id(a)
    if a is not None:
        name = Reference(reference=f"Patient/{own_id}") if kind == "Patient" else a.subject or a.patient or a.individual
        patient = read.referred(name, "Patient")
        if patient is not None:
            if patient not in read.subjects:
                taken.dropped[kind, "not-a-subject"] += 1
                return
            rid = read.keyer.keyed(f"{kind}/{own_id}") if own_id else None
    # msgspec names the element (`$.status`) and the types, never the value
    where = str(e).rpartition("$")[2].strip("`. ") if "$" in str(e) else ""
    taken.dropped[kind, "element-wrong-type"] += 1
    taken.rejects.append(reject._replace(reason="element-wrong-type", where=where, rid=rid))


def _own_id(a: Attribution | None) -> str:
    try:
        return _ID.decode(a.id) if a is not None and a.id else ""
    except UNREADABLE:
        return ""
