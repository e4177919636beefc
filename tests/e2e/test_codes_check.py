"""`codes check`: what is listed, what never is, the files to fill in, and that a build then knows what was filled in."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from adapter import build, cli
from adapter.codes_check import Seen, check_codes
from tests.conftest import make_site

pytestmark = pytest.mark.usefixtures("tabulation_only")

LOCAL = "urn:oid:2.16.156.999999.4"
HEADER = "patient,subjid,siteid,arm,consent_date,randomisation_date\n"


def observation(n: int, patient: int, code: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": f"o{n}", "status": "final", "code": code,
        "subject": {"reference": f"Patient/p{patient}"}, "effectiveDateTime": f"2024-03-01T06:{n % 60:02d}:00+08:00",
        "valueQuantity": {"value": 5, "unit": "10*9/L", "system": "http://unitsofmeasure.org", "code": "10*9/L"},
    } | more  # fmt: skip


def quantity(unit: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": 5, "unit": unit}}


PLATELETS = {"coding": [{"system": "http://loinc.org", "code": "777-3"}]}
LOCAL_WHITE = {"coding": [{"system": LOCAL, "code": "W1", "display": "白细胞计数"}]}
SECRET = "张三的特殊检查"


def resources() -> list[dict[str, Any]]:
    """Two patients: 6 platelets, 4 local white cells, 3 by a text alone, one by a text that names somebody, and more."""
    text = {"text": "血小板计数（手工）"}
    made = [observation(n, 1 + n % 2, PLATELETS) for n in range(6)]
    made += [observation(10 + n, 1 + n % 2, LOCAL_WHITE) for n in range(4)]
    made += [observation(20 + n, 1 + n % 2, text) for n in range(3)]
    made += [observation(30, 1, {"text": SECRET}, valueString=f"{SECRET} 阳性") | {"valueQuantity": None}]
    made += [observation(40 + n, 1 + n % 2, PLATELETS, **quantity("千/ul血")) for n in range(2)]
    made += [observation(50 + n, 1 + n % 2, PLATELETS, **quantity("g/L")) for n in range(2)]
    made += [observation(60, 1, PLATELETS, valueQuantity={"value": 5})]
    # nothing to map: withdrawn, a panel without a value, about a donor
    made += [observation(70, 1, LOCAL_WHITE, status="entered-in-error")]
    made += [observation(71, 1, LOCAL_WHITE, hasMember=[{"reference": "Observation/o0"}]) | {"valueQuantity": None}]
    made += [observation(72, 1, LOCAL_WHITE, focus=[{"reference": "Patient/donor"}])]
    for n, code in enumerate(({"text": "他克莫司胶囊"}, {"text": "神秘中药"}, {"text": "神秘中药"}), 80):
        made.append({
            "resourceType": "MedicationAdministration", "id": f"m{n}", "status": "completed", "medicationCodeableConcept": code,
            "subject": {"reference": f"Patient/p{1 + n % 2}"}, "effectiveDateTime": "2024-03-02",
        })  # fmt: skip
    made += [{"resourceType": "Patient", "id": f"p{n}", "gender": "female", "birthDate": "1980-01-01"} for n in (1, 2)]
    return [{k: v for k, v in r.items() if v is not None} for r in made]


def hospital(folder: Path, carrier: str = "ndjson") -> Path:
    (folder / "fhir").mkdir()
    if carrier == "bundle":
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources()]}
        (folder / "fhir" / "all.json").write_text(json.dumps(bundle, ensure_ascii=False, indent=1), encoding="utf-8")
    else:
        data = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in resources())
        if carrier == "gzip":
            (folder / "fhir" / "all.ndjson.gz").write_bytes(gzip.compress(data.encode()))
        else:
            (folder / "fhir" / "all.ndjson").write_bytes(data.encode(carrier if carrier != "ndjson" else "utf-8"))
    return folder / "fhir"


def asked(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = cli.main(["codes", "check", *map(str, args)])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.mark.parametrize("carrier", ["ndjson", "gzip", "bundle", "gb18030", "utf-16"])
def test_every_carrier_gives_the_same_answer(carrier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = asked(capsys, hospital(tmp_path, carrier), "--json")
    found = json.loads(out)
    assert code == 3
    assert found["complete"] is False
    assert found["resources"]["Observation"] == {
        "records": 19, "mapped": 11, "ignored": 0, "share": round(11 / 19, 4), "domains": {"LB": 11},
    }  # fmt: skip
    assert found["resources"]["MedicationAdministration"]["mapped"] == 1
    listed = [(c["resource"], c["system"], c["code"], c["display"], c["records"]) for c in found["codes"]]
    assert listed == [
        ("Observation", LOCAL, "W1", "白细胞计数", 4),
        ("Observation", "", "", "血小板计数（手工）", 3),
        ("MedicationAdministration", "", "", "神秘中药", 2),
    ]
    assert [c["suggestion"] for c in found["codes"]] == ["http://loinc.org|6690-2", "http://loinc.org|777-3", ""]
    assert [(u["spelling"], u["reason"], u["records"], u["tests"]) for u in found["units"]] == [
        ("g/L", "unit-not-convertible", 2, "PLAT"), ("千/ul血", "unit-unknown", 2, "PLAT"),
    ]  # fmt: skip
    assert (found["unitless"], found["hidden"]) == (1, 1)


def test_nothing_of_a_patient_is_shown_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hospital(tmp_path)
    for flags in ((), ("--json",)):
        _, out, err = asked(capsys, folder, "--out", tmp_path / f"maps{len(flags)}", *flags)
        written = b"".join(p.read_bytes() for p in tmp_path.rglob("maps*/*.csv")).decode("utf-8-sig")
        for text in (out, err, written):
            assert SECRET not in text
            assert "阳性" not in text
            assert "p1" not in text.replace("maps1", "")
    assert "1 records are named by a text of one patient only" in asked(capsys, folder)[1]
    assert not list(tmp_path.rglob("key"))  # no key is made to look at codes


def test_a_text_met_often_is_shown_even_for_one_patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.dumps(observation(n, 1, {"text": "老项目"}), ensure_ascii=False) for n in range(10)]
    (tmp_path / "a.ndjson").write_text("\n".join(lines), encoding="utf-8")
    assert "老项目" in asked(capsys, tmp_path / "a.ndjson")[1]
    (tmp_path / "a.ndjson").write_text("\n".join(lines[:9]), encoding="utf-8")
    assert "老项目" not in asked(capsys, tmp_path / "a.ndjson")[1]


def test_only_the_subjects_of_the_log_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hospital(tmp_path)
    (tmp_path / "log.csv").write_text(HEADER + "p2,001,01,MSC,2024-01-01,2024-01-02\n")
    found = json.loads(asked(capsys, folder, "--enrolment", tmp_path / "log.csv", "--json")[1])
    assert found["subjects"] == 1
    assert found["resources"]["Observation"]["records"] == 8
    assert [(c["code"], c["records"]) for c in found["codes"] if c["code"]] == [("W1", 2)]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as f:
        return list(csv.DictReader(f))


def test_what_is_filled_in_is_known_afterwards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """check -> skeleton -> filled in by a spreadsheet (GB18030) -> check and build know it; the next skeleton keeps it."""
    folder, log = hospital(tmp_path), tmp_path / "log.csv"
    log.write_text(HEADER + "p1,001,01,MSC,2024-01-01,2024-01-02\np2,002,01,CTRL,2024-01-01,2024-01-02\n")
    site = make_site(tmp_path / "site")
    code, _, err = asked(capsys, folder, "--enrolment", log, "--out", tmp_path / "maps")
    assert code == 3
    assert [line for line in err.splitlines() if "To fill in" in line] == [
        f"To fill in: {tmp_path / 'maps' / n}" for n in ("codes.csv", "units.csv")
    ]
    codes, units = rows(tmp_path / "maps" / "codes.csv"), rows(tmp_path / "maps" / "units.csv")
    assert [(r["resource"], r["code"], r["display"], r["map_to"]) for r in codes] == [
        ("Observation", "W1", "白细胞计数", ""), ("Observation", "", "血小板计数（手工）", ""),
        ("MedicationAdministration", "", "神秘中药", ""),
    ]  # fmt: skip
    assert [(r["spelling"], r["ucum"], r["tests"]) for r in units] == [("千/ul血", "", "PLAT")]

    def save(folder: Path, name: str, table: list[dict[str, str]]) -> None:
        with (folder / name).open("w", encoding="gb18030", newline="") as f:
            writer = csv.DictWriter(f, list(table[0]))
            writer.writeheader()
            writer.writerows(table)

    # as it is, the skeleton changes nothing
    save(site, "codes.csv", codes)
    save(site, "units.csv", units)
    assert asked(capsys, folder, "--enrolment", log)[0] == 3
    save(site, "codes.csv", [r | {"map_to": m} for r, m in zip(codes, ("WBC", r"777-3", ""), strict=True)])
    save(site, "units.csv", [units[0] | {"ucum": "K/uL"}])
    code, _, _ = asked(capsys, folder, "--enrolment", log, "--out", tmp_path / "again")
    again = rows(tmp_path / "again" / "codes.csv")
    assert code == 3
    assert [(r["code"], r["display"], r["map_to"], r["records"]) for r in again] == [
        ("W1", "白细胞计数", "WBC", "4"), ("", "血小板计数（手工）", "777-3", "3"), ("", "神秘中药", "", "2"),
    ]  # fmt: skip
    save(site, "codes.csv", [r | {"map_to": r["map_to"] or "ignore"} for r in again])
    found = json.loads(asked(capsys, folder, "--enrolment", log, "--json")[1])
    assert found["codes"] == []
    result = build(folder, out=tmp_path / "out", enrolment=log, workers=1)
    lb = result.sdtm["LB"]
    assert (lb["LBTESTCD"] == "WBC").sum() == 4
    # 6 with a LOINC code, 3 by text, 2 in the site's unit, 1 without a unit; grams are no count
    assert (lb["LBTESTCD"] == "PLAT").sum() == 12
    assert len(result.unmapped) == 1  # the text of one patient, which codes check does not show


def test_when_all_is_known_the_exit_code_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ndjson").write_text(json.dumps(observation(1, 1, PLATELETS)))
    code, out, err = asked(capsys, tmp_path / "a.ndjson", "--out", tmp_path / "maps")
    assert (code, "Every code and every unit is known." in out, "To fill in" in err) == (0, True, False)
    assert not (tmp_path / "maps").exists()


def test_files_to_fill_in_are_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hospital(tmp_path)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "codes.csv").write_text("filled in\n")
    code, _, err = asked(capsys, folder, "--out", tmp_path / "maps")
    assert code == 2
    assert "codes.csv exists already" in err
    assert (tmp_path / "maps" / "codes.csv").read_text() == "filled in\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("nowhere",), "does not exist"), (("fhir", "--trial", "nope"), "nope"), ((), "Missing argument"),
        (("fhir", "--enrolment", "nowhere.csv"), "nowhere.csv"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_exit_code_2(
    args: tuple[str, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hospital(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, err = asked(capsys, *args)
    assert (code, out) == (2, "")
    assert message in err


def test_broken_lines_are_counted_and_nothing_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hospital(tmp_path)
    with (folder / "all.ndjson").open("a", encoding="utf-8") as f:
        f.write('{"resourceType":"Observation","id":"x"\n{"resourceType":"Observation"}\n')
    code, out, _ = asked(capsys, folder)
    assert code == 3
    assert "2 resources could not be read" in out


def test_memory_is_bounded_by_the_number_of_different_codes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("adapter.codes_check.MOST_KEYS", 10)
    monkeypatch.setattr("adapter.codes_check.PIECE", 7)
    lines = [json.dumps(observation(n, n % 3, {"text": f"text {n}"})) for n in range(40)]
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    found = check_codes([str(tmp_path / "a.ndjson")], "pgf_msc")
    assert found.resources["Observation"].records == 10
    assert found.overflow == {"Observation": 30}
    assert not found.complete


def test_pieces_add_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = hospital(tmp_path)
    whole = check_codes([str(folder)], "pgf_msc")
    monkeypatch.setattr("adapter.codes_check.PIECE", 3)
    assert check_codes([str(folder)], "pgf_msc") == whole
    assert Seen().counts == {}


def test_statements_and_results_inside_reports_are_looked_at_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = {
        "resourceType": "Observation",
        "id": "c",
        "status": "final",
        "code": {"coding": [{"system": LOCAL, "code": "W9"}]},
        "valueQuantity": {"value": 1, "unit": "个"},
    }
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"}, "contained": [inside]}
    lines = []
    for i in range(10):
        who = {"id": str(i), "subject": {"reference": "Patient/1"}}
        taken = {
            "resourceType": "MedicationStatement",
            "status": "active",
            "medicationCodeableConcept": {"text": "神秘药丸"},
        }
        lines += [report | who | {"result": [{"reference": "#c"}]}, taken | who]
    (tmp_path / "fhir").mkdir()
    text = "".join(json.dumps(x, ensure_ascii=False) + "\n" for x in lines)
    (tmp_path / "fhir" / "a.ndjson").write_text(text, encoding="utf-8")
    _, out, _ = asked(capsys, tmp_path / "fhir", "--json")
    listed = {(c["resource"], c["code"] or c["display"], c["records"]) for c in json.loads(out)["codes"]}
    assert listed == {("Observation", "W9", 10), ("MedicationAdministration", "神秘药丸", 10)}
