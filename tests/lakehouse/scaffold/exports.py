"""Three exports of elsewhere, made up, and about nobody: what they have is told by their names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def german(folder: Path) -> Path:
    """Semicolons, windows-1252, decimal commas, days first; 25 rows of 13 orders, one of the 31 February."""
    lines = ["Bestellung Nr.;Artikel;Größe;Stückzahl;Einzelpreis;Gesamt;Bestelldatum;Bezahlt;Bemerkung"]
    for number in range(1, 13):
        for article in (101, 102):
            price, pieces = 100_050 + 750 * number, article - 100 + number % 3
            amounts = ";".join(map(_with_comma, (price, price * pieces)))
            words = "ja;k.A." if number % 2 else "nein;Größer, bitte"
            day = f"{number + 10}.0{1 + number % 3}.2024"
            lines.append(
                f"{number:05};A-{article};{'groß' if article == 101 else 'klein'};{pieces};{amounts};{day};{words}"
            )
    lines.append("00013;A-101;groß;2;1.000,00;2.000,00;31.02.2024;ja;k.A.")
    path = folder / "Bestellungen 2024-03-01.csv"
    path.write_bytes("\r\n".join([*lines, ""]).encode("windows-1252"))
    return path


def _with_comma(cents: int) -> str:
    return f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))


def shop(folder: Path) -> Path:
    """Two rows of each of 12 orders; facts of an order stand on the first of them alone."""
    header = "Name,Email,Financial Status,Created at,Total,Currency,Lineitem quantity,Lineitem name,Lineitem price"
    lines = [header]
    for number in range(1001, 1013):
        at = f"2024-03-{number - 990} 10:15:11 +0100"
        lines.append(f"#{number},buyer{number}@example.com,paid,{at},{30 + number % 3 * 10}.00,EUR,1,Cup,10.00")
        lines.append(f"#{number},,,,,,2,Plate,{10 + number % 3 * 5}.00")
    path = folder / "orders_export.csv"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def people(folder: Path) -> Path:
    """An object a line, with one within."""
    rows = [
        {
            "id": f"cus_{number:03}",
            "createdAt": f"2024-03-{number:02}T08:00:00.000Z",
            "active": number % 2 == 0,
            "visits": number * 3,
            "address": {"city": "Anytown", "zip": f"0{number:04}"},
            "balance": number * 1.5,
        }
        for number in range(1, 16)
    ]
    path = folder / "people.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path
