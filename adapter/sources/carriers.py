"""Carriers: what a file is (NDJSON, a Bundle, a single resource, gzip of these) and its resources, one after another.

Plain NDJSON in UTF-8 is cut into byte ranges and read as it stands. Every other carrier is one range; its resources come
in the form of NDJSON lines: without white space between the tokens, in UTF-8, and with the references of a Bundle resolved
(`urn:uuid:…` -> `Type/id` of the entry with that fullUrl). The number of an entry, from 1, takes the place of the line.
"""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapter.sources.files import BYTE_ORDER_MARK, byte_ranges, read_range

SNIFFED = 1 << 16
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
PIECE = 1 << 20
NONE = Raw(b"")
_URN = re.compile(rb'("reference"\s*:\s*")(urn:[^"\\]+)(")')
_BLANK = re.compile(r"[ \t\r\n]*")


class Entry(Struct, gc=False):
    fullUrl: str | None = None
    resource: Raw = NONE
    request: Raw = NONE


class Bundle(Struct, gc=False):
    resourceType: str | None = None
    entry: list[Raw] | None = None


class Head(Struct, gc=False):
    resourceType: str | None = None
    id: str | None = None


class Method(Struct, gc=False):
    method: str | None = None


_BUNDLE = msgspec.json.Decoder(Bundle)
_ENTRY = msgspec.json.Decoder(Entry)
_HEAD = msgspec.json.Decoder(Head)
_METHOD = msgspec.json.Decoder(Method)


class Lines:
    """The resources of a range, as lines. After they are taken: `lost`, (reason, byte offset in the unpacked UTF-8 text) of
    what could not be.

    servers: (id, base URL) of the Patients whose Bundle entry says where they come from (fullUrl).
    offset: where the first line stands in the (unpacked) file, None where lines are not as they stand there.
    """

    def __init__(self, offset: int | None, lines: Iterable[bytes], lost: list[tuple[str, int]] | None = None) -> None:
        self.offset = offset
        self.lost = [] if lost is None else lost
        self.servers: list[tuple[str, str]] = []
        self._lines = lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._lines)


def is_gzip(path: str) -> bool:
    return path.lower().endswith(".gz")


def is_json(path: str) -> bool:
    """Return whether a file holds one JSON value (Bundle or resource), by its name."""
    return Path(path.lower().removesuffix(".gz")).suffix == ".json"


def encoding_of(start: bytes) -> str:
    """Return the encoding of a text by its first bytes: UTF-8 unless a byte order mark or GB18030 says otherwise."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if len(start) > 1 and 0 in start[:2]:  # JSON begins with an ASCII character
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    lines = [x for x in start.split(b"\n") if not x.isascii()]
    broken = sum(not _decodes(x, "utf-8") for x in lines)
    # a broken byte makes one line unreadable, another encoding most of them
    return "gb18030" if 2 * broken > len(lines) and _decodes(start, "gb18030") else "utf-8"


def _decodes(text: bytes, encoding: str) -> bool:
    for cut in range(4):  # the last character may be cut in two
        try:
            text[: len(text) - cut].decode(encoding)
        except UnicodeDecodeError:
            continue
        return True
    return False


def ranges_of(path: str, size: int, step: int) -> list[tuple[int, int]]:
    """Return the half-open byte ranges in which a file is read: pieces of `step`, or the whole where it cannot be cut."""
    if not size:
        return []
    if is_gzip(path) or is_json(path):
        return [(0, size)]
    return byte_ranges(size, step) if _encoding(path) == "utf-8" else [(0, size)]


def _encoding(path: str) -> str:
    with open(path, "rb") as f:
        return encoding_of(f.read(SNIFFED))


def open_range(path: str, start: int, stop: int) -> Lines:
    """Return the resources that start in a range of a file (`ranges_of`)."""
    if is_json(path):
        return _json_lines(path)
    if is_gzip(path):
        lost: list[tuple[str, int]] = []
        return Lines(0, _unzipped(path, lost), lost)
    offset, data = read_range(path, start, stop)
    encoding = _encoding(path) if not start else "utf-8"
    if encoding != "utf-8":
        return Lines(None, io.BytesIO(_as_utf8(data, encoding)))
    return Lines(offset, io.BytesIO(data))


def _as_utf8(data: bytes, encoding: str) -> bytes:
    # bytes that are no character become \\x.., which no JSON string may hold: a reject, never another text
    return data.decode(encoding, "backslashreplace").removeprefix("\ufeff").encode()


def _inflated(path: str, lost: list[tuple[str, int]]) -> Iterator[bytes]:
    """Yield the bytes of all members of a gzip file; note where it is cut short or damaged, after all before it.

    Written with zlib: the gzip module keeps for itself what it has of the block in which a file breaks off.
    """
    at, fresh, inflate = 0, True, zlib.decompressobj(wbits=31)
    with open(path, "rb") as f:
        try:
            while chunk := f.read(PIECE):
                while chunk:
                    if inflate.eof:  # the next member; zeros behind the last one are padding
                        chunk = chunk.lstrip(b"\0")
                        if not chunk:
                            break
                        inflate, fresh = zlib.decompressobj(wbits=31), True
                    piece = inflate.decompress(chunk, PIECE)
                    fresh = False
                    chunk = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
                    at += len(piece)
                    yield piece
        except zlib.error:
            lost.append(("file-cut-short", at))
            return
    if not fresh and not inflate.eof:
        lost.append(("file-cut-short", at))


def _unzipped(path: str, lost: list[tuple[str, int]]) -> Iterator[bytes]:
    """Yield the lines of a gzip file."""
    rest, encoding = b"", ""
    for piece in _inflated(path, lost):
        if not encoding and piece:
            encoding = encoding_of(piece[:SNIFFED])
            piece = piece.removeprefix(BYTE_ORDER_MARK)
        if encoding not in ("", "utf-8"):  # rare, and lines are only known after it
            rest += piece
            continue
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if encoding not in ("", "utf-8"):
        yield from io.BytesIO(_as_utf8(rest, encoding))
    elif rest:
        yield rest


def _json_lines(path: str) -> Lines:
    lost: list[tuple[str, int]] = []
    damage: list[tuple[str, int]] = []
    data = b"".join(_inflated(path, damage)) if is_gzip(path) else Path(path).read_bytes()
    encoding = encoding_of(data[:SNIFFED])
    data = data.removeprefix(BYTE_ORDER_MARK) if encoding == "utf-8" else _as_utf8(data, encoding)
    servers: list[tuple[str, str]] = []
    found = Lines(None, list(resources_of(data, lost, servers)), lost)
    found.servers = servers
    # where the JSON ends too early it has said so itself, and where; damage that still parses has not
    lost += damage if not any(reason == "file-cut-short" for reason, _ in lost) else []
    return found


def resources_of(
    data: bytes, lost: list[tuple[str, int]], servers: list[tuple[str, str]] | None = None
) -> Iterator[bytes]:
    """Yield the resources of a Bundle (of Bundles too), or the single resource, as lines.

    Of a Bundle that breaks off, everything before the break. lost: gets (reason, offset in `data`) for what is not there;
    servers: gets (id, base URL) of Patients.
    """
    try:
        bundle = _BUNDLE.decode(data)
    except UNREADABLE:
        entries, broken = _before_break(data)
        if broken is None:
            # no Bundle at all: NDJSON under another name, or broken, and then intake says what is wrong with it
            yield from io.BytesIO(data) if _head(Raw(data.partition(b"\n")[0])) else [data]
            return
        lost.append(("file-cut-short", broken))
    else:
        if bundle.resourceType is None:
            lost.append(("no-fhir-file", 0))
            return
        if bundle.resourceType != "Bundle":
            yield msgspec.json.format(data, indent=-1) + b"\n"
            return
        entries = [_entry(raw) for raw in bundle.entry or ()]
    yield from _resolved(entries, lost, [] if servers is None else servers)


def _resolved(entries: list[Entry], lost: list[tuple[str, int]], servers: list[tuple[str, str]]) -> Iterator[bytes]:
    heads = [_head(e.resource) for e in entries]
    names = {
        e.fullUrl.encode(): f"{h.resourceType}/{h.id}".encode()
        for e, h in zip(entries, heads, strict=True)
        if h is not None and h.id and e.fullUrl and e.fullUrl.startswith("urn:")
    }
    for e, h in zip(entries, heads, strict=True):
        if h is not None and h.resourceType == "Patient" and h.id and e.fullUrl and e.fullUrl.startswith("http"):
            base, own, _ = e.fullUrl.partition(f"/Patient/{h.id}")
            servers += [(h.id, base)] if own else []

    def local(found: re.Match[bytes]) -> bytes:
        return found[1] + names.get(found[2], found[2]) + found[3]

    for e, h in zip(entries, heads, strict=True):
        raw = bytes(e.resource)
        if not raw:
            if _deletes(e.request):
                lost.append(("deletion-not-applied", 0))
        elif h is not None and h.resourceType == "Bundle":
            yield from resources_of(raw, lost, servers)
        else:
            line = msgspec.json.format(raw, indent=-1)
            yield (_URN.sub(local, line) if names else line) + b"\n"


def _entry(raw: Raw) -> Entry:
    """Return a Bundle entry; one that is none becomes a resource without type, which intake rejects by its number."""
    try:
        return _ENTRY.decode(raw)
    except UNREADABLE:
        return Entry(resource=raw)


def _deletes(request: Raw) -> bool:
    try:
        return bool(request) and _METHOD.decode(request).method == "DELETE"
    except UNREADABLE:
        return False


def _head(raw: Raw) -> Head | None:
    try:
        return _HEAD.decode(raw) if raw else None
    except UNREADABLE:
        return None


def _before_break(data: bytes) -> tuple[list[Entry], int | None]:
    """Return the whole entries of a Bundle that is no JSON as a whole, and the byte where the first broken one begins.

    None: it is no Bundle with entries. The standard library's decoder reads value after value, so that nothing is guessed.
    """
    text = data.decode("utf-8", "surrogateescape")
    read = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode

    def behind(i: int) -> int:
        return _BLANK.match(text, i).end()  # type: ignore[union-attr]

    def value(i: int) -> tuple[Any, int]:
        found, end = read(text, behind(i))
        return found, behind(end)

    entries: list[Entry] = []
    at, inside, is_bundle = behind(0), False, False
    try:
        while text[at] in "{,":
            key, at = value(at + 1)
            if text[at] != ":":
                break
            at = behind(at + 1)
            if key == "entry" and text[at] == "[":
                inside = True
                while text[at] in "[,":
                    start = behind(at + 1)
                    if text[start] == "]":
                        at = start
                        break
                    _, end = value(start)
                    entries.append(_entry(Raw(text[start:end].encode("utf-8", "surrogateescape"))))
                    at = end
                at = behind(at + 1)
            else:
                found, at = value(at)
                is_bundle |= key == "resourceType" and found == "Bundle"
    except (ValueError, IndexError, RecursionError):
        pass
    offset = len(text[:at].encode("utf-8", "surrogateescape"))
    return entries, offset if inside or is_bundle else None
