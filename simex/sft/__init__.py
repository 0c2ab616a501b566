"""Supervised fine-tuning: the loss and the loop."""
