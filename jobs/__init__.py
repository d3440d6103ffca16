"""The spark-submit jobs (run_*.py) and the `lakehouse` command (cli.py), in rooms by what people do with it."""
