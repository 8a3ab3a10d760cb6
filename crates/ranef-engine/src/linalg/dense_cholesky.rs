//! Cholesky factor, solutions and inverse of one dense matrix: plain loops when it is tiny, faer otherwise.
use super::small_cholesky;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::prelude::default;
use faer::{MatMut, MatRef, Par};

/// Up to this order the plain loops are faster than the call into faer.
const SMALL: usize = 16;

/// From this order on faer's kernels share their work between the threads of the current pool.
const PARALLEL: usize = 512;

fn parallelism(n: usize) -> Par {
    if n < PARALLEL { Par::Seq } else { Par::rayon(0) }
}

/// Solutions for few columns are not worth sharing.
fn of_columns(n: usize, columns: usize) -> Par {
    if columns < 64 { Par::Seq } else { parallelism(n) }
}

/// Overwrites the lower triangle of the n x n column-major `a` with its Cholesky factor. On failure the index of the
/// pivot that was not positive.
pub fn factor_in_place(a: &mut [f64], n: usize) -> Result<(), usize> {
    if n <= SMALL {
        return small_cholesky::factor_in_place(a, n);
    }
    let par = parallelism(n);
    let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(n, par, default()));
    llt::factor::cholesky_in_place(
        MatMut::from_column_major_slice_mut(a, n, n),
        default(),
        par,
        MemStack::new(&mut memory),
        default(),
    )
    .map_err(|llt::factor::LltError::NonPositivePivot { index }| index)?;
    // faer's blocked kernel may carry a NaN through without a word.
    match (0..n).find(|j| !a[j * n + j].is_finite()) {
        Some(j) => Err(j),
        None => Ok(()),
    }
}

/// X = L^{-1} X for `columns` columns of length n, the first entries of columns `stride` apart.
pub fn forward_in_place(l: &[f64], n: usize, x: &mut [f64], columns: usize, stride: usize) {
    if n == 0 {
        return;
    }
    if n <= SMALL {
        for c in 0..columns {
            small_cholesky::forward_in_place(l, &mut x[c * stride..], n);
        }
    } else {
        let x = MatMut::from_column_major_slice_with_stride_mut(x, n, columns, stride);
        solve_lower_triangular_in_place(MatRef::from_column_major_slice(l, n, n), x, of_columns(n, columns));
    }
}

/// X = L^{-T} X, laid out as in [`forward_in_place`].
pub fn backward_in_place(l: &[f64], n: usize, x: &mut [f64], columns: usize, stride: usize) {
    if n == 0 {
        return;
    }
    if n <= SMALL {
        for c in 0..columns {
            small_cholesky::backward_in_place(l, &mut x[c * stride..], n);
        }
    } else {
        let x = MatMut::from_column_major_slice_with_stride_mut(x, n, columns, stride);
        solve_upper_triangular_in_place(
            MatRef::from_column_major_slice(l, n, n).transpose(),
            x,
            of_columns(n, columns),
        );
    }
}

/// (L L')^{-1}, both triangles.
pub fn inverse(l: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    if n <= SMALL {
        small_cholesky::inverse_into(l, &mut out, n);
    } else {
        let par = parallelism(n);
        let mut memory = MemBuffer::new(llt::inverse::inverse_scratch::<f64>(n, par));
        llt::inverse::inverse(
            MatMut::from_column_major_slice_mut(&mut out, n, n),
            MatRef::from_column_major_slice(l, n, n),
            par,
            MemStack::new(&mut memory),
        );
        mirror(&mut out, n);
    }
    out
}

/// Copies the lower triangle to the upper, tile by tile: a whole row at a time would miss the cache at every step.
fn mirror(a: &mut [f64], n: usize) {
    const TILE: usize = 32;
    for first_column in (0..n).step_by(TILE) {
        for first_row in (first_column..n).step_by(TILE) {
            for j in first_column..(first_column + TILE).min(n) {
                for i in first_row.max(j + 1)..(first_row + TILE).min(n) {
                    a[i * n + j] = a[j * n + i];
                }
            }
        }
    }
}

/// Transposes an m x m matrix, tile by tile as in [`mirror`].
pub fn transpose_in_place(x: &mut [f64], m: usize) {
    const TILE: usize = 32;
    for column in (0..m).step_by(TILE) {
        for row in (column..m).step_by(TILE) {
            for j in column..(column + TILE).min(m) {
                for i in row.max(j + 1)..(row + TILE).min(m) {
                    x.swap(j * m + i, i * m + j);
                }
            }
        }
    }
}
