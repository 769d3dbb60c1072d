"""Proves that the samples are sound and agree with each other. Names every fault, and ends with 1 if there is one.

    python3 check.py

Catalog files are read here by other code than wrote them.
"""

import csv
import re
import sys
import uuid
from collections import Counter
from datetime import date
from xml.etree import ElementTree

import barcode
import damage
import make
import patrons
import rules
import tables

FAULTS = []
NAMESPACE = "{http://www.loc.gov/MARC21/slim}"
CATALOGS = ("catalog.mrc", "catalog.xml", "catalog-damaged.mrc")
SIZE_LIMIT = 700_000


def expect(holds, what):
    """Notes a fault where something does not hold."""
    if not holds:
        FAULTS.append(what)


def codes(entries):
    """The codes of a list of TOML tables; none may stand twice."""
    found = [entry["code"] for entry in entries]
    expect(len(found) == len(set(found)), f"a code stands twice among {found}")
    return set(found)


# --- catalog ---------------------------------------------------------------------------------------------------------


def decode(raw):
    """(leader, [(tag, text or (indicators, [(code, value)]))]) of an ISO 2709 record; ValueError where it is broken."""
    if not raw.endswith(b"\x1d") or int(raw[:5]) != len(raw):
        raise ValueError("length")
    base = int(raw[12:17])
    directory = raw[24 : base - 1]
    if raw[base - 1 : base] != b"\x1e" or len(directory) % 12:
        raise ValueError("directory")
    fields, end = [], base
    for at in range(0, len(directory), 12):
        entry = directory[at : at + 12].decode("ascii")
        start = base + int(entry[7:])
        field = raw[start : start + int(entry[3:7])]
        if start != end or not field.endswith(b"\x1e") or field.count(b"\x1e") != 1:
            raise ValueError("field")
        end = start + len(field)
        fields.append((entry[:3], content(entry[:3], field[:-1].decode("utf-8"))))
    if end != len(raw) - 1:
        raise ValueError("data behind the last field")
    return raw[:24].decode("ascii"), fields


def content(tag, text):
    """The content of a field."""
    if tag < "010":
        return text
    indicators, *subfields = text.split("\x1f")
    return indicators, [(subfield[0], subfield[1:]) for subfield in subfields]


def decode_xml(raw):
    """The records of a MARCXML collection in the same form."""
    records = []
    for record in ElementTree.fromstring(raw).iter(NAMESPACE + "record"):
        fields = []
        for element in record:
            tag = element.get("tag")
            if element.tag == NAMESPACE + "controlfield":
                fields.append((tag, element.text))
            elif element.tag == NAMESPACE + "datafield":
                subfields = [(subfield.get("code"), subfield.text) for subfield in element]
                fields.append((tag, (element.get("ind1") + element.get("ind2"), subfields)))
        records.append((record.find(NAMESPACE + "leader").text, fields))
    return records


def holdings(fields):
    """The items of a record as dicts, from 952, or from 852 and the 876 linked to it."""
    found, places = [], {}
    for tag, value in fields:
        if tag not in ("852", "876", "952"):
            continue
        sub = dict(value[1])
        if tag == "952":
            found.append({"library": sub["a"], "location": sub["c"], "barcode": sub["p"], "type": sub["y"], **sub})
        elif tag == "852":
            places[sub.get("8")] = sub
            if "p" in sub:
                found.append({"library": sub["b"], "location": sub["c"], "barcode": sub["p"], "type": "book"})
        else:
            place = places[sub["8"]]
            found.append({"library": place["b"], "location": place["c"], "barcode": sub["p"], "type": "book"})
    return found


def issn_is_valid(text):
    """The check character of an ISSN (ISO 3297)."""
    digits = text.replace("-", "")
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(8, 1, -1), strict=False))
    return len(text) == 9 and digits[7] == "0123456789X"[-total % 11]


def check_record(name, leader, fields, district):
    """One record of any of the files; gives its control number and its items."""
    control = {tag: value for tag, value in fields if tag < "010"}
    number = control["001"]
    where = f"{name} {number}"
    tags = Counter(tag for tag, _ in fields)
    expect(leader[9] == "a" and leader[20:] == "4500" and leader[10:12] == "22", f"{where}: leader {leader}")
    expect(re.fullmatch(r"AVC\d{6}", number) and control["003"] == "AVCCD", f"{where}: 001 or 003")
    fixed = control["008"]
    expect(len(fixed) == 40 and fixed[6] in "smcd" and fixed[39] == "d", f"{where}: 008 {fixed!r}")
    expect(fixed[7:11].isdigit() and int(fixed[7:11]) < 1929, f"{where}: not in the public domain: {fixed[7:11]}")
    expect(all(tags[tag] == 1 for tag in ("040", "050", "245", "264", "300", "336", "337", "338")), f"{where}: {tags}")
    expect(sum(tags[tag] for tag in ("100", "110", "130")) <= 1, f"{where}: two main entries")
    expect(any(tag.startswith("6") for tag in tags), f"{where}: no subject")
    for tag, value in fields:
        if tag == "022":
            expect(issn_is_valid(value[1][0][1]), f"{where}: ISSN {value[1][0][1]}")
        if tag == "880":
            link, linked = value[1][0][1], re.match(r"(\d{3})-(\d\d)/", value[1][0][1])
            back = [other for other, held in fields if other != "880" and held[1][:1] == [("6", f"880-{linked[2]}")]]
            expect(back == [linked[1]], f"{where}: 880 {link} and {back}")
        if tag >= "010":
            expect(all(text and text == text.strip() for _, text in value[1]), f"{where}: {tag} has a bare subfield")
    items = holdings(fields)
    expect(1 <= len(items) <= 6, f"{where}: {len(items)} items")
    library_of = {location["code"]: location["library"] for location in district["location"]}
    types = codes(district["material_type"])
    for item in items:
        expect(library_of.get(item["location"]) == item["library"], f"{where}: {item['location']} in {item['library']}")
        expect(item["type"] in types, f"{where}: material type {item['type']}")
        valid = barcode.is_valid(item["barcode"]) and item["barcode"].startswith(barcode.ITEM)
        expect(valid, f"{where}: barcode {item['barcode']}")
        expect(re.fullmatch(r"\d+\.\d\d", item.get("v", "0.00")), f"{where}: price")
    return number, items


def check_catalogs(district):
    """The three catalog files; gives all items."""
    read = {name: (tables.SAMPLES / name).read_bytes() for name in CATALOGS}
    sound = [("catalog.mrc", *decode(raw + b"\x1d")) for raw in read["catalog.mrc"].split(b"\x1d")[:-1]]
    sound += [("catalog.xml", leader, fields) for leader, fields in decode_xml(read["catalog.xml"])]
    pieces = [raw + b"\x1d" for raw in read["catalog-damaged.mrc"].split(b"\x1d")]
    pieces[-1] = pieces[-1][:-1]
    expect(len(pieces) == 12, f"the damaged file has {len(pieces)} records")
    for place, raw in enumerate(pieces):
        try:
            sound.append(("catalog-damaged.mrc", *decode(raw)))
            expect(place not in damage.BROKEN, f"damaged record {place + 1} can be read")
        except ValueError:
            expect(place in damage.BROKEN, f"damaged record {place + 1} cannot be read")
    numbers, items = Counter(), []
    for name, leader, fields in sound:
        number, held = check_record(name, leader, fields, district)
        numbers[number] += 1
        items += held
    expect(max(numbers.values()) == 1, "a control number stands twice")
    twice = [code for code, count in Counter(item["barcode"] for item in items).items() if count > 1]
    expect(not twice, f"item barcodes stand twice: {twice}")
    return len(numbers), items


# --- district, rules, policies ---------------------------------------------------------------------------------------


def check_references(district):
    """Every code that an entry of district.toml names exists."""
    known = {kind: codes(district[kind]) for kind in (
        "institution", "campus", "library", "location", "funding_destination", "ledger", "material_type",
        "patron_group", "service_point", "academic_period", "fee_fine_owner", "fee_fine_type", "fund", "vendor",
    )}  # fmt: skip
    for kind, entries in district.items():
        for entry in entries if isinstance(entries, list) else []:
            for field in ("institution", "campus", "library", "ledger", "funding_destination"):
                if field in entry:
                    expect(entry[field] in known[field], f"{kind}: {field} {entry[field]} is unknown")
    owned = Counter(library for owner in district["fee_fine_owner"] for library in owner["libraries"])
    expect(owned == Counter(known["library"]), "each library needs one fee/fine owner")
    hours = Counter(entry["library"] for entry in district["opening_hours"])
    expect(hours == Counter(known["library"]), "each library needs opening hours once")
    kinds = {entry["kind"] for entry in district["fee_fine_type"]}
    routes = Counter((route["institution"], route["kind"]) for route in district["posting_route"])
    expect(routes == Counter((college, kind) for college in known["institution"] for kind in kinds), "posting routes")
    return known


def check_spans(what, spans):
    """Spans of dates are the right way round and do not overlap."""
    spans = sorted((date.fromisoformat(first), date.fromisoformat(last)) for first, last in spans)
    expect(all(first <= last for first, last in spans), f"{what}: a span ends before it begins")
    expect(all(one[1] < next_[0] for one, next_ in zip(spans, spans[1:], strict=False)), f"{what}: spans overlap")


def check_district(district):
    """Dates, hours, ids of the student-information system, and budget codes."""
    for kind in ("academic_period", "hours_exception", "fiscal_year"):
        check_spans(
            kind, [(entry["first_date"], entry.get("last_date", entry["first_date"])) for entry in district[kind]]
        )
    for entry in district["opening_hours"] + district["hours_exception"]:
        for day, hours in entry.items():
            if day.endswith("day") or day == "hours":
                clock = r"(?:[01]\d|2[0-3]):[0-5]\d"
                expect(re.fullmatch(f"{clock}-{clock}", hours) and hours[:5] < hours[6:], f"hours {hours}")
    for kind, path in (("academic_period", "academic-periods"), ("funding_destination", "accounting-codes")):
        for entry in district[kind]:
            expect(entry["id"] == patrons.sis_id(path, entry["code"]), f"{entry['code']} has another id")
    structure = district["budget_code_structure"]
    for segment in structure["segment"]:
        expect(all(len(value) == segment["length"] for value in segment["values"]), f"segment {segment['name']}")
    for fund in district["fund"]:
        values = fund["budget_code"].split(structure["separator"])
        allowed = len(values) == len(structure["segment"]) and all(
            value in segment["values"] for value, segment in zip(values, structure["segment"], strict=True)
        )
        fits = any(
            all(allowed in ("*", value) for allowed, value in zip(combination["values"], values, strict=True))
            for combination in structure["combination"]
        )
        expect(allowed and fits, f"budget code {fund['budget_code']} of {fund['code']}")
        expect(re.fullmatch(r"\d+\.\d\d", fund["allocation"]), f"allocation of {fund['code']}")


def check_rules(known, items):
    """The rules name only what exists, and no kind of item in a place is left to the fallback policy."""
    policies = tables.toml("policies.toml")
    by_letter = {"l": "loan_policy", "r": "request_policy", "n": "notice_policy", "o": "overdue_fine_policy",
                 "i": "lost_item_policy"}  # fmt: skip
    defined = {letter: codes(policies[kind]) for letter, kind in by_letter.items()}
    limits = {entry["patron_group"] for entry in policies["patron_limits"]}
    expect(limits == known["patron_group"], "each patron group needs its limits")
    for policy in policies["loan_policy"]:
        spans = policy.get("fixed_due_dates", [])
        check_spans(policy["code"], [(span["first_date"], span["last_date"]) for span in spans])
        expect(all(span["last_date"] < span["due_date"] for span in spans), f"{policy['code']}: due before it is lent")
    text = (tables.SAMPLES / "circulation-rules.txt").read_text(encoding="utf-8")
    fallback, lines = rules.parse(text)
    names = {"g": "patron_group", "m": "material_type", "a": "institution", "b": "campus", "c": "library",
             "s": "location"}  # fmt: skip
    used = {letter: set() for letter in by_letter}
    for line in [fallback, *lines]:
        for letter, policy in line.policies.items():
            expect(policy in defined[letter], f"rules line {line.number}: policy {letter} {policy} is not defined")
            used[letter].add(policy)
        expect(sorted(line.policies) == sorted(by_letter), f"rules line {line.number}: needs one policy of each kind")
        for letter, criterion in line.criteria:
            for name in criterion.names:
                expect(name in known[names[letter]], f"rules line {line.number}: {letter} {name} is unknown")
    for letter in by_letter:
        idle = defined[letter] - used[letter]
        expect(not idle, f"policies {letter} never used: {idle}")
    for material, location, library in sorted({(item["type"], item["location"], item["library"]) for item in items}):
        for group in known["patron_group"]:
            place = {"m": material, "s": location, "c": library, "g": group}
            expect(rules.applying(lines, place), f"no rule for {place}")


# --- rosters ---------------------------------------------------------------------------------------------------------


def faults_of(cells, known, seen):
    """What is wrong with a row of a roster: the columns at fault. `seen` holds what earlier rows have taken."""
    if len(cells) != len(patrons.COLUMNS):
        return {"(row)"}
    row = dict(zip(patrons.COLUMNS, cells, strict=True))
    faults = {column for column in ("external_id", "last_name") if not row[column]}
    faults |= {"patron_group"} if row["patron_group"] not in known["patron_group"] else set()
    faults |= {"home_library"} if row["home_library"] not in known["library"] else set()
    for column in ("enrollment_date", "expiration_date"):
        try:
            date.fromisoformat(row[column])
        except ValueError:
            faults.add(column)
    faults |= {"active"} if row["active"] not in ("true", "false") else set()
    faults |= {column for column in row if re.fullmatch(r"\d{3}-\d{2}-\d{4}", row[column])}
    valid = barcode.is_valid(row["barcode"]) and row["barcode"].startswith(barcode.PATRON)
    expect(valid, f"patron barcode {row['barcode']}")
    expect(bool(row["student_id"]) == (row["affiliation"] == "student"), f"{row['external_id']}: student id")
    expect(not row["student_id"] or str(uuid.UUID(row["student_id"])) == row["student_id"], "student id is no GUID")
    for column in ("barcode", "username"):
        owner = seen[column].setdefault(row[column], row["external_id"])
        if row[column] and owner != row["external_id"]:
            faults.add(column)
    return faults


# What is wrong with each line of patrons-with-errors.csv, from line 2 on.
EXPECTED_FAULTS = [
    set(), {"barcode"}, {"barcode"}, {"username"}, set(), {"patron_group"}, {"enrollment_date"}, {"external_id"},
    {"last_name"}, {"external_id"}, {"(row)"}, {"(row)"}, {"expiration_date"}, {"active"}, set(), set(),
]  # fmt: skip


def check_rosters(known):
    """The rosters: the first has no fault, the second exactly those that the README names."""
    seen = {"barcode": {}, "username": {}}
    counts = {}
    for name in ("patrons.csv", "patrons-with-errors.csv"):
        with (tables.SAMPLES / name).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        expect(header == patrons.COLUMNS, f"{name}: header")
        found = [faults_of(cells, known, seen) for cells in rows]
        if name == "patrons.csv":
            expect(len({cells[1] for cells in rows}) == len(rows), "an external id stands twice")
        expected = EXPECTED_FAULTS if name != "patrons.csv" else [set()] * len(rows)
        for number, (is_, should) in enumerate(zip(found, expected, strict=True), 2):
            expect(is_ == should, f"{name} line {number}: {is_ or 'no fault'} instead of {should or 'none'}")
        counts[name] = len(rows)
    return counts


def main():
    """Checks everything."""
    for name, made in make.made().items():
        expect(made == (tables.SAMPLES / name).read_bytes(), f"{name} is not what make.py writes: run it")
    district = tables.toml("district.toml")
    known = check_references(district)
    check_district(district)
    records, items = check_catalogs(district)
    check_rules(known, items)
    counts = check_rosters(known)
    size = sum(path.stat().st_size for path in tables.SAMPLES.rglob("*") if path.is_file() and path.suffix != ".pyc")
    expect(size < SIZE_LIMIT, f"{size:,} bytes are more than {SIZE_LIMIT:,}")
    for fault in FAULTS:
        print("FAULT", fault)
    print(f"{records} records, {len(items)} items, {counts}, {size:,} bytes: {len(FAULTS)} faults")
    return 1 if FAULTS else 0


if __name__ == "__main__":
    sys.exit(main())
