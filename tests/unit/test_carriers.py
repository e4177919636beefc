"""Carriers: the same resources come out of NDJSON, Bundles, single files and gzip; what breaks off is told, with its place."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adapter.sources.broken import before_break
from adapter.sources.bundles import Deletion, Lost, Told, resources_of
from adapter.sources.carriers import encoding_of, open_range, ranges_of

RESOURCES = [
    {"resourceType": "Patient", "id": f"p{i}", "name": [{"text": "患者\u2028甲"}], "n": 4.10} for i in range(30)
]


def compact(resource: Any) -> bytes:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def bundle(*entries: dict[str, Any], kind: str = "collection") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def taken(path: Path) -> tuple[list[bytes], list[tuple[str, int]]]:
    """Return the lines of all ranges of a file, and what was lost."""
    lines: list[bytes] = []
    lost: list[tuple[str, int]] = []
    for start, stop in ranges_of(str(path), path.stat().st_size, 100):
        one = open_range(str(path), start, stop)
        lines += one
        lost += [(x.reason, x.offset) for x in one.told.lost]
    return [x.rstrip(b"\r\n") for x in lines], lost


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


NDJSON = b"".join(compact(r) + b"\n" for r in RESOURCES)
WHOLE = json.dumps(bundle(*({"resource": r} for r in RESOURCES)), ensure_ascii=False, indent=1)
CARRIERS = {
    "a.ndjson": NDJSON,
    "crlf.ndjson": NDJSON.replace(b"\n", b"\r\n"),
    "bom.ndjson": b"\xef\xbb\xbf" + NDJSON,
    "no-end.jsonl": NDJSON[:-1],
    "utf16.ndjson": NDJSON.decode().encode("utf-16"),
    "gb18030.ndjson": NDJSON.decode().encode("gb18030"),
    "a.ndjson.gz": gzip.compress(NDJSON),
    "members.ndjson.gz": gzip.compress(NDJSON[:333]) + gzip.compress(b"") + gzip.compress(NDJSON[333:]),
    "bom.ndjson.gz": gzip.compress(b"\xef\xbb\xbf" + NDJSON),
    "bundle.json": WHOLE.encode(),
    "bundle-bom.json": b"\xef\xbb\xbf" + WHOLE.encode(),
    "bundle-utf16.json": WHOLE.encode("utf-16"),
    "bundle-gb18030.json": WHOLE.encode("gb18030"),
    "bundle.json.gz": gzip.compress(WHOLE.encode()),
    "ndjson-by-another-name.json": NDJSON,
}


@pytest.mark.parametrize("name", list(CARRIERS))
def test_every_carrier_gives_the_same_resources(name: str, tmp_path: Path) -> None:
    lines, lost = taken(written(tmp_path / name, CARRIERS[name]))
    assert [json.loads(x) for x in lines] == RESOURCES
    assert lost == []
    assert all(b"4.1}" in x for x in lines)


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz", "a.json"])
def test_an_empty_file_has_no_resource(name: str, tmp_path: Path) -> None:
    assert taken(written(tmp_path / name, b"")) == ([], [])


def test_a_single_resource_keeps_its_decimal_text(tmp_path: Path) -> None:
    path = written(
        tmp_path / "o.json", b'{\n "resourceType" : "Observation",\n "v": 4.10, "w": 1.0E3, "s": "a  b"\n}\n'
    )
    assert taken(path) == ([b'{"resourceType":"Observation","v":4.10,"w":1.0E3,"s":"a  b"}'], [])


@pytest.mark.parametrize("kind", ["searchset", "transaction", "batch", "document", "history", "collection"])
def test_bundles_of_every_type_and_inside_each_other(kind: str, tmp_path: Path) -> None:
    inner = bundle({"resource": RESOURCES[1]}, kind="document")
    outcome = {"resourceType": "OperationOutcome", "id": "oo"}
    whole = bundle(
        {"resource": RESOURCES[0]},
        {"response": {"status": "204"}},
        {"resource": inner},
        {"search": {"mode": "outcome"}, "resource": outcome},
        kind=kind,
    )
    lines, lost = taken(written(tmp_path / "b.json", json.dumps(whole).encode()))
    assert [json.loads(x) for x in lines] == [RESOURCES[0], RESOURCES[1], outcome]
    assert lost == []


def test_deletions_are_told_with_their_instant() -> None:
    told = Told()
    entries: list[dict[str, Any]] = [
        {"request": {"method": "DELETE", "url": "Observation/1"}, "response": {"lastModified": "2024-01-02T00:00:00Z"}},
        {"request": {"method": "DELETE", "url": "http://server/fhir/Patient/2/_history/3"}},
        {"request": {"method": "DELETE", "url": "Observation?identifier=a|b"}},
        {"request": {"method": "DELETE"}},
        {"request": {"method": "GET", "url": "Observation/1"}},
        {"resource": RESOURCES[0], "request": {"method": "PUT", "url": "Patient/p0"}},
    ]
    whole = bundle(*entries, kind="history") | {"meta": {"lastUpdated": "2024-02-02T00:00:00Z"}}
    assert len(list(resources_of(json.dumps(whole).encode(), told))) == 1
    assert told.deleted == [
        Deletion("Observation/1", "2024-01-02T00:00:00Z"),
        Deletion("Patient/2", "2024-02-02T00:00:00Z"),
    ]
    assert told.lost == [
        Lost("deletion-entry", 0, "Observation"),
        Lost("deletion-entry", 0, "Patient"),
        Lost("deletion-not-applied", 0),
        Lost("deletion-not-applied", 0),
    ]


def test_bundles_on_lines_of_ndjson_are_unpacked(tmp_path: Path) -> None:
    """A bulk export's `deleted` files, pages and whole patient records stand so."""
    lines = [compact(RESOURCES[0]), compact(bundle({"resource": RESOURCES[1]}, {"resource": RESOURCES[2]}))]
    lines += [compact(RESOURCES[3] | {"says": "Bundle"}), compact({"id": "b"} | bundle({"resource": RESOURCES[4]}))]
    data = b"\n".join(lines)
    for name, content in (("a.ndjson", data), ("a.ndjson.gz", gzip.compress(data))):
        found, lost = taken(written(tmp_path / name, content))
        assert [json.loads(x)["id"] for x in found] == ["p0", "p1", "p2", "p3", "p4"]
        assert lost == []


def test_entries_of_another_server_are_left_out_where_the_own_is_declared() -> None:
    here, there = "https://Here.example/fhir/", "https://there.example/fhir"
    whole = bundle(
        {"fullUrl": f"{here}Patient/p0", "resource": RESOURCES[0]},
        {"fullUrl": f"{there}/Patient/p0", "resource": RESOURCES[0]},
        {"fullUrl": "urn:uuid:1", "resource": RESOURCES[2]},
        {"resource": RESOURCES[3]},
    )
    told = Told(frozenset(["https://here.example/fhir"]))
    found = [json.loads(x)["id"] for x in resources_of(json.dumps(whole).encode(), told)]
    assert found == ["p0", "p2", "p3"]
    assert told.lost == [Lost("another-server", 0, "Patient")]
    undeclared = Told()
    assert len(list(resources_of(json.dumps(whole).encode(), undeclared))) == 4
    assert undeclared.servers == [("p0", "https://here.example/fhir"), ("p0", there)]


def test_urn_references_are_resolved_inside_their_bundle_only() -> None:
    patient = {"resourceType": "Patient", "id": "p"}
    note = 'he said "reference":"urn:uuid:1"'
    about = {"resourceType": "Observation", "id": "o", "subject": {"reference": "urn:uuid:1"}, "note": note}
    stray = about | {"subject": {"reference": "urn:uuid:2"}}
    whole = bundle(
        {"fullUrl": "urn:uuid:1", "resource": patient},
        {"resource": about},
        {"fullUrl": "urn:uuid:3", "resource": stray},
    )
    found = [json.loads(x) for x in resources_of(json.dumps(whole, indent=2).encode(), Told())]
    assert found[1] == about | {"subject": {"reference": "Patient/p"}}
    assert found[2] == stray


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("urn:uuid:0c3-1", "0c3-1"),
        (f"http://a.example/fhir/Observation/{'x' * 64}", "x" * 64),
        ("urn:oid:1.2", None),
        ("", None),
    ],
)
def test_a_resource_without_id_takes_that_of_its_full_url(url: str, own: str | None) -> None:
    """So documents (Bundle.type document) give their resources."""
    patient = {"resourceType": "Patient", "id": "p", "link": [{"other": {"reference": url}}]}
    whole = bundle({"fullUrl": url, "resource": {"resourceType": "Observation", "v": 1}}, {"resource": patient})
    found = [json.loads(x) for x in resources_of(json.dumps(whole).encode(), Told())]
    assert found[0] == {"resourceType": "Observation", "v": 1} | ({"id": own} if own else {})
    if url.startswith("urn:uuid"):
        assert found[1]["link"] == [{"other": {"reference": f"Observation/{own}"}}]


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("packed", [False, True])
def test_of_a_truncated_bundle_everything_before_the_break_is_used(tenth: int, packed: bool, tmp_path: Path) -> None:
    data = WHOLE.encode()
    cut = data[: len(data) * tenth // 10]
    # packed: the stream breaks off too, with its checksum
    name, content = ("b.json.gz", gzip.compress(cut)[:-8]) if packed else ("b.json", cut)
    lines, lost = taken(written(tmp_path / name, content))
    # an entry is whole where the text of a Bundle with it as the last one, without its end, still fits
    starts = [
        json.dumps(bundle(*({"resource": r} for r in RESOURCES[:n])), ensure_ascii=False, indent=1)
        for n in range(1, 31)
    ]
    whole = sum(len(s.removesuffix("\n ]\n}").encode()) <= len(cut) for s in starts)
    assert [json.loads(x) for x in lines] == RESOURCES[:whole]
    ((reason, offset),) = lost
    assert reason == "file-cut-short"
    # the break lies in the entry that begins at the offset: behind it stands no further whole entry
    assert data[:offset].count(b'"resource":') == len(lines)


@pytest.mark.parametrize("window", [1, 2, 7, 64, 1000])
def test_the_window_through_which_a_broken_bundle_is_read_does_not_matter(window: int) -> None:
    data = ('{"type": "collection", "total": 123456, "entry": [12, "患者", -1.50e3, {"a": [1, 2]}, true, nul').encode()
    for stop in range(len(data)):
        assert before_break(data[:stop], window) == before_break(data[:stop])
    entries, broken = before_break(data, window)
    assert entries == [b"12", '"患者"'.encode(), b"-1.50e3", b'{"a": [1, 2]}', b"true"]
    assert broken == data.index(b"nul")


@pytest.mark.parametrize("keep", [3, 20, 200, 400])
def test_gzip_cut_short(keep: int, tmp_path: Path) -> None:
    packed = gzip.compress(
        b"".join(compact(r | {"x": sha256(str(i).encode()).hexdigest()}) + b"\n" for i, r in enumerate(RESOURCES))
    )
    lines, lost = taken(written(tmp_path / "a.ndjson.gz", packed[:keep]))
    assert [reason for reason, _ in lost] == ["file-cut-short"]
    assert len(lines) < len(RESOURCES)


def test_what_is_no_gzip_is_told(tmp_path: Path) -> None:
    assert taken(written(tmp_path / "a.ndjson.gz", b'{"resourceType":"Patient"}\n')) == ([], [("file-cut-short", 0)])


@pytest.mark.parametrize(
    "data", [b"{", b"[1,2", b'{"resourceType":"Patient",', b"\xff\xfe\xff", b'{"entry":5', b"nothing"]
)
def test_broken_json_is_left_to_intake(data: bytes, tmp_path: Path) -> None:
    lines, lost = taken(written(tmp_path / "a.json", data))
    assert len(lines) == 1 or lost


def test_nesting_without_end_is_no_crash(tmp_path: Path) -> None:
    deep = b'{"resourceType":"Bundle","entry":[' + b'{"resource":{"a":' + b"[" * 200_000
    assert taken(written(tmp_path / "a.json", deep))[1] == [("file-cut-short", 34)]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("[]", "utf-8"),
        ('{"a":"患者"}', "utf-8"),
        ('{"a":"患者"}', "gb18030"),
        ('{"a":"患者"}', "utf-16"),
        ('{"a":"患者"}', "utf-16-le"),
        ('{"a":"患者"}', "utf-16-be"),
    ],
)
def test_encodings_are_told_apart(text: str, encoding: str) -> None:
    assert encoding_of(text.encode(encoding)) == encoding
    assert encoding_of(("[" + text * 100).encode(encoding)[:-1]) == encoding


def test_a_broken_byte_does_not_make_a_file_another_encoding(tmp_path: Path) -> None:
    lines = NDJSON.split(b"\n")
    lines[3] = lines[3].replace("患".encode(), b"\xb2\xe9")
    found, lost = taken(written(tmp_path / "a.ndjson", b"\n".join(lines)))
    assert (found, lost) == (lines[:-1], [])


def test_what_is_no_character_is_never_another_text(tmp_path: Path) -> None:
    whole = NDJSON.decode().encode("gb18030").split(b"\n")
    whole[3] = whole[3].replace("患".encode("gb18030"), b"\xff\xff")
    found, _ = taken(written(tmp_path / "a.ndjson", b"\n".join(whole)))
    assert found == whole[:-1]  # as it came: intake rejects what is no UTF-8, line by line


@pytest.mark.parametrize("odd", [None, 5, [], {"fullUrl": 7, "resource": {"resourceType": "Patient", "id": "x"}}])
@pytest.mark.parametrize("broken", [False, True])
def test_an_entry_that_is_none_costs_only_itself(odd: Any, broken: bool, tmp_path: Path) -> None:
    entries = [{"resource": RESOURCES[0]}, odd, {"resource": RESOURCES[1]}, {"request": 5}, {"resource": RESOURCES[2]}]
    text = json.dumps({"resourceType": "Bundle", "entry": entries})
    lines, lost = taken(written(tmp_path / "b.json", text[: -2 if broken else None].encode()))
    assert [json.loads(x) for x in lines] == [RESOURCES[0], odd, RESOURCES[1], RESOURCES[2]]
    assert [reason for reason, _ in lost] == (["file-cut-short"] if broken else [])


def test_damage_that_still_parses_is_told(tmp_path: Path) -> None:
    packed = gzip.compress(compact(RESOURCES[0]))
    wrong_sum = packed[:-8] + bytes(4) + packed[-4:]
    lines, lost = taken(written(tmp_path / "p.json.gz", wrong_sum))
    assert [reason for reason, _ in lost] == ["file-cut-short"]
    assert lines in ([compact(RESOURCES[0])], [b""])


def test_half_a_character_costs_only_its_entry() -> None:
    """A lone surrogate is a JSON escape, but no character: found by the fuzz, where it ended the build."""
    data = b'{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"a",\n"x":"\\ud800"}},%s]}'
    lines = list(resources_of(data % b'{"resource":{"resourceType":"Patient","id":"b"}}', Told()))
    assert [x.count(b"\n") for x in lines] == [1, 1]
    assert [b'"a"' in lines[0], json.loads(lines[1])["id"]] == [True, "b"]


@pytest.mark.parametrize(
    ("entry", "lost"),
    [
        ({"request": {"method": "DELETE", "url": "王小明/1"}}, Lost("deletion-entry", 0, "(none)")),
        ({"request": {"method": "DELETE", "url": "urn:uuid:1"}}, Lost("deletion-not-applied", 0)),
        ({"fullUrl": "http://b/王小明/1", "resource": {"resourceType": "王小明"}}, Lost("another-server", 0, "(none)")),
    ],
)
def test_what_is_no_type_is_not_counted_by_its_name(entry: dict[str, Any], lost: Lost) -> None:
    told = Told(frozenset(["http://a"]))
    assert list(resources_of(json.dumps(bundle(entry)).encode(), told)) == []
    assert told.lost == [lost]
