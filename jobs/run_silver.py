"""spark-submit jobs/run_silver.py: judge new rows, type and join them."""

from jobs.layer import run_layer

if __name__ == "__main__":
    run_layer("silver")
