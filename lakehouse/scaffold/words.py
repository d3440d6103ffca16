"""What the names of columns tell, in English and German: guesses, which a draft says as such."""

from __future__ import annotations

# What names something: alone, or beside what it names.
ALONE = frozenset(("id", "uuid", "guid", "key"))
IDS = ALONE | {"ids", "no", "nr", "number", "nummer", "num", "code", "ref", "reference"}
# Amounts, which one export writes without decimals and the next one with; and what is counted, although it is a total.
MONEY = frozenset((
    "price", "cost", "costs", "total", "subtotal", "amount", "tax", "vat", "fee", "tip", "discount", "balance",
    "revenue", "preis", "betrag", "summe", "gesamt", "netto", "brutto", "steuer", "mwst", "rabatt", "umsatz",
))  # fmt: skip
COUNTED = frozenset((
    "time", "min", "minutes", "hours", "days", "count", "number", "qty", "quantity", "units", "items", "orders",
    "points", "anzahl", "menge",
))  # fmt: skip
# What may be about a person, of which WHO also stands in names of keys and counts: no draft repeats such values.
WHO = frozenset(("agent", "user", "customer", "kunde", "buyer"))
PERSONAL = WHO | frozenset((
    "name", "firstname", "lastname", "vorname", "nachname", "email", "mail", "phone", "telephone", "telefon", "tel",
    "mobile", "address", "adresse", "street", "strasse", "city", "ort", "stadt", "birth", "birthday", "birthdate",
    "geburtsdatum", "contact", "note", "notes", "comment", "comments", "instructions", "message", "review", "reviews",
    "description", "bemerkung", "notiz", "ip", "iban", "latitude", "longitude",
))  # fmt: skip
# What stays as long as a document lives: whose it is, and when it began.
OWNER = frozenset(("customer", "client", "kunde", "kunden", "buyer"))
BEGUN = frozenset((
    "created", "createdat", "registered", "ordered", "order", "placed", "angelegt", "erstellt", "bestellt",
    "bestelldatum",
))  # fmt: skip
# Words of SQL, which a column's name would have to be quoted for.
OF_SQL = frozenset((
    "all", "and", "any", "as", "asc", "between", "by", "case", "cast", "cross", "date", "desc", "distinct", "else",
    "end", "except", "exists", "false", "filter", "from", "full", "group", "having", "in", "inner", "intersect",
    "interval", "is", "join", "left", "like", "limit", "natural", "not", "null", "on", "or", "order", "outer", "right",
    "rows", "select", "set", "some", "table", "then", "time", "timestamp", "to", "true", "union", "unique", "unit",
    "user", "using", "values", "when", "where", "with",
))  # fmt: skip


def is_id(name: str) -> bool:
    """Whether a column names something, by its own name."""
    return bool(IDS.intersection(name.split("_"))) or name.endswith("id")
