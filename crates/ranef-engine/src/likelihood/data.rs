//! What a likelihood is evaluated on: the response with its family, and the design.
use crate::design::Design;
use crate::family::Family;
use std::sync::Arc;

/// Which parameters are integrated out, and which are optimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Random effects integrated out; beta and theta are outer parameters.
    Ml,
    /// Random effects and the mean's fixed effects integrated out.
    Reml,
    /// The mean's fixed effects move with the random effects to their joint mode; only random effects are integrated
    /// out (lme4's nAGQ = 0).
    Profile,
    /// As `Ml`, but with this many points of adaptive Gauss-Hermite quadrature in each direction instead of Laplace's
    /// approximation; for random effects of one grouping factor. The cost is that of k^r nodes for r effects a level.
    Quadrature(usize),
}

impl Method {
    /// The predictor whose fixed effects move with the random effects.
    pub fn inside(self) -> Option<usize> {
        matches!(self, Self::Reml | Self::Profile).then_some(0)
    }
}

/// The observations of a model.
#[derive(Debug)]
pub struct Data {
    /// Response; successes for a binomial.
    pub y: Vec<f64>,
    /// Number of trials of each row.
    pub trials: Option<Vec<f64>>,
    /// What multiplies each row's log density.
    pub weights: Option<Vec<f64>>,
    /// The response's distribution.
    pub family: Arc<dyn Family>,
    /// Everything else.
    pub design: Arc<Design>,
}

impl Data {
    /// Number of trials of row i, 1 where there are none.
    pub fn trials_at(&self, i: usize) -> f64 {
        self.trials.as_ref().map_or(1.0, |trials| trials[i])
    }

    /// Weight of row i.
    pub fn weight_at(&self, i: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[i])
    }
}
