"""The roster: patrons whose names are put together from plants, so that nobody is meant."""

import hashlib
import uuid

from barcode import PATRON, barcode

COLUMNS = (
    "source external_id barcode username patron_group last_name first_name middle_name email phone home_library "
    "affiliation student_id enrollment_date expiration_date active"
).split()

# Ids in the student-information system are made from names under this one, so that they are the same on every run.
SIS_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "avccd.example.edu")

FIRST = (
    "Juniper Sorrel Yarrow Bracken Tansy Larch Linden Saffron Clover Thistle Sage Fennel Cypress Bryony Lovage Mallow "
    "Teasel Quince Hyssop Rue Tamarack Sumac Catalpa Madrone Manzanita Toyon Ceanothus Tule Camas Lupine"
).split()
LAST_HEAD = (
    "Alder Fern Moss Bramble Reed Maple Birch Nettle Sedge Cedar Lichen Rush Willow Acorn Laurel Poplar Hemlock Clover "
    "Piñon Encina Saúco Ceibo"
).split()
LAST_TAIL = "leaf wort thicket petal frond bough catkin seed tendril stem root bloom".split()

LIBRARIES = ("ALDM", "TULL", "ALDM", "ALDN", "ALDM", "TULL", "ALDS")

# (group, how many, affiliation)
GROUPS = (
    ("undergraduate", 120, "student"),
    ("dual-enrolled", 20, "student"),
    ("faculty", 16, "employee"),
    ("staff", 14, "employee"),
    ("adjunct", 14, "employee"),
    ("community", 16, "community"),
)

# Patrons whom the demo and the README name. All others are as their group has them.
SPECIAL = {
    1: {"first_name": "Juniper", "last_name": "Alderleaf", "home_library": "ALDM"},
    2: {"first_name": "Sorrel", "last_name": "Fernbough", "home_library": "TULL"},
    3: {"first_name": "Yarrow", "last_name": "Mosswort", "home_library": "ALDM", "expiration_date": "2026-05-22"},
    4: {"first_name": "Tansy", "last_name": "Bramblefrond", "home_library": "ALDN", "active": "false"},
    5: {"first_name": "Maguey", "last_name": "Piñonseed", "home_library": "TULL"},
    6: {"first_name": "Larch", "last_name": "O'Thicket", "home_library": "ALDM"},
    7: {"first_name": "Linden", "last_name": "Sedgewort, Jr.", "home_library": "ALDS"},
    121: {"first_name": "Clover", "last_name": "Reedbloom", "home_library": "ALDM"},
    141: {"first_name": "Saffron", "last_name": "Cedarstem", "home_library": "ALDM"},
    157: {"first_name": "Fennel", "last_name": "Birchcatkin", "home_library": "ALDM"},
    171: {"first_name": "Cypress", "last_name": "Maplepetal", "home_library": "TULL"},
    185: {"first_name": "Bryony", "last_name": "Nettleroot", "home_library": "ALDM"},
}


def sis_id(kind, name):
    """The id (a GUID) of something in the student-information system."""
    return str(uuid.uuid5(SIS_NAMESPACE, f"{kind}/{name}"))


def pick(number, what, choices):
    """One of the choices, the same one for the same patron on every run."""
    digest = hashlib.sha256(f"{number}/{what}".encode()).digest()
    return choices[int.from_bytes(digest[:4]) % len(choices)]


def dates(number, group):
    """When the account begins and ends."""
    if group in ("undergraduate", "dual-enrolled"):
        begins = pick(number, "begins", ("2024-08-26", "2025-08-25", "2026-01-26", "2026-08-24"))
        if begins != "2026-08-24" and number % 17 == 0:  # Left, and was not deactivated.
            return begins, "2026-05-22"
        return begins, "2026-12-18" if number % 9 == 0 else "2027-05-28"
    if group == "community":
        return "2026-07-01", "2027-06-30"
    return pick(number, "begins", ("2015-08-17", "2019-08-19", "2022-08-22", "2025-08-25")), "2027-06-30"


def patron(number, group, affiliation):
    """A row of the roster as a dict."""
    community, student = affiliation == "community", affiliation == "student"
    row = {
        "source": "library" if community else "sis",
        "external_id": f"C{number:05d}" if community else f"A{410000 + number * 37:08d}",
        "patron_group": group,
        "last_name": pick(number, "head", LAST_HEAD) + pick(number, "tail", LAST_TAIL),
        "first_name": pick(number, "first", FIRST),
        "middle_name": pick(number, "middle", FIRST) if number % 4 == 0 else "",
        "phone": f"530-555-{100 + number % 100:04d}" if number % 3 else "",
        "home_library": pick(number, "library", LIBRARIES),
        "affiliation": affiliation,
        "active": "true",
    }
    row["enrollment_date"], row["expiration_date"] = dates(number, group)
    row |= SPECIAL.get(number, {})
    college = "TUL" if row["home_library"] == "TULL" else "ALD"
    row["barcode"] = barcode(PATRON, college, number)
    row["username"] = f"{row['first_name'][0].lower()}{plain(row['last_name'])}{number}"
    row["email"] = f"{row['username']}@{'mail' if community else 'avccd'}.example.edu"
    row["student_id"] = sis_id("persons", row["external_id"]) if student else ""
    return row


def plain(name):
    """A name as a username can have it."""
    letters = name.lower().translate(str.maketrans("áéíóúñ", "aeioun"))
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha())


def everybody():
    """All patrons as dicts, numbered from 1."""
    people, number = [], 0
    for group, count, affiliation in GROUPS:
        for _ in range(count):
            number += 1
            people.append(patron(number, group, affiliation))
    return people


def line(row):
    """A row in the order of the columns."""
    return [row[column] for column in COLUMNS]


def roster():
    """The rows of patrons.csv."""
    return [line(row) for row in everybody()]


def roster_with_errors():
    """The rows of patrons-with-errors.csv: each fault once, between rows without one. README.md says which is which."""

    def new(number, **changes):
        return line(patron(number, "undergraduate", "student") | changes)

    first, second = everybody()[0], patron(301, "undergraduate", "student")
    return [
        line(second),
        new(302, barcode=second["barcode"]),
        new(303, barcode=first["barcode"]),
        new(304, username=first["username"]),
        line(patron(305, "community", "community")),
        new(306, patron_group="alumni"),
        new(307, enrollment_date="2026-13-45"),
        new(308, external_id="078-05-1120"),
        new(309, last_name=""),
        new(310, external_id=""),
        new(311)[:-2],
        new(312) + ["", "true"],
        new(313, expiration_date="05/28/2027"),
        new(314, active="perhaps"),
        line(patron(5, "undergraduate", "student") | {"middle_name": "Ñandubay"}),
        new(315, first_name="Azucena", last_name="Saúcohoja"),
    ]
