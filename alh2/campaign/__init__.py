"""The loop over the stages, its state and its lock."""
