"""An RL algorithm as a choice in each of several independent questions."""

import dataclasses
import typing
from collections.abc import Collection, Mapping

from simex.core.errors import UserError
from simex.core.names import unknown_name
from simex.rl.advantage import ADVANTAGES, Spread
from simex.rl.clipping import CLIPPINGS, Bounds
from simex.rl.divergence import IMPORTANCE, KL_ESTIMATORS
from simex.rl.reduction import REDUCTIONS
from simex.rl.segment_credit import SEGMENT_CREDITS

NONE = "none"
OVERLONG = ("keep", "mask", "shape")
FLAT_GROUPS = ("keep", "drop", "refill")
GIBBERISH = ("keep", "mask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What turns the rollouts of a train step into a loss.

    `simex.rl.presets.PRESETS` holds named ones. Everything here is a name in a table
    or a number; numbers of choices that are not taken are not read.
    """

    advantage: str = "length_weighted_mean"  # in rl.advantage.ADVANTAGES
    std_ddof: int = 1  # "mean_std"
    std_eps: float = 1e-6

    segment_credit: str = "whole"
    """Which tokens of a turn have its advantage, where a first false statement is
    known: a name in rl.segment_credit.SEGMENT_CREDITS."""

    clipping: str = "ppo"  # in rl.clipping.CLIPPINGS
    clip_low: float = 0.2  # the ratio may lie in [1 - clip_low, 1 + clip_high]
    clip_high: float = 0.25
    dual_clip: float = 3.0  # "dual"

    reduction: str = "sum_over_constant"  # in rl.reduction.REDUCTIONS
    normaliser_tokens: float = 256.0
    """The constant of "sum_over_constant": the longest possible rollout."""

    importance: str = "sampler_ratio"  # in rl.divergence.IMPORTANCE
    importance_cap: float = 2.0  # "truncated"

    kl: str = NONE  # or in rl.divergence.KL_ESTIMATORS, to the params of the start
    kl_weight: float = 0.0
    entropy_weight: float = 0.0  # bonus, in nats of the policy's own entropy

    overlong: str = "keep"
    """"mask": truncated rollouts have no loss, but stay in their group's baseline;
    "shape": a penalty that grows with the length (DAPO, arXiv 2503.14476)."""

    overlong_max_tokens: int = 256  # "shape": at this completion length it is 1
    overlong_buffer_tokens: int = 64  # "shape": so many tokens before it, 0

    flat_groups: str = "keep"
    """Groups whose raw pass rate is 0 or 1. "keep": no loss, but counted where the
    loss is divided; "drop": not counted, though explanations, gains or turns may have
    rewards of their own; "refill": dropped, and others sampled for them (DAPO's
    dynamic sampling)."""

    max_refills: int = (
        3  # "refill": so often in a train step, then on with what is there
    )

    gibberish: str = "keep"
    """"mask": no loss for a rollout with a rare token that was hardly likely."""

    gibberish_rare_share: float = 1 / 3  # of the merged ids, the last: tokens.rarity
    gibberish_margin_nats: float = 2.0  # logprob under -log(V) - this

    gap_tolerance: float = 1e-3
    """How far, in nats, a trainer's logprob may lie from the sampler's at step 0."""

    gap_share: float = 0.0
    """The share of tokens that may lie further. In float32 none does; bfloat16 rounds
    steep logits by more than most of what it rounds."""

    def __post_init__(self) -> None:
        """Raises UserError for an unknown name or an impossible number."""
        for field, known in _TABLES.items():
            if getattr(self, field) not in known:
                raise unknown_name(field, getattr(self, field), known)
        for field in ("normaliser_tokens", "importance_cap", "gap_tolerance"):
            self._refuse(field, "above 0", getattr(self, field) > 0)
        for field in ("kl_weight", "entropy_weight", "max_refills"):
            self._refuse(field, "at least 0", getattr(self, field) >= 0)
        for field in ("gibberish_rare_share", "gap_share"):
            self._refuse(field, "from 0 to 1", 0 <= getattr(self, field) <= 1)
        buffer = self.overlong_buffer_tokens
        fits = 0 < buffer <= self.overlong_max_tokens
        self._refuse("overlong_buffer_tokens", "1 to overlong_max_tokens", fits)
        # Building these checks their own numbers.
        _ = self.spread, self.bounds

    @property
    def spread(self) -> Spread:
        return Spread(ddof=self.std_ddof, eps=self.std_eps)

    @property
    def bounds(self) -> Bounds:
        return Bounds(low=self.clip_low, high=self.clip_high, dual=self.dual_clip)

    @property
    def has_reference(self) -> bool:
        return self.kl != NONE

    @property
    def num_refills(self) -> int:
        return self.max_refills if self.flat_groups == "refill" else 0

    def _refuse(self, field: str, allowed: str, is_allowed: bool) -> None:
        if not is_allowed:
            raise UserError(
                f"Algorithm.{field} must be {allowed}; it is {getattr(self, field)}."
            )


def override(algorithm: Algorithm, changes: Mapping[str, object]) -> Algorithm:
    """`algorithm` with single choices changed, e.g. {"clip_high": 0.28}.

    Raises:
      UserError: a choice is unknown, or a value is of the wrong kind or impossible.
    """
    kinds = typing.get_type_hints(Algorithm)
    values: dict[str, typing.Any] = {}
    for name, value in changes.items():
        if name not in kinds:
            raise unknown_name("choice of an algorithm", name, kinds)
        accepted = (int, float) if kinds[name] is float else (kinds[name],)
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise UserError(
                f"Algorithm.{name} must be of type {kinds[name].__name__}; got "
                f"{value!r}."
            )
        values[name] = kinds[name](value)
    changed = dataclasses.replace(algorithm, **values)
    if values.get("kl_weight") and changed.kl == NONE:
        raise UserError(
            f"A kl_weight of {changed.kl_weight} needs an estimator of the KL, but kl is "
            f"{NONE!r}. Change kl too, e.g. to 'k3', or leave kl_weight out."
        )
    return changed


_TABLES: Mapping[str, Collection[str]] = {
    "advantage": ADVANTAGES,
    "clipping": CLIPPINGS,
    "segment_credit": SEGMENT_CREDITS,
    "reduction": REDUCTIONS,
    "importance": IMPORTANCE,
    "kl": (NONE, *KL_ESTIMATORS),
    "overlong": OVERLONG,
    "flat_groups": FLAT_GROUPS,
    "gibberish": GIBBERISH,
}
