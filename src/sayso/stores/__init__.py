"""Where state lives: one small port, one file for each backend."""
