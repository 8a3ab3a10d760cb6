"""The formula language: text to tokens, tree, terms, columns, and a design that replays on new data.

Reading order: ``tokens`` (characters to words), ``parser`` (words to a tree), ``terms`` (a tree to fixed terms, offsets
and random-effects terms), ``functions``, ``splines``, ``transforms`` and ``contrasts`` (what a formula may compute),
``evaluation`` (a tree and data to values), ``columns`` (terms to a model matrix), ``grouping`` (grouping factors),
``response`` (the left side), ``design`` (all of it together), ``update`` (``update(". ~ . - x")``).
"""
