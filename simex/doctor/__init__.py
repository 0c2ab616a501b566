"""Looks at a machine and an experiment before anything is spent on them."""
