"""What ends a case, but not the run."""


class BenchError(Exception):
    """A case cannot go on. The message says why; the other cases run nevertheless."""
