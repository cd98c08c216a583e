"""Each speed claim of the project: both sides, run one after the other, with their ratio."""
