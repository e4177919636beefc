"""Who is who may be learnt late: last file, later build, either direction of a link; the datasets do not depend on it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapter import build
from adapter.errors import InputError, StoreError
from adapter.result import Result
from adapter.store.compact import compact_tasks
from tests.conftest import EVERYTHING, KEY, Cohort, hashes, lines_of, make_site, write_lines

pytestmark = pytest.mark.usefixtures("tabulation_only")

MRN = "urn:oid:2.16.156.999999.1"  # the demo hospital's own numbering of patients
LINKED = b'"link":['


class Night(NamedTuple):
    """The demo hospital with every eighth Observation of each file: lines by resource type, and the log's rows.

    `lines` is without ResearchSubjects: one who takes part by his ResearchSubject and is not in the log yet is an error.
    """

    lines: dict[str, list[bytes]]
    log: list[dict[str, str]]
    research_subjects: list[bytes]

    def all(self) -> list[bytes]:
        return [line for lines in self.lines.values() for line in lines]

    def but(self, *kinds: str) -> list[bytes]:
        return [line for kind, lines in self.lines.items() if kind not in kinds for line in lines]


@pytest.fixture(scope="module")
def night(demo10: Cohort) -> Night:
    lines: dict[str, list[bytes]] = {}
    for name, found in lines_of(demo10.fhir).items():
        kind = name.partition(".")[0].partition("-")[0]
        lines.setdefault(kind, []).extend(found[::8] if kind == "Observation" else found)
    subjects = lines.pop("ResearchSubject")
    return Night(lines, list(csv.DictReader(io.StringIO(demo10.log.read_text("utf-8")))), subjects)


class Hospital:
    """A place for builds: one site, one key, files and logs as a test wants them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = make_site(folder / "site", KEY)
        self.builds = 0

    def files(self, name: str, lines: Iterable[bytes]) -> Path:
        return write_lines(self.folder / name, {f"{name}.ndjson": lines})

    def log(self, name: str, rows: list[dict[str, str]]) -> Path:
        path = self.folder / f"{name}.csv"
        with open(path, "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    def build(self, inputs: list[Path], log: Path | None, store: str = "", **more: Any) -> Result:
        self.builds += 1
        return build(
            inputs,
            out=self.folder / f"out{self.builds}",
            enrolment=log,
            site=self.site,
            store=self.folder / store if store else None,
            workers=1,
            **more,
        )


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


@pytest.fixture(scope="module")
def at_once(night: Night, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """One build of everything: what all others must equal."""
    place = Hospital(tmp_path_factory.mktemp("at-once"))
    return place.build([place.files("all", night.all())], place.log("log", night.log))


def edited(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    resource = json.loads(line)
    change(resource)
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def without_link(line: bytes) -> bytes:
    return edited(line, lambda r: r.pop("link", None))


def same_data(found: Result, expected: Result) -> None:
    assert hashes(found.out) == hashes(expected.out)
    assert found.counts["records"] == expected.counts["records"]


# --- within one build -------------------------------------------------------------------------------------------------


def test_patients_last_and_observations_first(night: Night, at_once: Result, hospital: Hospital) -> None:
    order = sorted(night.lines, key=lambda kind: (kind == "Patient", kind != "Observation", kind))
    files = {f"{i:02d}.ndjson": night.lines[kind][::-1] for i, kind in enumerate(order)}
    folder = write_lines(hospital.folder / "in", files)
    assert b'"Observation"' in night.lines[order[0]][0]
    same_data(hospital.build([folder], hospital.log("log", night.log), range_bytes=50_000), at_once)


@pytest.mark.parametrize("kept", ["replaces", pytest.param("replaced-by", marks=pytest.mark.long)])
def test_a_link_in_either_direction(kept: str, night: Night, at_once: Result, hospital: Hospital) -> None:
    # a chain of two merges (a wart) is linked in one direction only, and is left as it is
    patients = [
        p if f'"type":"{kept}"'.encode() in p or b"wart-" in p else without_link(p) for p in night.lines["Patient"]
    ]
    assert sum(LINKED in p and b"wart-" not in p for p in patients) == 1
    folder = hospital.files("in", [*night.but("Patient"), *patients])
    same_data(hospital.build([folder], hospital.log("log", night.log)), at_once)


def test_the_link_is_what_joins_the_histories(night: Night, at_once: Result, hospital: Hospital) -> None:
    """The tests above would show nothing if the replaced record had no data."""
    folder = hospital.files("in", [*night.but("Patient"), *map(without_link, night.lines["Patient"])])
    result = hospital.build([folder], hospital.log("log", night.log))
    assert result.counts["records"]["LB"] < at_once.counts["records"]["LB"]


def test_enrolment_by_identifier(night: Night, at_once: Result, hospital: Hospital) -> None:
    numbers = {}
    for line in night.lines["Patient"]:
        r = json.loads(line)
        numbers[r["id"]] = next((i["value"] for i in r["identifier"] if i["system"] == MRN), "")
    rows = [
        row if "|" in row["patient"] else row | {"patient": f"{MRN}|{numbers[row['patient']]}"} for row in night.log
    ]
    same_data(hospital.build([hospital.files("in", night.all())], hospital.log("log", rows)), at_once)


# --- over several builds into one store -------------------------------------------------------------------------------


def test_two_nights_give_what_one_gives(night: Night, at_once: Result, hospital: Hospital) -> None:
    """Night 2 brings new files only, with a part of everything but of who is who, copies and new versions included."""
    first, second = [*night.lines["Patient"]], list[bytes]()
    for i, line in enumerate(night.but("Patient")):
        (first if i % 3 and b'"Medication"' not in line else second).append(line)
    first += [line for line in second if b'"Medication"' in line]
    log = hospital.log("log", night.log)
    hospital.build([hospital.files("night1", first)], log, "store")
    result = hospital.build([hospital.files("night2", second)], log, "store")
    same_data(result, at_once)
    assert [i["label"] for i in result.manifest["inputs"]] == ["night1/night1.ndjson", "night2/night2.ndjson"]


def test_what_was_read_is_not_read_twice(night: Night, at_once: Result, hospital: Hospital) -> None:
    log, folder = hospital.log("log", night.log), hospital.files("in", night.all())
    told: list[str] = []
    one = hospital.build([folder], log, "store")
    two = hospital.build([folder], log, "store", progress=lambda stage, _done, _total: told.append(stage))
    assert "intake" not in told
    assert hashes(two.out, EVERYTHING) == hashes(one.out, EVERYTHING)
    same_data(two, at_once)


def test_a_store_as_the_input(night: Night, at_once: Result, hospital: Hospital) -> None:
    log = hospital.log("log", night.log)
    one = hospital.build([hospital.files("in", night.all())], log, "store")
    two = hospital.build([hospital.folder / "store"], log)
    assert hashes(two.out, EVERYTHING) == hashes(one.out, EVERYTHING)
    same_data(two, at_once)


@pytest.mark.long
def test_a_store_and_new_files_as_inputs(night: Night, at_once: Result, hospital: Hospital) -> None:
    log = hospital.log("log", night.log)
    hospital.build([hospital.files("in1", night.but("Procedure"))], log, "store")
    result = hospital.build([hospital.folder / "store", hospital.files("in2", night.lines["Procedure"])], log)
    same_data(result, at_once)


@pytest.mark.long
@pytest.mark.parametrize("kept", ["replaces", "replaced-by"])
def test_a_link_that_comes_in_a_later_build(kept: str, night: Night, at_once: Result, hospital: Hospital) -> None:
    """The data of the replaced record was held back in the first build, because nobody knew whose it is."""
    linked = [p for p in night.lines["Patient"] if LINKED in p]
    log = hospital.log("log", night.log)
    first = hospital.files("night1", [*night.but("Patient"), *(p for p in night.lines["Patient"] if p not in linked)])
    second = hospital.files("night2", [p if f'"type":"{kept}"'.encode() in p else without_link(p) for p in linked])
    before = hospital.build([first], log, "store")
    assert before.counts["records"]["LB"] < at_once.counts["records"]["LB"]
    same_data(hospital.build([first, second], log, "store"), at_once)


def test_patients_that_come_in_a_later_build(night: Night, at_once: Result, hospital: Hospital) -> None:
    """Log rows that name an identifier cannot be resolved before: their data is held back, and read then."""
    log = hospital.log("log", night.log)
    first = hospital.files("night1", night.but("Patient"))
    hospital.build([first], log, "store")
    same_data(hospital.build([first, hospital.files("night2", night.lines["Patient"])], log, "store"), at_once)


@pytest.mark.parametrize("kind", ["Medication", pytest.param("BiologicallyDerivedProduct", marks=pytest.mark.long)])
def test_a_look_up_that_comes_in_a_later_build(kind: str, night: Night, at_once: Result, hospital: Hospital) -> None:
    log = hospital.log("log", night.log)
    first = hospital.files("night1", night.but(kind))
    hospital.build([first], log, "store")
    same_data(hospital.build([first, hospital.files("night2", night.lines[kind])], log, "store"), at_once)


def test_subjects_enrolled_after_their_data_came(night: Night, at_once: Result, hospital: Hospital) -> None:
    folder = hospital.files("in", night.all())
    few = hospital.build([folder], hospital.log("few", night.log[:6]), "store")
    assert few.counts["records"]["DM"] == 6
    result = hospital.build([folder], hospital.log("log", night.log), "store")
    same_data(result, at_once)
    assert result.counts["resources"] == at_once.counts["resources"]


@pytest.mark.long
def test_a_file_to_be_read_again_that_is_gone(night: Night, at_once: Result, hospital: Hospital) -> None:
    few, log = hospital.log("few", night.log[:6]), hospital.log("log", night.log)
    first, second = hospital.files("night1", night.but("Procedure")), hospital.files("night2", night.lines["Procedure"])
    hospital.build([first], few, "store")
    commits = sorted(p.name for p in (hospital.folder / "store" / "commits").iterdir())
    for inputs in ([second], [hospital.folder / "store"]):
        store = "store" if inputs == [second] else ""
        with pytest.raises(InputError, match=r"became a subject.*night1/night1\.ndjson") as caught:
            hospital.build(inputs, log, store)
        assert "among the inputs again" in caught.value.message
        assert "pt-0" not in caught.value.message, "no hospital id in a message"
    assert sorted(p.name for p in (hospital.folder / "store" / "commits").iterdir()) == commits, "nothing was committed"
    assert hospital.build([hospital.folder / "store"], few).counts["records"]["DM"] == 6, "and the store still serves"
    same_data(hospital.build([first, second], log, "store"), at_once)


@pytest.mark.parametrize("inputs", ["files", pytest.param("store", marks=pytest.mark.long)])
def test_a_subject_who_leaves_the_log(inputs: str, night: Night, hospital: Hospital) -> None:
    """Struck from the log: the rows stay in the store, appear nowhere, and the accounts balance."""
    folder = hospital.files("in", night.all())
    short = hospital.log("short", night.log[:-3])
    expected = hospital.build([folder], short)
    hospital.build([folder], hospital.log("log", night.log), "store")
    again = [folder] if inputs == "files" else [hospital.folder / "store"]
    result = hospital.build(again, short, "store" if inputs == "files" else "")
    same_data(result, expected)
    counts = result.counts["resources"]["Observation"]
    assert counts["read"] == counts["used"] + sum(counts["dropped"].values())
    assert counts["used"] == expected.counts["resources"]["Observation"]["used"]


def test_compaction_changes_no_byte(
    night: Night, at_once: Result, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapter.ingest.compact_tasks", partial(compact_tasks, most=2))
    log, everything = hospital.log("log", night.log), night.but("Patient", "Medication", "BiologicallyDerivedProduct")
    people = [line for k in ("Patient", "Medication", "BiologicallyDerivedProduct") for line in night.lines[k]]
    hospital.build([hospital.files("night0", people)], log, "store")
    sizes = []
    for n in range(3):
        result = hospital.build([hospital.files(f"night{n + 1}", everything[n::3])], log, "store")
        sizes.append(sum("Observation" in p.name for p in (hospital.folder / "store" / "segments").iterdir()))
    assert sizes == [1, 2, 1], "the third was merged with those before it, and the old files are gone"
    same_data(result, at_once)
    once_more = hospital.build([hospital.folder / "store"], log)
    assert hashes(once_more.out, EVERYTHING) == hashes(result.out, EVERYTHING)


def test_a_store_of_another_key(night: Night, hospital: Hospital) -> None:
    log, folder = hospital.log("log", night.log), hospital.files("in", night.lines["Patient"])
    hospital.build([folder], log, "store", cutoff="2025-09-29")
    hospital.site = make_site(hospital.folder / "other-site", "77" * 32)
    with pytest.raises(StoreError, match="made with another key"):
        hospital.build([folder], log, "store", cutoff="2025-09-29")


# --- ResearchSubject as the source ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named(night: Night) -> Night:
    """ResearchSubjects with a subject code, as a hospital without a log must have them."""
    lines = dict(night.lines)
    lines["ResearchSubject"] = [
        edited(line, lambda r, i=i: r.update(identifier=[{"system": "urn:pgf-msc:subject", "value": f"{i:03d}"}]))
        for i, line in enumerate(night.research_subjects, 1)
    ]
    return Night(lines, [], [])


@pytest.fixture(scope="module")
def without_log(named: Night, tmp_path_factory: pytest.TempPathFactory) -> Result:
    place = Hospital(tmp_path_factory.mktemp("without-log"))
    return place.build([place.files("all", named.all())], None)


def test_research_subjects_make_the_subjects(named: Night, without_log: Result) -> None:
    dm = without_log.sdtm["DM"]
    assert list(dm["SUBJID"]) == [f"{i:03d}" for i in range(1, len(named.lines["ResearchSubject"]) + 1)]
    assert without_log.counts["records"]["LB"] > 300


def test_research_subjects_last(named: Night, without_log: Result, hospital: Hospital) -> None:
    late = ("ResearchStudy", "ResearchSubject", "Consent", "Patient")
    lines = [*named.but(*late), *(line for kind in late for line in named.lines[kind][::-1])]
    same_data(hospital.build([hospital.files("in", lines)], None, range_bytes=50_000), without_log)


@pytest.mark.long
def test_research_subjects_in_a_later_build(named: Night, without_log: Result, hospital: Hospital) -> None:
    first = hospital.files("night1", named.but("ResearchSubject"))
    some, rest = named.lines["ResearchSubject"][:5], named.lines["ResearchSubject"][5:]
    hospital.build([first, hospital.files("night2", some)], None, "store")
    later = hospital.files("night3", rest)
    same_data(hospital.build([first, hospital.folder / "night2", later], None, "store"), without_log)


@pytest.mark.long
def test_research_subjects_are_remembered(named: Night, without_log: Result, hospital: Hospital) -> None:
    """Night 2 has neither ResearchSubject nor Consent nor study: the store knows them."""
    who = ("ResearchStudy", "ResearchSubject", "Consent", "Patient", "Medication", "BiologicallyDerivedProduct")
    rest = named.but(*who)
    first = hospital.files("night1", [*(line for kind in who for line in named.lines[kind]), *rest[::2]])
    hospital.build([first], None, "store")
    same_data(hospital.build([hospital.files("night2", rest[1::2])], None, "store"), without_log)
    same_data(hospital.build([hospital.folder / "store"], None), without_log)
