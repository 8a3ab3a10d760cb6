//! What Satterthwaite's degrees of freedom are made of.
//!
//! For a combination l of fixed effects, with Phi the covariance of the fixed effects given the variance parameters psi and
//! A the covariance of these,
//!
//! ```text
//! df = 2 (l' Phi l)^2 / (g' A g) ,    g_m = l' (dPhi / dpsi_m) l ,
//! ```
//!
//! which does not depend on the coordinates of psi. Parameters on their boundary have no covariance and are left out: A is
//! zero there. Where sigma is profiled out of the likelihood, log sigma given the others varies by 1 / 2m about the value
//! that is best there, m = n or n - p.
//!
//! Reference: Giesbrecht & Burns (1985), Biometrics 41, 477-486; Fai & Cornelius (1996), J. Stat. Comput. Simul. 54, 363-378.
use crate::design::Fixed;
use crate::likelihood::fixed_covariance::FixedCovariance;

/// Phi, its derivatives and A, in the user's units of the fixed effects.
#[derive(Clone, Debug)]
pub struct Satterthwaite {
    /// Phi, p x p column-major.
    pub covariance: Vec<f64>,
    /// dPhi / dpsi_m.
    pub slopes: Vec<Vec<f64>>,
    /// A, column-major.
    pub parameters: Vec<f64>,
}

impl Satterthwaite {
    /// From Phi of beta~, with the covariance of the parameters by which it is differentiated.
    pub fn new(fixed: &Fixed, found: &FixedCovariance, parameters: Vec<f64>) -> Self {
        Self {
            covariance: to_original(fixed, &found.value),
            slopes: found.slopes.iter().map(|slope| to_original(fixed, slope)).collect(),
            parameters,
        }
    }

    /// The same where Phi is that of sigma = 1, sigma being profiled out: `parameters` is the covariance of the others,
    /// `log_sigma` how the best log sigma moves with them, and `freedom` is m.
    pub fn profiled(
        fixed: &Fixed,
        mut found: FixedCovariance,
        sigma: f64,
        log_sigma: &[f64],
        freedom: f64,
        parameters: &[f64],
    ) -> Self {
        let variance = sigma * sigma;
        found.value.iter_mut().for_each(|value| *value *= variance);
        for (slope, moved) in found.slopes.iter_mut().zip(log_sigma) {
            for (slope, value) in slope.iter_mut().zip(&found.value) {
                *slope = *slope * variance + 2.0 * moved * value;
            }
        }
        found.slopes.push(found.value.iter().map(|value| 2.0 * value).collect());
        let (k, dim) = (log_sigma.len(), log_sigma.len() + 1);
        let mut all = vec![0.0; dim * dim];
        for j in 0..k {
            all[j * dim..j * dim + k].copy_from_slice(&parameters[j * k..(j + 1) * k]);
        }
        all[dim * dim - 1] = 0.5 / freedom;
        Self::new(fixed, &found, all)
    }
}

/// R^-1 S R^-T: a covariance of beta~ in the user's units.
pub fn to_original(fixed: &Fixed, rotated: &[f64]) -> Vec<f64> {
    let p = fixed.p();
    // A column and then a row at a time.
    let half: Vec<f64> = (0..p).flat_map(|j| fixed.to_original(&rotated[j * p..(j + 1) * p])).collect();
    let mut out = vec![0.0; p * p];
    for i in 0..p {
        let row: Vec<f64> = (0..p).map(|j| half[j * p + i]).collect();
        for (j, value) in fixed.to_original(&row).into_iter().enumerate() {
            out[j * p + i] = value;
        }
    }
    out
}
