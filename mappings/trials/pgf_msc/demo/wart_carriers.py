"""Warts of files and copies: the carriers that records come in, lines that are none, and versions that overtake others."""

from __future__ import annotations

import copy
from datetime import date, timedelta

from mappings.trials.pgf_msc.demo import fhir
from mappings.trials.pgf_msc.demo.fhir import SNOMED, Resource, coding, concept, encode, number, quantity
from mappings.trials.pgf_msc.demo.wart_files import DELETE, EMPTY, HISTORY, INTERFACE, LIS, POCT, REEXPORT, SEARCH
from mappings.trials.pgf_msc.demo.warts import Desk, Wart, WartFile, wart

LDH, SODIUM = "2532-0", "2951-2"
WARTS: list[Wart] = []


def _value(text: str) -> Resource:
    return {"valueQuantity": quantity(text, "U/L", "U/L")}


def _millimoles(text: str) -> Resource:
    return {"valueQuantity": quantity(text, "mmol/L", "mmol/L")}


# --- carriers ----------------------------------------------------------------------------------------------------------


# the first wart, so that its result is the first line of the file
@wart(WARTS, "carriers", "a file with a byte order mark and CRLF; then an empty line")
def windows_file(d: Desk) -> None:
    r = d.result(LDH, _value("209"))
    d.put(INTERFACE, r)
    d.line(INTERFACE, "", "")
    d.used(r, LBORRES="209")


@wart(
    WARTS,
    "carriers",
    "two pages of a search overlap in one result; each ends with an OperationOutcome (`mode` outcome)",
)
def overlapping_pages(d: Desk) -> None:
    made = [d.result(LDH, _value(text)) for text in ("205", "206", "207")]
    for n, r in enumerate(made):
        r["effectiveDateTime"] = fhir.stamp(d.at + timedelta(minutes=n))
    outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "processing"}]}
    for page, found in zip(SEARCH, (made[:2], made[1:]), strict=True):
        d.put(page, *found, outcome)
    for r, text in zip(made, ("205", "206", "207"), strict=True):
        d.used(r, LBORRES=text)
    d.dropped("Observation", "duplicate-copy", count=1)
    d.dropped("OperationOutcome", "type-not-read", count=2)


@wart(WARTS, "carriers", "a gzip file of two members, a line of it cut in two between them")
def two_members(d: Desk) -> None:
    r = d.result(LDH, _value("208"), note=[{"text": "床旁检测"}])
    d.put(POCT, r)
    d.used(r, LBORRES="208")


@wart(WARTS, "carriers", "a GB18030 file; a Chinese note with characters beyond GBK (`㐀`, `𠀀`)")
def gb18030(d: Desk) -> None:
    r = d.result(concept([coding(fhir.LOCAL_LAB, "U-KET", "尿酮体")], "尿酮体"), {"valueString": "弱阳性（㐀𠀀）"})
    d.put(LIS, r)
    d.used(r, LBTESTCD="KETONES", LBORRES="弱阳性（㐀𠀀）")


@wart(WARTS, "carriers", "U+2028 and U+0085 inside a string: they end no line")
def line_separator(d: Desk) -> None:
    r = d.result(LDH, _value("210"), note=[{"text": "见\u2028备注\u0085"}])
    d.put(REEXPORT, r)
    d.used(r, LBORRES="210")


@wart(WARTS, "carriers", "a broken line among good ones: a brace is missing in the middle")
def broken_line(d: Desk) -> None:
    r = d.result(LDH, _value("211"))
    d.broken(INTERFACE, encode(r).replace('"valueQuantity":{', '"valueQuantity":'), "json-broken")


@wart(WARTS, "carriers", "a resource without id")
def no_id(d: Desk) -> None:
    r = d.result(LDH, _value("212"))
    del r["id"]
    d.rejected(INTERFACE, r, "no-id", "id")


@wart(WARTS, "carriers", "a Procedure among the Observations of a file")
def wrong_file(d: Desk) -> None:
    code = concept([coding(SNOMED, "12719002")], "输注单采血小板")
    when = {"performedDateTime": fhir.stamp(d.at)}
    r = {**fhir.procedure(d.rid(), d.patient, code, when, d.at), "status": "entered-in-error"}
    d.put(INTERFACE, r)
    d.dropped("Procedure", "status-entered-in-error", r)


@wart(WARTS, "carriers", "an empty file")
def empty_file(d: Desk) -> None:
    d.warts.files[EMPTY] = WartFile()


# --- versions ----------------------------------------------------------------------------------------------------------


def _version(first: Resource, number_: int, text: str, status: str = "final", later: int = 1) -> Resource:
    """Return another version of a result, its value changed, updated some hours later."""
    r = copy.deepcopy(first)
    r["status"] = status
    r["valueQuantity"]["value"] = number(text)
    known = fhir.moment(date.fromisoformat(r["issued"][:10]), 13) + timedelta(hours=later)
    r["meta"] = fhir.meta(known, number_)
    return r


@wart(WARTS, "versions", "preliminary, final, corrected in three files, the last version first")
def chain_of_three(d: Desk) -> None:
    first = d.result(SODIUM, _millimoles("133"), status="preliminary")
    final, corrected = _version(first, 2, "135"), _version(first, 3, "134", "corrected", later=2)
    d.put(LIS, corrected)
    d.put(POCT, final)
    d.put(REEXPORT, first)
    d.used(corrected, LBORRES="134", version="3")
    d.dropped("Observation", "superseded-version", count=2)


@wart(WARTS, "versions", "version 1 is exported again, byte for byte, after version 2 had corrected it")
def old_version_comes_back(d: Desk) -> None:
    first = d.result(SODIUM, _millimoles("160"))
    second = _version(first, 2, "140", "corrected")
    d.put(POCT, first, second)
    d.put(REEXPORT, first)
    d.used(second, LBORRES="140", version="2")
    d.dropped("Observation", "superseded-version", count=2)


@wart(WARTS, "versions", "versions 9 and 10, last updated in the same second")
def version_ten(d: Desk) -> None:
    first = d.result(SODIUM, _millimoles("142"))
    nine, ten = _version(first, 9, "142"), _version(first, 10, "143")
    d.put(POCT, ten, nine)
    d.used(ten, LBORRES="143", version="10")
    d.dropped("Observation", "superseded-version", count=1)


@wart(WARTS, "versions", "two different copies with the same version and the same update")
def tie(d: Desk) -> None:
    one = d.result(SODIUM, _millimoles("144"))
    other = {**copy.deepcopy(one), "note": [{"text": "复查"}]}
    d.put(LIS, one)
    d.put(REEXPORT, other)
    d.used(one, LBORRES="144")
    d.dropped("Observation", "superseded-version", count=1)
    d.issue(one, "version-tie", dataset="")


@wart(WARTS, "versions", "a newer copy tagged SUBSETTED, without unit and status details")
def part_of_a_resource(d: Desk) -> None:
    whole = d.result(SODIUM, _millimoles("145"))
    part = _version(whole, 2, "145")
    part["meta"]["tag"] = [coding("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "SUBSETTED")]
    part["valueQuantity"] = {"value": number("145")}
    d.put(POCT, whole)
    d.put(REEXPORT, part)
    d.used(whole, LBORRES="145", LBORRESU="mmol/L", version="1")
    d.dropped("Observation", "superseded-version", count=1)


@wart(WARTS, "versions", "an interface sends a result once more, under another id and from another file")
def interface_replay(d: Desk) -> None:
    true = d.result(SODIUM, _millimoles("146"))
    replay = {**copy.deepcopy(true), "id": d.rid()}
    d.put(LIS, true)
    d.put(INTERFACE, replay)
    d.used(true, twin=replay, LBORRES="146")
    d.dropped("Observation", "duplicate-result", count=1)


@wart(WARTS, "versions", "a result that the hospital deletes in a history Bundle")
def deletion(d: Desk) -> None:
    r = d.result(SODIUM, _millimoles("99"))
    d.put(POCT, r)
    d.line(HISTORY, f"{DELETE}Observation/{r['id']}", "Observation")
    d.dropped("Observation", "deleted-by-hospital", r)
    d.dropped("Observation", "deletion-entry", count=1)
