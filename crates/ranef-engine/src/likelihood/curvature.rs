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
    let mut a = vec![0.0; k * k];
    (0..rows).all(|row| {
        let entry = |i: usize, j: usize| w[packed2(i, j)].get(row).copied().unwrap_or(0.0);
        for j in 0..k {
            for i in 0..=j {
                a[i * k + j] = entry(i, j);
            }
        }
        eliminates(&mut a, k)
    })
}

/// Whether elimination meets no negative pivot, nor one of zero beside entries that are not, both up to rounding.
/// Works in the upper triangle of `a`, row after row.
fn eliminates(a: &mut [f64], size: usize) -> bool {
    let noise = 1e-14 * (0..size).map(|i| a[i * size + i].abs()).sum::<f64>();
    for pivot in 0..size {
        let d = a[pivot * size + pivot];
        if d < -noise {
            return false;
        }
        for j in pivot + 1..size {
            let along = a[pivot * size + j];
            if d <= noise {
                if along.abs() > noise {
                    return false;
                }
                continue;
            }
            if along != 0.0 {
                for i in pivot + 1..=j {
                    a[i * size + j] -= a[pivot * size + i] * along / d;
                }
            }
        }
    }
    true
}

/// Replaces each row's K x K matrix W (packed columns; an empty one is zero) by U |diag| U', where U diag U' is W.
///
/// The random part of the inner Hessian then always has a Cholesky factor. Jacobi rotations: K is small, but for the
/// thresholds of an ordinal response, of which a row has two at most.
pub fn make_semidefinite(w: &mut [Vec<f64>], k: usize) {
    let present: Vec<usize> = (0..k).filter(|&j| !w[packed2(j, j)].is_empty()).collect();
    let n = present.first().map_or(0, |&j| w[packed2(j, j)].len());
    let (mut a, mut reduced) = (Vec::new(), Vec::new());
    for row in 0..n {
        let entry = |i: usize, j: usize| w[packed2(i, j)].get(row).copied().unwrap_or(0.0);
        // Predictors that have no part in the row stay out of it.
        let used: Vec<usize> =
            present.iter().copied().filter(|&i| present.iter().any(|&j| entry(i, j) != 0.0)).collect();
        let size = used.len();
        a.clear();
        a.extend(used.iter().flat_map(|&i| used.iter().map(move |&j| (i, j))).map(|(i, j)| entry(i, j)));
        reduced.clone_from(&a);
        if eliminates(&mut reduced, size) {
            continue;
        }
        let b = absolute(&a, size);
        for (j, &column) in used.iter().enumerate() {
            for (i, &line) in used[..=j].iter().enumerate() {
                if let Some(target) = w[packed2(line, column)].get_mut(row) {
                    *target = b[i * size + j];
                }
            }
        }
    }
}

/// U |diag| U' by Jacobi's method, of a symmetric matrix given row after row.
fn absolute(matrix: &[f64], size: usize) -> Vec<f64> {
    let mut a = matrix.to_vec();
    let mut u = vec![0.0; size * size];
    (0..size).for_each(|i| u[i * size + i] = 1.0);
    for _ in 0..50 {
        let mut off = 0.0;
        for i in 0..size {
            for j in i + 1..size {
                let beside = a[i * size + j];
                off += beside * beside;
                if beside == 0.0 {
                    continue;
                }
                let theta = (a[j * size + j] - a[i * size + i]) / (2.0 * beside);
                let t = if theta >= 0.0 { 1.0 } else { -1.0 } / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                let turn = |m: &mut [f64], first: usize, second: usize| {
                    let (x, y) = (m[first], m[second]);
                    (m[first], m[second]) = (c * x - s * y, s * x + c * y);
                };
                for row in 0..size {
                    turn(&mut a, row * size + i, row * size + j);
                }
                for column in 0..size {
                    turn(&mut a, i * size + column, j * size + column);
                }
                for row in 0..size {
                    turn(&mut u, row * size + i, row * size + j);
                }
            }
        }
        let trace: f64 = (0..size).map(|i| a[i * size + i] * a[i * size + i]).sum();
        if off <= 1e-30 * trace {
            break;
        }
    }
    let mut out = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..size {
            out[i * size + j] = (0..size).map(|k| u[i * size + k] * a[k * size + k].abs() * u[j * size + k]).sum();
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

    #[test]
    fn a_predictor_without_curvature_stays_without() {
        // Packed as (0, 0), (0, 1), (1, 1): the second predictor has none.
        let mut w = vec![vec![-1.5, 0.25], Vec::new(), Vec::new()];
        make_semidefinite(&mut w, 2);
        assert_eq!(w, [vec![1.5, 0.25], Vec::new(), Vec::new()]);
    }
}
