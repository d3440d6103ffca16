"""spark-submit jobs/run_gold.py: bring the published tables up to date."""

from jobs.layer import run_layer

if __name__ == "__main__":
    run_layer("gold")
