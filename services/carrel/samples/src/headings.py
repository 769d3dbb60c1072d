"""Headings: names and subjects from the shorthand of the tables to subfields with their punctuation."""

import re

# Subdivisions of form (`$v`); of the others those with a figure are of time, those with `@` of place.
FORM_SUBDIVISIONS = {
    "Biography",
    "Diaries",
    "Drama",
    "Early works to 1800",
    "Excerpts",
    "Fiction",
    "Handbooks, manuals, etc.",
    "Identification",
    "Literary collections",
    "Periodicals",
    "Personal narratives",
    "Poetry",
    "Sacred books",
    "Translations into English",
}

# Where the dates of a heading begin.
DATES = re.compile(r", (?=(?:active |approximately )?-?(?:approximately )?\d)")


def name_subfields(heading):
    """A heading as subfields: `Last, First (Fuller), dates`, or with `$b`, `$c`, `$d` written out where needed."""
    parts = re.split(r"\$(.)", "$a" + heading)[1:]
    pairs = [(code, value.strip()) for code, value in zip(parts[::2], parts[1::2])]
    name, dates = pairs.pop(0)[1], None
    if not pairs and (found := DATES.search(name)):
        name, dates = name[: found.start()] + ",", name[found.end() :]
    fuller = re.search(r" (\([^)]*\),?)$", name)
    if fuller:
        name = name[: fuller.start()]
    subfields = [("a", name), ("q", fuller and fuller.group(1)), *pairs, ("d", dates)]
    return [(code, value) for code, value in subfields if value]


def ended(subfields, mark):
    """The subfields with a mark behind the last one, unless it ends with one already."""
    *before, (code, last) = subfields
    marks = (".", "-", "?", ")") if mark == "." else (mark, "-")
    return [*before, (code, last if last.endswith(marks) else last + mark)]


def name_field(heading, relator=None):
    """The last two digits of the tag, the first indicator and the subfields of a name. `c:` marks a body."""
    subfields = name_subfields(heading.removeprefix("c:"))
    if heading.startswith("c:"):
        ending = "10"
        indicator = "1" if any(code == "b" for code, _ in subfields) else "2"
    else:
        ending = "00"
        indicator = "1" if "," in subfields[0][1].rstrip(",") else "0"
    subfields = ended(subfields, ",") + [("e", relator)] if relator else subfields
    return ending, indicator, ended(subfields, ".")


def direct_order(heading):
    """`Du Bois, W. E. B. (William …), 1868-1963` as W.E.B. Du Bois, the way a title page has it."""
    subfields = dict(name_subfields(heading.removeprefix("c:")))
    last, _, first = subfields["a"].rstrip(",").partition(", ")
    sir = "Sir " if subfields.get("c", "").startswith("Sir") else ""
    return re.sub(r"\b([A-Z])\. (?=[A-Z]\.)", r"\1.", f"{sir}{first} {last}".strip())


def subject_field(heading):
    """Tag, first indicator and subfields of a subject. Prefixes: n: person, c: body, g: place, t: title."""
    prefix, _, rest = heading.partition(":") if heading[1] == ":" else ("", "", heading)
    main, *subdivisions = rest.split("--")
    if prefix in ("n", "c"):
        ending, indicator, _ = name_field(main if prefix == "n" else "c:" + main)
        tag, subfields = "6" + ending, name_subfields(main)
    else:
        tag, indicator = {"": ("650", "#"), "g": ("651", "#"), "t": ("630", "0")}[prefix]
        subfields = [("a", main)]
    for subdivision in subdivisions:
        if subdivision.startswith("@"):
            subfields.append(("z", subdivision[1:]))
        elif subdivision in FORM_SUBDIVISIONS:
            subfields.append(("v", subdivision))
        elif re.search(r"\d", subdivision):
            subfields.append(("y", subdivision))
        else:
            subfields.append(("x", subdivision))
    return tag, indicator, ended(subfields, ".")
