"""Bundles: their resources as compact lines, and what they tell beside them: deletions, servers, where they break off."""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from adapter.references import base_of, identity, type_name
from adapter.sources.broken import before_break

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
NONE = Raw(b"")
_FULL_URL_ID = re.compile(r"(?:^urn:uuid:|/)([A-Za-z0-9\-.]{1,64})$")
_URN = re.compile(rb'("reference"\s*:\s*")(urn:[^"\\]+)(")')


class Lost(NamedTuple):
    """Something that is no resource, or not this hospital's: why, its byte in the unpacked UTF-8 text, its type."""

    reason: str
    offset: int
    resource_type: str = "(none)"


class Deletion(NamedTuple):
    """A resource that the hospital has deleted: its identity, and the instant (FHIR text) where it is told."""

    name: str
    instant: str | None


@dataclass(slots=True)
class Told:
    """What a carrier tells beside its resources, complete when they have all been taken.

    own: the hospital's base URLs, if declared. servers: (id, base URL) of the Patients whose fullUrl has one.
    """

    own: frozenset[str] = frozenset()
    lost: list[Lost] = field(default_factory=list)
    servers: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[Deletion] = field(default_factory=list)


class Entry(Struct, gc=False):
    fullUrl: str | None = None
    resource: Raw = NONE
    request: Raw = NONE
    response: Raw = NONE


class Meta(Struct, gc=False):
    lastUpdated: str | None = None


class Bundle(Struct, gc=False):
    resourceType: str | None = None
    meta: Raw = NONE
    timestamp: Raw = NONE
    entry: list[Raw] | None = None


class Head(Struct, gc=False):
    resourceType: str | None = None
    id: str | None = None


class Request(Struct, gc=False):
    method: str | None = None
    url: str | None = None


class Response(Struct, gc=False):
    lastModified: str | None = None


_BUNDLE = msgspec.json.Decoder(Bundle)
_ENTRY = msgspec.json.Decoder(Entry)
_HEAD = msgspec.json.Decoder(Head)
_META = msgspec.json.Decoder(Meta)
_TEXT = msgspec.json.Decoder(str)
_REQUEST = msgspec.json.Decoder(Request)
_RESPONSE = msgspec.json.Decoder(Response)


def resources_of(data: bytes | mmap.mmap, told: Told) -> Iterator[bytes]:
    """Yield the resources of a Bundle (of Bundles too), or the single resource, as lines. `told` gets the rest.

    Of a Bundle that breaks off, everything before the break.
    """
    when = None
    try:
        bundle = _BUNDLE.decode(data)
    except UNREADABLE:
        raws, broken = before_break(data)
        if broken is None:
            data = bytes(data)
            # no Bundle at all: NDJSON under another name, or broken, and then intake says what is wrong with it
            yield from io.BytesIO(data) if _head(Raw(data.partition(b"\n")[0])) else [data]
            return
        entries = [_entry(Raw(raw)) for raw in raws]
        told.lost.append(Lost("file-cut-short", broken))
    else:
        if bundle.resourceType is None:
            told.lost.append(Lost("no-fhir-file", 0))
            return
        if bundle.resourceType != "Bundle":
            yield _one_line(bytes(data)) + b"\n"
            return
        when = _instant(bundle)
        entries = [_entry(raw) for raw in bundle.entry or ()]
    yield from _resolved(entries, when, told)


def _resolved(entries: list[Entry], when: str | None, told: Told) -> Iterator[bytes]:
    heads = [_head(e.resource) for e in entries]
    bare = [h is not None and h.resourceType is not None and not h.id for h in heads]
    for e, h in zip(entries, heads, strict=True):
        if h is not None and not h.id and e.fullUrl:  # in a document a resource may be known by its fullUrl only
            h.id = _id_in(e.fullUrl)
    names = {
        e.fullUrl.encode(): f"{h.resourceType}/{h.id}".encode()
        for e, h in zip(entries, heads, strict=True)
        if h is not None and h.id and e.fullUrl and e.fullUrl.startswith("urn:")
    }

    def local(found: re.Match[bytes]) -> bytes:
        return found[1] + names.get(found[2], found[2]) + found[3]

    for e, h, without_id in zip(entries, heads, bare, strict=True):
        raw = bytes(e.resource)
        base = base_of(e.fullUrl) if e.fullUrl else ""
        if base and told.own and base not in told.own:
            told.lost.append(Lost("another-server", 0, type_name(h.resourceType if h else None)))
        elif not raw:
            _deletion(e, when, told)
        elif h is not None and h.resourceType == "Bundle":
            yield from resources_of(raw, told)
        else:
            if base and h is not None and h.resourceType == "Patient" and h.id:
                told.servers.append((h.id, base))
            line = _one_line(raw)
            if without_id and h is not None and h.id:
                line = b'{"id":"' + h.id.encode() + b'",' + line[1:]
            yield (_URN.sub(local, line) if names else line) + b"\n"


def _one_line(raw: bytes) -> bytes:
    """Return JSON without white space between its tokens; what is none (a lone surrogate) as it is, for intake to reject."""
    try:
        return msgspec.json.format(raw, indent=-1)
    except UNREADABLE:
        return raw.replace(b"\n", b" ")


def _id_in(url: str) -> str | None:
    """Return the id that a fullUrl gives its resource (`urn:uuid:…`, `base/Type/id`), None where it is no FHIR id."""
    found = _FULL_URL_ID.search(url.partition("/_history/")[0])
    return found[1] if found else None


def _entry(raw: Raw) -> Entry:
    """Return a Bundle entry; one that is none becomes a resource without type, which intake rejects by its number."""
    try:
        return _ENTRY.decode(raw)
    except UNREADABLE:
        return Entry(resource=raw)


def _deletion(e: Entry, when: str | None, told: Told) -> None:
    """Note a deletion (Bundle.entry.request.method DELETE). An entry with a response only says nothing to us."""
    try:
        request = _REQUEST.decode(e.request) if e.request else Request()
    except UNREADABLE:
        return
    if request.method != "DELETE":
        return
    name = identity(request.url, own=told.own) if request.url else None
    if name is None or "/" not in name:  # conditional, a urn, or no url: which resource is meant, only the server knows
        told.lost.append(Lost("deletion-not-applied", 0))
        return
    try:
        at = _RESPONSE.decode(e.response).lastModified if e.response else None
    except UNREADABLE:
        at = None
    told.deleted.append(Deletion(name, at or when))
    told.lost.append(Lost("deletion-entry", 0, type_name(name.split("/")[-2])))


def _instant(bundle: Bundle) -> str | None:
    """Return when a Bundle was made: meta.lastUpdated (bulk export, deleted resources), else its timestamp."""
    try:
        found = _META.decode(bundle.meta).lastUpdated if bundle.meta else None
        return found or (_TEXT.decode(bundle.timestamp) if bundle.timestamp else None)
    except UNREADABLE:
        return None


def _head(raw: Raw) -> Head | None:
    try:
        return _HEAD.decode(raw) if raw else None
    except UNREADABLE:
        return None


def is_bundle(line: bytes) -> bool:
    """Return whether a line of NDJSON is a Bundle."""
    head = _head(Raw(line))
    return head is not None and head.resourceType == "Bundle"
