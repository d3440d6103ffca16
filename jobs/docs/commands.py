"""The command that writes the documentation of a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from jobs.options import AsOfOption, LakeOption, ReleaseOption, messages, point_of
from jobs.places import places
from jobs.printed import visible
from lakehouse.store import storage

app = typer.Typer()


@app.command()
def docs(
    file: Annotated[Path, typer.Argument(help="The page to write, over one that is there.")] = Path("docs.html"),
    release: ReleaseOption = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
) -> None:
    """Write one HTML page of every table: meanings, units, rules, lineage, freshness, examples.

    No engine starts, but where a definition is new, to read how its columns are made.
    """
    from jobs.docs import html as look
    from lakehouse import graph
    from lakehouse.lineage import columns
    from lakehouse.serving import docs as facts

    root, known = storage.normalise(places(lake, None)[0]), graph.load()
    with point_of(root, release, as_of) as point:
        found = facts.gather(root, known, point=point, lineages=columns.of(known, known))
    facts.write(look.page(found), file)
    there = sum(entry.stored is not None for entry in found.entries)
    in_lake = f"{len(found.entries)} tables, {there} of them in the lake {escape(visible(found.root))}."
    messages.print(f"Wrote {escape(str(file))}: {in_lake}")
