"""spark-submit jobs/run_bronze.py: load what is new in landing."""

from jobs.layer import run_layer

if __name__ == "__main__":
    run_layer("bronze")
