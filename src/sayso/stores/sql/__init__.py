"""Migrations: numbered `.sql` files, one folder for each database."""
