"""What a file is by its first bytes, whatever its name says: people save, attach and download under any name."""

from __future__ import annotations

import re

WORKBOOK = "save its sheet as {wanted}, and deliver that"
ARCHIVED = "an archive (zip)"
ARCHIVE = "unpack it, and deliver the files in it"
TABLE = "export its rows as {wanted}, and deliver those"
PAGE = "a login or an error was downloaded in its place, so fetch it again"
NO_TABLE = "it holds no rows that can be read, so deliver it as {wanted}"
# Where the bytes stand, the bytes, what has them, and what to do with it.
SIGNATURES = (
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook (xls, or one with a password)", WORKBOOK),
    (0, b"%PDF-", "a PDF", NO_TABLE),
    (0, b"{\\rtf", "a text document (rtf)", NO_TABLE),
    (0, b"PAR1", "a Parquet file", TABLE),
    (0, b"PARE", "a Parquet file", TABLE),
    (0, b"ORC", "an ORC file", TABLE),
    (0, b"Obj\x01", "an Avro file", TABLE),
    (0, b"ARROW1\0\0", "an Arrow file", TABLE),
    (0, b"SQLite format 3\0", "a database (SQLite)", TABLE),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (7z)", ARCHIVE),
    (0, b"Rar!\x1a\x07", "an archive (rar)", ARCHIVE),
    (0, b"\xfd7zXZ\0", "an archive (xz)", ARCHIVE),
    (0, b"\x04\x22\x4d\x18", "an archive (lz4)", ARCHIVE),
    (257, b"ustar", "an archive (tar)", ARCHIVE),
    (0, b"\x89PNG\r\n\x1a\n", "a picture (png)", NO_TABLE),
    (0, b"\xff\xd8\xff", "a picture (jpeg)", NO_TABLE),
)
# What a source may hold whose cells have types; their readers say what else is wrong with such a file.
OF_FORMAT = {
    "parquet": ("a Parquet file",),
    "spreadsheet": (
        "a workbook (xls, or one with a password)",
        "a workbook (xlsx)",
        "a workbook (ods)",
        "an Office document",
        ARCHIVED,
    ),
}
SAID = {"csv": "CSV", "json": "JSON", "parquet": "Parquet", "spreadsheet": "xlsx"}
BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# All that begins as a zip does, by how the name of a file in it begins (an ods has its own type as the first one).
ZIPPED = (
    ("mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "a workbook (ods)", WORKBOOK),
    ("xl/workbook.bin", "a workbook (xlsb)", WORKBOOK),
    ("xl/", "a workbook (xlsx)", WORKBOOK),
    ("Index/", "a workbook (numbers)", WORKBOOK),
    ("word/", "a text document (docx)", NO_TABLE),
    ("ppt/", "a presentation (pptx)", NO_TABLE),
    ("[Content_Types].xml", "an Office document", WORKBOOK),
)
HTML = re.compile(
    r"\s*(?:<!--.*?-->\s*|<\?xml[^>]*>\s*)*"
    r"<(?:!doctype html|html|head|title|body|table|script|style|meta|div|br|b|p|pre)\b",
    re.IGNORECASE | re.DOTALL,
)
XML = re.compile(r"\s*<(?:\?xml\b|[a-z][\w.:-]*(?:\s+[\w.:-]+=\"[^\"]*\")*\s*>\s*<)", re.IGNORECASE)
JSON = re.compile(r"""\s*(?:\{\s*"[^"\\]*"\s*:|\[\s*\{\s*["}])""")


def refusal(begin: bytes, text: str, wanted: str) -> str:
    """The sentence that follows the file's name where it is no `wanted` (a format) at all; empty where it may be.

    `begin`: the file's first bytes, unpacked; `text`: what they are as text.
    """
    found = _of_bytes(begin) or _of_text(text, wanted)
    if not found or found[0] in OF_FORMAT.get(wanted, ()):
        return ""
    what, remedy = found
    return f"is {what}: {remedy.format(wanted=SAID[wanted])}."


def format_of(begin: bytes) -> str:
    """The format whose cells have types, where it is one; else nothing."""
    found = (_of_bytes(begin) or ("",))[0]
    kinds = (kind for kind, some in OF_FORMAT.items() if found in some and found != ARCHIVED)
    return next(kinds, "")


def is_binary(begin: bytes) -> bool:
    """Whether it is known by its first bytes, and so no text."""
    return _of_bytes(begin) is not None


def _of_bytes(begin: bytes) -> tuple[str, str] | None:
    if begin.startswith(ZIP):
        inside = ((what, remedy) for name, what, remedy in ZIPPED if _holds(begin, name))
        return next(inside, (ARCHIVED, ARCHIVE))
    if BZIP2.match(begin):
        return "an archive (bzip2)", ARCHIVE
    found = ((what, remedy) for at, sign, what, remedy in SIGNATURES if begin.startswith(sign, at))
    return next(found, None)


def _holds(begin: bytes, name: str) -> bool:
    """Whether one of a zip's files is named so; its name stands 30 bytes behind the file's own signature."""
    return re.search(rb"PK\x03\x04.{26}" + re.escape(name.encode()), begin, re.DOTALL) is not None


def _of_text(text: str, wanted: str) -> tuple[str, str] | None:
    if "urn:schemas-microsoft-com:office:" in text[:10_000] and text.lstrip().startswith("<"):
        return "a workbook (saved as a page or as XML)", WORKBOOK
    if HTML.match(text):
        return "a web page (HTML)", PAGE
    if XML.match(text):
        return "XML", PAGE
    if wanted == "csv" and JSON.match(text):
        return "JSON", TABLE
    return None
