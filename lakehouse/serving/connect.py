"""How other programs read this lake: the lines for it, and which of its tables they can read.

What is said beside them is a comment to the program, so that `lakehouse connect polars > read.py` makes a script.
Where the lake is on S3, lines take its account from the environment and hold no secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse import graph
from lakehouse.delta.tables import features, log, progress
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions import sql
from lakehouse.store import storage
from lakehouse.store.cache import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakehouse.delta.tables.log import Snapshot

TRINO_PORT = 8080
DIGEST = sql.DIGEST
ODD = "Not every library makes the same address of this lake's, so this project reads it: `from lakehouse import Lake`."
KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True)
class Place:
    """A table as other programs find it; `has_digest`: it stores a hash of each row, which is nothing to people."""

    root: str
    name: str
    has_digest: bool

    @property
    def address(self) -> str:
        return progress.address(self.root, self.name)

    @property
    def own(self) -> str:
        """The name without its layer."""
        return self.name.partition(".")[2]


@dataclass(frozen=True)
class Way:
    """How a program is told to read a table. `needs` says what must be there first.

    `of`: the layers whose tables it reads; `vectors`: also those that may hide rows by deletion vectors; `reaches`:
    also where not every library makes the same address of the lake.
    """

    needs: str
    lines: Callable[[Place], list[str]]
    of: tuple[str, ...] = ("gold", "silver")
    vectors: bool = True
    reaches: bool = False


def lines(root: str, program: str, table: str | None = None) -> str:
    """What to paste into the program, for a table or the first that it reads.

    Raises LakehouseError where there is no such table, or where the program is not shown it.
    """
    way, there = WAYS[program], _tables(root)
    reads = [name for name, found in there.items() if _reads(way, found)]
    chosen = table or next((name for name in (*reads, *there) if name.startswith("gold.")), None)
    if chosen is None:
        raise LakehouseError(f"There is no table of gold in {root} yet. Build them: `lakehouse run`.")
    if chosen not in there:
        raise LakehouseError(f"There is no table {chosen} in {root}'s silver and gold. `lakehouse status` shows those.")
    if not chosen.startswith(way.of):
        raise LakehouseError(
            f"What is shown to {program} is gold alone, and {chosen} is not in it. Name a table of gold."
        )
    is_plain = way.reaches or bool(PLAIN.fullmatch(root))
    place = Place(root, chosen, DIGEST in log.schema(there[chosen]).names)
    code = way.lines(place) if is_plain and chosen in reads else _by_lake(place, program)
    said = [way.needs, _which(way, there, reads) if is_plain else ODD, *(_of_s3(root) if "silver" in way.of else [])]
    return "\n".join([*(f"# {one}" for one in said), *code])


def _tables(root: str) -> dict[str, Snapshot]:
    """Those of gold and silver that there are."""
    named = [name for name in graph.load() if name.startswith(("gold.", "silver."))]
    found = {name: log.snapshot(progress.address(root, name)) for name in sorted(named)}
    return {name: one for name, one in found.items() if one}


def _reads(way: Way, found: Snapshot) -> bool:
    return found.address.split("/")[-2] in way.of and (way.vectors or features.VECTORS not in found.features("reader"))


def _which(way: Way, there: Mapping[str, Snapshot], reads: list[str]) -> str:
    of = {name for name in there if name.startswith(way.of)}
    others = sorted(of - set(reads))
    if not others:
        return f"It reads all {len(reads)} tables of {' and '.join(way.of)}."
    return (
        f"It reads {len(reads)} tables of {' and '.join(way.of)}; not these, whose rows may be hidden by deletion "
        f"vectors: {', '.join(others)}. For them: `from lakehouse import Lake`."
    )


def _of_s3(root: str) -> list[str]:
    if not storage.is_s3(root):
        return []
    where = "AWS_ENDPOINT_URL, " if storage.endpoint_url() else ""
    return [f"The store is that of the environment: {where}AWS_REGION, {KEYS}, of an account that may only read."]


def _by_lake(place: Place, program: str) -> list[str]:
    """By this project, for what the program itself does not read."""
    how = program if program in {"pandas", "polars"} else "arrow"
    return [
        "from lakehouse import Lake",
        f"rows = Lake.open({place.root!r}).{how}({place.name!r})",
        "print(rows)",
    ]


def _options(place: Place) -> str:
    """What delta-rs and Polars do not learn from the environment: that a store in the house speaks HTTP."""
    is_http = storage.is_s3(place.root) and (storage.endpoint_url() or "").startswith("http://")
    return ', storage_options={"aws_allow_http": "true"}' if is_http else ""


def _polars(place: Place) -> list[str]:
    shown = f'.drop("{DIGEST}")' if place.has_digest else ""
    return [
        "import polars as pl",
        f"rows = pl.scan_delta({place.address!r}{_options(place)}){shown}.collect()",
        "print(rows)",
    ]


def _pandas(place: Place) -> list[str]:
    shown = f'.drop(columns="{DIGEST}")' if place.has_digest else ""
    return [
        "from deltalake import DeltaTable",
        f"rows = DeltaTable({place.address!r}{_options(place)}).to_pandas(){shown}",
        "print(rows)",
    ]


def _pyarrow(place: Place) -> list[str]:
    shown = f'.drop_columns(["{DIGEST}"])' if place.has_digest else ""
    return [
        "from deltalake import DeltaTable",
        f"rows = DeltaTable({place.address!r}{_options(place)}).to_pyarrow_table(){shown}",
        "print(rows)",
    ]


def _deltalake(place: Place) -> list[str]:
    table, star = f"DeltaTable({place.address!r}{_options(place)})", _star("except", place)
    return [
        "from deltalake import DeltaTable, QueryBuilder",
        f'rows = QueryBuilder().register("{place.own}", {table}).execute("select {star} from {place.own}").read_all()',
        "print(rows)",
    ]


def _star(but: str, place: Place) -> str:
    return f"* {but} ({DIGEST})" if place.has_digest else "*"


def _duckdb(place: Place) -> list[str]:
    address = place.address.replace("'", "''")
    query = f"select {_star('exclude', place)} from delta_scan('{address}')"
    extensions = ["httpfs", "delta"] if storage.is_s3(place.root) else ["delta"]
    loaded = 'duckdb.load_extension(f"{{{0}.__path__[0]}}/extensions/v{{duckdb.__version__}}/{1}.duckdb_extension")'
    return [
        f"import duckdb, {', '.join(f'duckdb_extension_{one}' for one in extensions)}",
        *(loaded.format(f"duckdb_extension_{one}", one) for one in extensions),
        *(_secret_of_duckdb() if storage.is_s3(place.root) else []),
        f"print(rows := duckdb.sql({query!r}))",
    ]


def _secret_of_duckdb() -> list[str]:
    """DuckDB asks the environment only by an extension more, and takes the store's address in parts."""
    settings = ["type s3", "key_id '{e['AWS_ACCESS_KEY_ID']}'", "secret '{e['AWS_SECRET_ACCESS_KEY']}'"]
    settings.append(f"region '{storage.region()}'")
    if endpoint := storage.endpoint_url():
        is_https = str(endpoint.startswith("https://")).lower()
        name = "AWS_ENDPOINT_URL"
        settings += [f"endpoint '{{e['{name}'].split('://')[1]}}'", "url_style 'path'", f"use_ssl {is_https}"]
    return ["from os import environ as e", f'duckdb.sql(f"create secret ({", ".join(settings)})")']


def _spark(place: Place) -> list[str]:
    shown = f'.drop("{DIGEST}")' if place.has_digest else ""
    query = f"select * from delta.`{storage.for_spark(place.address).replace('`', '``')}`"
    return [
        "from pyspark.sql import SparkSession",
        f"rows = SparkSession.active().sql({query!r}){shown}",
        "rows.show()",
    ]


def _trino(place: Place) -> list[str]:
    where = f'host="127.0.0.1", port={TRINO_PORT}, user="reader", catalog="lake", schema="gold"'
    return [
        "from trino.dbapi import connect",
        f'rows = connect({where}).cursor().execute("select * from {place.own}").fetchall()',
        "print(*rows, sep='\\n')",
    ]


def _postgres(place: Place) -> list[str]:
    return [f'psql "$LAKEHOUSE_POSTGRES" --command "select * from {place.name} limit 10"']


def _steps(*steps: str) -> Callable[[Place], list[str]]:
    return lambda place: [step.format(place.name) for step in steps]


OF_POSTGRES = (
    "It reads PostgreSQL, which holds gold as of the newest release: `lakehouse serve postgres --to URL` keeps it so."
)
SPARK_SHELL = (
    'A session with Delta: pyspark --jars "$(lakehouse jars)" '
    "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension "
    "--conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog; on S3 also "
    '--conf spark.hadoop.fs.s3a.endpoint="$AWS_ENDPOINT_URL" --conf spark.hadoop.fs.s3a.path.style.access=true, and '
    "its account is that of the environment."
)
GOLD = ("gold",)
WAYS: Mapping[str, Way] = {
    "duckdb": Way(
        'DuckDB of Python: pip install "duckdb<2" duckdb-extension-delta, on S3 also duckdb-extension-httpfs. In its '
        "shell: `install delta`, then the query alone.",
        _duckdb,
    ),
    "polars": Way("Polars: pip install polars deltalake.", _polars),
    "pandas": Way("pandas: pip install pandas deltalake pyarrow.", _pandas, vectors=False),
    "pyarrow": Way("pyarrow: pip install pyarrow deltalake.", _pyarrow, vectors=False),
    "deltalake": Way("deltalake, SQL by DataFusion: pip install deltalake.", _deltalake),
    "spark": Way(SPARK_SHELL, _spark, reaches=True),
    "trino": Way(
        "Trino, where `lakehouse serve trino` runs: pip install trino. Schemas: gold of the newest release, "
        "gold_r1 of release 1 and so on, gold_live as it is now, gold_local as each market writes.",
        _trino,
        of=GOLD,
        reaches=True,
    ),
    "postgres": Way(OF_POSTGRES, _postgres, of=GOLD, reaches=True),
    "powerbi": Way(
        OF_POSTGRES,
        _steps(
            "1. Get data > PostgreSQL database. Server and database are those of the URL; Import, or DirectQuery.",
            "2. Database credentials: the role that may only read.",
            "3. Navigator: tick {0}; fact and dimensions come with their keys, so relationships are found.",
        ),
        of=GOLD,
        reaches=True,
    ),
    "tableau": Way(
        OF_POSTGRES,
        _steps(
            "1. Connect > To a Server > PostgreSQL. Server, port and database are those of the URL.",
            "2. Authentication: username and password of the role that may only read.",
            "3. Schema gold, table {0}; a live connection follows each release.",
        ),
        of=GOLD,
        reaches=True,
    ),
    "looker": Way(
        OF_POSTGRES,
        _steps(
            "1. Admin > Connections > Add: dialect PostgreSQL 9.5+, host, port and database of the URL.",
            "2. Username and password of the role that may only read; schema gold; no persistent derived tables.",
            "3. In a view of the model: sql_table_name: {0} ;;",
        ),
        of=GOLD,
        reaches=True,
    ),
}
