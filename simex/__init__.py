"""Train code models to simulate programs, and to check their own code with it."""

__version__ = "0.1.0"
