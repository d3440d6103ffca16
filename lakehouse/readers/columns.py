"""How the columns of delivered files are named, and how cells are written that a spreadsheet must not compute."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

# Columns that a corrected file brings for the core itself, whatever else is in it.
NAMES_A_ROW = ("_replaces_file", "_replaces_row")  # both: one alone corrects nothing
OF_CORRECTIONS = (*NAMES_A_ROW, "_rejected_because")
# What spreadsheets compute, or did before it was given apostrophes; a number they compute to itself.
FORMULA = "'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
NUMBER = re.compile(r"[-+]?[ \d.,]*%?")
DEFUSED, AS_MEANT = rf"\A'({FORMULA})", r"\1"  # for a reader: pattern and replacement


def defused(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: with an apostrophe, which DEFUSED takes away again."""
    return f"'{text}" if re.match(FORMULA, text) and not NUMBER.fullmatch(text) else text


def column_names(header: Iterable[str], of_path: Container[str] = ()) -> dict[str, str]:
    """Header text -> column name: `Distance (in km)` -> distance_in_km; a nameless column gets its place, unnamed_31.

    A header repeated to the letter keeps its place in the key, so that nothing is lost before it is reported. What the
    path says (`of_path`) is not overwritten: a column Market beside the folder's market is market_delivered.
    """
    names: dict[str, str] = {}
    for place, text in enumerate(header, start=1):
        key = text if text.strip() and text not in names else f"{text}#{place}"
        name = column_name(text) or f"unnamed_{place}"
        names[key] = f"{name}_delivered" if name in of_path else name
    return names


def column_name(text: str) -> str:
    """Empty where no letter or digit is left of the header."""
    plain = unicodedata.normalize("NFC", text).casefold()
    folded = re.sub(r"[\W_]+", "_", plain).strip("_")
    return f"_{folded}" if f"_{folded}" in OF_CORRECTIONS else folded
