//! The Cholesky factor of M: first the factor with most effects, level by level; then the Schur complement of all other
//! effects; the border last.
//!
//! With L the factor of the random part and C the border,  V = L^{-1} C  and  S = E - V'V  is the border's Schur
//! complement, so that
//!
//! ```text
//! M = [ L   0   ] [ L'  V   ]
//!     [ V'  L_S ] [ 0   L_S' ] .
//! ```
use super::leading::Leading;
use super::remainder::{self, Remainder};
use super::root::RootedCorrelation;
use super::{BlockMatrix, PARALLEL_WORK, Pattern, Tie, dense_cholesky};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::sync::Arc;
use thiserror::Error;

/// Where a matrix turned out not to be positive definite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a level of a grouping factor.
    Effect {
        /// The grouping factor.
        factor: usize,
        /// Its level.
        level: usize,
    },
    /// At a column of the border, given all random effects.
    Border {
        /// The column.
        column: usize,
    },
}

/// A matrix that has no Cholesky factor.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the penalised cross-product matrix is not positive definite at {place:?}")]
pub struct NotPositiveDefinite {
    /// The first pivot that was not positive.
    pub place: Place,
}

/// A reusable Cholesky factorisation on one [`Pattern`].
#[derive(Clone, Debug)]
pub struct Factorization {
    pub(super) pattern: Arc<Pattern>,
    pub(super) ranks: Vec<usize>,
    pub(super) offsets: Vec<usize>,
    pub(super) leading: Option<Leading>,
    pub(super) remainder: Remainder,
    /// V, q x P column-major, the leading effects before the remaining ones.
    pub(super) border: Vec<f64>,
    /// L_S, P x P.
    pub(super) corner: Vec<f64>,
}

impl Factorization {
    /// Symbolic analysis for blocks of `ranks[f]` effects for each level of factor f.
    pub fn new(pattern: Arc<Pattern>, ranks: &[usize]) -> Self {
        let offsets = pattern.offsets(ranks);
        // Ties go to the first factor, so that the choice never depends on chance.
        let alone = |f: &usize| matches!(pattern.tie(*f), Tie::None | Tie::Free);
        let first = (0..pattern.n_factors()).rev().filter(alone).max_by_key(|&f| pattern.levels(f) * ranks[f]);
        let mut leading = first.map(|factor| {
            let starts = remainder::offsets(&pattern, ranks, first);
            Leading::new(&pattern, ranks, factor, |f, level, component| {
                (starts[f] + level * ranks[f] + component) as u32
            })
        });
        if let Some(leading) = &mut leading {
            leading.precision = if matches!(pattern.tie(leading.factor), Tie::Free) { 0.0 } else { 1.0 };
        }
        if leading.is_none() && pattern.n_factors() > 0 {
            leading = Some(Leading::none());
        }
        let remainder = Remainder::new(&pattern, ranks, leading.as_mut());
        let (q, p) = (offsets[pattern.n_factors()], pattern.border());
        Self {
            ranks: ranks.to_vec(),
            offsets,
            leading,
            remainder,
            border: vec![0.0; q * p],
            corner: vec![0.0; p * p],
            pattern,
        }
    }

    /// The pattern this was made for.
    pub fn pattern(&self) -> &Arc<Pattern> {
        &self.pattern
    }

    /// Number of effects for each level of each factor.
    pub fn ranks(&self) -> &[usize] {
        &self.ranks
    }

    /// Number q of random effects.
    pub fn n_random(&self) -> usize {
        self.offsets[self.pattern.n_factors()]
    }

    /// Whether a factorisation takes longer than many passes over `rows` rows: where a large dense matrix is left.
    pub fn is_costly(&self, rows: usize) -> bool {
        self.remainder.dense_work() > 1000.0 * rows as f64
    }

    /// Sets the prior correlation R = L L' of a factor's effects, block after block; M is then Lambda' B Lambda + R^{-1}
    /// there. A determinant counts that of R in.
    pub fn set_correlation(&mut self, factor: usize, blocks: &[Arc<RootedCorrelation>]) {
        self.remainder.set_correlation(factor, blocks);
    }

    /// Factors M, given Lambda' B Lambda with its border and corner; the identity is added here for the factors whose
    /// levels stand alone (not for free ones). A sparse prior precision is part of what is given.
    ///
    /// # Errors
    /// [`NotPositiveDefinite`] with the place of the offending pivot; the factorisation is then unusable until the
    /// next success.
    pub fn factor(&mut self, h: &BlockMatrix) -> Result<(), NotPositiveDefinite> {
        if let Some(leading) = &mut self.leading {
            let factor = leading.factor;
            leading.factor(h).map_err(|level| NotPositiveDefinite { place: Place::Effect { factor, level } })?;
            if self.remainder.order() > 0 {
                self.remainder.factor(&self.pattern, h, leading).map_err(|place| {
                    let (factor, level) = self.remainder.effect_at(place).unwrap_or((factor, 0));
                    NotPositiveDefinite { place: Place::Effect { factor, level } }
                })?;
            }
        }
        self.factor_border(h)
    }

    fn factor_border(&mut self, h: &BlockMatrix) -> Result<(), NotPositiveDefinite> {
        let (q, p) = (self.n_random(), self.pattern.border());
        let mut border = std::mem::take(&mut self.border);
        for f in 0..self.pattern.n_factors() {
            let r = self.ranks[f];
            for level in 0..self.pattern.levels(f) {
                for a in 0..r {
                    let row = self.internal_place(f, level, a);
                    for c in 0..p {
                        border[c * q + row] = h.border[f][(level * p + c) * r + a];
                    }
                }
            }
        }
        self.forward(&mut border, p);
        self.border = border;
        self.corner.copy_from_slice(&h.corner);
        subtract_gram(&self.border, q, p, &mut self.corner);
        dense_cholesky::factor_in_place(&mut self.corner, p)
            .map_err(|column| NotPositiveDefinite { place: Place::Border { column } })
    }

    /// log of the determinant of the random part of M.
    pub fn log_det(&self) -> f64 {
        self.leading.as_ref().map_or(0.0, |leading| leading.log_det() + self.remainder.log_det())
    }

    /// log of the determinant of the border's Schur complement.
    pub fn log_det_border(&self) -> f64 {
        let p = self.pattern.border();
        2.0 * self.corner.iter().step_by(p + 1).map(|pivot| pivot.ln()).sum::<f64>()
    }

    /// The Cholesky factor of the border's Schur complement, P x P column-major, lower triangle.
    pub fn border_factor(&self) -> &[f64] {
        &self.corner
    }

    /// Solves M x = rhs for `n_rhs` columns of length q + P.
    pub fn solve_in_place(&self, rhs: &mut [f64], n_rhs: usize) {
        let (q, p) = (self.n_random(), self.pattern.border());
        let mut x = self.gathered(rhs, n_rhs, q + p);
        self.forward(&mut x, n_rhs);
        for c in 0..n_rhs {
            let x = &mut x[c * q..(c + 1) * q];
            let tail = &mut rhs[c * (q + p) + q..(c + 1) * (q + p)];
            for (k, value) in tail.iter_mut().enumerate() {
                *value -= dot(&self.border[k * q..(k + 1) * q], x);
            }
            dense_cholesky::forward_in_place(&self.corner, p, tail, 1, p);
            dense_cholesky::backward_in_place(&self.corner, p, tail, 1, p);
            for (k, value) in tail.iter().enumerate() {
                x.iter_mut().zip(&self.border[k * q..(k + 1) * q]).for_each(|(x, v)| *x -= v * value);
            }
        }
        self.backward(&mut x, n_rhs);
        self.scatter(&x, rhs, n_rhs, q + p);
    }

    /// Solves the random part alone for `n_rhs` columns of length q.
    pub fn solve_random_in_place(&self, rhs: &mut [f64], n_rhs: usize) {
        let q = self.n_random();
        let mut x = self.gathered(rhs, n_rhs, q);
        self.forward(&mut x, n_rhs);
        self.backward(&mut x, n_rhs);
        self.scatter(&x, rhs, n_rhs, q);
    }

    /// Number of leading effects: they come first inside, in the caller's order.
    fn n_leading(&self) -> usize {
        self.leading.as_ref().map_or(0, |leading| leading.levels * leading.rank)
    }

    /// Where an effect stands inside.
    pub(super) fn internal_place(&self, factor: usize, level: usize, component: usize) -> usize {
        match &self.leading {
            Some(leading) if leading.factor == factor => level * leading.rank + component,
            _ => self.n_leading() + self.remainder.place(factor, level, component),
        }
    }

    /// Calls `copy(inside, outside)` with the place of every effect inside and in the caller's vectors.
    fn each_place(&self, mut copy: impl FnMut(usize, usize)) {
        if let Some(leading) = &self.leading {
            (0..self.n_leading()).for_each(|k| copy(k, self.offsets[leading.factor] + k));
        }
        let (mut number, first) = (0, self.n_leading());
        for &factor in self.remainder.factors() {
            for outside in self.offsets[factor]..self.offsets[factor + 1] {
                copy(first + self.remainder.position[number] as usize, outside);
                number += 1;
            }
        }
    }

    fn gathered(&self, rhs: &[f64], n_rhs: usize, stride: usize) -> Vec<f64> {
        let q = self.n_random();
        let mut x = vec![0.0; q * n_rhs];
        for c in 0..n_rhs {
            self.each_place(|inside, outside| x[c * q + inside] = rhs[c * stride + outside]);
        }
        x
    }

    fn scatter(&self, x: &[f64], rhs: &mut [f64], n_rhs: usize, stride: usize) {
        let q = self.n_random();
        for c in 0..n_rhs {
            self.each_place(|inside, outside| rhs[c * stride + outside] = x[c * q + inside]);
        }
    }

    /// X = L^{-1} X for the random part, rows in the inside order.
    fn forward(&self, x: &mut [f64], n_rhs: usize) {
        let (Some(leading), q, first) = (&self.leading, self.n_random(), self.n_leading()) else { return };
        each_column(x, q, leading.is_dense(), |columns| leading.forward(columns, q));
        if self.remainder.order() > 0 && n_rhs > 0 {
            self.remainder.forward_in_place(&mut x[first..], n_rhs, q);
        }
    }

    /// X = L^{-T} X for the random part, rows in the inside order.
    pub(super) fn backward(&self, x: &mut [f64], n_rhs: usize) {
        let (Some(leading), q, first) = (&self.leading, self.n_random(), self.n_leading()) else { return };
        if self.remainder.order() > 0 && n_rhs > 0 {
            self.remainder.backward_in_place(&mut x[first..], n_rhs, q);
        }
        each_column(x, q, leading.is_dense(), |columns| leading.backward(columns, q));
    }
}

/// Runs over groups of columns of length q, in parallel when there is enough to do.
fn each_column(x: &mut [f64], q: usize, dense: bool, run: impl Fn(&mut [f64]) + Sync + Send) {
    // Columns that share one pass over the levels; products with a dense coupling want more of them.
    let together = if dense { 16 } else { 4 };
    if x.len() > PARALLEL_WORK {
        x.par_chunks_mut(together * q).for_each(run);
    } else if !x.is_empty() {
        run(x);
    }
}

/// corner -= V'V, lower triangle, for V q x p.
fn subtract_gram(v: &[f64], q: usize, p: usize, corner: &mut [f64]) {
    if q == 0 || p == 0 {
        return;
    }
    if p < 8 {
        for j in 0..p {
            for i in j..p {
                corner[j * p + i] -= dot(&v[i * q..(i + 1) * q], &v[j * q..(j + 1) * q]);
            }
        }
        return;
    }
    let v = MatRef::from_column_major_slice(v, q, p);
    triangular::matmul(
        MatMut::from_column_major_slice_mut(corner, p, p),
        BlockStructure::TriangularLower,
        Accum::Add,
        v.transpose(),
        BlockStructure::Rectangular,
        v,
        BlockStructure::Rectangular,
        -1.0,
        Par::Seq,
    );
}

/// Four partial sums: the compiler may then use vector registers, and the order of summation is fixed.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (mut sums, mut rest) = ([0.0; 4], 0.0);
    let (chunks_a, chunks_b) = (a.chunks_exact(4), b.chunks_exact(4));
    for (a, b) in chunks_a.remainder().iter().zip(chunks_b.remainder()) {
        rest += a * b;
    }
    for (a, b) in chunks_a.zip(chunks_b) {
        for k in 0..4 {
            sums[k] += a[k] * b[k];
        }
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// The sum of the values, in the order of [`dot`] with ones.
pub(crate) fn sum(values: &[f64]) -> f64 {
    let chunks = values.chunks_exact(4);
    let rest: f64 = chunks.remainder().iter().sum();
    let mut sums = [0.0; 4];
    for chunk in chunks {
        (0..4).for_each(|k| sums[k] += chunk[k]);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}
