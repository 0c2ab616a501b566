"""Examples on disk, and batches from them."""
