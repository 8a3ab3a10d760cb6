"""Who is related to whom: pedigrees, phylogenies, neighbourhoods, and the matrices that users bring along."""
