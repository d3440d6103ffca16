"""A run or a proof that cannot go on says why, and goes on to its end when what the words ask for is done."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs import printed
from lakehouse.causes import explain
from lakehouse.delta.commits import committer
from lakehouse.delta.commits.conflicts import ConflictError
from lakehouse.delta.files.feed import UnreadableChangesError
from lakehouse.errors import LakehouseError
from lakehouse.intake.records import ledger, retracted
from lakehouse.proof import verify
from lakehouse.proof.verify import Scope, Verdict
from lakehouse.runs import plan
from lakehouse.runs.run import Run
from lakehouse.writes.measures import ChecksFailedError
from tests.toy import Toy, of_monday

if TYPE_CHECKING:
    from collections.abc import Callable

    from lakehouse.audit.turns import Decision
    from lakehouse.engines.native.engine import Native
    from lakehouse.graph import Table

pytestmark = pytest.mark.slow
BRONZE, LINES, ORDERS, TOTALS = "bronze.orders", "silver.order_lines", "silver.orders", "gold.totals"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, engine: Native) -> Toy:
    """Monday's orders 7, of three units, and 8, of one."""
    return of_monday(tmp_path_factory.mktemp("built"), engine)


@pytest.fixture
def toy(built: Toy, tmp_path: Path) -> Toy:
    """The same with Tuesday's delivery, in which the order 8 has five units; it is not loaded yet."""
    toy = built.copied(tmp_path / "toy")
    toy.deliver("tuesday.csv", "8,B,5,5.00")
    return toy


def is_right(toy: Toy) -> bool:
    return toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 5)] and toy.rows(TOTALS) == [(1, 8)]


def changed(toy: Toy, name: str, before: str, after: str, *, part: int = 1) -> None:
    """In the table's module, or in its contract (part 0)."""
    texts = list(toy.sources[name])
    assert before in texts[part]
    texts[part] = texts[part].replace(before, after)
    toy.sources[name] = (texts[0], texts[1])


def with_rule(toy: Toy, name: str, check: str, severity: str) -> None:
    rule = f'rules: {{the_rule: {{check: "{check}", severity: {severity}, why: a test}}}}'
    contract, code = toy.sources[name]
    toy.sources[name] = (f"{contract.rstrip()}\n        {rule}\n        ", code)


# What a developer changed


@pytest.mark.parametrize(
    ("name", "before", "after", "part", "words"),
    [
        (
            BRONZE,
            "return landing",
            'return landing.drop("_row")',
            1,
            r"promises {'_row': 'bigint'}, but its build\(\) returned {'_row': 'missing'}\. Change bronze/orders\.py",
        ),
        (
            ORDERS,
            '"units"',
            '"sum"',
            1,
            r"promises {'units': 'bigint'}, but its build\(\) returned {'sum': 'bigint'}\. Change silver/orders\.py",
        ),
        (
            LINES,
            '"_source",',
            "",
            1,
            r"silver\.order_lines: build\(\) must select `_source` too, so that a row can be traced\. Change silver/or",
        ),
        (
            LINES,
            "from: price",
            "from: cost",
            0,
            r"silver\.order_lines: `from: cost` is no column of bronze\.orders\. Change silver/order_lines\.py or conf",
        ),
        (
            LINES,
            '"_source",\n            )',
            '"_source",\n            ).where("quantity > 4")',
            1,
            r"rows came in, but \d are accounted for: .* Its build\(\) and repair\(\) must return one row for each row",
        ),
        (
            LINES,
            '"product",',
            '"produce",',
            1,
            r"silver\.order_lines could not be written\. The engine says: .*produce.* If that is about a column, chan",
        ),
    ],
)
def test_what_a_developer_got_wrong_is_written_when_it_is_changed(
    toy: Toy, name: str, before: str, after: str, part: int, words: str
) -> None:
    right = toy.sources[name]
    changed(toy, name, before, after, part=part)
    with pytest.raises(LakehouseError, match=words):
        toy.run()
    toy.sources[name] = right
    toy.run()
    assert is_right(toy)


@pytest.mark.parametrize("way", ["delivered", "changed"])
def test_rows_that_stop_a_table_are_delivered_again_corrected_or_the_rule_is_changed(toy: Toy, way: str) -> None:
    toy.deliver("tuesday.csv", "8,B,500,5.00")
    right = toy.sources[LINES]
    with_rule(toy, LINES, "quantity < 500", "stop")
    words = r"silver\.order_lines was not written: 1 rows break the_rule, whose severity is stop \(a test\)\. Deliver"
    with pytest.raises(ChecksFailedError, match=words):
        toy.run()
    if way == "delivered":
        toy.deliver("tuesday.csv", "8,B,5,5.00")
        toy.run()
        assert is_right(toy)
    else:
        toy.sources[LINES] = right
        toy.run()
        assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 500)]


@pytest.mark.parametrize("way", ["severity", "rows"])
def test_what_must_hold_and_does_not_is_corrected_or_only_warned_of(toy: Toy, way: str) -> None:
    right = toy.sources[ORDERS]
    with_rule(toy, ORDERS, "units < 5", "stop")
    words = (
        r"silver\.orders was not written, because this must hold and does not:\n  the_rule: 1 of 2 rows, .*\n"
        r"It stays as it was\. Correct silver/orders\.py or what it reads, or change the severity in conf/silver/orders"
    )
    with pytest.raises(ChecksFailedError, match=words):
        toy.run()
    if way == "severity":
        toy.sources[ORDERS] = right
        with_rule(toy, ORDERS, "units < 5", "warn")
        toy.run()
        assert is_right(toy)
    else:
        toy.deliver("wednesday.csv", "8,B,4,5.00")
        toy.run()
        assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 4)]


# What was there, or was not


def test_a_table_whose_input_is_not_there_is_built_after_it(toy: Toy) -> None:
    shutil.rmtree(toy.lake.address(ORDERS))
    tables = toy.tables()
    run = Run(toy.lake.root, str(toy.landing), tables, engine=toy.engine)
    words = r"gold\.totals cannot be built: silver\.orders is not there yet\. Build that first: `lakehouse run`\."
    with pytest.raises(LakehouseError, match=words):
        run.execute({TOTALS: tables[TOTALS]})  # as spark-submit of its layer alone
    toy.run()
    assert is_right(toy)


def test_a_file_in_a_tables_place_is_moved_away(toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = Path(toy.lake.address(TOTALS))
    shutil.rmtree(place)
    place.write_text("mine")
    with pytest.raises(SystemExit), printed.errors(printed.Terminal(stderr=True, width=1000)):
        toy.run()
    assert (
        "a file stands where a folder is needed. Move the file away, or name another folder." in capsys.readouterr().err
    )
    place.rename(tmp_path / "mine")
    toy.run()
    assert is_right(toy)


def test_what_the_machine_refuses_a_run_is_said_of_its_table(toy: Toy) -> None:
    right = toy.sources[TOTALS]
    more = "import pyarrow as pa\n        from pyspark"
    changed(toy, TOTALS, "from pyspark", more)
    changed(toy, TOTALS, "return", "pa.allocate_buffer(1 << 60)\n            return")
    with pytest.raises(
        LakehouseError, match=r"gold\.totals could not be written: there is not enough memory\. Give more"
    ):
        toy.run()
    toy.sources[TOTALS] = right  # which takes less
    toy.run()
    assert is_right(toy)


def test_where_nothing_can_be_loaded_the_files_are_delivered(tmp_path: Path, engine: Native) -> None:
    toy = Toy(tmp_path, engine)
    toy.landing.mkdir()
    words = (
        r"There is nothing to load in .*: no file is wanted by a contract\. Wanted are: .*\nName the right folder by"
    )
    with pytest.raises(LakehouseError, match=words):
        toy.run(BRONZE)
    toy.deliver("monday.csv", "7,A,3,10.00")
    assert toy.run(BRONZE)[BRONZE].rows_in == 1


def test_several_tables_that_fail_are_said_together_and_each_goes_on_when_it_is_mended(toy: Toy) -> None:
    right = dict(toy.sources)
    toy.sources["gold.others"] = (toy.sources[TOTALS][0], toy.sources[TOTALS][1])
    for name in (TOTALS, "gold.others"):
        changed(toy, name, '"units"))', '"sum"))')
    with pytest.raises(LakehouseError, match=r"^gold\.(totals|others) promises .*\ngold\.(totals|others) promises "):
        toy.run()
    toy.sources = right
    toy.run()
    assert is_right(toy)


def test_another_run_that_writes_bronze_is_waited_for(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = plan.decide

    def and_another_writes(root: str, table: Table, *more: object) -> Decision:
        decision = decide(root, table, *more)  # type: ignore[arg-type]
        if table.name == BRONZE:
            state = toy.lake.state(BRONZE)
            assert state is not None
            committer.note_only(toy.lake.address(BRONZE), state.version, None)
        return decision

    with monkeypatch.context() as patched:
        patched.setattr(plan, "decide", and_another_writes)
        with pytest.raises(
            LakehouseError, match=r"Another run is writing bronze\.orders\. Start this one when it is do"
        ):
            toy.run()
    toy.run()
    assert is_right(toy)


def test_another_run_that_took_the_files_is_waited_for(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes one more whenever this one looks: the second time this one gives up."""
    claim = ledger.claim

    def and_another_claims(root: str, known: ledger.Ledger, entries: list[ledger.Entry]) -> ledger.Ledger:
        with monkeypatch.context() as as_it_was:
            as_it_was.setattr(ledger, "claim", claim)
            toy.run(BRONZE)
        return claim(root, known, entries)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "claim", and_another_claims)
        words = r"Another writer made version .*ops/files .* start the run again, it reads the new version"
        run = Run(toy.lake.root, str(toy.landing), toy.tables(), engine=toy.engine)
        found = run.look()
        with pytest.raises(ConflictError, match=words):
            ledger.claim(toy.lake.root, run.ledger, found.news(run.ledger))
    toy.run()
    assert is_right(toy)


def test_changes_that_cannot_be_read_are_no_error_of_a_run(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It computes the table whole, and says why."""

    def without_a_log(*_: object) -> None:
        raise UnreadableChangesError(words)

    words = "the changes of silver.order_lines cannot be read: There is no _delta_log/1.json."
    monkeypatch.setattr("lakehouse.writes.refresh.update", without_a_log)
    reason = toy.run()[ORDERS].decision.reason
    assert reason.endswith(f", but {words}")
    assert is_right(toy)


BACK = "- {source: bronze.orders, file: market_1/tuesday.csv, why: a test}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- {source", r"retracted\.yml cannot be read: while parsing"),
        (
            "source: bronze.orders",
            r"must be a list of rows like - {source: \.\.\., file: \.\.\., content: \.\.\., why: ",
        ),
        (
            BACK.replace("why", "wyh"),
            r"retracted\.yml is not right:\n  row 1: why is missing\n  row 1: wyh is not a know",
        ),
        (
            BACK.replace("tues", "thurs"),
            r"names what was not delivered:\n  row 1 names .*Correct it, or take the row out",
        ),
    ],
)
def test_a_delivery_is_taken_back_when_its_row_is_as_the_words_say(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setattr(retracted, "FILE", toy.folder / "retracted.yml")
    retracted.FILE.write_text(text, encoding="utf-8")
    with pytest.raises(LakehouseError, match=words):
        toy.run()
    retracted.FILE.write_text(BACK, encoding="utf-8")
    toy.run()
    assert toy.rows(ORDERS) == [(1, 7, 3), (1, 8, 1)]


# Proofs


def verified(toy: Toy, name: str) -> Verdict:
    tables = toy.tables()
    wanted = verify.chosen(toy.lake, tables, [name])
    (one,) = verify.verify(toy.engine.name, toy.lake, str(toy.landing), tables, wanted, Scope())
    return one


def with_another_definition(toy: Toy) -> str:
    changed(toy, ORDERS, 'F.sum("quantity")', 'F.sum(F.col("quantity") + 0)')
    return r"^its definition changed since it was written\. Run `lakehouse run`, which builds it anew, and verify it th"


def with_another_input(toy: Toy) -> str:
    shutil.rmtree(toy.lake.address(LINES))
    toy.run(LINES)
    return r"^silver\.order_lines, from which it was made, is gone or was made anew\. Run `lakehouse run`, which builds"


def without_a_note(toy: Toy) -> str:
    address = Path(toy.lake.address(ORDERS))
    rows = toy.opened(ORDERS).to_pyarrow_table()
    shutil.rmtree(address)
    committer.overwrite(committer.Target(str(address), rows.schema), -1, rows, None)
    return r"^none of its commits says what it includes\. Run `lakehouse run`, which builds it anew, and verify it then"


def with_inputs_cleaned_away(toy: Toy) -> str:
    toy.run(LINES)
    toy.opened(LINES).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    toy.engine.held.clear()  # type: ignore[attr-defined]  # as in a process that did not read it before
    return (
        r"^silver\.order_lines can no longer be read at version 0: its files or its log were cleaned away\. Verify with"
    )


def with_other_columns(toy: Toy) -> str:
    """Somebody's writer, which carries the note on as ours do."""
    state, rows = toy.lake.state(ORDERS), toy.opened(ORDERS).to_pyarrow_table().drop_columns(["units"])
    assert state is not None
    assert state.progress is not None
    target = committer.Target(toy.lake.address(ORDERS), rows.schema)
    committer.overwrite(target, state.version, rows, state.progress.to_json())
    return r"^silver\.orders stores {'units': 'nothing'} where {'units': 'bigint'} is promised\. The next run builds it"


@pytest.mark.parametrize(
    "happened",
    [with_another_definition, with_another_input, without_a_note, with_inputs_cleaned_away, with_other_columns],
)
def test_what_could_not_be_verified_is_after_the_next_run(toy: Toy, happened: Callable[[Toy], str]) -> None:
    words = happened(toy)
    one = verified(toy, ORDERS)
    assert re.search(words, one.reason), one.reason
    assert not one.is_right
    toy.run()
    assert verified(toy, ORDERS).is_right
    assert is_right(toy)


def test_what_an_engine_could_not_do_is_proven_and_explained_when_it_can(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_memory(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("lakehouse.proof.verify.sides.of", without_memory)
        patched.setattr("lakehouse.writes.lake.Lake.read", without_memory)
        reason = verified(toy, ORDERS).reason
        assert reason.startswith("it could not be compared. The engine says: there is not enough memory. Give more")
        words = r"silver\.orders cannot be read in version 0\. The engine says: there is not enough memory\. Give more"
        with pytest.raises(LakehouseError, match=words):
            explained(toy, ORDERS)
    assert verified(toy, ORDERS).is_right
    assert explained(toy, ORDERS)


def test_a_table_that_is_not_there_is_explained_and_verified_when_it_is_built(toy: Toy) -> None:
    shutil.rmtree(toy.lake.address(TOTALS))
    with pytest.raises(LakehouseError, match=r"gold\.totals is not there yet\. Build it: `lakehouse run gold\.totals`"):
        explain.ask(toy.lake, toy.tables(), TOTALS)
    with pytest.raises(
        LakehouseError, match=r"gold\.totals is not there yet in .*\. Build it first: `lakehouse run`\."
    ):
        verify.chosen(toy.lake, toy.tables(), [TOTALS])
    toy.run(TOTALS)
    assert verified(toy, TOTALS).is_right
    assert explained(toy, TOTALS)


def explained(toy: Toy, name: str, where: str = "true") -> bool:
    asked = explain.ask(toy.lake, toy.tables(), name, where)
    return bool(explain.answer(toy.engine, toy.lake, toy.tables(), asked).step.rows)


def test_a_version_that_was_cleaned_away_is_explained_as_it_is_made_anew(toy: Toy) -> None:
    for file in Path(toy.lake.address(ORDERS)).glob("*.parquet"):
        file.unlink()
    toy.engine.held.clear()  # type: ignore[attr-defined]  # as in a process that did not read it before
    words = r"silver\.orders can no longer be read in version 0: its files or its log were cleaned away\. What is made"
    with pytest.raises(LakehouseError, match=words):
        explained(toy, ORDERS)
    toy.run()
    assert explained(toy, ORDERS)


def test_more_units_than_can_be_shown_are_narrowed(toy: Toy) -> None:
    toy.deliver("wednesday.csv", *(f"{order},A,1,1.00" for order in range(10, 17)))
    toy.run()
    words = r"That is true of more than 5 units of silver\.orders, e\.g\. .*\. Name fewer by --where, which may use all"
    with pytest.raises(LakehouseError, match=words):
        explained(toy, ORDERS)
    assert explained(toy, ORDERS, "market = 1 and order_id = 12")
