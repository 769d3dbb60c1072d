"""Breaks three records of a sound file in three ways that real transfers break them."""

FIELD_END = b"\x1e"


def without_middle(raw):
    """A stretch is lost, with ends of fields in it: the leader's length and the directory no longer fit."""
    middle = len(raw) // 2
    lost = raw[middle : middle + 90]
    assert FIELD_END in lost
    return raw[:middle] + raw[middle + 90 :]


def without_whole_directory(raw):
    """Seven bytes of the directory are lost, so that it no longer divides into entries. The length is right."""
    short = raw[:60] + raw[67:]
    return f"{len(short):05d}".encode() + short[5:]


def cut_off(raw):
    """The file ends in the middle of the record."""
    return raw[: len(raw) * 2 // 3]


# Which record of the file (from 0) is broken how. The last one has nothing behind it.
BROKEN = {3: without_middle, 7: without_whole_directory, 11: cut_off}


def damage(records):
    """The records, three of them broken."""
    assert len(records) == 12, "the damaged file has 12 records"
    return [BROKEN[place](raw) if place in BROKEN else raw for place, raw in enumerate(records)]
