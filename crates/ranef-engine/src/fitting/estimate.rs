//! Estimates without a verdict, for the many refits of a bootstrap: no Hessian is computed.
use super::boundary::Frame;
use crate::covariance::Template;
use crate::objective::Objective;
use crate::optimizer::{Settings, StopReason, minimise};
use std::ops::Range;

/// Searches at most, each from the end of the one before.
const SEARCHES: usize = 4;
/// Where a pivot that is zero starts, in units of the term's scale: zero itself is a stationary point.
const LIFTED: f64 = 0.1;
/// d objective / d variance below which variance added at zero raises the likelihood.
const RISING: f64 = -1e-6;

/// Where a search ended.
pub struct Estimate {
    /// The point.
    pub x: Vec<f64>,
    /// Its value.
    pub value: f64,
    /// Whether the search ended on a small gradient, with no variance of zero that wants to grow.
    pub converged: bool,
    /// Whether a covariance is not of full rank.
    pub singular: bool,
}

/// Minimises from `start`; `theta` and `units` (of each term's Lambda) as in a search with a verdict. The objective's
/// state belongs to the point returned.
pub fn estimate(
    objective: &mut dyn Objective,
    start: &[f64],
    settings: &Settings,
    template: &Template,
    theta: Range<usize>,
    units: &[f64],
) -> Estimate {
    let dependents = objective.dependents();
    let frame = Frame { template, theta: theta.clone(), units: units.to_vec(), dependents };
    let mut from = start.to_vec();
    frame.lift(&mut from, &frame.fixed_at_edge(start), LIFTED);
    let mut last = None;
    for _ in 0..SEARCHES {
        let outcome = minimise(objective, &from, settings);
        if !outcome.value.is_finite() {
            let smaller = template.times(&from[theta.clone()], 0.25);
            from[theta.clone()].copy_from_slice(&smaller);
            continue;
        }
        let mut x = outcome.x;
        objective.complete(&mut x);
        frame.canonical_signs(&mut x);
        let value = frame.snap(objective, &mut x, outcome.value);
        let zero = frame.edge_curvature(objective, &x);
        let rising: Vec<usize> = zero.iter().filter(|(_, _, c)| *c < RISING).map(|z| z.1).collect();
        let converged = rising.is_empty() && outcome.reason == StopReason::Converged;
        let singular = frame.judge(&x, &zero).iter().any(|term| term.rank < term.size);
        from.clone_from(&x);
        frame.lift(&mut from, &rising, LIFTED);
        last = Some(Estimate { x, value, converged, singular });
        if rising.is_empty() {
            break;
        }
    }
    let found = last.unwrap_or(Estimate { x: from, value: f64::NAN, converged: false, singular: false });
    let mut ignored = vec![0.0; found.x.len()];
    objective.value_gradient(&found.x, &mut ignored);
    found
}
