"""One optimizer update: state, optimizer, logprobs, step, checkpoint."""
