"""One training loop for all models: strategy, checkpoints, schedules, logging."""
