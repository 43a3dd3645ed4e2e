"""The endpoints, by subject; `sayso.server.app` has the table of them."""
