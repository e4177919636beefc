"""What is left of a Bundle that breaks off: its whole entries, and the byte where the first broken one begins.

The standard library's decoder reads value after value, so that nothing is guessed, the digits of numbers stay, and the
place of the break is known. Only a window of the file is text at a time: a broken file may be large.
"""

from __future__ import annotations

import json
import mmap
import re
from typing import Any

WINDOW = 8 << 20
NUMBER_REST = 3
"""Characters at the end of a window that may belong to a number read as finished: `1.5` of `1.5e+3`."""
_BLANK = re.compile(r"[ \t\r\n]*")


class _Values:
    """Reads JSON values and punctuation one after another. ValueError: there is no value; IndexError: the end."""

    def __init__(self, data: bytes | mmap.mmap, window: int) -> None:
        self._data = data
        self._window = window
        self._start = 0  # byte of the first character of the text
        self._at = 0
        self._read = json.JSONDecoder(parse_float=str, parse_int=str).raw_decode
        self._text = ""
        self._whole = False
        self._slide(window)

    def _slide(self, size: int) -> None:
        self._start = self.offset()
        piece = bytes(self._data[self._start : self._start + size])
        self._text = piece.decode("utf-8", "surrogateescape")
        self._at = 0
        self._whole = self._start + size >= len(self._data)

    def offset(self) -> int:
        """Return the byte at which the next value begins."""
        return self._start + len(self._text[: self._at].encode("utf-8", "surrogateescape"))

    def peek(self) -> str:
        """Return the next character that is no white space."""
        while True:
            self._at = _BLANK.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text) or self._whole:
                return self._text[self._at]
            self._slide(self._window)

    def skip(self) -> None:
        self._at += 1

    def value(self) -> tuple[Any, bytes]:
        """Return the next value and its bytes. A value that ends with the window may go on behind it."""
        self.peek()
        size = self._window
        while True:
            try:
                found, end = self._read(self._text, self._at)
                if end + NUMBER_REST < len(self._text) or self._whole:
                    break
            except ValueError:
                if self._whole:
                    raise
            size *= 2
            self._slide(size)
        raw = self._text[self._at : end].encode("utf-8", "surrogateescape")
        self._at = end
        return found, raw


def before_break(data: bytes | mmap.mmap, window: int = WINDOW) -> tuple[list[bytes], int | None]:
    """Return the whole entries of a Bundle that is no JSON as a whole, and the byte where the first broken one begins.

    None: it is no Bundle with entries.
    """
    read = _Values(data, window)
    entries: list[bytes] = []
    inside = is_bundle = False
    try:
        while read.peek() in "{,":
            read.skip()
            key, _ = read.value()
            if read.peek() != ":":
                break
            read.skip()
            if key == "entry" and read.peek() == "[":
                inside = True
                while read.peek() in "[,":
                    read.skip()
                    if read.peek() == "]":
                        break
                    entries.append(read.value()[1])
                read.skip()
            else:
                found, _ = read.value()
                is_bundle |= key == "resourceType" and found == "Bundle"
    except (ValueError, IndexError, RecursionError):
        pass
    return entries, read.offset() if inside or is_bundle else None
