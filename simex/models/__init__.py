"""The decoder: pure functions of params and token ids."""
