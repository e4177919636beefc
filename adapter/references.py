"""References and base URLs: which resource a FHIR reference names, and whether it is one of this hospital's.

The identity of a resource is `Type/id` at the hospital's own server and the whole URL at any other. A hospital says in
SITE/site.toml which base URLs are its own; where it says nothing, all are taken as its own, and the build stops when the
same patient id turns up under two of them (adapter.ingest).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qs

HTTP = ("http://", "https://")


def identity(reference: str, resource_type: str = "", own: Collection[str] = ()) -> str | None:
    """Return the canonical identity of a literal reference (relative, absolute or version-specific), else None.

    `Patient/1/_history/3` and, at the own server, `http://server/fhir/Patient/1` are both `Patient/1`; a URL of another
    server stays whole; `urn:uuid:…` stays as it is; contained (`#a`) and conditional (`Patient?identifier=…`) references
    have no identity of their own.
    resource_type: None too where the reference names another type. own: the hospital's base URLs, as `base_url` spells them.
    """
    if reference.startswith("urn:"):
        return reference
    text = reference.partition("/_history/")[0]
    if "#" in text or "?" in text:
        return None
    parts = text.rsplit("/", 2)
    if len(parts) < 2 or not parts[-1] or not parts[-2]:
        return None
    if resource_type not in ("", parts[-2]):
        return None
    if own and len(parts) == 3 and parts[0].startswith(HTTP) and base_url(parts[0]) not in own:
        return text
    return f"{parts[-2]}/{parts[-1]}"


def type_name(text: str | None) -> str:
    """Return a resource type as reports may name it; `(none)` for a name that no FHIR type can have: it may say anything."""
    return text if text and len(text) <= 60 and text.isascii() and text.isalpha() else "(none)"


def base_of(url: str) -> str:
    """Return the base URL of an absolute reference or fullUrl `base/Type/id`, empty where it has none."""
    if not url.startswith(HTTP):
        return ""
    parts = url.partition("/_history/")[0].rsplit("/", 2)
    return base_url(parts[0]) if len(parts) == 3 and parts[0] not in ("http:/", "https:/") else ""


def base_url(url: str) -> str:
    """Return one spelling of a base URL: no blanks, no slash at the end, scheme and host in lower case."""
    text = url.strip().rstrip("/")
    scheme, mark, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return scheme.lower() + mark + host.lower() + slash + path


def identifier_text(system: str | None, value: str | None) -> str | None:
    """Return `system|value` of an identifier, None without a value."""
    return f"{(system or '').strip()}|{value.strip()}" if value and value.strip() else None


def conditional_identifier(reference: str, resource_type: str) -> str | None:
    """Return `system|value` of a conditional reference `Type?identifier=system|value`, None where it asks otherwise.

    A search without a system (`identifier=value`) matches identifiers of any system, so it names nothing for certain.
    """
    kind, mark, query = reference.partition("?")
    if not mark or kind.rstrip("/").rpartition("/")[2] != resource_type:
        return None
    asked = parse_qs(query, keep_blank_values=True)
    values = asked.get("identifier", [])
    if set(asked) != {"identifier"} or len(values) != 1 or "|" not in values[0]:
        return None
    system, _, value = values[0].partition("|")
    return identifier_text(system, value)
