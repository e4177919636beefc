"""Step 2: lines and context -> typed, checked, pseudonymised tables, rejects and counts. Pure: no I/O, no clock.

Every line that comes in is counted: read = kept + dropped by reason. Data of patients who are no subjects end here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from adapter.identify import DECODERS, LOOK_UPS, PREFIX, resource_type
from adapter.intake.bearers import UNRESOLVED
from adapter.intake.keys import TWICE, Held, named, require_single, twice_in
from adapter.intake.ladder import second_look
from adapter.intake.readers import NO_INTAKE, READERS, Reader
from adapter.intake.reading import UNREADABLE, Reading, Reject
from adapter.intake.rows import Rows
from adapter.intake.structs import Reference
from adapter.intake.tables import SUBSETTED, schema_of
from adapter.intake.taken import RejectLine, Taken
from adapter.site import KEYED_BYTES

_REFERENCE = msgspec.json.Decoder(Reference | None)
MOST_OWNERS = 200_000
SPECIMEN = "Specimen"
NONE_GIVEN = frozenset([b"", b"null", b"[]", b'""'])
"""Raw elements that say nothing."""


def intake(lines: Iterable[bytes], read: Reading, buckets: int, file: int, first_line: int, offset: int) -> Taken:
    """Return the tables, rejects, counts and links of some lines of one file.

    lines: with or without their line ends; first_line: number of the first in the file, from 1; offset: its byte offset.
    """
    taken = Taken()
    rows: dict[str, Rows] = {}
    counts, links = taken.read, taken.links
    link_rid, link_name, link_patient = links.rids.append, links.names.append, links.patients.append
    elsewhere: list[tuple[bytes, int]] = []
    owners = read.owners  # patient of a subject element as it is written; None: no subject
    if len(owners) > MOST_OWNERS:  # bounded: a worker lives for many ranges
        owners.clear()
    sha256, keyed = hashlib.sha256, read.keyer.keyed
    usual, kind, reader = b"\0", "", None  # how lines of the latest type begin: a file mostly holds one
    often = False
    for number, whole in enumerate(lines, first_line):
        here = offset
        offset += len(whole)
        noted = parts = None
        line = whole if whole.endswith(b"}\n") else whole.rstrip(b"\r\n") + b"\n"  # one spelling of a line's end
        try:
            if not line.startswith(usual):
                usual, kind, reader = b"\0", "", None
                kind = resource_type(line) or ""
                reader = READERS.get(kind)
                often = kind == "Observation"
                if reader is not None and line.startswith(PREFIX):
                    usual = PREFIX + kind.encode() + b'"'
            if reader is None:
                if kind in LOOK_UPS:
                    DECODERS[kind].decode(line)  # identification passed over what it could not read; here it is told
                _not_read(kind, taken, RejectLine(file, number, here, "no-resource-type", "", "", None))
                continue
            resource = reader.decode(line)
            # two keys of an Observation, found by a letter that is rare elsewhere; of other types every line is looked at
            if not often or line.find(b"Q") != line.rfind(b"Q") or line.find(b"j") != line.rfind(b"j"):
                require_single(reader.struct, line, resource)
            who = reader.subject(resource)
            try:
                patient = owners[who]
            except KeyError:
                if who and (twice := twice_in(who)) is not None:  # of other types than Observation found before
                    raise Held(TWICE, named(f"subject.{twice}")) from None
                patient = owners[who] = read.owner(_REFERENCE.decode(who) if who else None)
        except UNREADABLE as e:
            if not line.strip():
                continue
            told = RejectLine(file, number, here, "json-broken", "", kind, None)
            resource = second_look(kind, reader.struct if reader is not None else None, line, e, taken, read, told)
            if resource is None or reader is None:
                continue
            who = reader.subject(resource)
            patient = read.owner(_REFERENCE.decode(who) if who else None)
            noted, parts = read.take_notes(), read.parts.copy()
            read.parts.clear()
        counts[kind] += 1
        if patient is None:
            taken.dropped[kind, "not-a-subject"] += 1
            if kind == SPECIMEN and resource.id:
                elsewhere.append((keyed(f"{kind}/{resource.id}"), number))
            continue
        if len(patient) < KEYED_BYTES:
            reason = "subject-unresolved" if patient == UNRESOLVED else "no-subject"
            taken.dropped[kind, reason] += 1
            taken.rejects.append(RejectLine(file, number, here, reason, "", kind, None))
            continue
        own = f"{kind}/{resource.id}"
        rid = keyed(own)
        try:
            status = resource.status if reader.has_status else None
            if status not in reader.usual or resource.modifierExtension or resource.implicitRules or not resource.id:
                status = _check(resource, reader)
            meta = resource.meta
            updated = version = None
            if meta is not None:
                version = meta.versionId
                updated = meta.lastUpdated
                if meta.tag is not None and any(t.code == SUBSETTED for t in meta.tag):
                    # a part of a resource (search with _summary or _elements) never takes the place of a whole copy
                    version, updated = SUBSETTED, None
            into = rows.get(kind)
            if into is None:
                into = rows[kind] = reader.rows(read)
            head = (patient, rid, sha256(line).digest()[:16], updated, version, file, number, status)
            refused = into.add(resource, read, head)
            if noted:
                into.note(noted)
        except (Reject, *UNREADABLE) as e:
            read.notes.clear()
            reason, where = (e.reason, e.where) if isinstance(e, Reject) else ("json-broken", "")
            taken.dropped[kind, reason] += 1
            taken.rejects.append(RejectLine(file, number, here, reason, where, kind, rid if resource.id else None))
            continue
        if refused or parts:  # components of a result that is used without them
            found = [*(parts or ()), *(refused or ())]
            taken.rejects += [RejectLine(file, number, here, reason, where, kind, rid) for reason, where in found]
        link_rid(rid)
        link_name(own)
        link_patient(patient)
    tables = {kind: found.table() for kind, found in rows.items()}
    if elsewhere:
        tables[SPECIMEN] = _with_elsewhere(tables.get(SPECIMEN), elsewhere, file)
    for kind, table in tables.items():
        if table is not None:
            taken.tables[kind], taken.groups[kind] = by_bucket(table, buckets)
    return taken


def _not_read(kind: str, taken: Taken, reject: RejectLine) -> None:
    taken.read[kind or "(none)"] += 1
    if not kind:
        taken.dropped["(none)", "no-resource-type"] += 1
        taken.rejects.append(reject)
    elif kind not in LOOK_UPS:
        taken.dropped[kind, "no-proof-of-intake" if kind in NO_INTAKE else "type-not-read"] += 1


def _check(r: Any, reader: Reader) -> str | None:
    """Return the status of a resource that may be used; raise Reject where FHIR forbids to use it."""
    if not r.id:
        raise Reject("no-id", "id")
    if bytes(r.modifierExtension) not in NONE_GIVEN:
        raise Reject("held-back-modifier", "modifierExtension")
    if bytes(r.implicitRules) not in NONE_GIVEN:
        raise Reject("held-back-modifier", "implicitRules")
    if reader.statuses is None:
        return None
    status: str | None = r.status
    if status is not None:
        if status in reader.statuses:
            return status
        # a trailing blank is a known vendor slip, not another status
        if status.strip() in reader.statuses:
            return status.strip()
    if status is None and not reader.strict:
        return None
    raise Reject("no-status", "status")


def _with_elsewhere(table: pa.Table | None, found: list[tuple[bytes, int]], file: int) -> pa.Table:
    """Add rows of Specimens that are of no subject: keyed id and place only, the keyed id also in place of the patient.

    A result of such a specimen is the donor's or a lot's, whoever its subject is (fhir-input point 16), and it may come
    in another file, on another day.
    """
    schema = schema_of(SPECIMEN)
    ids, lines = zip(*found, strict=True)
    filled = {"pat": ids, "rid": ids, "sha": [bytes(KEYED_BYTES)] * len(ids), "line": lines}
    filled |= {"file": [file] * len(ids), "element": [""] * len(ids)}
    arrays = [pa.array(filled.get(f.name, [None] * len(ids)), f.type) for f in schema]
    other = pa.Table.from_arrays(arrays, schema=schema)
    return other if table is None else pa.concat_tables([table.cast(schema), other])


def by_bucket(table: pa.Table, buckets: int) -> tuple[pa.Table, list[tuple[int, int]]]:
    """Return the table sorted by the patient's bucket (first byte of the keyed id), and (bucket, rows) in that order."""
    whole = table.combine_chunks()
    first = whole.column("pat").chunk(0)
    raw = np.frombuffer(first.buffers()[1], dtype=np.uint8)[first.offset * 16 : (first.offset + len(first)) * 16 : 16]
    number = raw % buckets
    found, sizes = np.unique(number, return_counts=True)
    groups = [(int(b), int(n)) for b, n in zip(found, sizes, strict=True)]
    return whole.take(pa.array(np.argsort(number, kind="stable"))), groups


def bucket_of(patient: bytes, buckets: int) -> int:
    """Return the bucket of a keyed patient id; the first byte of an HMAC is spread evenly."""
    return patient[0] % buckets
