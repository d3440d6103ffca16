"""OpenLineage's events: what a run and each of its turns did, with names, columns and quality of what was written.

Made of what the run knows and the tables' logs say; nothing is computed for them.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from openlineage.client import event_v2 as openlineage
from openlineage.client.generated import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    data_quality_metrics_dataset,
    dataset_type_dataset,
    dataset_version_dataset,
    documentation_dataset,
    documentation_job,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    ownership_dataset,
    ownership_job,
    parent_run,
    processing_engine_run,
    schema_dataset,
    symlinks_dataset,
    tags_run,
)
from openlineage.client.uuid import generate_static_uuid

from lakehouse import engines
from lakehouse.contract import GRAIN_IS_UNIQUE
from lakehouse.delta.files import feed
from lakehouse.delta.tables import log, progress
from lakehouse.errors import masked
from lakehouse.lineage import datasets
from lakehouse.lineage.origins import DIRECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lakehouse.delta.tables.log import Snapshot
    from lakehouse.delta.tables.progress import Input
    from lakehouse.graph import Table
    from lakehouse.lineage.columns import Lineage
    from lakehouse.lineage.origins import Origins
    from lakehouse.writes.measures import Counts, Measure

PRODUCER, INTEGRATION = "https://pypi.org/project/lakehouse", "LAKEHOUSE"
RUN = "lakehouse.run"  # the job of all tables' turns
openlineage.set_producer(PRODUCER)


class Events:
    """Of one run over a lake; `run` and `at` are the run's own id and its begin."""

    def __init__(self, root: str, landing: str, run: str, at: datetime, engine: str) -> None:
        self.root, self.landing, self.run, self.at, self.engine = root, landing, run, at, engine
        self.namespace = os.environ.get("OPENLINEAGE_NAMESPACE", "lakehouse")

    # Of the run

    def of_run(self, state: str, error: str = "") -> openlineage.RunEvent:
        """`state`: START, COMPLETE, ABORT or FAIL."""
        job = openlineage.Job(self.namespace, RUN, {"jobType": _job_type("RUN")})
        return self._event(state, RUN, job, {**_parent_of_all(), **_error(error)})

    # Of a table's turn

    def begun(self, table: Table, path: str) -> openlineage.RunEvent:
        return self._of_turn("START", table, path)

    def failed(self, table: Table, path: str, error: str) -> openlineage.RunEvent:
        return self._of_turn("FAIL", table, path, error)

    def _of_turn(self, state: str, table: Table, path: str, error: str = "") -> openlineage.RunEvent:
        """Without what was written, which nobody knows yet, or is nothing."""
        inputs = [openlineage.InputDataset(*one) for name in table.inputs for one in self._datasets(table, name)]
        outputs = [openlineage.OutputDataset(*datasets.of_table(self.root, table.name))]
        facets = {**self._facets(path), **_error(error)}
        return self._event(state, table.name, self._job(table), facets, inputs, outputs)

    def written(
        self,
        table: Table,
        path: str,
        inputs: Mapping[str, Input],
        versions: tuple[int, int],
        counted: tuple[Counts, Sequence[Measure]],
        lineage: Lineage,
    ) -> openlineage.RunEvent:
        """`inputs`: the versions that were read; `versions`: the table's before, -1 for none, and now."""
        read = [
            openlineage.InputDataset(*one, facets=_version(inputs[name].version if name in inputs else None))
            for name in table.inputs
            for one in self._datasets(table, name)
        ]
        address, (since, until) = progress.address(self.root, table.name), versions
        now, did = log.snapshot(address, until), feed.written(address, since, until)
        facets = self._of_table(table, now, lineage) if now else {}
        facets |= _assertions(table, *counted)
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=did.rows if did else None, size=did.bytes if did else None, fileCount=did.files if did else None
        )
        name = datasets.of_table(self.root, table.name)
        written = [openlineage.OutputDataset(*name, facets=facets, outputFacets={"outputStatistics": statistics})]
        return self._event("COMPLETE", table.name, self._job(table), self._facets(path), read, written)

    def _datasets(self, table: Table, name: str) -> tuple[datasets.Dataset, ...]:
        return datasets.of_input(self.root, self.landing, table, name)

    def _of_table(self, table: Table, now: Snapshot, lineage: Lineage) -> dict[str, Any]:
        promise = table.contract
        fields = json.loads(now.metadata["schemaString"])["fields"]
        known = {one["name"]: (one["type"], (one.get("metadata") or {}).get("comment")) for one in fields}
        columns = [
            schema_dataset.SchemaDatasetFacetFields(
                name, type=kind if isinstance(kind, str) else kind["type"], description=said
            )
            for name, (kind, said) in known.items()
        ]
        headers = {one: said for one, (_, said) in known.items() if said} if promise.write == "append" else {}
        return {
            "schema": schema_dataset.SchemaDatasetFacet(columns),
            "columnLineage": self._column_lineage(table, lineage, headers),
            "dataQualityMetrics": _metrics(now, [one for one in known if one in promise.columns]),
            "symlinks": symlinks_dataset.SymlinksDatasetFacet(
                [symlinks_dataset.Identifier(self.root, table.name, "TABLE")]
            ),
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("TABLE"),
            "ownership": ownership_dataset.OwnershipDatasetFacet([ownership_dataset.Owner(promise.owner)]),
            "documentation": documentation_dataset.DocumentationDatasetFacet(promise.description),
            **_version(now.version),
        }

    def _column_lineage(
        self, table: Table, lineage: Lineage, headers: Mapping[str, str]
    ) -> column_lineage_dataset.ColumnLineageDatasetFacet:
        """`headers`: what columns of files are called there."""

        def fields(origins: Origins) -> list[column_lineage_dataset.InputField]:
            return [
                column_lineage_dataset.InputField(
                    *one,
                    headers.get(column, column) if name == datasets.LANDING else column,
                    [_transformation(way) for way in sorted(ways)],
                )
                for (name, column), ways in origins.items()
                for one in self._datasets(table, name)
            ]

        of_columns = {name: column_lineage_dataset.Fields(fields(of)) for name, of in lineage.columns.items() if of}
        return column_lineage_dataset.ColumnLineageDatasetFacet(of_columns, fields(lineage.rows))

    # Of all

    def _facets(self, path: str) -> dict[str, Any]:
        run = parent_run.Run(self._id(RUN))
        tags = {"lakehouse.run": self.run, "lakehouse.path": path}
        return {
            "parent": parent_run.ParentRunFacet(run, parent_run.Job(self.namespace, RUN)),
            "tags": tags_run.TagsRunFacet([tags_run.TagsRunFacetFields(*one, INTEGRATION) for one in tags.items()]),
        }

    def _job(self, table: Table) -> openlineage.Job:
        promise = table.contract
        facets = {
            "jobType": _job_type("TABLE"),
            "documentation": documentation_job.DocumentationJobFacet(promise.description),
            "ownership": ownership_job.OwnershipJobFacet([ownership_job.Owner(promise.owner)]),
        }
        return openlineage.Job(self.namespace, table.name, facets)

    def _id(self, job: str) -> str:
        """The same for all events of a turn: of the run's id, its begin and the table."""
        return str(generate_static_uuid(self.at, f"{self.run}:{job}".encode()))

    def _event(
        self,
        state: str,
        name: str,
        job: openlineage.Job,
        facets: dict[str, Any],
        inputs: Sequence[openlineage.InputDataset] = (),
        outputs: Sequence[openlineage.OutputDataset] = (),
    ) -> openlineage.RunEvent:
        engine = processing_engine_run.ProcessingEngineRunFacet(
            engines.version(self.engine), engines.PACKAGES[self.engine], version("openlineage-python")
        )
        return openlineage.RunEvent(
            eventType=openlineage.RunState(state),
            eventTime=datetime.now(UTC).isoformat(),
            run=openlineage.Run(self._id(name), {"processing_engine": engine, **facets}),
            job=job,
            inputs=list(inputs),
            outputs=list(outputs),
        )


def _job_type(kind: str) -> job_type_job.JobTypeJobFacet:
    return job_type_job.JobTypeJobFacet("BATCH", INTEGRATION, kind)


def _transformation(way: str) -> column_lineage_dataset.Transformation:
    return column_lineage_dataset.Transformation("DIRECT" if way in DIRECT else "INDIRECT", way)


def _version(number: int | str | None) -> dict[str, Any]:
    if number is None:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(str(number))}


def _error(words: str) -> dict[str, Any]:
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(masked(words), "python")} if words else {}


def _parent_of_all() -> dict[str, Any]:
    """Whoever started the run, where it says so as OpenLineage's integrations do: namespace/job/run id."""
    namespace, _, rest = os.environ.get("OPENLINEAGE_PARENT_ID", "").partition("/")
    name, _, run = rest.rpartition("/")
    if not (namespace and name and run):
        return {}
    return {"parent": parent_run.ParentRunFacet(parent_run.Run(run), parent_run.Job(namespace, name))}


# Quality


def _metrics(now: Snapshot, columns: Iterable[str]) -> data_quality_metrics_dataset.DataQualityMetricsDatasetFacet:
    """Rows, bytes and files, and nulls by column, as the log has them; none where a file does not say them."""
    stats = [json.loads(one.get("stats") or "{}") for one in now.files.values()]
    is_exact = not any(one.get("deletionVector") for one in now.files.values())
    nulls = {
        name: sum(one["nullCount"][name] for one in stats)
        for name in (columns if is_exact else ())
        if all(isinstance(one.get("nullCount", {}).get(name), int) for one in stats)
    }
    return data_quality_metrics_dataset.DataQualityMetricsDatasetFacet(
        {name: data_quality_metrics_dataset.ColumnMetrics(nullCount=count) for name, count in nulls.items()},
        rowCount=progress.together(progress.live_rows(one) for one in now.files.values()),
        bytes=sum(int(one["size"]) for one in now.files.values()),
        fileCount=len(now.files),
    )


def _assertions(table: Table, counts: Counts, measures: Sequence[Measure]) -> dict[str, Any]:
    """Each rule and check of the contract, and those of the core that rows broke, as this turn counted them."""
    found = list(_asserted(table, counts, measures))
    if not found:
        return {}
    return {"dataQualityAssertions": data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(found)}


def _asserted(
    table: Table, counts: Counts, measures: Sequence[Measure]
) -> Iterator[data_quality_assertions_dataset.Assertion]:
    promise, severities = table.contract, {"rejected": "reject", "warned": "warn", "stopped": "stop"}
    if promise.judges:
        broken = {name: (many, severities[kind]) for kind in severities for name, many in counts.get(kind, {}).items()}
        rules = {name: (0, rule.severity) for name, rule in promise.rules.items()} | broken
        for name, (many, severity) in rules.items():
            yield _assertion(
                name, many, severity, promise.why(name), promise.rules[name].check if name in promise.rules else ""
            )
    for one in measures:
        if one.broken is not None and one.table_name == table.name and one.measure == "check":
            why = promise.checks[one.name].why if one.name in promise.checks else ""
            kind = "unique" if one.name == GRAIN_IS_UNIQUE else one.name
            yield _assertion(kind, one.broken, one.severity or "stop", why)


def _assertion(
    name: str, broken: int, severity: str, why: str, check: str = ""
) -> data_quality_assertions_dataset.Assertion:
    return data_quality_assertions_dataset.Assertion(
        assertion=name,
        success=not broken,
        severity="warn" if severity == "warn" else "error",
        name=name,
        description=why or None,
        expected="0",
        actual=str(broken),
        content=check or None,
        contentType="sql" if check else None,
    )
