"""Text to token ids and back, chats as ids with a loss mask, and packed rows."""
