"""An explanation: the words, and the output that they claim."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explanation:
    """A trace told in words.

    Example: ``Explanation(text="x=4 yes t=4\\nx=7 no", claimed_output="4",
    style="compact")``.
    """

    text: str
    claimed_output: str  # what the program printed, without the trailing newline
    style: str  # a name in rewriters.REWRITERS
