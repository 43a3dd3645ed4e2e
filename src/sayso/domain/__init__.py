"""Nouns and rules: pure, without I/O, clock or randomness."""
