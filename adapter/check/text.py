"""Bytes to text: UTF-8 if they are, else Windows-1252, which is what wrongly encoded Western datasets are in."""

from __future__ import annotations


def decoded(raw: bytes) -> tuple[str, str]:
    """Return (text, encoding): utf-8 where the bytes are, else cp1252, in which the few unused bytes stay as they are."""
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        try:
            return raw.decode("cp1252"), "cp1252"
        except UnicodeDecodeError:
            return raw.decode("latin-1"), "latin-1"
