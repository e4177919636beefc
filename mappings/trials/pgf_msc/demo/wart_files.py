"""The files that hold warts, and the carriers they come in: GB18030, CRLF with a byte order mark, gzip, Bundles.

The same lines give the same bytes on every machine: gzip is written here with stored blocks, because what a compressor
makes of them differs from one zlib to the next.
"""

from __future__ import annotations

import json
import struct
import zlib

from mappings.trials.pgf_msc.demo.warts import WartFile

LIS = "Observation-lis-gb18030.ndjson"  # the laboratory system writes GB18030
POCT = "Observation-poct.ndjson.gz"  # the analysers at the bedside: two gzip members, a line cut in two between them
INTERFACE = "Observation-interface.ndjson"  # an interface engine on Windows: byte order mark, CRLF, an empty line
REEXPORT = "Observation-reexport.ndjson"  # the export of a later day
WARD = "MedicationAdministration-ward.ndjson"
TRANSFUSIONS = "Procedure-transfusions.ndjson"
STATEMENTS = "MedicationStatement-outpatient.ndjson"
REPORTS = "DiagnosticReport-lis.ndjson"
REGISTRATION = "Patient-registration.ndjson"
SEARCH = ("Bundle-search-page-1.json", "Bundle-search-page-2.json")
TRANSACTION = "Bundle-transaction.json"
HISTORY = "Bundle-history.json"
EMPTY = "Procedure-empty.ndjson"
DELETE = "DELETE "  # begins a line that stands for a deletion
CUT = b"wart-two-members"  # the line that is cut in two
BASE = "https://fhir.hospital.example/r4"
STORED = 0xFFFF  # the most that a stored block of deflate holds


def carried(name: str, file: WartFile) -> bytes:
    """Return the bytes of a file of warts."""
    if name.endswith(".json"):
        return _bundle(name, file).encode()
    text = "".join(line + "\n" for line in file.lines)
    if name == LIS:
        return text.encode("gb18030")
    if name == INTERFACE:
        return b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    if name == POCT:
        data = text.encode()
        middle = data.index(CUT)
        return _member(data[:middle]) + _member(data[middle:])
    return text.encode()


def _member(data: bytes) -> bytes:
    """Return a gzip member (RFC 1952) of stored blocks (RFC 1951 §3.2.4)."""
    pieces = [data[i : i + STORED] for i in range(0, len(data), STORED)] or [b""]
    blocks = [
        struct.pack("<BHH", i == len(pieces), len(piece), len(piece) ^ STORED) + piece
        for i, piece in enumerate(pieces, 1)
    ]
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + b"".join(blocks) + struct.pack("<II", zlib.crc32(data), len(data))


def _bundle(name: str, file: WartFile) -> str:
    """Return a Bundle, one entry per line: a page of a search, a history of deletions, or a transaction with urn:uuid."""
    entries = []
    for n, line in enumerate(file.lines, 1):
        if line.startswith(DELETE):
            entries.append(f'{{"request":{{"method":"DELETE","url":"{line.removeprefix(DELETE)}"}}}}')
            continue
        head = json.loads(line)
        address = f"{head['resourceType']}/{head.get('id')}"
        if name in SEARCH and "id" in head:
            entries.append(f'{{"fullUrl":"{BASE}/{address}","resource":{line},"search":{{"mode":"match"}}}}')
        elif name in SEARCH:
            entries.append(f'{{"resource":{line},"search":{{"mode":"outcome"}}}}')
        else:
            request = f'{{"method":"PUT","url":"{address}"}}'
            entries.append(f'{{"fullUrl":"{uuid(n)}","resource":{line},"request":{request}}}')
    kind = {HISTORY: "history", TRANSACTION: "transaction"}.get(name, "searchset")
    return f'{{"resourceType":"Bundle","type":"{kind}","entry":[\n' + ",\n".join(entries) + "\n]}\n"


def uuid(entry: int) -> str:
    """Return the fullUrl of an entry of the transaction."""
    return f"urn:uuid:00000000-0000-4000-8000-{entry:012d}"
