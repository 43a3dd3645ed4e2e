"""Who gets woken: a hint, never the truth."""
