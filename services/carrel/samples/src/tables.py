"""Reads the sources: the works tables and the district."""

import csv
import tomllib
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
SAMPLES = SOURCE.parent

# Columns that not every table has.
OPTIONAL = (
    "author", "form", "resp", "uniform", "pieces", "added", "note", "vernacular", "frequency", "issn",
)  # fmt: skip


def works():
    """All rows of the works tables as dicts, by number."""
    rows = []
    for path in sorted((SOURCE / "works").glob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as table:
            for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
                rows.append(dict.fromkeys(OPTIONAL, "") | row | {"table": path.name})
    return sorted(rows, key=lambda row: int(row["no"]))


def toml(name):
    """One of the TOML samples."""
    return tomllib.loads((SAMPLES / name).read_text(encoding="utf-8"))


def college_of_library(district):
    """{library code: college code}."""
    campuses = {campus["code"]: campus["institution"] for campus in district["campus"]}
    return {library["code"]: campuses[library["campus"]] for library in district["library"]}
