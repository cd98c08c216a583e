"""Each speed claim of the project: both sides, run in one process, with their ratio."""
