"""Measures and checks what must hold before the first update of a process."""

from collections.abc import Sequence

from simex.rl.batch import make_probe
from simex.rl.invariants import check_first_update, check_mask, check_reference
from simex.rl.trainer import Trainer
from simex.rollouts.rollout import Group
from simex.train.state import TrainState


def check_first_step(
    trainer: Trainer, state: TrainState, groups: Sequence[Group], *, step: int
) -> dict[str, float]:
    """Stops the run if trainer and sampler disagree while they hold the same params.

    It is done whenever a process begins with a batch of its own params, on a resumed
    run too (not on one that has older rollouts waiting); only what was measured at step
    0 is returned for the log, so that resuming leaves no trace in it.

    Args:
      trainer: whose loss is measured; nothing is updated.
      state: whose params sampled `groups`.
      groups: of this train step.
      step: this train step.

    Raises:
      UserError: with the numbers.
    """
    probe = make_probe(
        groups,
        rows=trainer.rows,
        seq_len=trainer.model.max_positions,
        share_prompts=trainer.shares_prompts,
    )
    if probe is None:
        return {}
    arrays, turns = probe
    check_mask([arrays], turns)
    values = trainer.measure(state.params, arrays)
    check_first_update(values, trainer.algorithm)
    if step > 0:
        return {}
    check_reference(values, trainer.algorithm)
    return {k.replace("policy/", "first_update/"): v for k, v in values.items()}
