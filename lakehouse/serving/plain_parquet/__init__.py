"""A table once more as plain Parquet files, for readers of nothing else: `<root>/published/<name>_parquet/`.

An hour's rows are there once it is closed. What is to be written is planned first, in a commit of `ops.<name>_parquet`:
which hours, and up to which version of the table. Then the files are put, each under the name of its hour, that version
and its number, where none is: so whoever goes on with a plan puts the same files, and nobody ever sees a row twice.
What comes for a closed hour are further files at the next plan. `CURRENT` says last that a plan is done.

Nothing is written over or deleted in a generation `v<N>`. Where rows of closed hours leave the table or change, the
next generation is written whole, and then `CURRENT` names it.

`plans.is_due` says whether there is something to do, `files.bring` does it; `generations.let_go` deletes older ones.
"""
