"""Natural-language execution explanations (NLEX): a trace told in words."""
