"""Copies: from the cell `copies` of a row to item fields, in Koha's form or as MARC 21 holdings."""

from barcode import ITEM, barcode
from cataloguing import classification
from codes import KINDS

# What may stand behind a location in the cell.
CONDITIONS = ("withdrawn", "lost", "damaged", "not-for-loan")


def copies(row, college_of_library):
    """The copies of a row as dicts: `ALDM-STK ALDM-RES TULL-STK=damaged`, or `ALDM-PER:v. 1 (1868)` for volumes."""
    separator = ";" if row["kind"] == "serial" else None
    numbers, found = {}, []
    for index, text in enumerate(part.strip() for part in row["copies"].split(separator)):
        text, _, condition = text.partition("=")
        location, _, volume = text.partition(":")
        library = location.partition("-")[0]
        key = (library, volume)
        numbers[key] = numbers.get(key, 0) + 1
        number = int(row["no"])
        price = KINDS[row["kind"]][2] + number * 37 % 40 * 0.5 + 8 * (int(row["pieces"] or 1) - 1)
        found.append({
            "library": library, "location": location, "volume": volume, "condition": condition,
            "barcode": barcode(ITEM, college_of_library[library], number * 100 + index + 1),
            "copy": numbers[key], "type": KINDS[row["kind"]][1], "price": f"{price + 0.95:.2f}",
        })  # fmt: skip
    return found


def add_koha_items(record, row, items):
    """A 952 for each copy, as Koha writes them."""
    call_number = " ".join(classification(row))
    for item in items:
        flag = {condition: "1" if item["condition"] == condition else "0" for condition in CONDITIONS}
        record.data(
            "952", "##",
            ("0", flag["withdrawn"]), ("1", flag["lost"]), ("4", flag["damaged"]), ("7", flag["not-for-loan"]),
            ("a", item["library"]), ("b", item["library"]), ("c", item["location"]), ("h", item["volume"]),
            ("o", f"{call_number} {item['volume']}".strip()), ("p", item["barcode"]), ("t", str(item["copy"])),
            ("v", item["price"]), ("y", item["type"]),
        )  # fmt: skip


def add_holdings(record, row, items):
    """852 as MARC 21 holdings have it: with the barcode for a single copy, else with an 876 for each copy."""
    number, book = classification(row)
    by_location = {}
    for item in items:
        by_location.setdefault(item["location"], []).append(item)
    for link, (location, group) in enumerate(by_location.items(), 1):
        place = [("b", group[0]["library"]), ("c", location), ("h", number), ("i", book)]
        if len(group) == 1:
            record.data("852", "0#", *place, ("t", str(group[0]["copy"])), ("p", group[0]["barcode"]))
            continue
        record.data("852", "0#", ("8", str(link)), *place)
        for item in group:
            record.data(
                "876", "##", ("8", str(link)), ("p", item["barcode"]), ("c", item["price"]), ("j", "Available"),
                ("t", str(item["copy"])),
            )  # fmt: skip
