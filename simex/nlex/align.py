"""Which statements can be matched with which facts, in order: a longest common order.

The bit-parallel longest common subsequence of Crochemore, Iliopoulos, Pinzon and Reid
(2001) in the form of Hyyro (2004): a row of the table is one integer, so that ten
thousand statements against ten thousand facts take milliseconds, not minutes. What
matches what is given as bit masks and may be any relation, not equality alone.
"""

from collections.abc import Sequence


def align(masks: Sequence[int], num_facts: int) -> list[int]:
    """The partner of each statement, or -1; partners rise, and are as many as can be.

    Args:
      masks: of each statement, the facts that it may be matched with: bit j for fact j.
      num_facts: how many facts there are.

    Example: ``align([0b001, 0b100, 0b010], 3)`` is ``[0, 2, -1]``.
    """
    partners = [-1] * len(masks)
    # A common beginning can be matched as it stands; mostly that is all there is.
    prefix = 0
    while prefix < min(len(masks), num_facts) and masks[prefix] >> prefix & 1:
        partners[prefix] = prefix
        prefix += 1
    open_statements = [i for i in range(prefix, len(masks)) if masks[i] >> prefix]
    # The table is filled from the end, so that the way through it, found from the
    # beginning, keeps what was said first and blames what contradicts it.
    width = num_facts - prefix
    open_statements.reverse()
    rows = _fill([_reverse(masks[i] >> prefix, width) for i in open_statements], width)
    row, column = len(open_statements), width
    while row and column:
        if rows[row] >> (column - 1) & 1:
            column -= 1
            continue
        row -= 1
        if rows[row] >> (column - 1) & 1:
            column -= 1
            partners[open_statements[row]] = num_facts - 1 - column
    return partners


def _reverse(mask: int, width: int) -> int:
    return int(f"{mask:0{width}b}"[::-1], 2)


def _fill(masks: Sequence[int], num_facts: int) -> list[int]:
    """The rows of the table: bit j of row i is 0 where fact j adds to the length."""
    every = (1 << num_facts) - 1
    row = every
    rows = [row]
    for mask in masks:
        common = row & mask
        row = ((row + common) | (row - common)) & every
        rows.append(row)
    return rows
