"""Token ids in, token ids out: continuous batching on the trainer's forward code."""
