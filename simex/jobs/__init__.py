"""What gin binds: one job, or one set of shared settings, a file."""
