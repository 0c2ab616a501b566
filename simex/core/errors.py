"""The two kinds of failure that simex raises on purpose."""


class UserError(Exception):
    """Something a person asked for cannot be done.

    The message says what must hold, what came, and what to do. The command line
    prints it without a traceback and exits with 2.
    """


class InfraError(Exception):
    """A fault of our own machinery, never of the program that was being judged.

    It is retried in one place (`sandbox.pool`), then the item is dropped and counted.
    It never becomes a verdict, a reward or a score.
    """
