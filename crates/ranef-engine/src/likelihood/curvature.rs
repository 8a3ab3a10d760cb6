//! Nearest positive semidefinite version of a row's small curvature matrix.

use crate::family::packed2;

/// Whether W of every row is positive semidefinite.
pub fn is_semidefinite(w: &[Vec<f64>], k: usize) -> bool {
    // One predictor or two are most models, and decided at sight.
    if let [w] = w {
        return w.iter().all(|&w| w >= 0.0);
    }
    if let [a, b, c] = w
        && a.len() == c.len()
        && a.len() == b.len()
    {
        let definite = |((a, b), c): ((&f64, &f64), &f64)| *a >= 0.0 && *c >= 0.0 && a * c >= b * b;
        if a.iter().zip(b).zip(c).all(definite) {
            return true;
        }
    }
    let rows = w.iter().map(Vec::len).max().unwrap_or(0);
    (0..rows).all(|row| {
        let entry = |i: usize, j: usize| w[packed2(i, j)].get(row).copied().unwrap_or(0.0);
        let mut a = [[0.0; 8]; 8];
        for j in 0..k {
            for i in 0..=j {
                a[i][j] = entry(i, j);
            }
        }
        eliminates(&mut a, k)
    })
}

/// Whether elimination meets no negative pivot, nor one of zero beside entries that are not, both up to rounding.
fn eliminates(a: &mut [[f64; 8]; 8], size: usize) -> bool {
    let noise = 1e-14 * (0..size).map(|i| a[i][i].abs()).sum::<f64>();
    for pivot in 0..size {
        let d = a[pivot][pivot];
        if d < -noise {
            return false;
        }
        for j in pivot + 1..size {
            if d <= noise {
                if a[pivot][j].abs() > noise {
                    return false;
                }
                continue;
            }
            for i in pivot + 1..=j {
                a[i][j] -= a[pivot][i] * a[pivot][j] / d;
            }
        }
    }
    true
}

/// Replaces each row's K x K matrix W (packed columns; an empty one is zero) by U |diag| U', where U diag U' is W.
///
/// The random part of the inner Hessian then always has a Cholesky factor. Jacobi rotations: K is
/// at most four.
pub fn make_semidefinite(w: &mut [Vec<f64>], k: usize) {
    let present: Vec<usize> = (0..k).filter(|&j| !w[packed2(j, j)].is_empty()).collect();
    let size = present.len();
    let n = present.first().map_or(0, |&j| w[packed2(j, j)].len());
    let index = |a: usize, b: usize| packed2(present[a], present[b]);
    let mut a = [[0.0; 8]; 8];
    for row in 0..n {
        for i in 0..size {
            for j in 0..size {
                let column = &w[index(i, j)];
                a[i][j] = if column.is_empty() { 0.0 } else { column[row] };
            }
        }
        if eliminates(&mut a.clone(), size) {
            continue;
        }
        let b = absolute(&a, size);
        for j in 0..size {
            for i in 0..=j {
                let column = &mut w[index(i, j)];
                if !column.is_empty() {
                    column[row] = b[i][j];
                }
            }
        }
    }
}

/// U |diag| U' by Jacobi's method.
fn absolute(matrix: &[[f64; 8]; 8], size: usize) -> [[f64; 8]; 8] {
    let mut a = *matrix;
    let mut u = [[0.0; 8]; 8];
    for (i, row) in u.iter_mut().enumerate() {
        row[i] = 1.0;
    }
    for _ in 0..50 {
        let mut off = 0.0;
        for i in 0..size {
            for j in i + 1..size {
                off += a[i][j] * a[i][j];
                if a[i][j] == 0.0 {
                    continue;
                }
                let theta = (a[j][j] - a[i][i]) / (2.0 * a[i][j]);
                let t = if theta >= 0.0 { 1.0 } else { -1.0 } / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in 0..size {
                    let (x, y) = (a[row][i], a[row][j]);
                    (a[row][i], a[row][j]) = (c * x - s * y, s * x + c * y);
                }
                for column in 0..size {
                    let (x, y) = (a[i][column], a[j][column]);
                    (a[i][column], a[j][column]) = (c * x - s * y, s * x + c * y);
                }
                for row in 0..size {
                    let (x, y) = (u[row][i], u[row][j]);
                    (u[row][i], u[row][j]) = (c * x - s * y, s * x + c * y);
                }
            }
        }
        let trace: f64 = (0..size).map(|i| a[i][i] * a[i][i]).sum();
        if off <= 1e-30 * trace {
            break;
        }
    }
    let mut out = [[0.0; 8]; 8];
    for i in 0..size {
        for j in 0..size {
            out[i][j] = (0..size).map(|k| u[i][k] * a[k][k].abs() * u[j][k]).sum();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{is_semidefinite, make_semidefinite};

    #[test]
    fn an_indefinite_row_becomes_its_absolute_value_and_a_definite_one_stays() {
        // [[1, 2], [2, 1]] has eigenvalues 3 and -1; its absolute value is [[2, 1], [1, 2]].
        let mut w = vec![vec![1.0, 2.0], vec![2.0, 0.5], vec![1.0, 3.0]];
        assert!(!is_semidefinite(&w, 2));
        make_semidefinite(&mut w, 2);
        assert!(is_semidefinite(&w, 2));
        for (column, expected) in w.iter().zip([[2.0, 2.0], [1.0, 0.5], [2.0, 3.0]]) {
            for (value, expected) in column.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-14);
            }
        }
    }
}
