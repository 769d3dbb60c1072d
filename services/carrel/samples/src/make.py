"""Writes the samples that are made: the three catalog files and the two rosters. Run it after a change of a source.

    python3 make.py

Standard library only, and the same bytes on every run.
"""

import csv
import io

import cataloguing
import damage
import items
import marc
import patrons
import tables


def roster_csv(columns, rows):
    """A roster as CSV with a header line and LF line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def catalogs(rows, colleges):
    """{file name: bytes} of the catalog files."""
    records = {"mrc": [], "xml": [], "damaged": []}
    for row in rows:
        record = cataloguing.describe(row)
        add_items = items.add_holdings if row["file"] == "xml" else items.add_koha_items
        add_items(record, row, items.copies(row, colleges))
        records[row["file"]].append(record)
    damaged = [marc.iso2709(record) for record in records["damaged"]]
    return {
        "catalog.mrc": b"".join(marc.iso2709(record) for record in records["mrc"]),
        "catalog.xml": marc.marcxml(records["xml"]),
        "catalog-damaged.mrc": b"".join(damage.damage(damaged)),
    }


def made():
    """{file name: bytes} of all files that are made."""
    district = tables.toml("district.toml")
    files = catalogs(tables.works(), tables.college_of_library(district))
    files["patrons.csv"] = roster_csv(patrons.COLUMNS, patrons.roster())
    files["patrons-with-errors.csv"] = roster_csv(patrons.COLUMNS, patrons.roster_with_errors())
    return files


def main():
    """Writes all files."""
    for name, content in made().items():
        (tables.SAMPLES / name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
