"""From a row of the works tables to a MARC 21 record, by RDA with ISBD punctuation.

The tables hold facts in a shorthand that is easy to read and correct; the README explains it. Everything that follows
from a rule (fixed fields, punctuation, indicators, content and carrier types, call numbers) is made here.
"""

import re

from codes import ARTICLES, COUNTRY_OF_PLACE, GENRES, KINDS, LANGUAGES, SCRIPTS
from headings import direct_order, ended, name_field, name_subfields, subject_field
from marc import Record

AGENCY = "AVCCD"
ENTERED = "250818"  # 008/00-05: the day of the district's move to Carrel.

# What an RDA relator says in a statement of responsibility.
SAID = {"translator": "translated by", "editor": "edited by", "illustrator": "illustrated by"}


def cell_parts(text):
    """The parts of a cell that holds a list."""
    return [part.strip() for part in text.split(";") if part.strip()]


def names(row):
    """(heading, relator) of the main entry, if a name, and of the added entries."""
    heading, _, relator = row["author"].partition("=")
    main = (heading, relator or "author") if heading else None
    added = [tuple(part.partition("=")[::2]) for part in cell_parts(row["added"])]
    if main and row["kind"] == "film":  # A film is nobody's alone: it is entered under its title.
        return None, [main, *added]
    return main, added


def responsibility(row):
    """The statement of responsibility: as the table has it, else made from the names; `-` means none."""
    if row["resp"]:
        return "" if row["resp"] == "-" else row["resp"]
    main, added = names(row)
    said = {}
    for heading, relator in added:
        if relator in SAID:
            said.setdefault(SAID[relator], []).append(direct_order(heading))
    parts = [direct_order(main[0])] if main else []
    return " ; ".join(parts + [f"{how} {' and '.join(who)}" for how, who in said.items()])


def nonfiling(title, language):
    """How many characters of the title are skipped in filing."""
    for article in ARTICLES.get(language, "").split():
        start = article if article.endswith("'") else article + " "
        if title.startswith(start):
            return len(start)
    return 0


def fixed_field(row):
    """008, all 40 characters, by the kind of material."""
    first, dash, last = row["year"].partition("-")
    dates = f"m{first}{last}" if dash else f"s{first}    "
    if row["kind"] == "serial":
        dates = f"d{first}{last}" if last else f"c{first}9999"
        frequency = " x" if row["frequency"] == "Frequency varies" else row["frequency"][0].lower() + "r"
        material = f"{frequency} p       0   a0"
    elif row["kind"] == "text":
        illustrated = "a" if "=illustrator" in row["added"] else " "
        government = "f" if row["publisher"] == "Government Printing Office" else " "
        material = f"{illustrated}         {government}000 {row['form']}|"
    elif row["kind"] == "score":
        material = "||||        n  | "
    elif row["kind"] == "recording":
        material = "||nn           n "
    else:
        material = "---            vl"
    field = f"{ENTERED}{dates}{COUNTRY_OF_PLACE[row['place']]:<3}{material}{row['lang']} d"
    assert len(field) == 40, (row["title"], field)
    return field


def classification(row):
    """050 $a and $b: `PS3515 .E37 I5` is PS3515.E37 and I5; the year follows, but not for a serial."""
    number, cutter, *others = row["class"].split()
    if others and re.fullmatch(r"[A-Z]\d+", others[0]):
        number, book = number + cutter, " ".join(others)
    else:
        book = " ".join([cutter, *others])
    return number, book if row["kind"] == "serial" else f"{book} {row['year'][:4]}"


def vernacular(row):
    """The cell `100=Ὅμηρος^245=Ἰλιάς` as {tag: text in the work's own script}."""
    return dict(part.split("=", 1) for part in row["vernacular"].split("^") if part)


def linked(record, script_texts, tag, indicators, subfields, own_script):
    """Adds a field, linked to an 880 with the same in its own script where the table has one."""
    if tag not in script_texts:
        record.data(tag, indicators, *subfields)
        return []
    text = script_texts[tag]
    number = f"{1 + sorted(script_texts).index(tag):02d}"
    letter = next(ord(character) for character in text if ord(character) > 0x0370)
    script = next(code for low, high, code in SCRIPTS if low <= letter <= high)
    record.data(tag, indicators, ("6", f"880-{number}"), *subfields)
    return [(indicators, [("6", f"{tag}-{number}/{script}"), *own_script(text)])]


def title_subfields(title, rest, stated):
    """245 with its ISBD marks."""
    return [
        ("a", title + (" :" if rest else " /" if stated else ended([("a", title)], ".")[0][1][len(title) :])),
        ("b", rest and rest + (" /" if stated else ".")),
        ("c", stated and ended([("c", stated)], ".")[0][1]),
    ]


def extent(row):
    """300: how many pieces of what."""
    count = int(row["pieces"] or 1)
    if row["kind"] == "serial":
        return [("a", "volumes")]
    if row["kind"] == "recording":
        return [("a", "1 audio disc :"), ("b", "analog, 78 rpm")]
    if row["kind"] == "film":
        return [("a", "1 videodisc :"), ("b", "silent, black and white ;"), ("c", "4 3/4 in.")]
    noun = "score" if row["kind"] == "score" else "volume"
    return [("a", f"{count} {noun}{'s' if count > 1 else ''}")]


def describe(row):
    """The bibliographic record of a row, without its items."""
    kind = KINDS[row["kind"]]
    record = Record(type=kind[0][0], level=kind[0][1])
    script_texts, in_own_script = vernacular(row), []
    main, added = names(row)
    uniform, _, original = row["uniform"].partition("@")

    record.control("001", f"AVC{int(row['no']):06d}")
    record.control("003", AGENCY)
    if row["kind"] == "film":
        record.control("007", "vd bvuuzu")
    record.control("008", fixed_field(row))
    record.data("022", "##", ("a", row["issn"]))
    if row["kind"] == "recording":
        publisher, number = row["note"].split(" ", 1)
        record.data("028", "02", ("a", number), ("b", publisher))
    record.data("040", "##", ("a", AGENCY), ("b", "eng"), ("e", "rda"), ("c", AGENCY))
    if original:
        record.data("041", "1#", ("a", row["lang"]), ("h", original))
    number, book = classification(row)
    record.data("050", "#4", ("a", number), ("b", book))

    if main:
        ending, indicator, subfields = name_field(*main)
        in_own_script += linked(record, script_texts, "1" + ending, indicator + "#", subfields, name_subfields)
    if uniform:
        translated = original and original != row["lang"]
        subfields = [("a", uniform + "."), ("l", translated and row["kind"] == "text" and LANGUAGES[row["lang"]] + ".")]
        tag, indicators = ("240", "10") if main else ("130", "0#")
        in_own_script += linked(record, script_texts, tag, indicators, subfields, lambda text: [("a", text + ".")])
    indicators = ("1" if main or uniform else "0") + str(nonfiling(row["title"], row["lang"]))
    subfields = title_subfields(row["title"], row["rest"], responsibility(row))
    in_own_script += linked(
        record,
        script_texts,
        "245",
        indicators,
        subfields,
        lambda text: title_subfields(*(text.split(" ~ ") + [""])[:2], ""),
    )
    made = (
        "0" if row["kind"] == "film" else "1"
    )  # A film's company produced it; who published the disc is not recorded.
    when = ended([("c", row["year"])], ".")
    record.data("264", "#" + made, ("a", row["place"] + " :"), ("b", row["publisher"] + ","), *when)
    record.data("300", "##", *extent(row))
    record.data("310", "##", ("a", row["frequency"]))
    for tag, (term, code), scheme in zip(("336", "337", "338"), kind[3:], ("rdacontent", "rdamedia", "rdacarrier")):
        record.data(tag, "##", ("a", term), ("b", code), ("2", scheme))
    if row["kind"] == "film":
        record.data("500", "##", ("a", "Silent film with intertitles."))
    for heading in cell_parts(row["subjects"]):
        tag, indicator, subfields = subject_field(heading)
        record.data(tag, indicator + "0", *subfields)
    if row["form"] in GENRES and row["kind"] == "text":
        record.data("655", "#7", ("a", GENRES[row["form"]] + "."), ("2", "lcgft"))
    for heading, relator in added:
        ending, indicator, subfields = name_field(heading, relator)
        record.data("7" + ending, indicator + "#", *subfields)
    for indicators, subfields in in_own_script:
        record.data("880", indicators, *subfields)
    return record
