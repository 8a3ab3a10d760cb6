//! What is known about the parameters and effects after a fit.

mod hessian;
mod kenward_roger;
mod marginal;
mod posterior;
mod satterthwaite;

pub use hessian::{Curvature, gradient_differences};
pub use kenward_roger::KenwardRoger;
pub use marginal::MarginalPosterior;
pub use posterior::{Combination, Posterior};
pub use satterthwaite::{Satterthwaite, to_original};

use std::sync::Arc;

/// The joint distribution of effects and parameters, from whichever likelihood was maximised.
#[derive(Clone)]
pub enum Joint {
    /// Laplace's approximation, or the profiled likelihood in its terms.
    Laplace(Arc<Posterior>),
    /// The exact marginal likelihood.
    Marginal(Arc<MarginalPosterior>),
}

impl Joint {
    /// Variance of a combination; given the parameters if `conditional`, otherwise with their uncertainty.
    pub fn variance(&self, combination: &Combination, conditional: bool) -> f64 {
        match self {
            Self::Laplace(posterior) => posterior.variance(combination, conditional),
            Self::Marginal(posterior) => posterior.variance(combination, conditional),
        }
    }

    /// Standard deviation of b_hat - b, with the uncertainty of the parameters.
    pub fn effect_sd(&self, grouping: usize, level: usize, column: usize) -> f64 {
        match self {
            Self::Laplace(posterior) => posterior.effect_sd(grouping, level, column, posterior.parameter_covariance()),
            Self::Marginal(posterior) => posterior.effect_sd(grouping, level, column),
        }
    }

    /// Covariance of the effects of each level of every grouping factor given the parameters.
    pub fn conditional_blocks(&self, groupings: usize) -> Vec<Vec<f64>> {
        match self {
            Self::Laplace(posterior) => posterior.conditional_covariance().diag,
            Self::Marginal(posterior) => (0..groupings).map(|f| posterior.conditional_blocks(f)).collect(),
        }
    }
}
