"""What was given: a concept, a Medication elsewhere or contained, a mixture by its ingredients, the lot of a product.

A Medication with a code is what its code says. One without is its active ingredients: a single one is the drug, several
are a mixture, whose ingredients are kept apart so that each can be found by the code tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Raw

from adapter.intake.event_structs import Ingredient, NamedReference, Thing
from adapter.intake.reading import UNREADABLE, LookUp, Reading, Reject, codings, text_of
from adapter.intake.structs import HEAD, BiologicallyDerivedProduct, CodeableConcept, Extension, Medication
from adapter.references import identity

NO_CODE_SYSTEMS = frozenset(
    [
        "http://terminology.hl7.org/CodeSystem/data-absent-reason",
        "http://terminology.hl7.org/CodeSystem/v3-NullFlavor",
    ]
)
"""Codings of these say why there is no code; they are none."""

JOINT = " + "
_THING = msgspec.json.Decoder(Thing)
_INGREDIENTS = msgspec.json.Decoder(list[Ingredient | None])
_NOTHING = LookUp()
Keyed = Callable[[str], bytes]
Parts = list[list[str | None]]


class Drug(NamedTuple):
    """What was given. `ingredients`: JSON of [codings, name] per ingredient of a mixture that has no code, else None."""

    code: str | None = None
    text: str | None = None
    form: str | None = None
    lot: str | None = None
    expires: str | None = None
    ingredients: str | None = None


def concept_of(concept: CodeableConcept | None) -> tuple[str | None, str | None]:
    """Return codings (`system|code`, one per line) and text of a concept; both None where it only says that none is known."""
    if concept is None:
        return None, None
    for one in concept.coding or ():
        if one is not None and one.system in NO_CODE_SYSTEMS:
            kept = [c for c in concept.coding or () if c is not None and c.system not in NO_CODE_SYSTEMS]
            return concept_of(CodeableConcept(kept, concept.text))
    return codings(concept), text_of(concept)


def medication_look_up(
    r: Medication | Thing, keyed: Keyed | None = None, own: Collection[str] = (), beside: Sequence[Raw] = ()
) -> LookUp:
    """Return what a Medication adds to the records that refer to it; nothing where a modifier may change its meaning.

    keyed, own: to key the resources that its ingredients refer to; beside: the contained resources it stands among.
    """
    if r.modifierExtension or r.implicitRules:
        return _NOTHING
    code, text = _code(r)
    batch = r.batch
    parts = _parts(r, keyed, own, beside) if code is None and text is None else []
    return LookUp(
        code,
        text,
        text_of(r.form) or text_of(r.doseForm),
        batch.lotNumber if batch else None,
        batch.expirationDate if batch else None,
        json.dumps(parts, ensure_ascii=False) if parts else None,
    )


def _parts(r: Medication | Thing, keyed: Keyed | None, own: Collection[str], beside: Sequence[Raw]) -> Parts:
    """Return codings, name and keyed id (hex) of each active ingredient."""
    if isinstance(r, Thing):
        return [_part(i, keyed, own, beside) for i in _active(r.ingredient or ())]
    try:
        listed = (_INGREDIENTS.decode(r.ingredient) if r.ingredient else None) or []
        return [_part(i, keyed, own, r.contained or ()) for i in _active(listed)]
    except (
        Reject,
        *UNREADABLE,
    ):  # a Medication is no line of its own here: its administrations are rejected, as no-code
        return []


def product_look_up(r: BiologicallyDerivedProduct | Thing) -> LookUp:
    if r.modifierExtension or r.implicitRules:
        return _NOTHING
    code, text = concept_of(r.productCode)
    lot = next((i.value for i in r.identifier or () if i is not None and i.value), None)
    return LookUp(code, text, None, lot, None)


def _code(r: Medication | Thing) -> tuple[str | None, str | None]:
    if isinstance(r, Thing) and r.code is not None and r.code.concept is not None:
        return concept_of(r.code.concept)
    return concept_of(r.code)


def _active(listed: Sequence[Ingredient | None]) -> list[Ingredient]:
    """Return the ingredients that act; all of them where none is said to."""
    there = [i for i in listed if i is not None]
    return [i for i in there if i.isActive is not False] or there


def _part(i: Ingredient, keyed: Keyed | None, own: Collection[str], near: Sequence[Raw]) -> list[str | None]:
    """Return codings, name and keyed id (hex) of one ingredient, as far as they are told where it stands."""
    code, text = concept_of(i.itemCodeableConcept or (i.item.concept if i.item else None))
    reference = i.itemReference or (i.item.reference if i.item else None)
    there = None
    if code is None and reference is not None and reference.reference:
        if reference.reference.startswith("#"):
            thing = contained_thing(near, reference.reference[1:])
            if thing is not None:
                code, found = _code(thing)
                text = text or found
        elif keyed is not None and (name := identity(reference.reference, "", own)):
            there = keyed(name).hex()
    return [code, text or (reference.display if reference else None), there]


def contained_thing(contained: Sequence[Raw], wanted: str) -> Thing | None:
    """Return the contained resource of this id, None where there is none. Raises Reject where it cannot be decoded."""
    for i, raw in enumerate(contained):
        try:
            kind = HEAD.decode(raw).resourceType
            if kind in ("Medication", "Substance", "BiologicallyDerivedProduct"):
                thing = _THING.decode(raw)
                if thing.id == wanted:
                    if thing.modifierExtension or thing.implicitRules:
                        raise Reject("held-back-modifier", f"contained[{i}]")
                    return thing
        except UNREADABLE as e:
            raise Reject("element-wrong-type", "contained") from e
    return None


def drug_of(
    concept: CodeableConcept | None,
    reference: NamedReference | None,
    contained: Sequence[Raw] | None,
    where: str,
    read: Reading,
    product: LookUp = _NOTHING,
) -> Drug:
    """Return what a concept or a reference names; a concept outranks the Medication it comes with.

    A reference to what did not come in still names the drug by its display, which is reported; then a `product` that the
    record points to names it. Raises Reject where nothing says what it was.
    """
    found, missing = _NOTHING, False
    if reference is not None and reference.reference:
        if reference.reference.startswith("#"):
            thing = contained_thing(contained or (), reference.reference[1:])
            if thing is not None:
                is_product = thing.resourceType == "BiologicallyDerivedProduct"
                found = (
                    product_look_up(thing)
                    if is_product
                    else medication_look_up(thing, read.keyed, read.own, contained or ())
                )
            missing = thing is None
        else:
            looked = read.look_ups.get(read.referred(reference) or b"")
            found, missing = looked or _NOTHING, looked is None
    code, text = concept_of(concept)
    ingredients = None
    if code is None and text is None:
        code, text = found.code, found.text
        if code is None and text is None and found.ingredients:
            code, text, ingredients = _mixture(found.ingredients, where, read)
    if code is None and text is None and reference is not None and reference.display:
        text = reference.display
        if missing:
            read.notes.append(f"named-by-display@{where}")
    if code is None and text is None:
        code, text = product.code, product.text
    if code is None and text is None:
        raise Reject("medication-not-found" if missing else "no-code", where)
    return Drug(code, text, found.form, found.lot, found.expires, ingredients)


def _mixture(listed: str, where: str, read: Reading) -> tuple[str | None, str | None, str | None]:
    """Return all codings, the joined names and, of several ingredients, each one's codings and name as JSON."""
    parts: Parts = []
    for code, text, there in json.loads(listed):
        known = read.look_ups.get(bytes.fromhex(there)) if there else None
        if known is not None:
            code, text = code or known.code, text or known.text
        if code is None and text is None:
            read.notes.append(f"ingredient-unknown@{where}")
        else:
            parts.append([code, text or code])
    if not parts:
        return None, None, None
    code = "\n".join(c for c, _ in parts if c) or None
    text = JOINT.join(t for _, t in parts if t)
    return code, text, json.dumps(parts, ensure_ascii=False) if len(parts) > 1 else None


def lot_in(extensions: Sequence[Extension | None] | None, read: Reading) -> str | None:
    """Return the lot number that an extension named by the trial holds."""
    for e in extensions or ():
        if e is not None and e.url in read.lot_extensions and e.valueString:
            return e.valueString
    return None
