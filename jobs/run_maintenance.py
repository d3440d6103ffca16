"""spark-submit jobs/run_maintenance.py: compact tables, and delete what no reader needs and what contracts let go."""

from jobs.recovery.maintained import run_maintenance

if __name__ == "__main__":
    run_maintenance()
