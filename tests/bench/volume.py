"""Volume data for the benchmarks: CBC Observations as a hospital writes them, their patients and an enrolment log.

Volumes, not clinical truth. Deterministic: the same numbers give the same bytes.
"""

from __future__ import annotations

import csv
import datetime as dt
import random
from pathlib import Path

PATIENTS = 2000
ZONE = dt.timezone(dt.timedelta(hours=1))
# LOINC, display, local code, UCUM unit, mean, standard deviation, limits, decimals
TESTS = (
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "WBC", "10*3/uL", 6.5, 2.0, 4.0, 11.0, 2),
    ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "RBC", "10*6/uL", 4.6, 0.5, 4.2, 5.9, 2),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "HGB", "g/dL", 13.8, 1.6, 12.0, 17.5, 1),
    ("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "HCT", "%", 41.0, 4.5, 36.0, 50.0, 1),
    ("787-2", "MCV [Entitic volume] by Automated count", "MCV", "fL", 89.0, 5.0, 80.0, 100.0, 1),
    ("785-6", "MCH [Entitic mass] by Automated count", "MCH", "pg", 29.8, 2.0, 27.0, 33.0, 1),
    ("786-4", "MCHC [Mass/volume] by Automated count", "MCHC", "g/dL", 33.5, 1.1, 32.0, 36.0, 1),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", "PLT", "10*3/uL", 250.0, 70.0, 150.0, 400.0, 0),
    ("751-8", "Neutrophils [#/volume] in Blood by Automated count", "NEUT", "10*3/uL", 4.0, 1.5, 1.8, 7.7, 2),
    ("731-0", "Lymphocytes [#/volume] in Blood by Automated count", "LYM", "10*3/uL", 2.0, 0.7, 1.0, 4.8, 2),
)
LINE = (
    '{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"1","lastUpdated":"{updated}","source":"#lab-{short}",'
    '"profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"]}},'
    '"identifier":[{{"use":"official","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203",'
    '"code":"FILL"}}]}},"system":"urn:oid:2.16.840.1.113883.19.5","value":"LAB{i:09d}"}}],'
    '"basedOn":[{{"reference":"ServiceRequest/sr-{panel}"}}],"status":"final",'
    '"category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category",'
    '"code":"laboratory","display":"Laboratory"}}],"text":"Laboratory"}}],'
    '"code":{{"coding":[{{"system":"http://loinc.org","code":"{loinc}","display":"{display}"}},'
    '{{"system":"urn:oid:1.2.40.0.34.5.11","code":"{local}","display":"{local}"}}],"text":"{local}"}},'
    '"subject":{{"reference":"Patient/p{patient:06d}","display":"Patient {patient}"}},'
    '"encounter":{{"reference":"Encounter/e{panel}"}},"effectiveDateTime":"{taken}","issued":"{issued}",'
    '"performer":[{{"reference":"Organization/lab-1","display":"Zentrallabor Universitätsklinikum"}}],'
    '"valueQuantity":{{"value":{value},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},'
    '"interpretation":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",'
    '"code":"{flag}"}}]}}],"specimen":{{"reference":"Specimen/s{panel}"}},'
    '"referenceRange":[{{"low":{{"value":{low},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},'
    '"high":{{"value":{high},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},'
    '"text":"{low} - {high}"}}]}}\n'
)


def write_volume(n: int, out: Path, seed: int = 42) -> Path:
    """Write n Observations of up to 2,000 patients, the patients, and a log that makes all of them subjects."""
    rng = random.Random(seed)
    folder = out / "fhir"
    folder.mkdir(parents=True, exist_ok=True)
    start = dt.datetime(2024, 1, 1, 6, 0, tzinfo=ZONE)
    with open(folder / "Observation.ndjson", "w", encoding="utf-8", newline="") as f:
        for i in range(n):
            loinc, display, local, unit, mean, sd, low, high, decimals = TESTS[i % len(TESTS)]
            taken = start + dt.timedelta(days=(i // 20_000) * 7, minutes=rng.randrange(600))
            value = f"{rng.gauss(mean, sd):.{decimals}f}"
            number = float(value)
            id_ = f"{rng.getrandbits(128):032x}"
            f.write(
                LINE.format(
                    id=f"{id_[:8]}-{id_[8:12]}-{id_[12:16]}-{id_[16:20]}-{id_[20:]}",
                    short=id_[:8],
                    updated=(taken + dt.timedelta(hours=3)).isoformat(timespec="milliseconds"),
                    i=i,
                    panel=i // 10,
                    loinc=loinc,
                    display=display,
                    local=local,
                    patient=(i // 10) % PATIENTS,
                    taken=taken.isoformat(),
                    issued=(taken + dt.timedelta(hours=2)).isoformat(timespec="milliseconds"),
                    value=value,
                    unit=unit,
                    flag="H" if number > high else "L" if number < low else "N",
                    low=low,
                    high=high,
                )
            )
    _people(min(PATIENTS, (n + 9) // 10), out)
    return out


def _people(n: int, out: Path) -> None:
    header = "patient subjid siteid arm consent_date screening_date randomisation_date donor_type".split()
    with (
        open(out / "fhir" / "Patient.ndjson", "w", encoding="utf-8") as patients,
        open(out / "enrolment.csv", "w", newline="", encoding="utf-8") as log,
    ):
        rows = csv.writer(log)
        rows.writerow(header)
        for i in range(n):
            gender, year = "male" if i % 2 else "female", 1965 + i % 35
            patients.write(
                f'{{"resourceType":"Patient","id":"p{i:06d}","gender":"{gender}","birthDate":"{year}-03-01"}}\n'
            )
            arm = "MSC" if i % 2 else "CTRL"
            dates = ["2023-12-20", "2023-12-22", "2023-12-28"]
            rows.writerow([f"p{i:06d}", f"{i + 1:04d}", "01", arm, *dates, "haploidentical"])


def shuffled(source: Path, out: Path, seed: int = 7) -> Path:
    """Copy a volume with its lines in random order."""
    (out / "fhir").mkdir(parents=True, exist_ok=True)
    (out / "enrolment.csv").write_bytes((source / "enrolment.csv").read_bytes())
    for path in sorted((source / "fhir").iterdir()):
        lines = path.read_bytes().splitlines(keepends=True)
        random.Random(seed).shuffle(lines)
        (out / "fhir" / path.name).write_bytes(b"".join(lines))
    return out
