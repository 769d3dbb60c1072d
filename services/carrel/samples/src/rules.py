"""Reads circulation rules, as far as the sample has them, to check their names. The service has the real parser."""

from dataclasses import dataclass


@dataclass
class Criterion:
    """Names after a letter: any of them, or where they were negated none of them; no names match all."""

    names: list
    negated: bool

    def matches(self, name):
        """Whether a name meets it."""
        return not self.names or (name in self.names) != self.negated


@dataclass
class Line:
    """A line with its own criteria and those it is nested in."""

    number: int
    criteria: list
    policies: dict


def criterion(text):
    """A letter and its criterion."""
    letter, *names = text.split()
    if names == ["all"]:
        return letter, Criterion([], False)
    return letter, Criterion([name.lstrip("!") for name in names], names[0].startswith("!"))


def policies(text):
    """{letter: code} of the part behind the colon."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def parse(text):
    """The fallback line and the lines that name policies."""
    fallback, lines, above = None, [], []
    for number, raw in enumerate(text.splitlines(), 1):
        written = raw.split("#")[0].split("/")[0].rstrip()
        if not written or written.startswith("priority:"):
            continue
        head, _, tail = written.partition(":")
        if head == "fallback-policy":
            fallback = Line(number, [], policies(tail))
            continue
        indent = len(head) - len(head.lstrip())
        above = [entry for entry in above if entry[0] < indent]
        own = [criterion(part) for part in head.split("+")]
        if tail:
            lines.append(Line(number, [one for _, outer in above for one in outer] + own, policies(tail)))
        above.append((indent, own))
    return fallback, lines


def applying(lines, place):
    """The lines that match {letter: name}; which of them wins is the service's business."""
    return [line for line in lines if all(one.matches(place.get(letter)) for letter, one in line.criteria)]
