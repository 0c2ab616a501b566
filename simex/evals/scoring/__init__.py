"""Scores of generations that other tools wrote, by each benchmark's own rules."""
