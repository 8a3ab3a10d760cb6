//! What is left when the leading factor is eliminated: the Schur complement of all other effects, dense or sparse.
//!
//! Dense when its factorisation is predicted to take less time: dense kernels do about fifteen times as many
//! multiply-adds a second as the sparse code. Crossed factors fill in and go dense; nested factors do not fill in at all,
//! whatever their number, because the minimum degree ordering eliminates the finer factor first.
use super::field::Field;
use super::leading::Leading;
use super::root::{Root, RootedCorrelation};
use super::sparse_cholesky::{SparseCholesky, UpperPattern};
use super::{BlockMatrix, PARALLEL_WORK, Pattern, Tie, dense_cholesky};
use rayon::prelude::*;
use std::sync::Arc;

/// Up to this order a dense matrix is always good enough.
const ALWAYS_DENSE: usize = 128;

/// From this order on a dense coupling is worth calls of matrix products.
const LEAST_DENSE_PANEL: usize = 16;

/// How many times faster a multiply-add is in the dense code.
const DENSE_ADVANTAGE: f64 = 15.0;

/// Where one entry of the remaining blocks stands in a [`BlockMatrix`].
#[derive(Clone, Copy, Debug)]
enum Source {
    /// Index into the diagonal blocks of a factor, and that of the mirrored entry.
    Diagonal { factor: usize, index: usize, mirror: usize },
    /// Index into the off-diagonal blocks of a pair.
    Off { pair: usize, index: usize },
}

impl Source {
    fn read(self, h: &BlockMatrix) -> f64 {
        match self {
            Self::Diagonal { factor, index, .. } => h.diag[factor][index],
            Self::Off { pair, index } => h.off[pair][index],
        }
    }

    fn write(self, value: f64, out: &mut BlockMatrix) {
        match self {
            Self::Diagonal { factor, index, mirror } => {
                out.diag[factor][index] = value;
                out.diag[factor][mirror] = value;
            }
            Self::Off { pair, index } => out.off[pair][index] = value,
        }
    }
}

/// How the matrix is stored.
#[derive(Clone, Debug)]
pub enum Storage {
    /// m x m column-major: the lower triangle.
    Dense(Vec<f64>),
    /// Correlated effects that meet no other in any row, block by block.
    Fields(Vec<Field>),
    /// With the places of the entries of `H` in the matrix and in its factor.
    Sparse { matrix: Box<SparseCholesky>, places: Vec<usize>, places_in_factor: Vec<usize> },
}

/// The inverse of the Schur complement, as far as it is computed.
pub enum RemainderInverse {
    /// m x m, both triangles.
    Dense(Vec<f64>),
    /// The diagonal.
    Diagonal(Vec<f64>),
    /// On the pattern of the sparse factor.
    Sparse(Vec<f64>),
}

/// The Schur complement of the remaining effects.
#[derive(Clone, Debug)]
pub struct Remainder {
    ranks: Vec<usize>,
    factors: Vec<usize>,
    offsets: Vec<usize>,
    /// The place of each remaining effect (numbered in the caller's order) in the matrix.
    pub position: Vec<u32>,
    pub storage: Storage,
    /// For each effect in the caller's order, whether it stands alone: its prior precision is 1.
    alone: Vec<bool>,
    /// The blocks of effects that are correlated before any data.
    roots: Vec<Root>,
}

impl Remainder {
    /// Chooses the storage and the order of the effects other than `leading.factor`, and tells `leading` about it.
    pub fn new(pattern: &Pattern, ranks: &[usize], leading: Option<&mut Leading>) -> Self {
        let first = leading.as_ref().map(|leading| leading.factor);
        let factors: Vec<usize> = (0..pattern.n_factors()).filter(|&f| Some(f) != first).collect();
        let offsets = offsets(pattern, ranks, first);
        let order = offsets[pattern.n_factors()];
        let identity: Vec<u32> = (0..order as u32).collect();
        let mut remainder = Self {
            ranks: ranks.to_vec(),
            factors,
            offsets,
            position: identity.clone(),
            storage: Storage::Dense(Vec::new()),
            alone: Vec::with_capacity(order),
            roots: Vec::new(),
        };
        for &f in &remainder.factors {
            let alone = matches!(pattern.tie(f), Tie::None);
            remainder.alone.extend(std::iter::repeat_n(alone, pattern.levels(f) * ranks[f]));
            if let Tie::Correlation(starts) = pattern.tie(f) {
                assert_eq!(ranks[f], 1, "correlated levels have one effect each");
                remainder.roots.extend(starts.windows(2).map(|block| Root {
                    factor: f,
                    first: remainder.offsets[f] + block[0],
                    size: block[1] - block[0],
                    correlation: Arc::default(),
                }));
            }
        }
        let Some(leading) = leading else { return remainder };
        leading.renumber(&identity);
        let may_be_sparse = order > ALWAYS_DENSE && remainder.roots.is_empty();
        let sparse = if may_be_sparse { remainder.sparse(pattern, leading) } else { None };
        if let Some((position, matrix)) = sparse {
            leading.renumber(&position);
            remainder.position = position;
            let (mut places, mut places_in_factor) = (Vec::new(), Vec::new());
            remainder.each_entry(pattern, |_, i, j| {
                places.push(matrix.place(i, j));
                places_in_factor.push(matrix.place_in_factor(i, j));
            });
            remainder.storage = Storage::Sparse { matrix: Box::new(matrix), places, places_in_factor };
        } else if leading.levels == 0 && remainder.factors.len() == 1 && !remainder.roots.is_empty() {
            remainder.storage =
                Storage::Fields(std::mem::take(&mut remainder.roots).into_iter().map(Field::new).collect());
        } else {
            remainder.storage = Storage::Dense(vec![0.0; order * order]);
            let products = (leading.levels * leading.rank * order) as f64 * order as f64 / 2.0;
            if order >= LEAST_DENSE_PANEL && products < DENSE_ADVANTAGE * leading.work() as f64 {
                leading.make_dense(order);
            }
        }
        remainder
    }

    /// The sparse alternative, when it is the faster one.
    fn sparse(&self, pattern: &Pattern, leading: &Leading) -> Option<(Vec<u32>, SparseCholesky)> {
        let m = self.order() as f64;
        let budget = m * m * m / 3.0 / DENSE_ADVANTAGE;
        // A factor with k entries takes at least k^2 / m multiply-adds, so a pattern beyond this is dense anyhow.
        let limit = (budget * m).sqrt() as usize;
        let mut neighbours = vec![Vec::new(); self.order()];
        self.each_entry(pattern, |_, i, j| neighbours[i.max(j)].push(i.min(j)));
        let upper = UpperPattern::collect(self.order(), limit, |j, push| {
            neighbours[j].iter().for_each(|&i| push(i));
            for &(level, e) in leading.entries_of(j) {
                let first = leading.ptr[level as usize];
                leading.columns[first..e].iter().for_each(|&i| push(i as usize));
            }
        })?;
        let position = upper.minimum_degree();
        let matrix = SparseCholesky::new(upper.permuted(&position), budget)?;
        Some((position, matrix))
    }

    /// Number of remaining effects.
    pub fn order(&self) -> usize {
        self.position.len()
    }

    /// Sets the correlation of each block of a factor's correlated effects.
    pub fn set_correlation(&mut self, factor: usize, blocks: &[Arc<RootedCorrelation>]) {
        let fields = match &mut self.storage {
            Storage::Fields(fields) => fields.as_mut_slice(),
            _ => &mut [],
        };
        let roots = self.roots.iter_mut().chain(fields.iter_mut().map(|field| &mut field.root));
        let own = roots.filter(|root| root.factor == factor);
        own.zip(blocks).for_each(|(root, block)| root.correlation = block.clone());
    }

    /// The blocks of correlated effects.
    pub fn roots(&self) -> impl Iterator<Item = &Root> {
        let fields = match &self.storage {
            Storage::Fields(fields) => fields.as_slice(),
            _ => &[],
        };
        self.roots.iter().chain(fields.iter().map(|field| &field.root))
    }

    /// Multiply-adds of a dense factorisation; none where it is sparse.
    pub fn dense_work(&self) -> f64 {
        let work = |order: usize| (order as f64).powi(3) / 3.0;
        match &self.storage {
            Storage::Dense(_) => work(self.order()),
            Storage::Fields(fields) => fields.iter().map(|field| work(field.root.size)).sum(),
            Storage::Sparse { .. } => 0.0,
        }
    }

    /// The remaining factors, in the caller's order.
    pub fn factors(&self) -> &[usize] {
        &self.factors
    }

    /// The place of an effect in the matrix.
    pub fn place(&self, factor: usize, level: usize, component: usize) -> usize {
        self.position[self.offsets[factor] + level * self.ranks[factor] + component] as usize
    }

    /// The factor and level of the effect at a place of the matrix.
    pub fn effect_at(&self, place: usize) -> Option<(usize, usize)> {
        let number = self.position.iter().position(|&p| p as usize == place)?;
        let factor = *self.factors.iter().rev().find(|&&f| self.offsets[f] <= number && self.ranks[f] > 0)?;
        Some((factor, (number - self.offsets[factor]) / self.ranks[factor]))
    }

    /// Visits the entries of the remaining blocks, one triangle of each diagonal block, with their row and column in
    /// the matrix (in either order).
    fn each_entry(&self, pattern: &Pattern, mut visit: impl FnMut(Source, usize, usize)) {
        for &factor in &self.factors {
            let r = self.ranks[factor];
            for level in 0..pattern.levels(factor) {
                for b in 0..r {
                    for a in b..r {
                        let (index, mirror) = (level * r * r + b * r + a, level * r * r + a * r + b);
                        let source = Source::Diagonal { factor, index, mirror };
                        visit(source, self.place(factor, level, a), self.place(factor, level, b));
                    }
                }
            }
        }
        for (k, pair) in pattern.pairs().iter().enumerate() {
            if !(self.factors.contains(&pair.first) && self.factors.contains(&pair.second)) {
                continue;
            }
            let (r_first, r_second) = (self.ranks[pair.first], self.ranks[pair.second]);
            for level in 0..pattern.levels(pair.first) {
                for slot in pair.ptr[level]..pair.ptr[level + 1] {
                    for b in 0..r_second {
                        let column = self.place(pair.second, pair.second_level[slot] as usize, b);
                        for a in 0..r_first {
                            let index = (slot * r_second + b) * r_first + a;
                            visit(Source::Off { pair: k, index }, self.place(pair.first, level, a), column);
                        }
                    }
                }
            }
        }
    }

    /// Forms H_rest + I - sum_l T_l' T_l and factors it. On failure the place of the pivot that was not positive.
    pub fn factor(&mut self, pattern: &Pattern, h: &BlockMatrix, leading: &Leading) -> Result<(), usize> {
        let m = self.order();
        let mut storage = std::mem::replace(&mut self.storage, Storage::Dense(Vec::new()));
        let result = match &mut storage {
            Storage::Dense(matrix) => {
                matrix.fill(0.0);
                for (i, &alone) in self.alone.iter().enumerate() {
                    matrix[i * m + i] = f64::from(u8::from(alone));
                }
                self.each_entry(pattern, |source, i, j| matrix[i.min(j) * m + i.max(j)] += source.read(h));
                let column = |(j, column): (usize, &mut [f64])| leading.subtract_column(j, true, column);
                if leading.is_dense() {
                    leading.subtract_gram(matrix);
                } else if leading.work() < PARALLEL_WORK {
                    matrix.chunks_exact_mut(m.max(1)).enumerate().for_each(column);
                } else {
                    matrix.par_chunks_exact_mut(m).enumerate().for_each(column);
                }
                self.roots.iter().for_each(|root| root.apply(matrix, m));
                dense_cholesky::factor_in_place(matrix, m)
            }
            Storage::Fields(fields) => {
                let seen = &h.diag[self.factors[0]];
                let factored = each_field(fields, |field| {
                    let first = field.root.first;
                    field.factor(&seen[first..first + field.root.size]).map_err(|pivot| first + pivot)
                });
                factored.into_iter().collect()
            }
            Storage::Sparse { matrix, places, .. } => {
                matrix.values.fill(0.0);
                let mut entries = places.iter();
                let values = &mut matrix.values;
                self.each_entry(pattern, |source, _, _| {
                    let place = *entries.next().expect("one place for each entry");
                    values[place] += source.read(h);
                });
                for (&position, _) in self.position.iter().zip(&self.alone).filter(|(_, alone)| **alone) {
                    let place = matrix.place(position as usize, position as usize);
                    matrix.values[place] += 1.0;
                }
                matrix.update(|j, w| leading.subtract_column(j, false, w));
                matrix.factor()
            }
        };
        self.storage = storage;
        result
    }

    /// X = L^{-1} X for `columns` columns, the first entries of columns `stride` apart.
    pub fn forward_in_place(&self, x: &mut [f64], columns: usize, stride: usize) {
        match &self.storage {
            Storage::Dense(matrix) => {
                self.roots.iter().for_each(|root| root.forward(&mut x[root.first..], columns, stride));
                dense_cholesky::forward_in_place(matrix, self.order(), x, columns, stride);
            }
            Storage::Fields(fields) => fields.iter().for_each(|field| field.forward_in_place(x, columns, stride)),
            Storage::Sparse { matrix, .. } => {
                (0..columns).for_each(|c| matrix.forward_in_place(&mut x[c * stride..][..self.order()]));
            }
        }
    }

    /// X = L^{-T} X, laid out as in [`Remainder::forward_in_place`].
    pub fn backward_in_place(&self, x: &mut [f64], columns: usize, stride: usize) {
        match &self.storage {
            Storage::Dense(matrix) => {
                dense_cholesky::backward_in_place(matrix, self.order(), x, columns, stride);
                self.roots.iter().for_each(|root| root.backward(&mut x[root.first..], columns, stride));
            }
            Storage::Fields(fields) => fields.iter().for_each(|field| field.backward_in_place(x, columns, stride)),
            Storage::Sparse { matrix, .. } => {
                (0..columns).for_each(|c| matrix.backward_in_place(&mut x[c * stride..][..self.order()]));
            }
        }
    }

    /// log of the determinant of the Schur complement, and of the prior correlations.
    pub fn log_det(&self) -> f64 {
        match &self.storage {
            Storage::Dense(matrix) => {
                2.0 * matrix.iter().step_by(self.order() + 1).map(|pivot| pivot.ln()).sum::<f64>()
            }
            Storage::Fields(fields) => fields.iter().map(Field::log_det).sum(),
            Storage::Sparse { matrix, .. } => matrix.log_det(),
        }
    }

    /// The inverse, whole or on the pattern of the factor; and for correlated effects what it leaves of their prior
    /// precision, in `marginal`.
    pub fn inverse(&self, marginal: &mut [Vec<f64>]) -> RemainderInverse {
        match &self.storage {
            Storage::Dense(matrix) => {
                let m = self.order();
                let mut inverse = dense_cholesky::inverse(matrix, m);
                for root in &self.roots {
                    marginal[root.factor].extend(root.marginal_precision(root.block(&inverse, m)));
                }
                self.roots.iter().for_each(|root| root.outer(&mut inverse, m));
                RemainderInverse::Dense(inverse)
            }
            Storage::Fields(fields) => {
                let mut diagonal = Vec::with_capacity(self.order());
                let inverses: Vec<_> = if fields.len() > 1 {
                    fields.par_iter().map(Field::inverse).collect()
                } else {
                    fields.iter().map(Field::inverse).collect()
                };
                for (own, k) in inverses {
                    diagonal.extend(own);
                    marginal[self.factors[0]].extend(k);
                }
                RemainderInverse::Diagonal(diagonal)
            }
            Storage::Sparse { matrix, .. } => RemainderInverse::Sparse(matrix.inverse()),
        }
    }

    /// Copies the inverse to the remaining blocks of `out`.
    pub fn write_inverse(&self, pattern: &Pattern, inverse: &RemainderInverse, out: &mut BlockMatrix) {
        match (inverse, &self.storage) {
            (RemainderInverse::Sparse(values), Storage::Sparse { places_in_factor, .. }) => {
                let mut places = places_in_factor.iter();
                self.each_entry(pattern, |source, _, _| {
                    source.write(values[*places.next().expect("one place for each entry")], out);
                });
            }
            (RemainderInverse::Dense(values), _) => {
                let m = self.order();
                self.each_entry(pattern, |source, i, j| source.write(values[i.min(j) * m + i.max(j)], out));
            }
            (RemainderInverse::Diagonal(values), _) => {
                self.each_entry(pattern, |source, i, _| source.write(values[i], out));
            }
            (RemainderInverse::Sparse(_), _) => unreachable!("the inverse is stored like the factor"),
        }
    }
}

/// What `run` gives for each block, in parallel where there are several.
fn each_field<T: Send>(fields: &mut [Field], run: impl Fn(&mut Field) -> T + Sync + Send) -> Vec<T> {
    if fields.len() > 1 { fields.par_iter_mut().map(run).collect() } else { fields.iter_mut().map(run).collect() }
}

/// Where each remaining factor begins in the caller's numbering of the remaining effects; the last entry is their
/// number.
pub fn offsets(pattern: &Pattern, ranks: &[usize], leading: Option<usize>) -> Vec<usize> {
    let mut offsets = vec![0];
    for f in 0..pattern.n_factors() {
        let effects = if Some(f) == leading { 0 } else { pattern.levels(f) * ranks[f] };
        offsets.push(offsets[f] + effects);
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Whether the remainder is sparse, with the entries of its upper triangle and of its factor.
    fn sparse_entries(groups: &[(&[u32], usize)]) -> Option<(usize, usize)> {
        let (pattern, ranks) = (Pattern::new(groups, 0), vec![1; groups.len()]);
        let starts = offsets(&pattern, &ranks, Some(0));
        let mut leading = Leading::new(&pattern, &ranks, 0, |f, level, _| (starts[f] + level) as u32);
        match Remainder::new(&pattern, &ranks, Some(&mut leading)).storage {
            Storage::Dense(_) | Storage::Fields(_) => None,
            Storage::Sparse { matrix, .. } => Some((matrix.values.len(), matrix.inverse().len())),
        }
    }

    #[test]
    fn nested_factors_stay_sparse_without_fill() {
        let fine: Vec<u32> = (0..6000).collect();
        let middle: Vec<u32> = fine.iter().map(|code| code / 5).collect();
        let coarse: Vec<u32> = fine.iter().map(|code| code / 50).collect();
        let (entries, factor) =
            sparse_entries(&[(&fine, 6000), (&middle, 1200), (&coarse, 120)]).expect("sparse is faster");
        assert_eq!(entries, 1200 + 120 + 1200);
        assert_eq!(factor, entries);
    }

    #[test]
    fn crossed_factors_fill_in_and_go_dense() {
        let first: Vec<u32> = (0..6000).map(|i| i % 1000).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let second: Vec<u32> = first.iter().map(|_| rng.random_range(0..512)).collect();
        assert_eq!(sparse_entries(&[(&first, 1000), (&second, 512)]), None);
    }
}
