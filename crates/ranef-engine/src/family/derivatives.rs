//! Rows of data in, log densities and their derivatives out.

use crate::jet::{Jet, Number, count2, count3, packed2, packed3};

use super::Density;

/// The rows a family is evaluated on.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Responses; for binomial-type families, successes.
    pub y: &'a [f64],
    /// Numbers of trials; 1 where absent.
    pub trials: Option<&'a [f64]>,
    /// The K linear predictors, each of the length of `y`.
    pub eta: &'a [&'a [f64]],
}

impl Rows<'_> {
    /// The number of trials of row `i`.
    #[inline(always)]
    pub fn trials(&self, i: usize) -> f64 {
        self.trials.map_or(1.0, |trials| trials[i])
    }

    /// Whether linear predictor `k` is the same in every row, so that whatever depends on it alone
    /// may be computed once.
    pub fn constant(&self, k: usize) -> Option<f64> {
        let (&first, rest) = self.eta[k].split_first()?;
        rest.iter().all(|&eta| eta == first).then_some(first)
    }
}

/// Log densities of many rows and their derivatives in the K linear predictors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Derivatives {
    /// Log density of each row.
    pub value: Vec<f64>,
    /// `first[k][i]`.
    pub first: Vec<Vec<f64>>,
    /// `second[packed2(k, l)][i]`.
    pub second: Vec<Vec<f64>>,
    /// `third[packed3(k, l, m)][i]`.
    pub third: Vec<Vec<f64>>,
}

impl Derivatives {
    /// Makes room for `n` rows of `k` predictors up to `order`. Blocks above `order` are left as
    /// they are, so that evaluations of different order can share the memory.
    pub fn resize(&mut self, k: usize, n: usize, order: usize) {
        fn shape(blocks: &mut Vec<Vec<f64>>, count: usize, n: usize) {
            blocks.resize_with(count, Vec::new);
            for block in blocks {
                if block.len() != n {
                    block.resize(n, 0.0);
                }
            }
        }
        if self.value.len() != n {
            self.value.resize(n, 0.0);
        }
        if order >= 1 {
            shape(&mut self.first, k, n);
        }
        if order >= 2 {
            shape(&mut self.second, count2(k), n);
        }
        if order >= 3 {
            shape(&mut self.third, count3(k), n);
        }
    }

    /// Marks row `i` of `k` predictors as infeasible: −∞, derivatives to `order` 0.
    pub fn set_infeasible(&mut self, i: usize, k: usize, order: usize) {
        self.value[i] = f64::NEG_INFINITY;
        let blocks = [(&mut self.first, k), (&mut self.second, count2(k)), (&mut self.third, count3(k))];
        for (block, count) in blocks.into_iter().take(order) {
            block[..count].iter_mut().for_each(|column| column[i] = 0.0);
        }
    }
}

/// Evaluates `row(i, y, trials, eta)`, which returns a jet's coefficients, and spreads them over
/// the blocks of `out`. An entry that is not finite marks an infeasible row: −∞, derivatives 0.
///
/// `N` may be larger than `order` needs: the compiler then drops what is not stored, so a closed
/// form is written once, to order 3.
#[inline(always)]
pub(super) fn spread<const K: usize, const N: usize>(
    rows: Rows<'_>,
    order: usize,
    out: &mut Derivatives,
    row: impl Fn(usize, f64, f64, [f64; K]) -> [f64; N],
) {
    match order {
        0 => spread_to::<K, N, 0>(rows, out, row),
        1 => spread_to::<K, N, 1>(rows, out, row),
        2 => spread_to::<K, N, 2>(rows, out, row),
        _ => spread_to::<K, N, 3>(rows, out, row),
    }
}

#[inline(always)]
fn spread_to<const K: usize, const N: usize, const ORDER: usize>(
    rows: Rows<'_>,
    out: &mut Derivatives,
    row: impl Fn(usize, f64, f64, [f64; K]) -> [f64; N],
) {
    // Rows are computed in small blocks and then transposed: the copies run along contiguous memory
    // and the kernel's own loop touches none of the output's many vectors.
    const BLOCK: usize = 32;
    let used = [1, 1 + K, 1 + K + count2(K), 1 + K + count2(K) + count3(K)][ORDER];
    let n = rows.y.len();
    let mut block = [[0.0; N]; BLOCK];
    let mut start = 0;
    while start < n {
        let length = BLOCK.min(n - start);
        for (offset, slot) in block[..length].iter_mut().enumerate() {
            let i = start + offset;
            let eta: [f64; K] = std::array::from_fn(|k| rows.eta[k][i]);
            let mut c = row(i, rows.y[i], rows.trials(i), eta);
            // Times zero: NaN as soon as one entry is infinite or NaN.
            if c[..used].iter().map(|entry| entry * 0.0).sum::<f64>() != 0.0 {
                c = [0.0; N];
                c[0] = f64::NEG_INFINITY;
            }
            *slot = c;
        }
        let copy = |column: &mut [f64], j: usize| {
            for (entry, c) in column[start..start + length].iter_mut().zip(&block) {
                *entry = c[j];
            }
        };
        copy(&mut out.value, 0);
        if ORDER >= 1 {
            for k in 0..K {
                copy(&mut out.first[k], 1 + k);
            }
        }
        if ORDER >= 2 {
            for j in 0..count2(K) {
                copy(&mut out.second[j], 1 + K + j);
            }
        }
        if ORDER >= 3 {
            for j in 0..count3(K) {
                copy(&mut out.third[j], 1 + K + count2(K) + j);
            }
        }
        start += length;
    }
}

/// Writes row `i` of the derivatives in all predictors from those `c` in three local ones (laid out as a
/// [`Jet`]'s coefficients), of which the `active` predictors are each a multiple: (predictor, the three
/// derivatives of the local ones in it). The others have no part in the row.
pub(super) fn scatter(i: usize, c: &[f64; 20], active: &[(usize, [f64; 3])], order: usize, out: &mut Derivatives) {
    out.value[i] = c[0];
    for block in [(1, &mut out.first), (2, &mut out.second), (3, &mut out.third)] {
        if block.0 <= order {
            block.1.iter_mut().for_each(|column| column[i] = 0.0);
        }
    }
    let local = 0..3;
    for (at, (x, along_x)) in active.iter().enumerate() {
        if order >= 1 {
            out.first[*x][i] = local.clone().map(|a| along_x[a] * c[1 + a]).sum();
        }
        if order < 2 {
            continue;
        }
        for (next, (y, along_y)) in active[..=at].iter().enumerate() {
            let pair = |a: usize| local.clone().map(|b| along_y[b] * c[4 + packed2(a, b)]).sum::<f64>();
            out.second[packed2(*x, *y)][i] = local.clone().map(|a| along_x[a] * pair(a)).sum();
            if order < 3 {
                continue;
            }
            for (z, along_z) in &active[..=next] {
                let triple =
                    |a: usize, b: usize| -> f64 { local.clone().map(|d| along_z[d] * c[10 + packed3(a, b, d)]).sum() };
                let double = |a: usize| -> f64 { local.clone().map(|b| along_y[b] * triple(a, b)).sum() };
                out.third[packed3(*x, *y, *z)][i] = local.clone().map(|a| along_x[a] * double(a)).sum();
            }
        }
    }
}

/// Derivatives of a family's log density by jets in its `K` predictors.
pub(super) fn by_jets<F: Density>(family: &F, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
    match F::PREDICTORS {
        1 => jets::<F, 1, 2, 3, 4>(family, rows, order, out),
        2 => jets::<F, 2, 3, 6, 10>(family, rows, order, out),
        3 => jets::<F, 3, 4, 10, 20>(family, rows, order, out),
        4 => jets::<F, 4, 5, 15, 35>(family, rows, order, out),
        k => panic!("a family with {k} predictors needs its line in by_jets"),
    }
}

fn jets<F: Density, const K: usize, const N1: usize, const N2: usize, const N3: usize>(
    family: &F,
    rows: Rows<'_>,
    order: usize,
    out: &mut Derivatives,
) {
    // The match below would be decided at compile time, but all its arms are compiled: skip those
    // of other families' K.
    if F::PREDICTORS != K {
        return;
    }
    match order {
        0 => spread_to::<K, 1, 0>(rows, out, |_, y, trials, eta: [f64; K]| [log_density(family, y, trials, &eta)]),
        1 => spread_to::<K, N1, 1>(rows, out, |_, y, trials, eta| jet(family, y, trials, eta)),
        2 => spread_to::<K, N2, 2>(rows, out, |_, y, trials, eta| jet(family, y, trials, eta)),
        _ => spread_to::<K, N3, 3>(rows, out, |_, y, trials, eta| jet(family, y, trials, eta)),
    }
}

#[inline(always)]
fn jet<F: Density, const K: usize, const N: usize>(family: &F, y: f64, trials: f64, eta: [f64; K]) -> [f64; N] {
    if !family.feasible(&eta) {
        return [f64::NEG_INFINITY; N];
    }
    let seeds: [Jet<K, N>; K] = std::array::from_fn(|k| Jet::variable(eta[k], k));
    family.log_density(y, trials, &seeds).coefficients
}

/// Log density of one row; −∞ where the predictors are infeasible.
pub(super) fn log_density<F: Density>(family: &F, y: f64, trials: f64, eta: &[f64]) -> f64 {
    if !family.feasible(eta) {
        return f64::NEG_INFINITY;
    }
    let value = family.log_density(y, trials, eta);
    if value.is_finite() { value } else { f64::NEG_INFINITY }
}

/// Value and gradient of a function of the predictors.
pub(super) fn with_gradient<F: Density>(
    family: &F,
    eta: &[f64],
    gradient: &mut [f64],
    quantity: &impl Quantity<F>,
) -> f64 {
    fn at<F: Density, const K: usize, const N: usize>(
        family: &F,
        eta: &[f64],
        gradient: &mut [f64],
        quantity: &impl Quantity<F>,
    ) -> f64 {
        let seeds: [Jet<K, N>; K] = std::array::from_fn(|k| Jet::variable(eta[k], k));
        let jet = quantity.of(family, &seeds);
        for k in 0..K {
            gradient[k] = jet.first(k);
        }
        jet.value()
    }
    match F::PREDICTORS {
        1 => at::<F, 1, 2>(family, eta, gradient, quantity),
        2 => at::<F, 2, 3>(family, eta, gradient, quantity),
        3 => at::<F, 3, 4>(family, eta, gradient, quantity),
        4 => at::<F, 4, 5>(family, eta, gradient, quantity),
        k => panic!("a family with {k} predictors needs its line in with_gradient"),
    }
}

/// A function of a family's predictors, such as its mean; what a generic closure would be.
pub(super) trait Quantity<F> {
    fn of<D: Number>(&self, family: &F, eta: &[D]) -> D;
}
