"""Where problems come from: the generated curriculum, and one parser a published form."""
