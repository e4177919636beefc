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
from adapter.intake.ladder import report_broken
from adapter.intake.readers import READERS, Reader
from adapter.intake.reading import UNREADABLE, Reading, Reject, identity
from adapter.intake.rows import Rows
from adapter.intake.structs import Reference
from adapter.intake.taken import RejectLine, Taken

_REFERENCE = msgspec.json.Decoder(Reference)
MOST_OWNERS = 200_000


def intake(lines: Iterable[bytes], read: Reading, buckets: int, file: int, first_line: int, offset: int) -> Taken:
    """Return the tables, rejects, counts and links of some lines of one file.

    lines: with or without their line ends; first_line: number of the first in the file, from 1; offset: its byte offset.
    """
    taken = Taken()
    rows: dict[str, Rows] = {}
    counts, links = taken.read, taken.links
    link_rid, link_name, link_patient = links.rids.append, links.names.append, links.patients.append
    owners = read.owners  # patient of a subject element as it is written; None: no subject
    if len(owners) > MOST_OWNERS:  # bounded: a worker lives for many ranges
        owners.clear()
    sha256, keyed = hashlib.sha256, read.keyer.keyed
    usual, kind, reader = b"\0", "", None  # how lines of the latest type begin: a file mostly holds one
    for number, whole in enumerate(lines, first_line):
        here = offset
        offset += len(whole)
        line = whole if whole.endswith(b"}\n") else whole.rstrip(b"\r\n") + b"\n"  # one spelling of a line's end
        try:
            if not line.startswith(usual):
                usual, kind, reader = b"\0", "", None
                kind = resource_type(line) or ""
                reader = READERS.get(kind)
                if reader is not None and line.startswith(PREFIX):
                    usual = PREFIX + kind.encode() + b'"'
            if reader is None:
                if kind in LOOK_UPS:
                    DECODERS[kind].decode(line)  # identification passed over what it could not read; here it is told
                _not_read(kind, taken, RejectLine(file, number, here, "no-resource-type", "", "", None))
                continue
            resource = reader.decode(line)
            who = reader.subject(resource)
            try:
                patient = owners[who]
            except KeyError:
                patient = owners[who] = _owner(who, read)
        except UNREADABLE as e:
            if line.strip():
                report_broken(kind, line, e, taken, read, RejectLine(file, number, here, "json-broken", "", kind, None))
            continue
        counts[kind] += 1
        if patient is None:
            taken.dropped[kind, "not-a-subject"] += 1
            continue
        if not patient:
            taken.dropped[kind, "no-subject"] += 1
            taken.rejects.append(RejectLine(file, number, here, "no-subject", "", kind, None))
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
            into = rows.get(kind)
            if into is None:
                into = rows[kind] = reader.rows(read)
            into.add(resource, read, (patient, rid, sha256(line).digest()[:16], updated, version, file, number, status))
        except Reject as e:
            read.notes.clear()
            taken.dropped[kind, e.reason] += 1
            told = rid if resource.id else None
            taken.rejects.append(RejectLine(file, number, here, e.reason, e.where, kind, told))
            continue
        except UNREADABLE as e:
            read.notes.clear()
            counts[kind] -= 1
            report_broken(kind, line, e, taken, read, RejectLine(file, number, here, "json-broken", "", kind, None))
            continue
        link_rid(rid)
        link_name(own)
        link_patient(patient)
    for kind, found in rows.items():
        table = found.table()
        if table is not None:
            taken.tables[kind], taken.groups[kind] = _by_bucket(table, buckets)
    return taken


def _owner(who: bytes, read: Reading) -> bytes | None:
    """Return the patient's keyed id, empty where none is named, None where the patient is no subject."""
    subject = _REFERENCE.decode(who) if who else None
    if subject is None or subject.reference is None:
        return b""
    target = identity(subject.reference)
    if target is None:  # a contained, conditional or malformed reference leads nowhere
        return b""
    patient = read.keyed(target)
    return patient if patient in read.subjects else None


def _not_read(kind: str, taken: Taken, reject: RejectLine) -> None:
    taken.read[kind or "(none)"] += 1
    if not kind:
        taken.dropped["(none)", "no-resource-type"] += 1
        taken.rejects.append(reject)
    elif kind == "Bundle":  # what is in it must not be lost silently
        taken.dropped[kind, "bundle-in-line"] += 1
        taken.rejects.append(reject._replace(reason="bundle-in-line", resource_type=kind))
    elif kind not in LOOK_UPS:
        taken.dropped[kind, "type-not-read"] += 1


def _check(r: Any, reader: Reader) -> str | None:
    """Return the status of a resource that may be used; raise Reject where FHIR forbids to use it."""
    if not r.id:
        raise Reject("no-id", "id")
    if r.modifierExtension:
        raise Reject("held-back-modifier", "modifierExtension")
    if r.implicitRules:
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


def _by_bucket(table: pa.Table, buckets: int) -> tuple[pa.Table, list[tuple[int, int]]]:
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
