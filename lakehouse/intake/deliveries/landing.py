"""Which files in landing are new, whole and readable. Nothing is written here; the ledger claims what is found."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from lakehouse.intake.deliveries import contents, fetched, paths
from lakehouse.intake.deliveries.paths import Said
from lakehouse.intake.records.ledger import MISDATED, Delivery, Entry
from lakehouse.readers import records
from lakehouse.readers.columns import OF_CORRECTIONS
from lakehouse.readers.records import HalfWrittenError, UnreadableError
from lakehouse.store import archives, storage

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping

    from lakehouse.contract import Contract
    from lakehouse.graph import Table
    from lakehouse.intake.records.ledger import Ledger
    from lakehouse.store.storage import StoredFile

TOLERANCE = timedelta(days=1)  # clocks differ, and a file may be named for the night that it is made in
# What systems and programs leave beside people's files: nobody delivers it, and it is never done.
OF_THE_SYSTEM = re.compile(
    r"(^|/)(\.DS_Store|\._[^/]*|__MACOSX/.*|\.(Trashes|Trash-[^/]*|Spotlight-V100|fseventsd|TemporaryItems)/.*"
    r"|(eh)?thumbs(_vista)?\.db|desktop\.ini|\$RECYCLE\.BIN/.*|System Volume Information/.*|lost\+found/.*|@eaDir/.*"
    r"|~\$[^/]*|\.~lock\.[^/]*#?|\.directory|\.nfs[0-9a-f]*|\.git(ignore|keep|attributes)?|\.git/.*|\.keep"
    r"|_SUCCESS|_(started|committed)_[0-9]+|\.[^/]*\.crc)$",
    re.IGNORECASE,
)
# Writers in progress: they wait until they have their real name.
TEMPORARY = re.compile(r"(^|/)(?!\.\./)[._][^/]*($|/)|\.(tmp|part|crswap)$")


@dataclass(frozen=True)
class Found:
    """What landing holds beyond the ledger: file versions with their status, and files that no contract wants.

    `gone`: what files held that are not there any more (or again), other than when the ledger was written last.
    `absent`: how many files were taken from landing, where it holds none of them, and it used to keep them.
    `strangers`: new file versions that hold what a file of another market does.
    """

    entries: tuple[Entry, ...]
    ignored: tuple[str, ...]
    gone: tuple[Entry, ...] = ()
    absent: int = 0
    strangers: tuple[Delivery, ...] = ()

    def of(self, tables: Container[str]) -> Found:
        """Only what these tables want."""
        entries, gone = (
            tuple(one for one in some if one.delivery.table in tables) for some in (self.entries, self.gone)
        )
        return replace(self, entries=entries, gone=gone)

    def by_status(self, status: str) -> tuple[Entry, ...]:
        return tuple(one for one in self.entries if one.status == status)

    @property
    def new(self) -> tuple[Delivery, ...]:
        return tuple(one.delivery for one in self.by_status("claimed"))

    def news(self, ledger: Ledger) -> tuple[Entry, ...]:
        """What the ledger does not say yet: a file that still waits, or still cannot be read, is said once."""
        said = {(one.delivery.version, one.status, one.reason) for one in ledger.entries if not one.is_taken}
        return tuple(
            one
            for one in self.entries
            if one.delivery.table and (one.delivery.version, one.status, one.reason) not in said
        )


@dataclass(frozen=True)
class _Seen:
    """A listed file as one table wants it; `zone`: where its market is, `before`: what its path held, if anything."""

    table: str
    contract: Contract
    file: StoredFile
    said: Said
    zone: ZoneInfo
    before: Delivery | None

    def delivery(self, content: str) -> Delivery:
        """Of one path what was seen last is what the file says now, whatever its time says."""
        written_at = self.file.modified_at
        if self.before:
            after = (self.before.written_at or self.before.modified_at) + timedelta(microseconds=1)
            written_at = max(written_at, after)
        day = self.said.day or written_at.astimezone(self.zone).date()
        return Delivery(
            table=self.table,
            path=self.file.path,
            size=self.file.size,
            modified_at=self.file.modified_at,
            content=content,
            delivered_at=datetime(day.year, day.month, day.day, tzinfo=UTC),
            written_at=written_at,
            parts=dict(self.said.numbers),
        )

    def problem(self, now: datetime) -> str:
        """Why it cannot be taken, as far as its listing tells: times from outside are doubted."""
        today = now.astimezone(self.zone).date()
        if self.file.problem or self.said.problem:
            return self.file.problem or self.said.problem
        if self.said.day and self.said.day > today + TOLERANCE:
            return f"says that its day is {self.said.day}, and today is {today}. Correct the date in its path."
        if self.file.modified_at > now + TOLERANCE:
            at = f"{self.file.modified_at:%Y-%m-%d %H:%M} UTC"
            return f"was last written at {at}, which is yet to come. Set the writer's clock, and touch the file."
        return ""


def find(
    landing: str,
    tables: Iterable[Table],
    ledger: Ledger,
    zones: Mapping[int, str] | None = None,
    now: datetime | None = None,
) -> Found:
    """List landing and compare it with the ledger. Only files that are new, touched or were not taken are opened.

    Of a window that was taken not even the pages are listed. `zones`: the time zones of markets, UTC for others.
    """
    contracts = {table.name: table.contract for table in tables if table.contract.takes_files}
    now, held = now or datetime.now(UTC), ledger.held()
    known = {_identity(one.delivery.table, one.delivery, one.delivery.content) for one in held.values()}
    ignored, waiting, unseen, there = [], [], list[_Seen](), set[tuple[str, str]]()
    for file in archives.list_files(landing, without=fetched.FOLDER):
        if OF_THE_SYSTEM.search(file.path):
            continue
        if TEMPORARY.search(file.path):
            waiting.append(_temporary(file, contracts))
            continue
        wanted = _wanted(file.path, contracts)
        if not wanted:
            ignored.append(file.path)
        for name, said in wanted.items():
            there.add((name, file.path))
            if _identity(name, file, storage.etag_content(file)) not in known:
                zone = ZoneInfo((zones or {}).get(said.numbers.get("market", -1), "UTC"))
                before = held.get((name, file.path))
                unseen.append(_Seen(name, contracts[name], file, said, zone, before.delivery if before else None))
    for path in fetched.windows(landing):
        wanted = _wanted(path, contracts)
        ignored += [] if wanted else [path]
        for name, said in wanted.items():
            there.add((name, path))
            if (name, path) not in held:
                unseen.append(_Seen(name, contracts[name], fetched.as_listed(path), said, ZoneInfo("UTC"), None))
    with ThreadPoolExecutor(16) as pool:
        looked = list(pool.map(lambda one: _look(landing, one, now), unseen))
    looked.sort(key=lambda one: one.delivery.sequence)
    gone = [(one, key not in there) for key, one in held.items()]
    moved = tuple(replace(one, is_gone=is_gone) for one, is_gone in gone if is_gone != one.is_gone)
    told = _told_apart(looked, held, there)
    strangers = _strangers(told, held.values())
    entries = (*(_said(one, strangers.get(one.delivery.version)) for one in told), *waiting)
    missed = [one for (name, _), one in held.items() if not _is_over(contracts.get(name), one, now)]
    absent = 0 if there & held.keys() else _kept(missed)
    new = tuple(one.delivery for one in entries if one.delivery.version in strangers)
    return Found(entries, tuple(sorted(ignored)), moved, absent, new)


def _is_over(contract: Contract | None, one: Entry, now: datetime) -> bool:
    """Whether retention takes it from landing, so that nobody misses it."""
    return contract is not None and one.delivery.is_older(contract.retention.landing, now)


def _kept(held: Collection[Entry]) -> int:
    """How many files landing should still have; none where at least half of them had been taken away before."""
    return len(held) if 2 * sum(one.is_gone for one in held) < len(held) else 0


def _identity(table: str, file: StoredFile | Delivery, content: str) -> tuple[object, ...]:
    """What tells a file from its earlier versions without opening it; a store's ETag tells even within one second."""
    tag = content if content.startswith(storage.ETAG) else ""
    return table, file.path, file.size, file.modified_at, tag


def _wanted(path: str, contracts: Mapping[str, Contract]) -> dict[str, Said]:
    """The tables that want the file, each with what its patterns read from the path."""
    fitting = {name: fetched.wants(name, one, path) for name, one in contracts.items()}
    found = {name: said for name, said in fitting.items() if said is not None}
    if found or not archives.is_archive(path):
        return found
    # What cannot be looked into belongs to the first that it is named for, else that might want a file of it.
    for may_want in (paths.read_as_packed, paths.read_inside):
        for name, one in contracts.items():
            if one.source and (said := may_want(path, one.source.files)):
                return {name: said}
    return {}


def _temporary(file: StoredFile, contracts: Mapping[str, Contract]) -> Entry:
    """It belongs to the table that would want it by its final name, where that can be told."""
    plain = re.sub(r"(^|/)[._]+", r"\1", re.sub(r"\.(tmp|part|crswap)$", "", file.path))
    table, said = next(iter(_wanted(plain, contracts).items()), ("", Said()))
    numbers = dict(said.numbers)
    delivery = Delivery(table, file.path, file.size, file.modified_at, "", file.modified_at, numbers)
    return Entry(delivery, -1, "waiting", "its name says that it is being written")


def _look(landing: str, seen: _Seen, now: datetime) -> Entry:
    """Open the file: what its columns are, or why it waits or cannot be read."""
    if fetched.is_window(seen.file.path):
        return _look_at_window(landing, seen, now)
    content, file = "", seen.file
    try:
        _refuse(seen.problem(now))
        with archives.unpacked(landing, file.path) as place:
            content = storage.content_hash(place[0], replace(file, path=place[1]))
            delivery, doubt = contents.described(place, seen.contract, seen.delivery(content), now)
            _refuse(_refusal(seen.contract, delivery))
            if not contents.has_rows(place, delivery):
                delivery = replace(delivery, header=(), kinds={})
        if archives.is_still(landing, file):
            return Entry(delivery, -1, "claimed", "; ".join(one for one in (seen.said.doubt, doubt) if one))
        status, reason = "waiting", "changed while it was read: its writer is not done."
    except (HalfWrittenError, archives.UnfinishedError) as error:
        status, reason = "waiting", str(error)
    except (UnreadableError, storage.RefusedFileError) as error:
        status, reason = "unreadable", str(error)
    except (OSError, storage.MissingFileError) as error:
        status, reason = "unreadable", f"cannot be opened: {getattr(error, 'strerror', None) or 'it is gone'}."
    return Entry(seen.delivery(content), -1, status, reason)


def _look_at_window(landing: str, seen: _Seen, now: datetime) -> Entry:
    """Open its pages: all of them are right, or none of its rows is taken."""
    path, delivery, remedy = seen.file.path, seen.delivery(""), ""
    try:
        _refuse(seen.problem(now))
        window, content = fetched.complete(landing, path)
        remedy = f" {fetched.remedy(path, window)}"
        is_part = bool(window.since or window.until or not window.parts)
        delivery = replace(delivery, content=content, size=sum(one.size for one in window.parts), is_part=is_part)
        pages = storage.each(lambda part: _page(landing, seen.contract, delivery, part), window.parts)
        delivery = _together(delivery, pages)
        _refuse(_refusal(seen.contract, delivery))
    except storage.MissingFileError:
        return Entry(delivery, -1, "waiting", "is being fetched, or its fetch broke off: the next one goes on with it.")
    except UnreadableError as error:
        return Entry(delivery, -1, "unreadable", f"{error}{remedy}")
    return Entry(delivery, -1, "claimed")


def _page(landing: str, contract: Contract, window: Delivery, part: fetched.Part) -> Delivery:
    """One page as if it were a file of its own, with no header where it has no rows. Raises UnreadableError."""
    path = fetched.checked(landing, window.path, part)
    try:
        here = replace(window, path=path, size=part.size)
        page, _ = contents.described((landing, path), fetched.contract_of_pages(contract), here, window.modified_at)
    except HalfWrittenError as error:
        raise UnreadableError(f"has a page {part.name} that {error.__cause__ or error}") from error
    except UnreadableError as error:
        raise UnreadableError(f"has a page {part.name} that {error}") from error
    return page if contents.has_rows((landing, path), page) else replace(page, header=(), kinds={})


def _together(window: Delivery, pages: Collection[Delivery]) -> Delivery:
    """The window with the columns of all its pages. Raises UnreadableError where these are not of one kind."""
    kinds, counts = dict[str, str](), [one.records for one in pages]
    full = [one for one in pages if one.header and one.layout]
    layouts = {replace(one.layout, compression="") for one in full if one.layout}
    if len(layouts) > 1:
        raise UnreadableError("has pages of several kinds: of another encoding, delimiter or preamble than others.")
    for page in full:
        for name, kind in page.kinds.items():
            kinds[name] = records.join_kinds(kinds.get(name, "nothing"), kind)
    return replace(
        window,
        header=tuple(dict.fromkeys(text for one in full for text in one.header)),
        kinds=kinds,
        layout=next(iter(layouts), None),
        records=None if None in counts else sum(count or 0 for count in counts),
    )


def _refuse(reason: str) -> None:
    if reason:
        raise UnreadableError(reason)


def _refusal(contract: Contract, delivery: Delivery) -> str:
    """Why the source does not take a file of these columns; empty where it does."""
    source = contract.source
    if source is None or not delivery.header:
        return ""
    names = delivery.columns
    return _missing(names.values(), source.required) or _clash(names, source.format) or _unknown(names, contract)


def _clash(names: Mapping[str, str], kind: str) -> str:
    """Two headers that fold to one name would overwrite each other; JSON's are judged object by object."""
    for name, count in Counter(names.values()).items():
        if count > 1 and kind != records.JSON:
            both = " and ".join(repr(text) for text, folded in names.items() if folded == name)
            return f"has two columns that both fold to {name}: {both}. Rename one of them."
    return ""


def _missing(names: Iterable[str], required: Iterable[str]) -> str:
    missing = contents.missing(names, required)
    return f"has no column {', '.join(missing)}, which the contract requires. Deliver it with that." if missing else ""


def _unknown(names: Mapping[str, str], contract: Contract) -> str:
    known = {*contract.columns, *OF_CORRECTIONS}
    unknown = [text for text, name in names.items() if name not in known]
    if not unknown or contract.source is None or contract.source.unknown_columns != "fail":
        return ""
    named = ", ".join(map(repr, unknown))
    return f"has columns that the contract does not name, and `schema: fail` forbids: {named}. Name them there."


def _told_apart(
    looked: list[Entry], held: Mapping[tuple[str, str], Entry], there: Container[tuple[str, str]]
) -> list[Entry]:
    """New content; or a file that holds what it held, or that only got another name."""
    now = {key: "" if key not in there else one.delivery.content for key, one in held.items()}
    now |= {(one.delivery.table, one.delivery.path): one.delivery.content for one in looked}
    holders = defaultdict[tuple[str, str], list[Entry]](list)
    for one in held.values():
        if not one.is_gone:
            holders[one.delivery.table, one.delivery.content].append(one)

    def tell(entry: Entry) -> Entry:
        one = entry.delivery
        if entry.status != "claimed":
            return entry
        before = held.get((one.table, one.path))
        if before and before.delivery.content == one.content:
            return _again(entry, before, "holds what it held when it was loaded last")
        others = [other for other in holders[one.table, one.content] if other.delivery.path != one.path]
        same = [other for other in others if other.delivery.parts == one.parts]
        left = [other for other in same if now[one.table, other.delivery.path] != one.content]
        if left:
            return _again(entry, left[0], f"is {left[0].delivery.path} under another name")
        holders[one.table, one.content].append(entry)
        reasons = [entry.reason, *(f"holds the same as {other.delivery.path}" for other in same[:1])]
        return replace(entry, reason="; ".join(reason for reason in reasons if reason))

    return [tell(entry) for entry in looked]


def _strangers(told: Iterable[Entry], held: Iterable[Entry]) -> dict[tuple[object, ...], str]:
    """New file versions that hold what another market's file does or did, each with that file.

    They are loaded, since a copy may be meant (two markets of one price list), and a row in conf/retracted.yml takes
    one back: to refuse it would keep out what nothing else brings.
    """
    news = [one.delivery for one in told if one.status == "claimed" and one.delivery.header]
    known = defaultdict[tuple[str, str], list[Delivery]](list)
    for one in held if news else ():
        known[one.delivery.table, one.delivery.content].append(one.delivery)
    found = dict[tuple[object, ...], str]()
    for new in news:
        same = known[new.table, new.content]
        if others := [other.path for other in same if other.parts != new.parts]:
            found[new.version] = others[0]
        same.append(new)
    return found


def _said(entry: Entry, of_another_market: str | None) -> Entry:
    if of_another_market is None:
        return entry
    words = f"holds the same as {of_another_market}, of another market"
    return replace(entry, reason="; ".join(one for one in (entry.reason, words) if one))


def _again(entry: Entry, before: Entry, why: str) -> Entry:
    """It is no news; but rows that its day alone made wrong are judged by the day that it has now."""
    if before.counts.get(MISDATED) and before.delivery.delivered_at != entry.delivery.delivered_at:
        return replace(entry, reason="its day is another now, and rows of it were wrong by their day")
    return replace(entry, status="duplicate", reason=why)
