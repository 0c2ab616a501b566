"""On-policy reinforcement learning: advantages, loss, batches and the loop."""
