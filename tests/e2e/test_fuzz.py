"""Spoiled input of every kind: no crash, every line accounted for under a reason of the closed list, no content in reports.

Line n of the fuzz is the same for ever: `python -m tests.fuzz.mutate N` prints it.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import msgspec
import pyreadstat
import pytest

from adapter import build
from adapter.identify import LOOK_UPS, identify
from adapter.intake.intake import intake
from adapter.intake.reading import Reading
from adapter.intake.taken import RejectLine, Taken
from adapter.reasons import REASONS, kind_of
from adapter.result import Result
from adapter.sources.carriers import open_range, ranges_of
from adapter.store.elsewhere import deletion_rows
from adapter.strict import KINDS, Checked, check, known_differences
from tests.conftest import make_site
from tests.fuzz.mutate import CORPUS, SEED, mutated, spoiled
from tests.lines import CLOCK, KEYER, SUBJECT, balanced

pytestmark = pytest.mark.usefixtures("tabulation_only")

MANY = 100_000
CHUNK = 250
FROZEN = 300  # seconds in which nothing here can fail to end, unless something hangs
SECRETS = ("王小明", "Xiaoming", "LOT-7", "M1", "黄色", "DROP TABLE", "__proto__", "constructor")


@pytest.fixture(autouse=True)
def not_for_ever(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail, rather than wait, where something hangs."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"{request.node.name} does not end")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(FROZEN)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def reading() -> Reading:
    return Reading(CLOCK, KEYER, {KEYER.keyed(SUBJECT): 0}, {}, ("urn:amount",))


def element_names() -> set[str]:
    """Return the names of all FHIR elements that are read: all that a reject may say of the place."""
    found = {"value", "medication", "x", "contained", "collected", "performed", "effective", "entry"}
    found |= {"occurence", "occurrence", "string", "date", "end"}  # R5 spells the first of them so
    waiting = msgspec.Struct.__subclasses__()
    while waiting:
        s = waiting.pop()
        waiting += s.__subclasses__()
        found |= set(s.__struct_encode_fields__) if s.__module__.startswith("adapter.") else set()
    return found


ELEMENTS = element_names()


def tells_no_content(where: str) -> bool:
    return set(re.findall(r"[^.\[\]\d]+", where)) <= ELEMENTS


def accounted(taken: Taken, lines: list[bytes], first: int, offset: int) -> None:
    """Check the accounts of some lines: each read once, kept or dropped under a reason, each reject where it stands."""
    balanced(taken)
    blank = sum(not x.strip() for x in lines)
    assert sum(taken.read.values()) == len(lines) - blank
    assert {reason for _, reason in taken.dropped} <= set(REASONS)
    rejected = Counter({k: n for k, n in taken.dropped.items() if kind_of(k[1]) == "reject"})
    told = Counter((x.resource_type or "(none)", x.reason) for x in taken.rejects)
    parts = [x for x in taken.rejects if x.where.startswith(("component[", "contained["))]
    assert rejected <= told
    assert (told - rejected).total() <= len(parts), "besides whole resources, only parts of them are rejected"
    starts = [offset]
    for x in lines:
        starts.append(starts[-1] + len(x))
    whole = [x.line for x in taken.rejects if x not in parts]
    assert len(set(whole)) == len(whole)
    for x in taken.rejects:
        assert x.offset == starts[x.line - first], x
        assert tells_no_content(x.where), x
    for table in taken.tables.values():
        notes = {n for text in table.column("notes").to_pylist() if text for n in text.split("\n")} if table else set()
        assert {kind_of(n.partition("@")[0]) for n in notes} <= {"issue"}, notes
        assert all(tells_no_content(n.partition("@")[2]) for n in notes), notes


def culprit(numbers: range, e: BaseException) -> str:
    """Return which line of a chunk does it alone, to be named by the failing test."""
    for n in numbers:
        try:
            intake([mutated(n) + b"\n"], reading(), 16, 3, 1, 0)
        except Exception as one:  # noqa: BLE001 - the test fails anyway, and says with which line
            return f"line {n} of the fuzz: {one!r}"
    return f"lines {numbers} of the fuzz together: {e!r}"


@pytest.mark.parametrize("many", [40_000, pytest.param(MANY, marks=pytest.mark.long)])
def test_every_spoiled_line_is_accounted_for(many: int) -> None:
    read = reading()
    found = Counter[str]()
    for start in range(0, many, CHUNK):
        numbers = range(start, start + CHUNK)
        lines = [mutated(n) + b"\n" for n in numbers]
        try:
            taken = intake(io.BytesIO(b"".join(lines)), read, 16, 3, start + 1, 700)
            identities = identify(lines, KEYER, CLOCK, frozenset([KEYER.keyed(SUBJECT)]))
        except Exception as e:  # noqa: BLE001 - named by the line that does it
            pytest.fail(culprit(numbers, e))
        assert identities.lines == CHUNK
        accounted(taken, lines, start + 1, 700)
        found += Counter(reason for (_, reason), n in taken.dropped.items() for _ in range(n))
        found["kept"] += len(taken.links)
    # the fuzz reaches what it is for
    assert found["kept"] > many / 10
    assert found["json-broken"] > many / 10
    assert found["element-wrong-type"] > many / 50
    for reason in (
        "no-subject",
        "no-status",
        "no-id",
        "two-values",
        "held-back-modifier",
        "no-code",
        "no-resource-type",
    ):
        assert found[reason] > many / 5000, reason


def test_the_same_line_is_the_same_for_ever() -> None:
    assert mutated(7) == mutated(7)
    assert len({mutated(n) for n in range(300)}) > 290
    assert len(CORPUS) < 100, "small enough to be looked at"


def test_a_spoiled_line_costs_no_other_line() -> None:
    """Between good lines of a subject stands a spoiled one: the good ones are kept as if it were not there."""
    good = [x + b"\n" for x in CORPUS if b'"id":"c4"' in x or b'"id":"c5"' in x]
    assert len(good) == 2
    read = reading()
    alone = intake(good, read, 16, 3, 1, 0).tables["Observation"].drop_columns(["line"])
    for n in range(500):
        spoiled_line = mutated(n) + b"\n"
        taken = intake([good[0], spoiled_line, good[1]], read, 16, 3, 1, 0).tables["Observation"]
        kept = taken.filter([x != 2 for x in taken.column("line").to_pylist()]).drop_columns(["line"])
        assert kept.equals(alone), n


def test_the_strict_check_meets_every_spoiled_line() -> None:
    lines = [mutated(n) for n in range(3_000)]
    checked = Checked()
    for f in check(lines, reading(), known_differences(), checked):
        assert f.kind in KINDS
        assert re.fullmatch(r"[A-Za-z_.\[\]0-9]*", f.element), f
        assert not [s for s in SECRETS if s in f.element], f
    assert checked.lines == len(lines)
    assert checked.resources > 500


# --- carriers ----------------------------------------------------------------------------------------------------------

BUNDLES = [x for x in CORPUS if b'"Bundle"' in x]
HALF = len(CORPUS) // 2
NDJSON = b"\n".join(CORPUS) + b"\n"
BUNDLE = json.dumps(
    {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{i}", "resource": json.loads(x)} for i, x in enumerate(CORPUS[:HALF])],
    },
    ensure_ascii=False,
    indent=1,
)
CARRIERS = {
    "plain.ndjson": NDJSON,
    "crlf.ndjson": NDJSON.replace(b"\n", b"\r\n"),
    "mark.ndjson": b"\xef\xbb\xbf" + NDJSON,
    "wide.ndjson": NDJSON.decode().encode("utf-16"),
    "chinese.ndjson": NDJSON.decode().encode("gb18030"),
    "bundle.json": BUNDLE.encode(),
    "compact.json": json.dumps(json.loads(BUNDLE), ensure_ascii=False, separators=(",", ":")).encode(),
    "wide.json": BUNDLE.encode("utf-16-le"),
    "chinese.json": BUNDLE.encode("gb18030"),
    "single.json": CORPUS[4],
    "packed.ndjson.gz": gzip.compress(NDJSON[:4000], mtime=0) + gzip.compress(NDJSON[4000:], mtime=0),
    "stored.ndjson.gz": gzip.compress(NDJSON, 0, mtime=0),
    "packed.json.gz": gzip.compress(BUNDLE.encode(), mtime=0),
    "stored.json.gz": gzip.compress(BUNDLE.encode(), 0, mtime=0),
}


def spoiled_file(name: str, n: int) -> bytes:
    r = Random(f"{SEED} {name} {n}")
    data = CARRIERS[name]
    for _ in range(r.choice((1, 1, 2, 5))):
        data = spoiled(data, r)
    return data


def read_to_its_end(path: Path, read: Reading) -> int:
    """Read a file as a build does, check its accounts, and return how many resources were kept."""
    kept = 0
    for start, stop in ranges_of(str(path), path.stat().st_size, 6000):
        lines = open_range(str(path), start, stop, frozenset(["http://here/fhir"]))
        content = list(lines)
        taken = intake(content, read, 16, 3, 1, lines.offset or 0)
        accounted(taken, content, 1, lines.offset or 0)
        kept += len(taken.links)
        for reason, offset, kind in lines.told.lost:
            assert reason in REASONS
            assert offset is None or offset >= 0
            assert re.fullmatch(r"[A-Za-z]{1,60}|\(none\)", kind)
        deletion_rows(lines.told.deleted, KEYER, 3)
    return kept


@pytest.mark.parametrize("name", sorted(CARRIERS))
def test_every_spoiled_file_is_read_to_its_end(name: str, tmp_path: Path) -> None:
    path, read, kept = tmp_path / name, reading(), 0
    for n in range(200):
        path.write_bytes(spoiled_file(name, n))
        try:
            kept += read_to_its_end(path, read)
        except Exception as e:  # noqa: BLE001 - named by the file that does it
            pytest.fail(f"spoiled_file({name!r}, {n}): {e!r}")
    assert kept, "some of it is still readable"


@pytest.mark.parametrize("name", ["a.ndjson", "a.json"])
def test_every_spoiled_bundle_is_read_to_its_end(name: str, tmp_path: Path) -> None:
    """Entries, fullUrls, requests of a Bundle spoiled at random JSON paths; on a line of NDJSON, and as a file."""
    path, read, kept = tmp_path / name, reading(), 0
    for n in range(2_000):
        path.write_bytes(mutated(n, BUNDLES))
        try:
            kept += read_to_its_end(path, read)
        except Exception as e:  # noqa: BLE001 - named by the line that does it
            pytest.fail(f"mutated({n}, BUNDLES): {e!r}")
    assert kept > 500


# --- from end to end ---------------------------------------------------------------------------------------------------

LOG = "patient,subjid,siteid,arm,consent_date,randomisation_date\ns,1,01,MSC,2024-01-01,2024-01-02\n"


def built(folder: Path, files: dict[str, bytes]) -> Result:
    (folder / "fhir").mkdir()
    for name, data in files.items():
        (folder / "fhir" / name).write_bytes(data)
    (folder / "log.csv").write_text(LOG)
    site = make_site(folder / "site")
    (site / "site.toml").write_text('server.base = ["http://here/fhir"]\n')
    told: dict[str, Any] = {"enrolment": folder / "log.csv", "site": site, "workers": 1}
    return build(folder / "fhir", out=folder / "out", cutoff="2024-12-31", strict=True, **told)


def whole(result: Result) -> None:
    """Check what holds for every package: it can be read, its accounts balance, its reports hold no content."""
    for path in sorted((result.out / "sdtm").glob("*.xpt")):
        frame, _ = pyreadstat.read_xport(path)
        assert len(frame) == result.manifest["records"][path.stem.upper()], path.name
    for kind, c in result.counts["resources"].items():
        assert c["read"] == c["used"] + sum(c["dropped"].values()), kind
        assert set(c["dropped"]) <= set(REASONS)
        assert kind in (*LOOK_UPS, "(none)") or re.fullmatch(r"[A-Za-z]{1,60}", kind)
    assert set(result.rejects["reason"]) <= {c for c in REASONS if kind_of(c) == "reject"}
    assert set(result.issues["code"]) <= {c for c in REASONS if kind_of(c) == "issue"}
    assert set(result.strict["kind"]) <= set(KINDS)
    assert all(map(tells_no_content, result.rejects["element"]))
    for name in ("rejects.ndjson", "strict.csv", "manifest.json"):
        text = (result.out / name).read_text("utf-8")
        assert not [s for s in SECRETS if s in text], name


def test_spoiled_lines_make_a_whole_package(tmp_path: Path) -> None:
    numbers = range(MANY, MANY + 2_000)
    lines = b"".join(mutated(n) + b"\n" for n in numbers)
    result = built(tmp_path, {"a.ndjson": NDJSON, "b.ndjson": lines})
    whole(result)
    assert sum(c["read"] for c in result.counts["resources"].values()) >= len(CORPUS) + len(numbers)
    assert {"DM", "LB", "CM", "EC", "PR"} <= set(result.sdtm)
    assert result.exit_code == 3


def test_spoiled_files_make_a_whole_package(tmp_path: Path) -> None:
    files = {f"{n}-{name}": spoiled_file(name, 1000 + n) for name in CARRIERS for n in range(4)}
    result = built(tmp_path, {"a.ndjson": NDJSON} | files)
    whole(result)
    assert {"DM", "LB", "CM", "EC", "PR"} <= set(result.sdtm)


def test_a_reject_has_room_for_no_content() -> None:
    assert RejectLine._fields == ("file", "line", "offset", "reason", "where", "resource_type", "rid")
