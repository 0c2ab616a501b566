"""Why an item of a source is not taken: one predicate a reason, a text or None.

Predicates that look at one item alone stand in `shape` and `contamination`, those that
remember earlier items in `duplicates`, and those that judge what runs did in
`behaviour`. `simex.jobs.import_problems` applies them and `report` counts them.
"""
