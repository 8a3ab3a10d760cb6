//! Which coefficients have nothing to do with each other: those of levels that no row, and no chain of random effects,
//! joins.
//!
//! Pupils of different schools share no teacher where teachers are nested in schools. Given all other parameters the
//! likelihood is then a product over schools, and its mixed derivatives between their coefficients are zero.
use super::laplace::Layout;
use crate::design::Design;

/// The part that each outer parameter belongs to; `None` for those that every part shares. Parameters of different parts
/// have a mixed derivative of zero. `None` where there are not even two parts.
pub fn parts(design: &Design, layout: &Layout) -> Option<Vec<Option<u32>>> {
    let by_level = |k: usize| Some((layout.beta[k].clone()?, design.fixed[k].level_basis()?));
    let owners: Vec<_> = (0..design.n_predictors()).filter_map(by_level).collect();
    if owners.is_empty() || layout.beta.iter().any(Option::is_none) || design.template.is_coupled() {
        return None;
    }
    // Nodes: the levels of the grouping factors, then those of the fixed effects.
    let mut starts = vec![0];
    for levels in design.groupings.iter().map(|g| g.levels).chain(owners.iter().map(|(_, b)| b.levels().count + 1)) {
        starts.push(starts[starts.len() - 1] + levels);
    }
    let mut sets = Sets::new(starts[starts.len() - 1]);
    let codes: Vec<&[u32]> = (design.groupings.iter().map(|g| g.codes.as_slice()))
        .chain(owners.iter().map(|(_, basis)| basis.levels().codes.as_slice()))
        .collect();
    for i in 0..design.n {
        for k in 1..codes.len() {
            sets.join(starts[0] + codes[0][i] as usize, starts[k] + codes[k][i] as usize);
        }
    }
    let mut found = vec![None; layout.dim];
    for (k, (range, basis)) in owners.iter().enumerate() {
        for (m, level) in range.clone().zip(basis.level_of_coordinates()) {
            found[m] = Some(sets.root(starts[design.groupings.len() + k] + level) as u32);
        }
    }
    let mut labels: Vec<u32> = found.iter().flatten().copied().collect();
    labels.sort_unstable();
    labels.dedup();
    (labels.len() > 1).then_some(found)
}

/// Disjoint sets of nodes.
struct Sets {
    parent: Vec<usize>,
}

impl Sets {
    fn new(n: usize) -> Self {
        Self { parent: (0..n).collect() }
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.parent[node] != node {
            self.parent[node] = self.parent[self.parent[node]];
            node = self.parent[node];
        }
        node
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }
}
