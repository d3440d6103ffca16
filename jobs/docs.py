"""How the documentation looks: one HTML page that asks nobody for anything. Its frame, style and script: docs.html."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import lineage
from jobs.markup import Markup, tag, together
from lakehouse.contract import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lakehouse.contract import Check, Column, Contract, Reach, Rule
    from lakehouse.serving.docs import Docs, Entry, Reference, Stored, View

FRAME = Path(__file__).with_name("docs.html")
MARKED = re.compile(r"`([^`]+)`|\b((?:bronze|silver|gold)\.[a-z0-9_]+)|\bconf/([a-z0-9_]+)\.yml")
LONGEST = 120  # letters of a value
LAYER = {
    "bronze": "Every row of every delivered file, as text",
    "silver": "The newest right delivery of each thing, typed and in UTC",
    "gold": "The numbers that people ask for",
}
OPS = "How far the numbers can be trusted: views of what runs recorded, for `lakehouse sql`"
WRITTEN = {
    "append": "Appended: each version of a delivered file once, every row of it.",
    "latest": "Of each unit the newest delivery in which no row breaks a rule that rejects; it replaces its old rows.",
    "refresh": "Refreshed by unit: what changed in its inputs leads to units, these are computed anew, and those that "
    "differ are replaced.",
    "replace": "Computed whole whenever one of its inputs has moved.",
}
SEVERITY = {"reject": "rejects", "warn": "warns", "stop": "stops the write"}


def page(docs: Docs) -> str:
    """The whole file. Only its own script and style may run and nothing may be fetched, whatever the lake holds."""
    frame = FRAME.read_text(encoding="utf-8")
    allowed = "; ".join(f"{kind}-src '{_hash(frame, kind)}'" for kind in ("script", "style"))
    parts = {
        "policy": tag("meta", http_equiv="Content-Security-Policy", content=f"default-src 'none'; {allowed}"),
        "list": _list(docs),
        "pages": together(
            _overview(docs),
            *(_table(one, docs) for one in docs.entries),
            *(_view(one, docs) for one in docs.views),
            *(_file(one, docs) for one in docs.references),
        ),
    }
    return re.sub(r"<!-- (policy|list|pages) -->", lambda found: parts[found[1]], frame)


def _hash(frame: str, kind: str) -> str:
    inside = frame.partition(f"<{kind}>")[2].partition(f"</{kind}>")[0]
    return f"sha256-{b64encode(sha256(inside.encode()).digest()).decode()}"


def _list(docs: Docs) -> Markup:
    layers = [(layer, _of(docs, layer)) for layer in reversed(LAYERS)]
    return together(
        *(
            together(_layer_name(layer), _links(one.table.name for one in entries))
            for layer, entries in layers
            if entries
        ),
        _layer_name("ops"),
        _links(one.name for one in docs.views),
        tag("h2", "conf", class_="layer"),
        _links(one.name for one in docs.references),
    )


def _links(names: Iterable[str]) -> Markup:
    return tag("ul", *(tag("li", tag("a", name.split(".", 1)[1], href=f"#{name}")) for name in names))


def _layer_name(layer: str) -> Markup:
    return tag("h2", layer, class_=f"layer {layer}")


def _of(docs: Docs, layer: str) -> list[Entry]:
    mine = [one for one in docs.entries if one.table.name.startswith(f"{layer}.")]
    return sorted(mine, key=lambda one: one.table.name)


# The first page -------------------------------------------------------------------------------------------------------


def _overview(docs: Docs) -> Markup:
    there = sum(one.stored is not None for one in docs.entries)
    columns = sum(len(one.table.contract.columns) for one in docs.entries)
    newest = docs.newest_commit
    state = "None of them is in the lake yet." if newest is None else f"The lake's newest commit is of {_time(newest)}."
    left = len(docs.entries) - there
    missing = f" {left} {'is' if left == 1 else 'are'} not in the lake yet." if newest and left else ""
    tables = {one.table.name: one.table for one in docs.entries}
    return tag(
        "section",
        tag("h1", "What is in the lakehouse"),
        tag("p", f"{len(tables)} tables with {columns:,} columns. {state}{missing}", class_="lead"),
        tag("p", tag("a", "How they are made from each other", href="#lineage"), class_="hint screen"),
        tag("div", *(_group(layer, docs) for layer in reversed(LAYERS)), _trust(docs), class_="groups"),
        tag(
            "div",
            tag("h2", "How they are made from each other"),
            tag("p", "Point at a table to see where it comes from and what it leads to.", class_="hint screen"),
            tag("div", lineage.whole(tables), class_="scroll"),
            id="lineage",
            class_="whole",
        ),
        tag("p", "Lake: ", tag("code", docs.root), class_="foot"),
        id="overview",
    )


def _group(layer: str, docs: Docs) -> Markup | None:
    entries = _of(docs, layer)
    if not entries:
        return None
    items = [
        tag(
            "li",
            tag("a", tag("code", one.table.name.split(".", 1)[1]), href=f"#{one.table.name}"),
            tag("span", _size(one.stored), class_="size" if one.stored else "size missing"),
            tag("p", _prose(one.table.contract.description, docs)),
        )
        for one in entries
    ]
    return _grouped(layer, LAYER[layer], items)


def _trust(docs: Docs) -> Markup:
    items = [
        tag("li", tag("a", tag("code", one.name.split(".", 1)[1]), href=f"#{one.name}"), tag("p", one.description))
        for one in docs.views
    ]
    return _grouped("ops", _prose(OPS, docs), items)


def _grouped(layer: str, hint: Markup | str, items: Iterable[Markup]) -> Markup:
    return tag("div", _layer_name(layer), tag("p", hint, class_="hint"), tag("ul", *items, class_="tables"))


def _size(stored: Stored | None) -> str:
    return "not there yet" if stored is None else _count(stored.rows, "row")


# A table's page -------------------------------------------------------------------------------------------------------


def _table(entry: Entry, docs: Docs) -> Markup:
    table, promise = entry.table, entry.table.contract
    layer, name = table.name.split(".", 1)
    return tag(
        "section",
        tag("p", tag("a", "All tables", href="#overview"), class_="way screen"),
        tag("h1", tag("span", f"{layer}.", class_=f"layer {layer}"), name),
        tag("p", _prose(promise.description, docs), class_="lead"),
        _facts(entry),
        _remarks(entry.remarks, docs),
        _columns(table.name, promise, docs),
        _rules(promise, docs),
        _made(entry, docs),
        _examples(entry),
        id=table.name,
        data_table=table.name,
        data_readers=len(entry.readers),
    )


def _remarks(text: str, docs: Docs) -> Markup | None:
    parts = [tag("p", _prose(" ".join(part.split()), docs)) for part in text.split("\n\n") if part]
    return tag("div", *parts, class_="remarks") if parts else None


def _facts(entry: Entry) -> Markup:
    promise, stored = entry.table.contract, entry.stored
    facts = {"Grain": _names(promise.grain), "Owner": promise.owner}
    if promise.unit:
        facts["Refreshed by" if promise.write == "refresh" else "Replaced by"] = _names(promise.unit)
    if stored is None:
        facts["In the lake"] = tag("strong", "not there yet")
    else:
        facts |= {"Rows": f"{stored.rows:,}", "Last commit": f"version {stored.version}, {_time(stored.committed_at)}"}
    if entry.delivered_at is not None:
        facts["Newest delivery"] = _time(entry.delivered_at)
    return _said(facts)


def _said(facts: Mapping[str, str]) -> Markup:
    return tag("dl", *(tag("div", tag("dt", word), tag("dd", fact)) for word, fact in facts.items()), class_="facts")


def _columns(table: str, promise: Contract, docs: Docs) -> Markup:
    with_units = any(one.measured_in for one in promise.columns.values())
    head = ("Column", "Type", *(("Unit",) if with_units else ()), "Meaning")
    rows = [
        tag(
            "tr",
            tag("th", tag("a", *_breakable(name), href=f"#{table}.{name}"), _part(name, promise), scope="row"),
            tag("td", tag("code", column.type), class_="type"),
            tag("td", _unit(table, column, promise), class_="unit") if with_units else None,
            tag("td", tag("p", _prose(column.meaning, docs), class_="meaning"), _reading(column)),
            id=f"{table}.{name}",
            data_column=name,
        )
        for name, column in promise.columns.items()
    ]
    return together(
        tag("h2", "Columns"),
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", word, scope="col") for word in head))),
            tag("tbody", *rows),
            class_="columns",
        ),
    )


def _breakable(name: str) -> list[str]:
    """Where it is too long for its place, a name is broken before an underscore."""
    return _between(Markup("<wbr>"), [together(word) for word in re.split("(?=_)", name)])


def _part(name: str, promise: Contract) -> Markup | None:
    parts = {"grain": promise.grain, "partition": promise.partition_by}
    words = [word for word, names in parts.items() if name in names]
    return together(*(tag("span", word, class_="part") for word in words)) if words else None


def _unit(table: str, column: Column, promise: Contract) -> Markup | None:
    """Where the row itself says the unit, as its `currency` does, it leads there; `orders` are just orders."""
    told_by = promise.columns.get(column.measured_in or "")
    if told_by and told_by.type == "string":
        return tag("a", column.measured_in, href=f"#{table}.{column.measured_in}")
    return together(column.measured_in)


def _reading(column: Column) -> Markup | None:
    """How it comes out of the delivered text, where it is parsed from that."""
    words = [
        together("from ", tag("code", column.source)) if column.source else None,
        together("must be there") if column.required else None,
        together(_codes(column.blank), " is read as nothing") if column.blank else None,
    ]
    there = [word for word in words if word]
    return tag("p", *_between("; ", there), class_="reading") if there else None


def _rules(promise: Contract, docs: Docs) -> Markup:
    items = [_rule(name, rule, docs) for name, rule in promise.rules.items()]
    items += [_check(name, check, docs) for name, check in promise.checks.items()]
    document = [
        tag("li", tag("code", name), " is ", tag("code", text), " over the rows of the unit, without repeats")
        for name, text in promise.document.items()
    ]
    return together(
        tag("h2", "Rules and checks"),
        tag("ul", *items, class_="rules") if items else None,
        tag("p", "In these:", class_="hint") if document else None,
        tag("ul", *document, class_="hint") if document else None,
        tag("p", _of_the_core(promise), class_="hint"),
    )


def _rule(name: str, rule: Rule, docs: Docs) -> Markup:
    return _promise(name, rule.severity, tag("code", rule.check), rule.why, docs)


def _check(name: str, check: Check, docs: Docs) -> Markup:
    if check.unique:
        condition = together(_names(check.unique), " is there once")
    elif check.references:
        condition = together(_names(check.key), " is in ", _prose(check.references, docs))
    else:
        by = together(", in each ", _names(check.by)) if check.by else None
        condition = together(
            tag("code", check.this), " is ", tag("code", check.that), " of ", _prose(check.agrees_with or "", docs), by
        )
    return _promise(name, check.severity, condition, check.why, docs)


def _promise(name: str, severity: str, condition: Markup, why: str, docs: Docs) -> Markup:
    return tag(
        "li",
        tag("h3", name, tag("span", SEVERITY[severity], class_=f"severity {severity}")),
        tag("p", _prose(why, docs)),
        tag("p", condition, class_="condition"),
    )


def _of_the_core(promise: Contract) -> str:
    if promise.write == "append":
        return "Rows are kept as they were delivered; they are judged on the way to silver."
    if promise.write == "latest":
        return (
            "Beside these, delivered text must be readable as its column's type, and what must be there must not be "
            "missing; otherwise the whole unit is rejected."
        )
    return "Beside these, no two rows may have the same grain, and none may be without its unit."


def _made(entry: Entry, docs: Docs) -> Markup:
    """The picture; on a phone, where it has no room, its names in two lists."""
    table, promise, known = entry.table, entry.table.contract, _known(docs)
    ways = [_way(name, reach, known) for name, reach in promise.inputs.items()]
    if promise.source:
        files = [tag("code", pattern) for pattern in promise.source.files]
        ways = [tag("li", f"Reads {promise.source.format} files of landing: ", *_between(" or ", files), ".")]
    return together(
        tag("h2", "How it is made"),
        tag("p", WRITTEN[promise.write]),
        tag("ul", *ways, class_="ways") if ways else None,
        tag("div", lineage.neighbours(table.name, table.inputs, entry.readers), class_="scroll near"),
        tag(
            "div",
            *_names_of("Reads", table.inputs, known),
            *_names_of("Is read by", entry.readers, known),
            class_="both",
        ),
    )


def _names_of(title: str, names: Iterable[str], known: set[str]) -> list[Markup]:
    return [tag("h3", title), tag("ul", *(tag("li", _link(name, known)) for name in names))] if names else []


def _way(name: str, reach: Reach, known: set[str]) -> Markup:
    """How a changed row of the input leads to units, where it does not carry the unit's columns itself."""
    if reach.through:
        words = ["through ", _link(reach.through, known), " by ", _names(reach.on)]
    else:
        parts = [together(tag("code", column), " = ", tag("code", text)) for column, text in reach.unit.items()]
        words = ["by ", *_between(", ", parts)]
    return tag("li", "A change of ", _link(name, known), " reaches units ", *words, ".")


def _examples(entry: Entry) -> Markup | None:
    promise, stored = entry.table.contract, entry.stored
    if stored is None:
        return None
    beside = tag(
        "p", "In the lake, but not named by the contract: ", _codes(stored.beside), ".", class_="hint"
    ) if stored.beside else None  # fmt: skip
    if promise.write == "append":
        words = "Not shown for bronze: delivered text may hold anything."
        return together(tag("h2", "Example rows"), tag("p", words, class_="hint"), beside)
    rows = [
        tag("tr", tag("th", name, scope="row"), *(_value(row[place]) for row in stored.examples))
        for place, name in enumerate(stored.shown)
    ]
    names = _codes(stored.withheld)
    return together(
        tag("h2", "Example rows"),
        tag("div", tag("table", tag("tbody", *rows), class_="examples"), class_="scroll")
        if stored.examples
        else tag("p", "It has no rows.", class_="hint"),
        tag("p", "Not shown, since values may be about people: ", names, ".", class_="hint")
        if stored.withheld
        else None,
        beside,
    )


def _value(value: object) -> Markup:
    if value is None:
        return tag("td", "null", class_="null")
    text = shown(value)
    return tag("td", text[:LONGEST] + "…" * (len(text) > LONGEST))


def shown(value: object) -> str:
    """Decimals with all their digits, also 0.00000000; times in UTC."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat(" ")
    return value.isoformat() if isinstance(value, date) else str(value)


# A view's page --------------------------------------------------------------------------------------------------------


def _view(view: View, docs: Docs) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", tag("a", *_breakable(name), href=f"#{view.name}.{name}"), scope="row"),
            tag("td", tag("p", _prose(meaning, docs), class_="meaning")),
            id=f"{view.name}.{name}",
            data_column=name,
        )
        for name, meaning in view.columns.items()
    ]
    head = tag("tr", *(tag("th", word, scope="col") for word in ("Column", "Meaning")))
    asked_by = f'lakehouse sql "select * from {view.name}"'  # noqa: S608  shown to people
    return tag(
        "section",
        tag("p", tag("a", "All tables", href="#overview"), class_="way screen"),
        tag("h1", tag("span", "ops.", class_="layer"), view.name.removeprefix("ops.")),
        tag("p", _prose(view.description, docs), class_="lead"),
        _said({"Asked by": tag("code", asked_by), "Reads": _codes(view.inputs)}),
        _remarks(view.remarks, docs),
        tag("h2", "Columns"),
        tag("table", tag("thead", head), tag("tbody", *rows), class_="columns"),
        id=view.name,
        data_table=view.name,
        data_readers=0,
    )


# Reference data -------------------------------------------------------------------------------------------------------


def _file(reference: Reference, docs: Docs) -> Markup:
    names = list(reference.rows[0]) if reference.rows else []
    rows = [tag("tr", *(_value(row[name]) for name in names)) for row in reference.rows]
    known = _known(docs)
    return tag(
        "section",
        tag("p", tag("a", "All tables", href="#overview"), class_="way screen"),
        tag("h1", tag("span", "conf.", class_="layer"), reference.name.removeprefix("conf.")),
        tag("p", _prose(reference.remarks, docs), class_="lead") if reference.remarks else None,
        tag("h2", "Rows"),
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names))),
                tag("tbody", *rows),
                class_="rows",
            ),
            class_="scroll",
        ),
        tag("h2", "Is read by"),
        tag("ul", *(tag("li", _link(name, known)) for name in reference.readers)),
        id=reference.name,
        data_table=reference.name,
        data_readers=len(reference.readers),
    )


# Words ----------------------------------------------------------------------------------------------------------------


def _known(docs: Docs) -> set[str]:
    return {one.table.name for one in docs.entries} | {one.name for one in docs.references}


def _prose(text: str, docs: Docs) -> Markup:
    """What stands between backticks is code; tables and files of conf/ lead to their pages."""
    known, parts, at = _known(docs), [], 0
    for found in MARKED.finditer(text):
        code, table, conf = found.groups()
        name = table or f"conf.{conf}"
        parts.append(together(text[at : found.start()]))
        if code:
            parts.append(tag("code", code))
        else:
            parts.append(tag("a", found[0], href=f"#{name}") if name in known else together(found[0]))
        at = found.end()
    return together(*parts, text[at:])


def _link(name: str, known: set[str]) -> Markup:
    return tag("a", tag("code", name), href=f"#{name}") if name in known else tag("code", name)


def _names(columns: Iterable[str]) -> Markup:
    return tag("code", ", ".join(columns))


def _codes(texts: Iterable[str]) -> Markup:
    return together(*_between(", ", [tag("code", text or "(empty)") for text in texts]))


def _between(word: str, parts: list[Markup]) -> list[str]:
    return [one for part in parts for one in (word, part)][1:]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
