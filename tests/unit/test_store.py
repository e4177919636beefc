"""The store: latest version, commits, locks, sweeping, damage, compaction, what is read again."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adapter.store.segments as segments_module
from adapter.enrolment import Enrolled
from adapter.errors import InputError, StoreError
from adapter.identify import Subject
from adapter.intake.identities import Candidate, ConsentDay, Identities, KnownPatient, Version
from adapter.intake.reading import LookUp
from adapter.intake.tables import schema_of
from adapter.sources.files import InputFile
from adapter.store.compact import MOST_SEGMENTS, compact_task, compact_tasks, overfull
from adapter.store.latest import latest_versions
from adapter.store.people import recall, remember
from adapter.store.segments import Segment, Spill, read_buckets, seal, write_segment, write_spill
from adapter.store.stale import Now, to_read
from adapter.store.store import InputEntry, State, Store, StoreFacts

FACTS = StoreFacts(16, "k" * 32, "Asia/Shanghai")


# --- latest version ---------------------------------------------------------------------------------------------------


class Copy(NamedTuple):
    """One copy of a resource as it stands in a file; `rows` of it are in the table (components)."""

    rid: int
    sha: int
    updated: int | None
    version: str | None
    file: int
    line: int
    rows: int


def table_of(copies: list[Copy], order: list[int]) -> tuple[pa.Table, list[Copy]]:
    """Return the table of all rows, in some order, and the copy that each row is of."""
    rows = [c for c in copies for _ in range(c.rows)]
    rows = [rows[i % len(rows)] for i in order] if rows else []
    columns = {
        "rid": pa.array([bytes([c.rid]) * 16 for c in rows], pa.binary(16)),
        "sha": pa.array([bytes([c.sha]) * 16 for c in rows], pa.binary(16)),
        "updated": pa.array([c.updated for c in rows], pa.int64()),
        "version": pa.array([c.version for c in rows], pa.string()),
        "file": pa.array([c.file for c in rows], pa.int32()),
        "line": pa.array([c.line for c in rows], pa.int64()),
    }
    return pa.table(columns), rows


def rank(c: Copy) -> tuple[float, int, int]:
    """The order of design.md "Store": lastUpdated, then versionId if numeric, then the content's SHA-256."""
    number = int(c.version) if c.version is not None and c.version.isascii() and c.version.isdigit() else -1
    return (float("-inf") if c.updated is None else c.updated, number, c.sha)


def naive(copies: list[Copy]) -> tuple[set[tuple[int, int]], int, int, set[int]]:
    """Return (file, line) of the winners, duplicates, superseded, and resources with a tie; by hand, one by one."""
    winners, duplicates, superseded, ties = set(), 0, 0, set()
    for rid in {c.rid for c in copies}:
        mine = [c for c in copies if c.rid == rid]
        best = max(rank(c) for c in mine)
        winner = min((c for c in mine if rank(c) == best), key=lambda c: (c.file, c.line))
        winners.add((winner.file, winner.line))
        for c in mine:
            if c is not winner:
                duplicates += c.sha == winner.sha
                superseded += c.sha != winner.sha
                if c.sha != winner.sha and rank(c)[:2] == best[:2]:
                    ties.add(rid)
    return winners, duplicates, superseded, ties


VERSIONS = [None, "1", "2", "10", "01", "a", "4e10", "1.5", "-3", "", "9007199254740993", "9007199254740992"]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Copy], list[int]]:
    n = draw(st.integers(0, 9))
    copies = []
    for i in range(n):
        sha, updated = draw(st.integers(0, 2)), draw(st.sampled_from([None, -5, 0, 7, 2**62]))
        rid, rows = draw(st.integers(0, 3)), draw(st.integers(1, 3))
        copies.append(
            Copy(rid, sha, updated, draw(st.sampled_from(VERSIONS)), i % 3, draw(st.integers(0, 2)) * 10 + i, rows)
        )
    return copies, draw(st.permutations(range(sum(c.rows for c in copies))))


@given(worlds())
@settings(max_examples=400, deadline=None)
def test_latest_versions_against_a_naive_implementation(world: tuple[list[Copy], list[int]]) -> None:
    copies, order = world
    table, rows = table_of(copies, order)
    found = latest_versions(table)
    winners, duplicates, superseded, ties = naive(copies)
    kept = [rows[i] for i in found.rows]
    assert sorted((c.file, c.line) for c in kept) == sorted(
        (c.file, c.line) for c in copies if (c.file, c.line) in winners for _ in range(c.rows)
    ), "every row of the winning copy, and no other"
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert (found.duplicate_copies, found.superseded) == (duplicates, superseded)
    assert {rows[i].rid for i in found.ties} == ties
    assert len(found.ties) == len(ties)


def test_a_chunked_table_with_offsets_is_read_right() -> None:
    table, _ = table_of([Copy(r, 1, v, None, v, 1, 2) for r in (3, 1, 2) for v in (5, 9)], list(range(12)))
    cut = pa.concat_tables([table.slice(1, 4), table.slice(5, 3), table.slice(8, 4)])
    whole = latest_versions(table.slice(1))
    assert latest_versions(cut).rows.tolist() == whole.rows.tolist()


def test_an_empty_table_has_no_latest_version() -> None:
    found = latest_versions(schema_of("Observation").empty_table())
    assert (len(found.rows), found.duplicate_copies, found.superseded, len(found.ties)) == (0, 0, 0, 0)


# --- segments and commits ---------------------------------------------------------------------------------------------


def rows_of(kind: str, patients: list[int], file: int = 0) -> pa.Table:
    """Return rows of one resource type with as many patients; only provenance is filled."""
    n = len(patients)
    given_ = {
        "pat": pa.array([bytes([p]) * 16 for p in patients], pa.binary(16)),
        "rid": pa.array([bytes([p, i % 256]) + bytes(14) for i, p in enumerate(patients)], pa.binary(16)),
        "sha": pa.array([bytes([p, file]) + bytes(14) for p in patients], pa.binary(16)),
        "file": pa.array([file] * n, pa.int32()),
        "line": pa.array(range(1, n + 1), pa.int64()),
        "element": pa.array([""] * n, pa.string()),
    }
    return pa.table([given_.get(f.name, pa.nulls(n, f.type)) for f in schema_of(kind)], schema=schema_of(kind))


def segment(store: Store, patients: list[int], file: int = 0, kind: str = "Consent", name: str = "") -> Segment:
    by_bucket: dict[int, list[int]] = {}
    for p in patients:
        by_bucket.setdefault(p % 16, []).append(p)
    tables = [(b, rows_of(kind, by_bucket[b], file)) for b in sorted(by_bucket)]
    made = write_segment(kind, tables, store.segments / f"{name or f'{kind}-{file}'}.parquet")
    assert made is not None
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", FACTS)


def test_a_new_store_is_private_and_empty(store: Store) -> None:
    assert store.folder.stat().st_mode & 0o077 == 0
    assert store.state() == State()
    assert Store.open(store.folder, FACTS).facts == FACTS


def test_a_commit_can_be_read_back_whole(store: Store) -> None:
    entry = InputEntry(
        3, "f/查.ndjson", "ab", 10, 2, {"Consent": 2}, {"Consent not-a-subject": 1}, [{"line": 1}], "i", "l"
    )
    state = State(0, [entry], [], {"aa": ["c", None, "", None, None]}, identities={"i": ["01"]})
    with store.writing():
        state.segments = [segment(store, [1, 17, 2])]
        store.commit(state)
    again = Store.open(store.folder, FACTS).state()
    assert again == replace(state, number=1)
    assert entry.held_back == 1
    assert read_buckets(store.segments, again.segments, {1}, ["pat"]).num_rows == 2
    assert read_buckets(store.segments, again.segments, {1, 2, 5}, None).num_rows == 3
    assert read_buckets(store.segments, again.segments, {5}, None) is None


def test_what_no_commit_lists_is_swept(store: Store) -> None:
    with store.writing() as state:
        state.segments = [segment(store, [1], name="kept")]
        store.commit(state)
    segment(store, [2], name="left-by-a-killed-run")
    (store.segments / ".half.parquet.77.part").write_bytes(b"PAR1")
    (store.commits / ".000002.json.77.part").write_bytes(b"{")
    with store.writing() as state:
        assert [s.name for s in state.segments] == ["kept.parquet"]
        assert sorted(os.listdir(store.segments)) == ["kept.parquet"]
        assert sorted(os.listdir(store.commits)) == ["000001.json"]


def test_a_run_that_fails_leaves_the_state_before_it(store: Store) -> None:
    with store.writing() as state:
        store.commit(state)
    with pytest.raises(ZeroDivisionError), store.writing() as state:  # noqa: PT012
        state.segments = [segment(store, [1])]
        raise ZeroDivisionError
    assert Store.open(store.folder, FACTS).state() == State(number=1)


@pytest.mark.parametrize("where", ["folder", "segments", "commits", "temporary"])
def test_a_store_whose_making_was_killed_is_made_again(where: str, tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.mkdir()
    if where != "folder":
        (root / "segments").mkdir()
    if where in ("commits", "temporary"):
        (root / "commits").mkdir()
    if where == "temporary":
        (root / ".store.json.99.part").write_bytes(b'{"buck')
    with Store.open(root, FACTS).writing() as state:
        assert state == State()
    assert sorted(os.listdir(root)) == ["commits", "lock", "readers", "segments", "store.json"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (replace(FACTS, key="x" * 32), "made with another key; expected the site folder it was made with"),
        (replace(FACTS, zone="Europe/Berlin"), "site days of Asia/Shanghai; the trial's time zone is Europe/Berlin"),
    ],
)
def test_a_store_of_another_site_is_refused(facts: StoreFacts, message: str, store: Store) -> None:
    with pytest.raises(StoreError, match=message):
        Store.open(store.folder, facts)


def test_the_stored_bucket_count_wins(store: Store) -> None:
    assert Store.open(store.folder, replace(FACTS, buckets=64)).facts.buckets == 16


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no store description"),
        (b"[]", "is no store description"),
        (b'{"buckets": 16}', "is no store description"),
        (b'{"buckets": 16, "key": "k", "zone": "z", "format": 99}', "has format 99; this version reads 2"),
        (b'{"buckets": "16", "key": "k", "zone": "z", "format": 2}', "expected 1 to 256"),
    ],
)
def test_a_damaged_description_is_refused(content: bytes, message: str, store: Store) -> None:
    (store.folder / "store.json").write_bytes(content)
    with pytest.raises(StoreError, match=message):
        Store.open(store.folder, FACTS)


def test_a_folder_with_something_else_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"is not empty and no store \(store.json is missing\)"):
        Store.open(tmp_path, FACTS)
    assert os.listdir(tmp_path) == ["thesis.docx"]


def test_a_store_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot make a store in .*file"):
        Store.open(tmp_path / "file", FACTS)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"{}", b'{"number": 1}', None])
def test_a_damaged_commit_is_a_store_error(content: bytes | None, store: Store) -> None:
    with store.writing() as state:
        store.commit(state)
    path = store.commits / "000001.json"
    damaged = json.loads(path.read_bytes()) | {"inputs": [{"nonsense": 1}]}
    path.write_bytes(json.dumps(damaged).encode() if content is None else content)
    with pytest.raises(StoreError, match=r"000001\.json is damaged: .*; expected a whole commit"), store.writing():
        pass


@pytest.mark.parametrize("harm", ["missing", "cut", "flipped"])
def test_a_damaged_segment_is_a_store_error(harm: str, store: Store) -> None:
    made = segment(store, list(range(200)))
    path = store.segments / made.name
    data = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        for at in range(8, 400):
            data[at] ^= 0x10
        path.write_bytes(data)
    with pytest.raises(StoreError, match=r"Consent-0\.parquet of the store .* cannot be read"):
        read_buckets(store.segments, [made], set(range(16)), None)


def hold(folder: str, facts: StoreFacts, ready: Any) -> None:
    with Store.open(Path(folder), facts).writing():
        ready.set()
        time.sleep(60)


def test_a_second_writer_is_refused_and_a_killed_one_forgotten(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=hold, args=(str(store.folder), FACTS, ready))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StoreError, match=r"another run is writing to .*; wait for it to end"), store.writing():
            pass
        assert other.pid is not None
        os.kill(other.pid, signal.SIGKILL)
        other.join(30)
        with store.writing() as state:
            assert state == State()
    finally:
        other.kill()


# --- spills -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most_open", [256, 2], ids=["all open", "one at a time"])
def test_sealing_gathers_each_bucket_of_all_spills(
    most_open: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments_module, "MOST_OPEN", most_open)
    spills = []
    for i, patients in enumerate([[1, 1, 2], [2, 3], [3], []]):
        sizes = [(p, patients.count(p)) for p in sorted(set(patients))]
        spills.append(write_spill(tmp_path / f"spill{i}", "Consent", rows_of("Consent", patients, i), sizes))
    low = seal(spills, range(3), tmp_path / "low.parquet")
    high = seal(spills, range(3, 16), tmp_path / "high.parquet")
    assert low is not None
    assert high is not None
    assert (low.buckets, low.sizes, low.rows) == ((1, 2), (2, 2), 4)
    assert (high.buckets, high.sizes) == ((3,), (2,))
    both = read_buckets(tmp_path, [low, high], {2, 3}, ["pat", "file"])
    assert [(p[0], f) for p, f in zip(both["pat"].to_pylist(), both["file"].to_pylist(), strict=True)] == [
        (2, 0),
        (2, 1),
        (3, 1),
        (3, 2),
    ]


def test_sealing_nothing_leaves_no_file(tmp_path: Path) -> None:
    spill = write_spill(tmp_path / "spill", "Consent", rows_of("Consent", [1]), [(1, 1)])
    assert seal([spill], [2, 3], tmp_path / "none.parquet") is None
    assert seal([], [1], tmp_path / "none.parquet") is None
    assert [p.name for p in tmp_path.iterdir()] == ["spill"]
    assert isinstance(spill, Spill)


# --- compaction -------------------------------------------------------------------------------------------------------


def test_compaction_begins_after_thirty_segments_of_a_type(store: Store) -> None:
    made = [segment(store, [1, 2], i) for i in range(MOST_SEGMENTS)]
    other = [segment(store, [3], i, "Patient") for i in range(5)]
    assert overfull(made + other) == {}
    one_more = [*made, segment(store, [2], 30)]
    assert overfull(one_more + other) == {"Consent": tuple(one_more)}
    apart = [segment(store, [i % 16], i, name=f"apart{i}") for i in range(40)]
    assert overfull(apart) == {}, "a bucket is what a reader opens files for: none of these is in more than three"


def test_compaction_keeps_live_rows_and_drops_retired_ones(store: Store) -> None:
    patients = [1, 2, 18, 40]
    made = [segment(store, patients, i) for i in range(31)]
    live = set(range(31)) - {4, 30}
    tasks = compact_tasks(made, live, store.segments, 7, width=8)
    assert [t.buckets for t in tasks] == [(1, 2), (8,)], "18 and 40 fall into buckets 2 and 8 of 16"
    merged = [s for s in map(compact_task, tasks) if s is not None]
    before = read_buckets(store.segments, made, set(range(16)), ["pat", "file", "line", "sha"])
    after = read_buckets(store.segments, merged, set(range(16)), ["pat", "file", "line", "sha"])
    expected = sorted(tuple(r.values()) for r in before.to_pylist() if r["file"] in live)
    assert sorted(tuple(r.values()) for r in after.to_pylist()) == expected
    assert len(expected) == 29 * 4
    assert all(len(overfull([*merged, s])) == 0 for s in merged)


def test_a_type_without_live_rows_vanishes(store: Store) -> None:
    made = [segment(store, [1], i) for i in range(31)]
    assert [compact_task(t) for t in compact_tasks(made, [99], store.segments, 1, width=32)] == [None]
    assert not [p for p in store.segments.iterdir() if p.name.startswith("000001-")]


def test_compacted_segments_go_only_when_nobody_reads_them(tmp_path: Path) -> None:
    reader = Store.open(tmp_path / "store", FACTS)
    with reader.writing() as state:  # a build that has taken its data in, and reads on
        state.segments = [segment(reader, [1], name="old")]
        reader.commit(state)
    writer = Store.open(tmp_path / "store", FACTS)
    with writer.writing() as state:
        state.segments = [segment(writer, [1], name="new")]
        writer.commit(state)
        writer.sweep(state)
    assert sorted(os.listdir(writer.segments)) == ["new.parquet", "old.parquet"]
    del reader
    with writer.writing():
        assert os.listdir(writer.segments) == ["new.parquet"]


def test_compacted_segments_go_when_the_last_reader_has_gone(tmp_path: Path) -> None:
    one = Store.open(tmp_path / "store", FACTS)
    with one.writing() as state:
        state.segments = [segment(one, [1], name="old")]
        one.commit(state)
        state.segments = [segment(one, [1], name="new")]
        one.commit(state)
        one.sweep(state)
    assert os.listdir(one.segments) == ["new.parquet"]


# --- who is who, remembered -------------------------------------------------------------------------------------------


def key(n: int) -> bytes:
    return bytes([n]) * 16


def subject(name: str, *keys: int) -> Subject:
    return Subject(name, Enrolled(f"keyed:{key(keys[0]).hex()}", name, "01"), tuple(map(key, keys)), key(keys[0]))


def known_people() -> Identities:
    version = Version(key(50), 7, 2, key(51))
    return Identities(
        patients=[KnownPatient(key(n), (key(n + 100),), (("replaced-by", key(1)),)) for n in (1, 2, 9)],
        candidates=[Candidate(version, key(n), f"00{n}", "MSC", "2025-01-02", "on-study", key(60)) for n in (1, 9)],
        consents=[ConsentDay(Version(key(n), -1, -1, key(52)), key(n), "2025-01-01", True) for n in (9, 2)],
        studies={key(60): frozenset(["a|b", "c|d"])},
        look_ups={key(70): LookUp("s|c", None, "form", "LOT", None)},
    )


def test_only_subjects_are_remembered() -> None:
    state = State()
    remember(state, known_people(), [subject("S1", 1, 2)])
    assert key(9).hex() not in json.dumps(state.as_json()), "nothing of a patient who is no subject may be stored"
    found = recall(State.from_json(json.loads(json.dumps(state.as_json()))))
    everything = known_people()
    assert found.patients == everything.patients[:2]
    assert found.candidates == everything.candidates[:1]
    assert found.consents == everything.consents[1:]
    assert (found.studies, found.look_ups) == (everything.studies, everything.look_ups)


def test_what_is_remembered_does_not_grow_by_repetition() -> None:
    state, twice = State(), known_people()
    twice.add(known_people())
    remember(state, known_people(), [subject("S1", 1, 2)])
    once = json.dumps(state.as_json())
    remember(state, twice, [subject("S1", 1, 2)])
    assert json.dumps(state.as_json()) == once


# --- what is read again -----------------------------------------------------------------------------------------------


def entry(number: int, label: str, now: Now, held_back: int = 0, kind: str = "Observation") -> InputEntry:
    dropped = {f"{kind} not-a-subject": held_back} if held_back else {}
    return InputEntry(number, label, f"sha-{label}", 1, 1, {kind: 3}, dropped, [], now.identities, now.look_ups)


THEN = Now.of([subject("S1", 1)], Identities())
MERGED = Now.of([subject("S1", 1, 2)], Identities())
MORE = Now.of([subject("S1", 1), subject("S2", 5)], Identities())
FEWER = Now.of([], Identities())
DRUGS = Now.of([subject("S1", 1)], Identities(look_ups={key(70): LookUp("s|c")}))


@pytest.mark.parametrize(
    ("now", "again"),
    [
        (THEN, []),
        (MORE, ["held.ndjson"]),
        (MERGED, ["held.ndjson"]),
        (FEWER, ["drugs.ndjson", "held.ndjson", "own.ndjson"]),
        (DRUGS, ["drugs.ndjson"]),
    ],
    ids=["nothing new", "one more subject", "one more record of a subject", "one subject less", "a new Medication"],
)
def test_what_is_read_again(now: Now, again: list[str]) -> None:
    labels = ["drugs.ndjson", "held.ndjson", "new.ndjson", "own.ndjson"]
    entries = [
        entry(0, "own.ndjson", THEN),
        entry(1, "held.ndjson", THEN, held_back=2),
        entry(2, "drugs.ndjson", THEN, kind="MedicationAdministration"),
    ]
    state = State(inputs=entries, identities={THEN.identities: sorted(THEN.keys)})
    files = [InputFile(i, label, label, 1) for i, label in enumerate(labels)]
    hashes = {label: f"sha-{label}" for label in labels}
    assert [f.label for f in to_read(files, hashes, state, now)] == sorted([*again, "new.ndjson"])


def test_a_file_that_is_needed_again_and_gone_is_an_error() -> None:
    state = State(inputs=[entry(1, "held.ndjson", THEN, held_back=2)], identities={THEN.identities: sorted(THEN.keys)})
    with pytest.raises(InputError, match=r"S2 became a subject.* after held\.ndjson had been read.* among the inputs"):
        to_read([], {}, state, MORE)
    renamed = [InputFile(0, "moved.ndjson", "moved.ndjson", 1)]
    assert to_read(renamed, {"moved.ndjson": "sha-held.ndjson"}, state, MORE) == renamed, "known by its content"
    assert to_read([], {}, state, FEWER) == [], "nothing is missing when somebody leaves"
