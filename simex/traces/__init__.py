"""What programs do, line by line."""
