"""What people's oversight is worth, measured: in experiments, and in production."""
