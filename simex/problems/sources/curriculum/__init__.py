"""A generated curriculum of stdin/stdout problems in real Python."""
