"""What a run would do, and does: plan, run, topics in a run, what stands in the lake."""
