"""Untrusted programs, run on CPUs and judged where they cannot reach."""
