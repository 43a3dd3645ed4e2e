"""The web inbox, where a person decides: pages, and the files that bring them to life."""
