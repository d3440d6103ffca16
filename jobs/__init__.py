"""The spark-submit jobs (run_*.py) and the `lakehouse` command (cli.py), in rooms by what people do with it."""

import gc

# By default the collector looks through all that the hundreds of modules of a start made, every 700 objects.
gc.set_threshold(50_000)
