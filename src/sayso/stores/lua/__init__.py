"""What Redis runs for us, each call of it whole or not at all."""
