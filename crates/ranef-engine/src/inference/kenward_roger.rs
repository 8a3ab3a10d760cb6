//! Kenward and Roger's covariance of the fixed effects, which allows for the estimation of V.
//!
//! With W the inverse of the expected (restricted) information about the parameters of V, linear in them,
//!
//! ```text
//! I_rs  = 1/2 { k_rs - 2 tr(Phi Q_rs) + tr(Phi P_r Phi P_s) } ,   W = I^-1 ,
//! Phi_A = Phi + 2 Phi { sum_rs W_rs (Q_rs - P_r Phi P_s) } Phi .
//! ```
//!
//! Degrees of freedom need W and dPhi / dsigma_r = - Phi P_r Phi besides. Nothing of this depends on the coordinates of the
//! parameters as long as V is linear in some: G_r may be the derivatives of V by any others.
//!
//! Reference: Kenward & Roger (1997), Biometrics 53, 983-997.
use super::satterthwaite::to_original;
use crate::design::Fixed;
use crate::likelihood::fixed_covariance::{CovarianceMoments, congruent};
use crate::linalg::symmetric_eigen;

/// An eigenvalue of the information below this share of the largest, parameters in units of their own information, is a
/// direction of which the data say nothing.
const NOTHING: f64 = 1e-10;

/// Phi, Phi_A and what degrees of freedom are made of, in the user's units of the fixed effects.
#[derive(Clone, Debug)]
pub struct KenwardRoger {
    /// Phi, p x p column-major.
    pub covariance: Vec<f64>,
    /// Phi_A.
    pub adjusted: Vec<f64>,
    /// dPhi / dsigma_r.
    pub slopes: Vec<Vec<f64>>,
    /// W, column-major.
    pub parameters: Vec<f64>,
}

impl KenwardRoger {
    /// From moments relative to sigma^2 = `variance`, of coefficients that `basis` (p x p) turns into beta~.
    pub fn new(fixed: &Fixed, basis: Option<&[f64]>, moments: &CovarianceMoments, variance: f64) -> Self {
        let (p, count) = (fixed.p(), moments.first.len());
        let phi = &moments.fixed;
        // Phi P_r, p x p.
        let products: Vec<Vec<f64>> = moments.first.iter().map(|first| product(phi, first, p)).collect();
        let mut information = vec![0.0; count * count];
        for s in 0..count {
            for r in 0..count {
                let at = s * count + r;
                let trace: f64 = (0..p * p).map(|k| phi[k] * moments.second[at][k]).sum();
                let twice: f64 = (0..p * p).map(|k| products[r][k] * products[s][(k % p) * p + k / p]).sum();
                information[at] = 0.5 * (moments.traces[at] - 2.0 * trace + twice);
            }
        }
        let weights = pseudo_inverse(&information, count);
        let mut sum = vec![0.0; p * p];
        for s in 0..count {
            for r in 0..count {
                let at = s * count + r;
                let through = product(&moments.first[r], &products[s], p);
                for (sum, (second, through)) in sum.iter_mut().zip(moments.second[at].iter().zip(&through)) {
                    *sum += weights[at] * (second - through);
                }
            }
        }
        let correction = congruent(phi, &sum, p);
        let adjusted: Vec<f64> = phi.iter().zip(&correction).map(|(phi, c)| variance * (phi + 2.0 * c)).collect();
        let in_units = |rotated: &[f64]| match basis {
            Some(basis) => to_original(fixed, &congruent(basis, rotated, p)),
            None => to_original(fixed, rotated),
        };
        let covariance: Vec<f64> = phi.iter().map(|phi| variance * phi).collect();
        let slopes = moments.first.iter().map(|first| {
            let slope: Vec<f64> = congruent(phi, first, p).into_iter().map(|value| -value).collect();
            in_units(&slope)
        });
        Self {
            covariance: in_units(&covariance),
            adjusted: in_units(&adjusted),
            slopes: slopes.collect(),
            parameters: weights.into_iter().map(|w| variance * variance * w).collect(),
        }
    }
}

/// A B for p x p matrices.
fn product(a: &[f64], b: &[f64], p: usize) -> Vec<f64> {
    (0..p * p).map(|at| (0..p).map(|k| a[k * p + at % p] * b[(at / p) * p + k]).sum()).collect()
}

/// The inverse of a symmetric matrix on the directions that it knows something about.
fn pseudo_inverse(matrix: &[f64], n: usize) -> Vec<f64> {
    let scale: Vec<f64> = (0..n).map(|i| matrix[i * n + i].abs().max(f64::MIN_POSITIVE).sqrt()).collect();
    let scaled: Vec<f64> = (0..n * n).map(|at| matrix[at] / (scale[at % n] * scale[at / n])).collect();
    let eigen = symmetric_eigen(&scaled, n);
    let least = NOTHING * eigen.values.last().copied().unwrap_or(0.0);
    let mut out = vec![0.0; n * n];
    for (k, &value) in eigen.values.iter().enumerate().filter(|(_, value)| **value > least) {
        let vector = &eigen.vectors[k * n..(k + 1) * n];
        for j in 0..n {
            for i in 0..n {
                out[j * n + i] += vector[i] * vector[j] / (value * scale[i] * scale[j]);
            }
        }
    }
    out
}
