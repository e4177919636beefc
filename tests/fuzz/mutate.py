"""Spoils lines of the corpus, in bytes and at random JSON paths. Line n depends on SEED and n alone.

python -m tests.fuzz.mutate N      prints line N, to look at what a test names
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

SEED = 20240229
CORPUS = [x for x in (Path(__file__).parent / "corpus.ndjson").read_bytes().split(b"\n") if x]
TYPES = ("Observation", "Patient", "MedicationAdministration", "Procedure", "Specimen", "Consent", "ResearchSubject")
TYPES += ("Medication", "BiologicallyDerivedProduct", "Bundle", "Encounter", "Nonsense", "", "observation")


class Obj(list[tuple[Any, Any]]):
    """A JSON object as pairs, so that a key can stand twice."""


class Text(str):
    """JSON text that is written as it stands: a number with its digits, or no JSON at all."""


def parsed(line: bytes) -> Any:
    return json.loads(line, object_pairs_hook=Obj, parse_float=Text, parse_int=Text)


def written(x: Any) -> str:
    if isinstance(x, Text):
        return str(x)
    if isinstance(x, Obj):
        return "{" + ",".join(f"{written(k)}:{written(v)}" for k, v in x) + "}"
    if isinstance(x, list):
        return "[" + ",".join(map(written, x)) + "]"
    # a lone surrogate is no UTF-8: such a string is escaped
    return json.dumps(x, ensure_ascii=isinstance(x, str) and any("\ud800" <= c <= "\udfff" for c in x))


def places(x: Any) -> list[tuple[Any, int]]:
    """Return (container, index) of every value below x."""
    found = []
    waiting = [x]
    while waiting:
        here = waiting.pop()
        for i, v in enumerate(here):
            found.append((here, i))
            inner = v[1] if isinstance(here, Obj) else v
            if isinstance(inner, list):
                waiting.append(inner)
    return found


def value_at(place: tuple[Any, int]) -> Any:
    here, i = place
    return here[i][1] if isinstance(here, Obj) else here[i]


def put(place: tuple[Any, int], value: Any) -> None:
    here, i = place
    here[i] = (here[i][0], value) if isinstance(here, Obj) else value


NUMBERS = [Text(t) for t in ("0", "-0", "1e400", "-1E-400", "1.0E3", "0x10", "NaN", "Infinity", "01", "1.", ".5", "1e")]
NUMBERS += [Text("9" * 400), Text("0." + "0" * 400 + "1"), Text("9223372036854775808"), Text("-1e99999999999999999999")]
STRINGS = ["", " ", "\u0000", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "\u2028", "\u0085", "𠮷", "é", "e\u0301"]
STRINGS += [
    "null",
    "true",
    "-",
    "<",
    "＞１，０００．５",
    "1,000",
    "<0.5 x10^9/L",
    "GT 45",
    "<>",
    "'; DROP TABLE",
    "%s{}",
    "../x",
]
STRINGS += [
    "Patient/s",
    "Patient/",
    "/",
    "#",
    "#m",
    "urn:uuid:",
    "http://",
    "?identifier=",
    "Patient/s/_history/",
    "a|b|c",
]
STRINGS += [
    "2024-02-30",
    "0000",
    "9999-12-31",
    "10000-01-01",
    "2024-01-01T24:00:00Z",
    "2024-01-01T00:00:00+99:99",
    "今天",
]
STRINGS += [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "2024-01-01T00:00:00.999999999999Z",
    "final ",
    "FINAL",
]
STRINGS += ["\n", "\r\n", "a\nb@c", "@", "a" * 3000, "王" * 3000]
KEYS = [
    "__proto__",
    "constructor",
    "__class__",
    "resourceType",
    "id",
    "",
    " ",
    "subject",
    "status",
    "_status",
    "\u0000",
    "王小明",
]
KEYS += [
    "value",
    "valueString",
    "valueQuantity",
    "valueInteger",
    "modifierExtension",
    "implicitRules",
    "contained",
    "meta",
]
KEYS += [
    "extension",
    "code",
    "component",
    "focus",
    "effectiveDateTime",
    "effectivePeriod",
    "deceasedBoolean",
    "link",
    "\ud800",
]


def odd(r: Random) -> Any:
    """Return a JSON value that nobody expects."""
    return r.choice(
        [
            lambda: None,
            lambda: r.choice((True, False)),
            lambda: r.choice(NUMBERS),
            lambda: r.choice(STRINGS),
            lambda: r.choice(STRINGS),
            list,
            Obj,
            lambda: [None],
            lambda: [[]],
            lambda: Obj([(r.choice(KEYS), r.choice(STRINGS))]),
            lambda: nested(r),
        ]
    )()


def nested(r: Random) -> Text:
    """Return arrays or objects inside each other, up to some thousands deep."""
    n = r.choice((10, 100, 490, 520, 1100, 5000))
    return Text("[" * n + "]" * n) if r.random() < 0.5 else Text('{"extension":[' * n + "]}" * n)


# --- at a random JSON path ---------------------------------------------------------------------------------------------


def swap_type(x: Any, r: Random) -> None:
    put(r.choice(places(x)), odd(r))


def drop(x: Any, r: Random) -> None:
    here, i = r.choice(places(x))
    del here[i]


def rename(x: Any, r: Random) -> None:
    here, i = r.choice([p for p in places(x) if isinstance(p[0], Obj)])
    here[i] = (r.choice(KEYS), here[i][1])


def double_key(x: Any, r: Random) -> None:
    here, i = r.choice([p for p in places(x) if isinstance(p[0], Obj)])
    again = here[i][1] if r.random() < 0.5 else odd(r)
    here.insert(r.randrange(len(here) + 1), (here[i][0], again))


def add(x: Any, r: Random) -> None:
    here = r.choice([x, *(v for p in places(x) if isinstance(v := value_at(p), Obj))])
    here.insert(r.randrange(len(here) + 1), (r.choice(KEYS), odd(r)))


def transplant(x: Any, r: Random) -> None:
    """Put a value from elsewhere in the corpus here."""
    put(r.choice(places(x)), value_at(r.choice(places(parsed(r.choice(CORPUS))))))


def mix(x: Any, r: Random) -> None:
    """Add the elements of another resource."""
    x += r.sample(other := parsed(r.choice(CORPUS)), r.randrange(1, len(other) + 1))


def wrap(x: Any, r: Random) -> None:
    place = r.choice(places(x))
    value = value_at(place)
    put(place, r.choice([[value], [value, value], [value] * 300, Obj([("value", value)])]))


def unwrap(x: Any, r: Random) -> None:
    inner = [p for p in places(x) if isinstance(v := value_at(p), list) and v]
    if inner:
        place = r.choice(inner)
        value = value_at(place)
        put(place, r.choice(value)[1] if isinstance(value, Obj) else r.choice(value))


def as_string(x: Any, r: Random) -> None:
    place = r.choice(places(x))
    put(place, written(value_at(place)))


def retype(x: Any, r: Random) -> None:
    for i, (k, _) in enumerate(x):
        if k == "resourceType":
            x[i] = (k, r.choice(TYPES))


def shuffle(x: Any, r: Random) -> None:
    r.shuffle(r.choice([x, *(v for p in places(x) if isinstance(v := value_at(p), list))]))


def restring(x: Any, r: Random) -> None:
    """Change characters inside a string."""
    texts = [p for p in places(x) if isinstance(v := value_at(p), str) and v and not isinstance(v, Text)]
    place = r.choice(texts)
    value = value_at(place)
    at = r.randrange(len(value))
    put(place, value[:at] + r.choice([*STRINGS, "", value]) + value[at + r.randrange(2) :])


AT_PATHS: tuple[Callable[[Any, Random], None], ...] = (
    *(swap_type,) * 4,
    *(drop, rename, double_key, add, transplant, transplant, mix, wrap, unwrap, as_string, retype, shuffle),
    *(restring,) * 3,
)

# --- in bytes ----------------------------------------------------------------------------------------------------------


def spoiled(data: bytes, r: Random) -> bytes:
    """Return bytes with one place changed: flipped, cut, doubled, filled, or with a mark of JSON more or less."""
    at = r.randrange(len(data) + 1)
    to = min(len(data), at + r.choice((1, 1, 2, 5, 40, 400)))
    marks = [i for i, b in enumerate(data) if b in b'{}[]",:\\']
    mark = r.choice(marks) if marks else 0
    return r.choice(
        [
            lambda: data[:at] + bytes([r.randrange(256)]) + data[at + 1 :],
            lambda: data[:at] + bytes([data[at] ^ 1 << r.randrange(8)]) + data[at + 1 :] if at < len(data) else data,
            lambda: data[:at],
            lambda: data[at:],
            lambda: data[:at] + data[to:],
            lambda: data[:at] + data[at:to] * r.choice((2, 3, 50)) + data[to:],
            lambda: data[:at] + r.randbytes(r.choice((1, 2, 8))) + data[at:],
            lambda: (
                data[:at]
                + r.choice((b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x1f\x8b", b"\r", b"\t"))
                + data[at:]
            ),
            lambda: data[:mark] + data[mark + 1 :],
            lambda: data[:mark] + data[mark : mark + 1] * 2 + data[mark + 1 :],
            lambda: data[:mark] + r.choice((b",", b":", b"{", b"}", b"[", b"]", b'"', b"\\")) + data[mark + 1 :],
        ]
    )()


def mutated(n: int, corpus: Sequence[bytes] = CORPUS) -> bytes:
    """Return line n: a line of the corpus with one to three changes, without a line feed."""
    r = Random(f"{SEED} {n}")
    line = r.choice(corpus)
    changes = r.choice((1, 1, 1, 2, 3))
    if r.random() < 0.6:
        x = parsed(line)
        for _ in range(changes):
            if x and places(x):
                r.choice(AT_PATHS)(x, r)
        line = written(x).encode("utf-8")
    else:
        for _ in range(changes):
            line = spoiled(line, r)
    return line.replace(b"\n", b" ")


if __name__ == "__main__":
    sys.stdout.buffer.write(mutated(int(sys.argv[1])) + b"\n")
