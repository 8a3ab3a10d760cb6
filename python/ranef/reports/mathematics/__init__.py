"""A fitted model as mathematics: a tree of expressions, its writers, and the notation of every kind of part."""
