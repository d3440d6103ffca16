"""`from lakehouse import Lake`: a lake's tables by their names, to notebooks and programs; reading only.

What a build's turn reads and writes by is another one, `lakehouse.writes.lake.Lake`: it knows no releases and no SQL.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lakehouse import conf, engines
from lakehouse.delta.tables import progress
from lakehouse.errors import LakehouseError
from lakehouse.serving.questions import sql
from lakehouse.store import storage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.serving.questions.sql import Point


class Lake:
    """The tables below one root, by names such as `gold.daily_sales`, at a release, a version or as they are now.

    >>> lake = Lake.open()
    >>> lake.sql("select market, sum(orders) as orders from gold.daily_sales group by all order by all").to_pylist()
    [{'market': 1, 'orders': 5}, {'market': 2, 'orders': 4}]

    A `release` names every table's version, so that tables of one release go with each other; a `version` is one
    table's own number. Without both, tables are read as they are now.

    >>> lake.arrow("gold.daily_sales", release=1).num_rows, lake.arrow("gold.daily_sales").num_rows
    (2, 3)
    """

    def __init__(self, root: str, computes: str | SparkSession) -> None:
        self.root, self.computes = root, computes

    @classmethod
    def open(
        cls, path: str | Path | None = None, *, engine: str | None = None, spark: SparkSession | None = None
    ) -> Lake:
        """The lake at a folder or s3://bucket/prefix; by default where the commands find it.

        That is LAKEHOUSE_ROOT, else conf/lake.yml. What computes is the `spark` session that is given, or that this
        process runs already (it needs Delta, and nothing is set on it), else the `engine`, native or spark, as of the
        commands. Raises LakehouseError where there is no such lake.

        >>> Lake.open()
        Lake.open('/.../lake')
        """
        named = os.environ.get("LAKEHOUSE_ROOT") if path is None else str(path)
        settings = conf.settings(conf.HOME / "conf")
        root = storage.normalise(named or storage.at_home(settings.root))
        storage.check(root, role="lake", must_exist=True)
        session = spark or (engines.running() if engine is None else None)
        return cls(root, session or engines.chosen(engine, settings.engine))

    def __repr__(self) -> str:  # noqa: D105
        return f"Lake.open({self.root!r})"

    def read(self, table: str, *, release: int | None = None, version: int | None = None) -> DataFrame:
        """A table as a PySpark frame, which stays at its version whatever is written meanwhile.

        >>> Lake.open().read("gold.daily_sales").where("market = 1").select("order_date", "orders").show()
        +----------+------+
        |order_date|orders|
        +----------+------+
        |2022-01-05|     2|
        |2022-01-06|     3|
        +----------+------+
        <BLANKLINE>
        """
        place = self._place(table, release, version)
        engine = engines.start(self.computes) if isinstance(self.computes, str) else engines.around(self.computes)
        return engine.read(*place).select(*(f"`{name}`" for name in sql.shown(*place)))

    def arrow(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        release: int | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """A table in Arrow's format, in this process's memory; no engine starts, hidden rows are left out.

        >>> Lake.open().arrow("gold.daily_sales", ["market", "orders"], version=0).to_pylist()
        [{'market': 1, 'orders': 2}, {'market': 2, 'orders': 4}]
        """
        from lakehouse.delta.files import feed  # noqa: PLC0415  with Arrow's functions, which frames do not need

        place = self._place(table, release, version)
        return feed.read(*place, sql.shown(*place) if columns is None else columns)

    def polars(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        release: int | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """The same for Polars, which is installed by `pip install polars`.

        >>> Lake.open().polars("gold.daily_sales", ["orders"]).sum().item()
        9
        """
        try:
            import polars as pl  # noqa: PLC0415
        except ImportError as error:
            raise LakehouseError("Polars is not installed here: `pip install polars`.") from error
        return pl.DataFrame(self.arrow(table, columns, release=release, version=version))

    def pandas(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        release: int | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        """The same for pandas, in Arrow's types: decimals keep their digits, and whole numbers stay so beside nulls.

        >>> Lake.open().pandas("gold.daily_sales").groupby("market").revenue.sum().tolist()
        [Decimal('30.50'), Decimal('7.25')]
        """
        import pandas as pd  # noqa: PLC0415

        return self.arrow(table, columns, release=release, version=version).to_pandas(types_mapper=pd.ArrowDtype)

    def sql(self, statement: str, *, release: int | None = None) -> pa.Table:
        """The answer to one reading statement in Spark SQL, as of `lakehouse sql`; a small one, since it is in memory.

        >>> Lake.open().sql("select orders from gold.daily_sales where order_date = '2022-01-06'").to_pylist()
        [{'orders': 3}]
        """
        sql.check_reading(statement)
        asked = engines.reader(self.computes) if isinstance(self.computes, str) else engines.asked(self.computes)
        return sql.query(asked, self.root, statement, self._point(release)).arrow()

    def history(self, table: str) -> pa.Table:
        """The table's commits, the newest first: version, time, operation, its metrics, and the note of the run.

        >>> Lake.open().history("gold.daily_sales").column("version").to_pylist()
        [1, 0]
        """
        return sql.history(self.root, table)

    def _place(self, table: str, release: int | None, version: int | None) -> tuple[str, int]:
        """Where the table is, and at which version."""
        if release is not None and version is not None:
            raise LakehouseError(
                f"release={release} and version={version} both say which version of {table} is meant. Give one of them."
            )
        return progress.address(self.root, table), sql.version(self.root, table, version, self._point(release))

    def _point(self, release: int | None) -> Point:
        if release is None:
            return None
        from lakehouse.recovery import releases  # noqa: PLC0415  with contracts, which no other question needs

        return releases.release(self.root, release).point
