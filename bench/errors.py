"""What goes wrong with a measurement."""


class BenchError(Exception):
    """A measurement that could not be made; the others go on."""
