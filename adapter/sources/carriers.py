"""Carriers: what a file is (NDJSON, a Bundle, a single resource, gzip of these) and its resources, one after another.

Plain NDJSON in UTF-8 is cut into byte ranges and read as it stands. Every other carrier is one range; its resources come
in the form of NDJSON lines: without white space between the tokens, in UTF-8, and with the references of a Bundle resolved
(`urn:uuid:…` -> `Type/id` of the entry with that fullUrl). The number of an entry, from 1, takes the place of the line.
"""

from __future__ import annotations

import io
import mmap
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapter.sources.bundles import Lost, Told, is_bundle, resources_of
from adapter.sources.files import BYTE_ORDER_MARK, byte_ranges, read_range

SNIFFED = 1 << 16
PIECE = 1 << 20


class Lines:
    """The resources of a range, as lines; `told` is complete after they are taken.

    offset: where the first line stands in the (unpacked) file, None where lines are not as they stand there.
    """

    def __init__(self, offset: int | None, lines: Iterable[bytes], told: Told) -> None:
        self.offset = offset
        self.told = told
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


def open_range(path: str, start: int, stop: int, own: frozenset[str] = frozenset()) -> Lines:
    """Return the resources that start in a range of a file (`ranges_of`). own: the hospital's base URLs, if declared."""
    told = Told(own)
    if is_json(path):
        return Lines(None, _json_lines(path, told), told)
    if is_gzip(path):
        return Lines(None, _unbundled(_unzipped(path, told.lost), told), told)
    offset, data = read_range(path, start, stop)
    encoding = _encoding(path) if not start else "utf-8"
    if encoding != "utf-8":
        return Lines(None, _unbundled(io.BytesIO(_as_utf8(data, encoding)), told), told)
    if b"Bundle" in data and any(_names_bundle(line) for line in io.BytesIO(data)):
        return Lines(None, _unbundled(io.BytesIO(data), told), told)
    return Lines(offset, io.BytesIO(data), told)


def _unbundled(lines: Iterable[bytes], told: Told) -> Iterator[bytes]:
    """Yield lines of NDJSON; a Bundle on a line (a page, a patient's record, bulk `deleted`) as its resources."""
    for line in lines:
        if _names_bundle(line):
            yield from resources_of(line, told)
        else:
            yield line


def _names_bundle(line: bytes) -> bool:
    return b'"Bundle"' in line and is_bundle(line)


def _as_utf8(data: bytes, encoding: str) -> bytes:
    # bytes that are no character become \\x.., which no JSON string may hold: a reject, never another text
    return data.decode(encoding, "backslashreplace").removeprefix("\ufeff").encode()


def _inflated(path: str, lost: list[Lost]) -> Iterator[bytes]:
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
            lost.append(Lost("file-cut-short", at))
            return
    if not fresh and not inflate.eof:
        lost.append(Lost("file-cut-short", at))


def _unzipped(path: str, lost: list[Lost]) -> Iterator[bytes]:
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


def _json_lines(path: str, told: Told) -> Iterator[bytes]:
    damage: list[Lost] = []
    data: bytes | mmap.mmap = b"".join(_inflated(path, damage)) if is_gzip(path) else _mapped(path)
    encoding = encoding_of(data[:SNIFFED])
    if encoding != "utf-8":
        data = _as_utf8(bytes(data), encoding)
    elif data[:3] == BYTE_ORDER_MARK:
        data = data[3:]
    yield from resources_of(data, told)
    # where the JSON ends too early it has said so itself, and where; damage that still parses has not
    told.lost += damage if not any(x.reason == "file-cut-short" for x in told.lost) else []


def _mapped(path: str) -> bytes | mmap.mmap:
    """Return a file's bytes without a copy of them in memory."""
    with open(path, "rb") as f:
        try:
            return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        except (ValueError, OSError):  # empty, or a file system that cannot map
            return Path(path).read_bytes()
