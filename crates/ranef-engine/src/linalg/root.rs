//! Effects that are correlated before any data, in the coordinates in which they are not.
//!
//! With R = L L' the prior correlation of a block of effects c and S0 what the data say about them, M = S0 + R^{-1} is
//! never formed: c = L w gives
//!
//! ```text
//! L' M L = L' S0 L + I ,   M^{-1} = L (L' S0 L + I)^{-1} L' ,   log|M| + log|R| = log|L' S0 L + I| ,
//! ```
//!
//! which stays well conditioned where R is nearly singular, as that of a smooth field is.
use super::dense_cholesky;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use std::sync::Arc;

/// A correlation and its root, R = L L'; column-major, what stands above the diagonals is not read.
#[derive(Debug, Default)]
pub struct RootedCorrelation {
    /// R.
    pub values: Vec<f64>,
    /// L.
    pub root: Vec<f64>,
}

/// The root of one block, and where the block stands in the matrix.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its grouping factor.
    pub factor: usize,
    /// Its first row.
    pub first: usize,
    /// Its number of rows.
    pub size: usize,
    /// R and L.
    pub correlation: Arc<RootedCorrelation>,
}

/// From this order on products share their work between the threads of the current pool.
const PARALLEL: usize = 512;

pub fn parallelism(n: usize) -> Par {
    if n < PARALLEL { Par::Seq } else { Par::rayon(0) }
}

impl Root {
    /// L.
    pub fn lower_values(&self) -> &[f64] {
        &self.correlation.root
    }

    fn lower(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(self.lower_values(), self.size, self.size)
    }

    /// M <- T' M T + I on the block's rows, where T is L there and the identity elsewhere; lower triangle of an m x m M.
    pub fn apply(&self, matrix: &mut [f64], m: usize) {
        let (a, s) = (self.first, self.size);
        let par = parallelism(s);
        let mut block = vec![0.0; s * s];
        let mut diagonal = true;
        for j in 0..s {
            for i in j..s {
                let value = matrix[(a + j) * m + a + i];
                diagonal &= i == j || value == 0.0;
                block[j * s + i] = value;
                block[i * s + j] = value;
            }
        }
        let mut half = vec![0.0; s * s];
        let structure = if diagonal {
            for j in 0..s {
                for i in j..s {
                    half[j * s + i] = block[i * s + i] * self.lower_values()[j * s + i];
                }
            }
            BlockStructure::TriangularLower
        } else {
            multiply(
                &mut half,
                (BlockStructure::Rectangular, s, s),
                (MatRef::from_column_major_slice(&block, s, s), BlockStructure::Rectangular),
                (self.lower(), BlockStructure::TriangularLower),
                par,
            );
            BlockStructure::Rectangular
        };
        multiply(
            &mut block,
            (BlockStructure::TriangularLower, s, s),
            (self.lower().transpose(), BlockStructure::TriangularUpper),
            (MatRef::from_column_major_slice(&half, s, s), structure),
            par,
        );
        for j in 0..s {
            let column = &mut matrix[(a + j) * m + a..][..s];
            column[j..].copy_from_slice(&block[j * s + j..(j + 1) * s]);
            column[j] += 1.0;
        }
        if a > 0 {
            self.forward(&mut matrix[a..], a, m);
        }
        let below = m - a - s;
        if below > 0 {
            let old: Vec<f64> =
                (0..s).flat_map(|j| matrix[(a + j) * m + a + s..(a + j + 1) * m].iter().copied()).collect();
            let mut new = vec![0.0; below * s];
            multiply(
                &mut new,
                (BlockStructure::Rectangular, below, s),
                (MatRef::from_column_major_slice(&old, below, s), BlockStructure::Rectangular),
                (self.lower(), BlockStructure::TriangularLower),
                par,
            );
            for (j, column) in new.chunks_exact(below).enumerate() {
                matrix[(a + j) * m + a + s..(a + j + 1) * m].copy_from_slice(column);
            }
        }
    }

    /// X = L' X for the block's rows of `columns` columns, the first entries of columns `stride` apart.
    pub fn forward(&self, x: &mut [f64], columns: usize, stride: usize) {
        self.times(x, columns, stride, (self.lower().transpose(), BlockStructure::TriangularUpper));
    }

    /// X = L X, laid out as in [`Root::forward`].
    pub fn backward(&self, x: &mut [f64], columns: usize, stride: usize) {
        self.times(x, columns, stride, (self.lower(), BlockStructure::TriangularLower));
    }

    fn times(&self, x: &mut [f64], columns: usize, stride: usize, left: (MatRef<'_, f64>, BlockStructure)) {
        let s = self.size;
        let old: Vec<f64> = (0..columns).flat_map(|c| x[c * stride..][..s].iter().copied()).collect();
        let mut new = vec![0.0; s * columns];
        multiply(
            &mut new,
            (BlockStructure::Rectangular, s, columns),
            left,
            (MatRef::from_column_major_slice(&old, s, columns), BlockStructure::Rectangular),
            if columns > 8 { parallelism(s) } else { Par::Seq },
        );
        for (c, column) in new.chunks_exact(s).enumerate() {
            x[c * stride..][..s].copy_from_slice(column);
        }
    }

    /// The diagonal of L Z L' for a symmetric Z of the block's order.
    pub fn outer_diagonal(&self, z: &[f64]) -> Vec<f64> {
        let s = self.size;
        let mut half = z.to_vec();
        self.backward(&mut half, s, s);
        (0..s).map(|i| (0..=i).map(|j| half[j * s + i] * self.lower_values()[j * s + i]).sum()).collect()
    }

    /// Z <- T Z T' for a symmetric m x m matrix with both triangles.
    pub fn outer(&self, z: &mut [f64], m: usize) {
        let (a, s) = (self.first, self.size);
        self.backward(&mut z[a..], m, m);
        // The rows of T Z, times T' on the right: (T Z T')' = T (T Z)'.
        let mut rows = vec![0.0; m * s];
        for j in 0..m {
            for i in 0..s {
                rows[i * m + j] = z[j * m + a + i];
            }
        }
        self.backward(&mut rows[a..], s, m);
        for (i, row) in rows.chunks_exact(m).enumerate() {
            z[(a + i) * m..(a + i + 1) * m].copy_from_slice(row);
        }
    }

    /// K = R^{-1} - R^{-1} M^{-1} R^{-1} = L^{-T} (I - Z) L^{-1}, given Z = L^{-1} M^{-1} L^{-T}: what is left of the precision
    /// R^{-1} where the effects are known only through the data.
    pub fn marginal_precision(&self, mut z: Vec<f64>) -> Vec<f64> {
        let s = self.size;
        z.iter_mut().for_each(|value| *value = -*value);
        z.iter_mut().step_by(s + 1).for_each(|value| *value += 1.0);
        dense_cholesky::backward_in_place(self.lower_values(), s, &mut z, s, s);
        dense_cholesky::transpose_in_place(&mut z, s);
        dense_cholesky::backward_in_place(self.lower_values(), s, &mut z, s, s);
        z
    }

    /// The block's part of an m x m matrix.
    pub fn block(&self, z: &[f64], m: usize) -> Vec<f64> {
        (0..self.size).flat_map(|j| z[(self.first + j) * m + self.first..][..self.size].iter().copied()).collect()
    }
}

/// out = left right, with what is known of the zeros of each.
pub fn multiply(
    out: &mut [f64],
    shape: (BlockStructure, usize, usize),
    left: (MatRef<'_, f64>, BlockStructure),
    right: (MatRef<'_, f64>, BlockStructure),
    par: Par,
) {
    let (structure, rows, columns) = shape;
    let out = MatMut::from_column_major_slice_mut(out, rows, columns);
    triangular::matmul(out, structure, Accum::Replace, left.0, left.1, right.0, right.1, 1.0, par);
}
