//! Minimisation of smooth functions whose gradient is exact and whose Hessian has a good model.
//!
//! Nothing here knows of mixed models.

mod trust_region;

use crate::stop::Stop;
pub use trust_region::minimise;

/// How the model Hessian is kept up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The objective's metric is asked for again at each accepted point, then corrected by the last step's BFGS pair.
    Refresh,
    /// The metric of the start is kept and corrected by symmetric rank-one pairs.
    RankOne,
}

/// When to stop, and how to get there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most iterations.
    pub max_iterations: usize,
    /// Largest sqrt(g' B^-1 g) at a minimum: the distance to it in standard errors (objective = -log likelihood).
    pub gradient_tolerance: f64,
    /// How the model Hessian follows the function.
    pub update: Update,
    /// What may end it early.
    pub stop: Stop,
}

/// One iteration, for the record.
#[derive(Clone, Debug)]
pub struct Step {
    /// Value after the iteration.
    pub value: f64,
    /// sqrt(g' B^-1 g) after the iteration.
    pub gradient: f64,
    /// Radius of the trust region, in scaled coordinates.
    pub radius: f64,
    /// Whether the trial point was taken.
    pub accepted: bool,
}

/// Why the iterations ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The gradient is small and no decrease is to be had.
    Converged,
    /// The iterations were used up.
    MaxIterations,
    /// The trust region shrank to nothing: the function is not smooth here, or its gradient is wrong.
    Stalled,
    /// The function is not finite at the start.
    BadStart,
    /// It was told to stop.
    Stopped,
}

/// Where a minimisation ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The best point.
    pub x: Vec<f64>,
    /// Its value.
    pub value: f64,
    /// Its gradient.
    pub gradient: Vec<f64>,
    /// Why it ended.
    pub reason: StopReason,
    /// Number of values with gradients that were computed.
    pub evaluations: usize,
    /// The iterations.
    pub trace: Vec<Step>,
}
