"""Pages that open from disk: the report of a run, of a sweep, rollouts, data sets."""
