//! Eigenvalues and singular values of small matrices by Jacobi rotations.
//!
//! A covariance of a few random effects has a few rows: there a handful of rotations on the stack of one sweep costs less
//! than a blocked decomposition needs to set itself up, and small values keep their relative accuracy. Larger matrices go
//! to faer.
//!
//! Reference: Golub & Van Loan (2013), Matrix Computations, sections 8.5 (symmetric) and 8.6.3 (one-sided, Hestenes);
//! Demmel & Veselic (1992), SIAM J. Matrix Anal. Appl. 13, 1204-1245 (accuracy).
use faer::{MatRef, Side};

/// Above this many columns faer is faster.
const SMALL: usize = 8;
/// A sweep that finds every pair of columns orthogonal to this, relative to their lengths, is the last.
const ORTHOGONAL: f64 = f64::EPSILON;
const MAX_SWEEPS: usize = 60;

/// A = V diag(values) V'.
#[derive(Clone, Debug)]
pub(crate) struct SymmetricEigen {
    /// Ascending.
    pub values: Vec<f64>,
    /// Orthonormal, column after column, in the order of the values.
    pub vectors: Vec<f64>,
}

/// A = U diag(values) V'.
#[derive(Clone, Debug)]
pub(crate) struct SingularValues {
    /// Descending.
    pub values: Vec<f64>,
    /// m x n, orthonormal columns where the value is not zero.
    pub left: Vec<f64>,
    /// n x n, orthonormal.
    pub right: Vec<f64>,
}

/// Decomposes a finite symmetric n x n matrix, column-major.
pub(crate) fn symmetric_eigen(a: &[f64], n: usize) -> SymmetricEigen {
    if n > SMALL {
        let decomposition = MatRef::from_column_major_slice(a, n, n)
            .self_adjoint_eigen(Side::Lower)
            .expect("a finite symmetric matrix has eigenvalues");
        let values = (0..n).map(|k| decomposition.S()[k]).collect();
        let vectors = (0..n * n).map(|at| decomposition.U()[(at % n, at / n)]).collect();
        return SymmetricEigen { values, vectors };
    }
    let (mut a, mut v) = (a.to_vec(), identity(n));
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for q in 1..n {
            for p in 0..q {
                let (app, aqq, apq) = (a[p * n + p], a[q * n + q], a[q * n + p]);
                if apq == 0.0 || apq.abs() <= ORTHOGONAL * (app * aqq).abs().sqrt().max(f64::MIN_POSITIVE) {
                    continue;
                }
                rotated = true;
                let (c, s) = rotation(app, aqq, apq);
                rotate(&mut a, n, p, q, c, s);
                for k in 0..n {
                    let (akp, akq) = (a[k * n + p], a[k * n + q]);
                    (a[k * n + p], a[k * n + q]) = (c * akp - s * akq, s * akp + c * akq);
                }
                (a[q * n + p], a[p * n + q]) = (0.0, 0.0);
                rotate(&mut v, n, p, q, c, s);
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j]));
    SymmetricEigen {
        values: order.iter().map(|&k| a[k * n + k]).collect(),
        vectors: order.iter().flat_map(|&k| v[k * n..(k + 1) * n].iter().copied()).collect(),
    }
}

/// Decomposes a finite m x n matrix, column-major, m >= n.
pub(crate) fn singular_values(a: &[f64], m: usize, n: usize) -> SingularValues {
    let (mut u, mut v) = (a.to_vec(), identity(n));
    if n > SMALL {
        let svd = MatRef::from_column_major_slice(a, m, n).thin_svd().expect("a finite matrix has singular values");
        return SingularValues {
            values: (0..n).map(|k| svd.S()[k]).collect(),
            left: (0..m * n).map(|at| svd.U()[(at % m, at / m)]).collect(),
            right: (0..n * n).map(|at| svd.V()[(at % n, at / n)]).collect(),
        };
    }
    let product = |u: &[f64], p: usize, q: usize| -> f64 { (0..m).map(|i| u[p * m + i] * u[q * m + i]).sum() };
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for q in 1..n {
            for p in 0..q {
                let (upp, uqq, upq) = (product(&u, p, p), product(&u, q, q), product(&u, p, q));
                if upq == 0.0 || upq.abs() <= ORTHOGONAL * (upp * uqq).sqrt() {
                    continue;
                }
                rotated = true;
                let (c, s) = rotation(upp, uqq, upq);
                rotate(&mut u, m, p, q, c, s);
                rotate(&mut v, n, p, q, c, s);
            }
        }
        if !rotated {
            break;
        }
    }
    let lengths: Vec<f64> = (0..n).map(|k| product(&u, k, k).sqrt()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| lengths[j].total_cmp(&lengths[i]));
    let mut left = Vec::with_capacity(m * n);
    for &k in &order {
        left.extend(u[k * m..(k + 1) * m].iter().map(|x| if lengths[k] > 0.0 { x / lengths[k] } else { 0.0 }));
    }
    SingularValues {
        values: order.iter().map(|&k| lengths[k]).collect(),
        left,
        right: order.iter().flat_map(|&k| v[k * n..(k + 1) * n].iter().copied()).collect(),
    }
}

/// Cosine and sine of the rotation of columns p and q that makes the off-diagonal element vanish.
fn rotation(app: f64, aqq: f64, apq: f64) -> (f64, f64) {
    let tau = (aqq - app) / (2.0 * apq);
    let t = if tau == 0.0 { 1.0 } else { tau.signum() / (tau.abs() + 1.0_f64.hypot(tau)) };
    let c = 1.0 / 1.0_f64.hypot(t);
    (c, c * t)
}

/// Columns p and q of a matrix with m rows, turned.
fn rotate(a: &mut [f64], m: usize, p: usize, q: usize, c: f64, s: f64) {
    for i in 0..m {
        let (ap, aq) = (a[p * m + i], a[q * m + i]);
        (a[p * m + i], a[q * m + i]) = (c * ap - s * aq, s * ap + c * aq);
    }
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|at| if at % n == at / n { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reproducible matrix with entries between -1 and 1, whose columns have very different lengths.
    fn graded(m: usize, n: usize) -> Vec<f64> {
        (0..m * n).map(|at| ((at as f64 + 1.0) * 12.9898).sin() * 10f64.powi(-3 * (at / m) as i32)).collect()
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix_and_agree_with_faer() {
        for n in 1..=SMALL {
            let g = graded(n, n);
            let a: Vec<f64> = (0..n * n).map(|at| g[at] + g[(at % n) * n + at / n]).collect();
            let SymmetricEigen { values, vectors } = symmetric_eigen(&a, n);
            let size = a.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
            for at in 0..n * n {
                let (i, j) = (at % n, at / n);
                let rebuilt: f64 = (0..n).map(|k| vectors[k * n + i] * values[k] * vectors[k * n + j]).sum();
                assert!((rebuilt - a[at]).abs() < 1e-14 * size, "n = {n}: {rebuilt} instead of {}", a[at]);
                let product: f64 = (0..n).map(|k| vectors[i * n + k] * vectors[j * n + k]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-14, "n = {n}: not orthonormal");
            }
            let other = MatRef::from_column_major_slice(&a, n, n).self_adjoint_eigenvalues(Side::Lower).unwrap();
            for (ours, theirs) in values.iter().zip(other) {
                assert!((ours - theirs).abs() < 1e-13 * size);
            }
        }
    }

    #[test]
    fn singular_values_are_relatively_accurate_and_rebuild_the_matrix() {
        for (m, n) in [(1, 1), (2, 2), (3, 3), (5, 3), (8, 8)] {
            let a = graded(m, n);
            let SingularValues { values, left, right } = singular_values(&a, m, n);
            for at in 0..m * n {
                let (i, j) = (at % m, at / m);
                let rebuilt: f64 = (0..n).map(|k| left[k * m + i] * values[k] * right[k * n + j]).sum();
                // Relative to the column: what one-sided rotations promise and a bidiagonalisation does not.
                assert!((rebuilt - a[at]).abs() < 1e-14 * 10f64.powi(-3 * j as i32), "{m} x {n}");
            }
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
        }
        // The determinant of a graded triangle is the product of its singular values, however small.
        let triangle = [1.0, 0.5, 0.25, 0.0, 1e-6, 3e-7, 0.0, 0.0, 1e-12];
        let product: f64 = singular_values(&triangle, 3, 3).values.iter().product();
        assert!((product / 1e-18 - 1.0).abs() < 1e-13);
    }

    #[test]
    fn a_zero_column_has_a_zero_value() {
        let found = singular_values(&[3.0, 4.0, 0.0, 0.0], 2, 2);
        assert_eq!(found.values, [5.0, 0.0]);
        assert_eq!(symmetric_eigen(&[0.0; 4], 2).values, [0.0, 0.0]);
    }
}
