//! An orthonormal basis of the fixed-effects columns: W^{1/2} X = Q R.
//!
//! With Q in place of X and the response projected off it, X'X = I and X'y = 0 hold exactly. That removes the
//! cancellation in the residual sum of squares and makes every result independent of the units and the centring of X.
//!
//! The factorisation is Cholesky QR, repeated until Q is orthonormal to rounding, with a shifted first pass when X is
//! badly conditioned: two passes over the data where Householder reflections would take many.
//!
//! Reference: Fukaya, Kannan, Nakatsukasa, Yamamoto & Yanagisawa (2020), SIAM J. Sci. Comput. 42(1), A477-A503.
use crate::linalg::{dense_cholesky, dot};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::sync::Arc;

/// Rows of one tile: a tile of ten columns then fits in the second-level cache.
pub const TILE: usize = 2048;

/// Q and the upper triangular R (p x p, column-major).
#[derive(Clone, Debug)]
pub struct Orthonormal {
    n: usize,
    p: usize,
    storage: Storage,
    r: Vec<f64>,
}

/// How Q is stored.
#[derive(Clone, Debug)]
enum Storage {
    /// In tiles of [`TILE`] rows, each tile column-major.
    Tiles(Vec<f64>),
    /// sqrt(n) Q, column-major: the columns of a design that has made them orthogonal already, not copied.
    Shared(Arc<Vec<f64>>),
}

impl Orthonormal {
    /// Factors the n x p column-major `x`, its rows multiplied by `root_weights`.
    ///
    /// # Errors
    /// The index of a column that depends on the columns before it.
    pub fn new(x: &[f64], n: usize, p: usize, root_weights: Option<&[f64]>) -> Result<Self, usize> {
        let mut tiles = Vec::with_capacity(n * p);
        for first in (0..n).step_by(TILE) {
            let rows = first..(first + TILE).min(n);
            for j in 0..p {
                let column = &x[j * n..][rows.clone()];
                match root_weights {
                    Some(s) => tiles.extend(column.iter().zip(&s[rows.clone()]).map(|(x, s)| x * s)),
                    None => tiles.extend_from_slice(column),
                }
            }
        }
        let mut basis = Self { n, p, storage: Storage::Tiles(tiles), r: Vec::new() };
        basis.orthonormalise()?;
        Ok(basis)
    }

    /// Shares the column-major `x` where X'X = n I to rounding and there are no weights; factors a copy elsewhere.
    ///
    /// # Errors
    /// The index of a column that depends on the columns before it.
    pub fn shared(x: &Arc<Vec<f64>>, n: usize, p: usize, root_weights: Option<&[f64]>) -> Result<Self, usize> {
        if root_weights.is_some() {
            return Self::new(x, n, p, root_weights);
        }
        let mut r = identity(p);
        r.iter_mut().for_each(|value| *value *= (n as f64).sqrt());
        let basis = Self { n, p, storage: Storage::Shared(x.clone()), r };
        if deviation(&basis.gram(), p) < tolerance(p) { Ok(basis) } else { Self::new(x, n, p, None) }
    }

    fn orthonormalise(&mut self) -> Result<(), usize> {
        /// Enough for columns that agree in fourteen digits.
        const PASSES: usize = 8;
        let p = self.p;
        self.r = identity(p);
        let mut norms = vec![1.0; p];
        for pass in 0..PASSES {
            let mut gram = self.gram();
            if pass == 0 {
                norms = (0..p).map(|j| gram[j * p + j].sqrt()).collect();
                if let Some(j) = norms.iter().position(|norm| !(*norm > 0.0 && norm.is_finite())) {
                    return Err(j);
                }
            }
            if deviation(&gram, p) < tolerance(p) || p == 0 {
                break;
            }
            // Relative to the columns' own lengths, which may differ by many orders on the first pass.
            let scale: Vec<f64> = (0..p).map(|j| gram[j * p + j].sqrt()).collect();
            for j in 0..p {
                for i in j..p {
                    gram[j * p + i] /= scale[i] * scale[j];
                }
            }
            let mut l = gram.clone();
            let smallest = dense_cholesky::factor_in_place(&mut l, p)
                .map(|()| (0..p).map(|j| l[j * p + j]).fold(f64::INFINITY, f64::min))
                .unwrap_or(0.0);
            if smallest < 1e-5 {
                l.copy_from_slice(&gram);
                (0..p).for_each(|j| l[j * p + j] += 1e-11 * p as f64);
                dense_cholesky::factor_in_place(&mut l, p)?;
            }
            for j in 0..p {
                for i in j..p {
                    l[j * p + i] *= scale[i];
                }
            }
            self.divide_by(&l);
            self.r = upper_product(&l, &self.r, p);
        }
        // A dependent column has been blown up from rounding errors: its pivot tells.
        match (0..p).find(|&j| self.r[j * p + j] < 1e-13 * (p as f64) * norms[j]) {
            Some(j) => Err(j),
            None => Ok(()),
        }
    }

    /// Q'Q, lower triangle; tiles are summed in order.
    fn gram(&self) -> Vec<f64> {
        let p = self.p;
        if p == 0 {
            return Vec::new();
        }
        let unit = self.unit() * self.unit();
        let starts: Vec<usize> = (0..self.n).step_by(TILE).collect();
        let parts: Vec<Vec<f64>> = starts
            .into_par_iter()
            .map(|first| {
                let mut gram = vec![0.0; p * p];
                let rows = TILE.min(self.n - first);
                let view = match &self.storage {
                    Storage::Tiles(tiles) => {
                        MatRef::from_column_major_slice(&tiles[first * p..(first + rows) * p], rows, p)
                    }
                    Storage::Shared(q) => MatRef::from_column_major_slice(q, self.n, p).subrows(first, rows),
                };
                triangular::matmul(
                    MatMut::from_column_major_slice_mut(&mut gram, p, p),
                    BlockStructure::TriangularLower,
                    Accum::Replace,
                    view.transpose(),
                    BlockStructure::Rectangular,
                    view,
                    BlockStructure::Rectangular,
                    unit,
                    Par::Seq,
                );
                gram
            })
            .collect();
        sum_in_order(parts, p * p)
    }

    /// Q = Q L^{-T}.
    fn divide_by(&mut self, l: &[f64]) {
        let p = self.p;
        let Storage::Tiles(tiles) = &mut self.storage else { unreachable!("shared columns are orthogonal already") };
        tiles.par_chunks_mut((TILE * p).max(1)).for_each(|tile| {
            let rows = tile.len() / p;
            let tile = MatMut::from_column_major_slice_mut(tile, rows, p);
            solve_lower_triangular_in_place(MatRef::from_column_major_slice(l, p, p), tile.transpose_mut(), Par::Seq);
        });
    }

    /// Number of columns.
    pub fn p(&self) -> usize {
        self.p
    }

    /// The rows of each tile.
    pub fn tiles(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let n = self.n;
        (0..n).step_by(TILE).map(move |first| first..(first + TILE).min(n))
    }

    /// Column c on the rows of one tile, divided by [`Orthonormal::unit`].
    pub fn column(&self, rows: &std::ops::Range<usize>, c: usize) -> &[f64] {
        match &self.storage {
            Storage::Tiles(tiles) => &tiles[rows.start * self.p + c * rows.len()..][..rows.len()],
            Storage::Shared(q) => &q[c * self.n..(c + 1) * self.n][rows.clone()],
        }
    }

    /// What stored columns are multiplied by.
    pub fn unit(&self) -> f64 {
        match self.storage {
            Storage::Tiles(_) => 1.0,
            Storage::Shared(_) => 1.0 / (self.n as f64).sqrt(),
        }
    }

    /// Replaces y by its part orthogonal to Q and returns the coefficients Q'y of the rest.
    pub fn project_off(&self, y: &mut [f64]) -> Vec<f64> {
        let p = self.p;
        let mut coefficients = vec![0.0; p];
        if p == 0 {
            return coefficients;
        }
        // Twice is enough (Giraud, Langou & Rozloznik 2005): the second pass removes what rounding left.
        for _ in 0..2 {
            let unit = self.unit();
            let rows = |k: usize, y: &[f64]| k * TILE..k * TILE + y.len();
            let parts: Vec<Vec<f64>> = (y.par_chunks(TILE).enumerate())
                .map(|(k, y)| (0..p).map(|c| unit * dot(self.column(&rows(k, y), c), y)).collect())
                .collect();
            let step = sum_in_order(parts, p);
            y.par_chunks_mut(TILE).enumerate().for_each(|(k, y)| {
                for (c, &step) in step.iter().enumerate() {
                    let scale = unit * step;
                    let rows = rows(k, y);
                    y.iter_mut().zip(self.column(&rows, c)).for_each(|(y, q)| *y -= scale * q);
                }
            });
            coefficients.iter_mut().zip(step).for_each(|(total, step)| *total += step);
        }
        coefficients
    }

    /// R^{-1}, upper triangular, p x p column-major.
    pub fn inverse_r(&self) -> Vec<f64> {
        let p = self.p;
        let mut inverse = identity(p);
        for c in 0..p {
            let x = &mut inverse[c * p..(c + 1) * p];
            for j in (0..=c).rev() {
                x[j] /= self.r[j * p + j];
                for i in 0..j {
                    x[i] -= self.r[j * p + i] * x[j];
                }
            }
        }
        inverse
    }

    /// log |R|.
    pub fn log_det_r(&self) -> f64 {
        (0..self.p).map(|j| self.r[j * self.p + j].ln()).sum()
    }
}

/// Largest deviation of a lower triangle from that of the identity.
fn deviation(gram: &[f64], p: usize) -> f64 {
    let lower = (0..p * p).filter(|k| k % p >= k / p);
    lower.map(|k| (gram[k] - f64::from(u8::from(k % p == k / p))).abs()).fold(0.0, f64::max)
}

/// What rounding leaves of that in p orthonormal columns.
fn tolerance(p: usize) -> f64 {
    1e-14 * (p as f64).max(4.0)
}

fn identity(p: usize) -> Vec<f64> {
    (0..p * p).map(|k| f64::from(u8::from(k % p == k / p))).collect()
}

/// L' R for lower triangular L and upper triangular R.
fn upper_product(l: &[f64], r: &[f64], p: usize) -> Vec<f64> {
    let mut out = vec![0.0; p * p];
    for j in 0..p {
        for i in 0..=j {
            out[j * p + i] = (i..=j).map(|k| l[i * p + k] * r[j * p + k]).sum();
        }
    }
    out
}

/// Adds up equally long vectors, always in the same order.
pub fn sum_in_order(parts: Vec<Vec<f64>>, length: usize) -> Vec<f64> {
    parts.into_iter().fold(vec![0.0; length], |mut total, part| {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        total
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn powers(n: usize, p: usize) -> Vec<f64> {
        (0..p).flat_map(|j| (0..n).map(move |i| (2000.0 + i as f64 / 10.0).powi(j as i32))).collect()
    }

    #[test]
    fn nearly_collinear_powers_of_a_year_become_orthonormal() {
        // The columns 1, year, year^2 have a condition number near 1e12; their product Q R must still be X.
        let (n, p) = (5000, 3);
        let x = powers(n, p);
        let basis = Orthonormal::new(&x, n, p, None).expect("full rank");
        let gram = basis.gram();
        for j in 0..p {
            for i in j..p {
                let expected = f64::from(u8::from(i == j));
                assert!((gram[j * p + i] - expected).abs() < 1e-13, "({i}, {j}): {}", gram[j * p + i]);
            }
        }
        for rows in basis.tiles() {
            for (k, i) in rows.clone().enumerate() {
                for j in 0..p {
                    let value: f64 = (0..=j).map(|c| basis.column(&rows, c)[k] * basis.r[j * p + c]).sum();
                    assert!((value / x[j * n + i] - 1.0).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn a_dependent_column_is_refused() {
        let n = 100;
        let mut x = powers(n, 2);
        let dependent: Vec<f64> = (0..n).map(|i| 3.0 * x[i] - 0.5 * x[n + i]).collect();
        x.extend(dependent);
        assert_eq!(Orthonormal::new(&x, n, 3, None).unwrap_err(), 2);
    }
}
