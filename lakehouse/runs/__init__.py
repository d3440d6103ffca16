"""What a run would do, does and did: plan, run, history, and where the rows went."""
