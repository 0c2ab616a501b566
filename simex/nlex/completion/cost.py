"""What a language model's answers cost, those of earlier attempts included."""

import dataclasses

from simex.nlex.completion.cache import CachedCompleter
from simex.nlex.completion.endpoint import Endpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Tokens as the endpoint counts them, and their price where it is known."""

    num_prompt_tokens: int
    num_completion_tokens: int
    num_hits: int  # answers that stood in the cache, in this attempt
    price: float  # 0 where nobody said what a token costs

    def __str__(self) -> str:
        return (
            f"{self.num_prompt_tokens} prompt and {self.num_completion_tokens} "
            f"completion tokens, {self.num_hits} answers from the cache"
        ) + (f"; {self.price:.2f} spent" if self.price else "")


def find_cost(cache: CachedCompleter, endpoint: Endpoint | None) -> Cost:
    """Of all that the cache holds; a checkpoint (no endpoint) has no price."""
    price = 0.0
    if endpoint is not None:
        price = 1e-6 * (
            cache.num_prompt_tokens * endpoint.price_per_million_prompt_tokens
            + cache.num_completion_tokens * endpoint.price_per_million_completion_tokens
        )
    return Cost(
        num_prompt_tokens=cache.num_prompt_tokens,
        num_completion_tokens=cache.num_completion_tokens,
        num_hits=cache.num_hits,
        price=price,
    )
