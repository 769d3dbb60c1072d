"""Library barcodes: 14 digits, the last a Luhn (mod 10) check digit, as Codabar labels of American libraries have them.

The first digit says what it is (2 a patron, 3 an item), the next four say whose it is, eight count.
"""

PATRON = "2"
ITEM = "3"

# The four digits of each college. They are made up.
COLLEGE_DIGITS = {"ALD": "0417", "TUL": "0418"}


def check_digit(digits):
    """The Luhn check digit of a string of digits, to be put behind it."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character)
        if place % 2 == 0:
            value *= 2
            if value > 9:
                value -= 9
        total += value
    return str(-total % 10)


def barcode(kind, college, number):
    """The barcode of item or patron number `number` (below 100,000,000) of a college."""
    digits = f"{kind}{COLLEGE_DIGITS[college]}{number:08d}"
    return digits + check_digit(digits)


def is_valid(text):
    """Whether the text is 14 digits with the right check digit."""
    return len(text) == 14 and text.isascii() and text.isdigit() and check_digit(text[:-1]) == text[-1]
