"""Reinforcement learning: algorithms, batches, streams of rollouts and the loop."""
