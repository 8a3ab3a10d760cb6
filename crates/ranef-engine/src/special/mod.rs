//! Special functions with their derivatives, accurate where a likelihood needs them.
//!
//! Every function that a log density applies to a predictor comes in a form that returns
//! `[f, f′, f″, f‴]`, so that jets ([`crate::jet`]) and closed forms share one implementation.
//! Entries above the requested `order` are unspecified (usually 0): they are not worth computing.
//!
//! Functions of a positive parameter (the size of a negative binomial, the shape of a gamma) take
//! its *logarithm* and differentiate with respect to that: φ → 0 and φ → ∞ are then ordinary
//! points, whereas d³/dφ³ overflows already at φ = 1e-103.

mod exponential;
mod gamma;
mod incomplete_beta;
mod incomplete_gamma;
mod lanes;
mod matern;
mod normal;
mod owen;
mod rising;
mod tail_integral;

pub use exponential::{
    expit, expm1mx, expm1mx_derivatives, ln_1p_over_derivatives, log_expit, log_expit_derivatives,
    log_sinhc_half_derivatives, log_softplus_derivatives, log1mexp, log1mexp_derivatives, log1p_over,
    log1p_over_derivatives, log1pmx, log1pmx_derivatives, log1pmx_over_derivatives, logaddexp, softplus,
    softplus_derivatives,
};
pub use gamma::{
    digamma, ln_binomial, ln_factorial, ln_gamma, ln_gamma_deficit, ln_gamma_derivatives, ln_gamma_half_step,
};
pub use incomplete_beta::{beta_tails, beta_tails_at_logit};
pub use incomplete_gamma::{gamma_tails, gamma_tails_about_mean};
pub use lanes::{exp_each, logistic_tails_each};
pub use matern::{Matern, MaternTable};
pub use normal::{log_ndtr, log_ndtr_derivatives};
pub use owen::skew_normal_tails;
pub use rising::{ln_rising, ln_rising_excess, ln_rising_rest};

/// `[f, f′, f″, f‴]` of a univariate function at a point.
pub type Taylor = [f64; 4];

/// A function of two variables (a, b) at a point with its partial derivatives: f; f_a, f_b; f_aa, f_ab, f_bb; f_aaa, f_aab,
/// f_abb, f_bbb.
pub type Taylor2 = [f64; 10];
