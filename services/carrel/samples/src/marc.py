"""MARC 21 records and their two forms: ISO 2709 in UTF-8, and MARCXML. Only what these samples need."""

from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

SUBFIELD = "\x1f"
FIELD_END = b"\x1e"
RECORD_END = b"\x1d"

MARCXML_NAMESPACE = "http://www.loc.gov/MARC21/slim"


@dataclass
class Record:
    """A record: six positions of the leader, and fields in the order in which they are written."""

    type: str = "a"  # leader/06
    level: str = "m"  # leader/07
    fields: list = field(default_factory=list)

    def control(self, tag, value):
        """Adds a control field."""
        self.fields.append((tag, value))

    def data(self, tag, indicators, *subfields):
        """Adds a data field from pairs of code and value; pairs without a value are left out."""
        kept = [(code, value) for code, value in subfields if value]
        if kept:
            self.fields.append((tag, indicators.replace("#", " "), kept))

    def leader(self, length=0, base=0):
        """The leader: UTF-8, full level, ISBD punctuation."""
        return f"{length:05d}n{self.type}{self.level} a22{base:05d} i 4500"


def field_bytes(one):
    """A field as ISO 2709 has it, without its terminator."""
    if len(one) == 2:
        return one[1].encode()
    _, indicators, subfields = one
    return (indicators + "".join(SUBFIELD + code + value for code, value in subfields)).encode()


def iso2709(record):
    """The record as ISO 2709. Too long a field or record is a fault of the tables, so it stops the program."""
    directory, body = b"", b""
    for one in record.fields:
        data = field_bytes(one) + FIELD_END
        assert len(data) <= 9999, f"field {one[0]} is too long"
        directory += f"{one[0]}{len(data):04d}{len(body):05d}".encode()
        body += data
    base = 24 + len(directory) + 1
    length = base + len(body) + 1
    assert length <= 99999, "the record is too long"
    return record.leader(length, base).encode() + directory + FIELD_END + body + RECORD_END


def marcxml(records):
    """A MARCXML collection, a line for each field."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<collection xmlns="{MARCXML_NAMESPACE}">']
    for record in records:
        lines += ["<record>", f"<leader>{record.leader()}</leader>"]
        for one in record.fields:
            if len(one) == 2:
                lines.append(f'<controlfield tag="{one[0]}">{escape(one[1])}</controlfield>')
                continue
            tag, indicators, subfields = one
            inner = "".join(f"<subfield code={quoteattr(code)}>{escape(value)}</subfield>" for code, value in subfields)
            lines.append(f'<datafield tag="{tag}" ind1="{indicators[0]}" ind2="{indicators[1]}">{inner}</datafield>')
        lines.append("</record>")
    lines += ["</collection>", ""]
    return "\n".join(lines).encode()
