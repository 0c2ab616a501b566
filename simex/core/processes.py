"""The processes of one run, as far as running its stages has to know of them."""

import contextlib
from contextlib import AbstractContextManager
from typing import Protocol


class Processes(Protocol):
    """The processes that run an experiment together, in one workdir."""

    @property
    def is_first(self) -> bool:
        """Whether this one keeps the stamps and does what one does alone."""

    def wait(self, what: str) -> None:
        """Returns when all have come to `what`."""

    def stop_all(self) -> None:
        """Has the others stop too."""

    def tell_failure(self) -> None:
        """Has those that wait for this one fail too: it does not come."""

    def together(self) -> AbstractContextManager[None]:
        """While it lasts, this one does what the others do."""

    def alone(self) -> AbstractContextManager[None]:
        """While it lasts, this one works without the others."""


class OneProcess:
    """No others."""

    is_first = True

    def wait(self, what: str) -> None:
        """Returns at once."""

    def stop_all(self) -> None:
        """There are none."""

    def tell_failure(self) -> None:
        """There is nobody to tell."""

    def together(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def alone(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()
