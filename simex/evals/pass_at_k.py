"""pass@k: the chance that at least one of k sampled programs is right.

Unbiased estimator of Chen et al. 2021 (arXiv 2107.03374, equation 1), as a product, so
that no large binomial is formed. It draws k of the n samples without replacement.
Tools that bootstrap with replacement report a smaller number under the name "best@k";
the two never belong into one table.
"""

import numpy as np

from simex.core.errors import UserError


def pass_at_k(num_samples: int, num_right: int, *, k: int) -> float:
    """One problem's pass@k: 1 - C(n - c, k) / C(n, k).

    With n = 4 samples of which c = 1 is right, pass@2 = 1 - C(3, 2) / C(4, 2) = 1/2.

    Raises UserError when k is not in 1..n, or c is not in 0..n: an estimate from fewer
    than k samples does not exist, and 0 or 1 in its place would bias the mean.
    """
    if not 1 <= k <= num_samples:
        raise UserError(
            f"pass@k needs 1 <= k <= number of samples; got k={k} with {num_samples} "
            "samples. Draw more samples for each problem, or ask for a smaller k."
        )
    if not 0 <= num_right <= num_samples:
        raise UserError(
            f"The number of right samples must lie in 0..{num_samples}; got "
            f"{num_right}. Count each sample once."
        )
    if num_samples - num_right < k:  # every draw of k holds a right sample
        return 1.0
    misses = np.arange(num_samples - num_right + 1, num_samples + 1)
    return float(1.0 - np.prod(1.0 - k / misses))
