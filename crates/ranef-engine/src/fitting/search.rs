//! From a start to a judged optimum, for any objective whose theta has a template.
//!
//! Trust region; zero variances made exact and tested; Hessian, exact or by differences of the exact gradient; Newton
//! polish; restarts from saddles and from zero variances at which the likelihood still increases.
use super::boundary::Frame;
use super::remedy::Remedy;
use super::verdict::{Status, Verdict};
use crate::inference::{Curvature, gradient_differences};
use crate::objective::Objective;
use crate::optimizer::{Outcome, Settings, Step, StopReason, minimise};

/// Restarts at most.
const MAX_RESTARTS: usize = 4;
/// A step of the differences for the Hessian is never larger than it would be for a standard error of this.
const LARGEST_SCALE: f64 = 10.0;
/// A distance to the optimum, in standard errors, that a Newton step is worth.
const POLISH: f64 = 1e-7;
/// What the log likelihood may still gain when parameters at the edge of the family go twice as far out.
const STILL_RISING: f64 = 2e-4;
/// Newton steps with one Hessian at most, ...
const NEWTON_STEPS: usize = 3;
/// ... and Hessians at most, where the first ones leave the optimum farther off than `CONVERGED`.
const POLISHES: usize = 6;
/// Where a variance that is zero and wants to grow starts, in units of the term's scale.
const LIFTED: f64 = 0.1;
/// The largest distance to the optimum, in standard errors, of a converged fit.
const CONVERGED: f64 = 1e-3;

/// A judged optimum.
#[derive(Clone, Debug)]
pub struct Optimum {
    /// The point.
    pub x: Vec<f64>,
    /// Its value.
    pub value: f64,
    /// Its gradient.
    pub gradient: Vec<f64>,
    /// Covariance of the parameters, zero for those that are not free; NaN where the curvature is not known.
    pub covariance: Vec<f64>,
    /// The parameters held at the edge of their space.
    pub held: Vec<usize>,
    /// Status, gradient, Hessian and terms.
    pub verdict: Verdict,
    /// Values with gradients computed.
    pub evaluations: usize,
    /// The iterations.
    pub trace: Vec<Step>,
    /// What was done besides searching.
    pub remedies: Vec<Remedy>,
}

/// Searches from `start`. `frame` gives the size of each term's Lambda that counts as one at a point; `edge` names the
/// parameters that sit at the edge of the family, given a point and the Hessian there.
pub fn search(
    objective: &mut dyn Objective,
    start: &[f64],
    settings: &Settings,
    frame: impl Fn(&[f64]) -> Vec<f64>,
    template: &crate::covariance::Template,
    theta: std::ops::Range<usize>,
    edge: impl Fn(&[f64], &[f64]) -> Vec<usize>,
) -> Optimum {
    let dim = objective.dim();
    let mut from = start.to_vec();
    objective.complete(&mut from);
    let (mut evaluations, mut trace) = (0, Vec::new());
    let (mut share, mut remedies) = (1.0, Vec::new());
    // What the search is to gain from, with the value before it.
    let mut pending: Option<(Remedy, f64)> = None;
    let mut best: Option<Optimum> = None;
    for restart in 0..=MAX_RESTARTS {
        let outcome = minimise(objective, &from, settings);
        evaluations += outcome.evaluations;
        trace.extend(outcome.trace.iter().cloned());
        if settings.stop.is_due() {
            return best.unwrap_or_else(|| unfinished(objective, outcome, evaluations, trace, template));
        }
        if !outcome.value.is_finite() {
            if best.is_some() {
                remedies.extend(pending.take().map(|(remedy, _)| remedy));
                break;
            }
            if restart < MAX_RESTARTS {
                let smaller = template.times(&from[theta.clone()], 0.25);
                from[theta.clone()].copy_from_slice(&smaller);
                objective.complete(&mut from);
                share *= 0.25 * 0.25;
                continue;
            }
            return failed(outcome, evaluations, trace, template);
        }
        if share < 1.0 {
            remedies.push(Remedy::SmallerStart { share });
            share = 1.0;
        }
        let mut x = outcome.x.clone();
        objective.complete(&mut x);
        let dependents = objective.dependents();
        let frame = Frame { template, theta: theta.clone(), units: frame(&x), dependents };
        frame.canonical_signs(&mut x);
        let value = frame.snap(objective, &mut x, outcome.value);
        if let Some((mut remedy, before)) = pending.take() {
            remedy.set_gain(before - value);
            remedies.push(remedy);
        }
        let zero = frame.edge_curvature(objective, &x);
        evaluations += zero.len();
        let rising: Vec<usize> =
            zero.iter().filter(|(_, _, c)| *c < -1e-6 * (1.0 + value.abs() * 1e-6)).map(|z| z.1).collect();
        if !rising.is_empty() && restart < MAX_RESTARTS {
            from.clone_from(&x);
            frame.lift(&mut from, &rising, LIFTED);
            pending = Some((Remedy::Lifted { count: rising.len(), gain: f64::NAN }, value));
            continue;
        }
        let (mut optimum, downhill) = judge(objective, &frame, x, &outcome, &zero, &edge);
        evaluations += optimum.evaluations;
        remedies.append(&mut optimum.remedies);
        if optimum.verdict.status == Status::Failed && settings.stop.is_due() {
            optimum.verdict.status = Status::TimeLimit;
            return optimum;
        }
        let lost = matches!(optimum.verdict.status, Status::Failed);
        let better = best.as_ref().is_none_or(|best| is_better(&optimum, best));
        if better {
            best = Some(optimum);
        }
        if lost && restart < 1 && !theta.is_empty() {
            // Where the inner Hessian turns singular the approximation breaks down and the objective has a cliff; from
            // smaller variances the search stays on the side where it means something.
            from.copy_from_slice(start);
            from[theta.clone()].copy_from_slice(&template.times(&start[theta.clone()], 0.2));
            pending = Some((Remedy::Cliff { gain: f64::NAN }, value));
            continue;
        }
        match downhill {
            Some(direction) if restart < MAX_RESTARTS && better => {
                let best = best.as_ref().expect("just set");
                from = lowest_along(objective, &best.x, &direction);
                evaluations += SIDESTEPS.len();
                let eigenvalue = best.verdict.hessian_values[0];
                pending = Some((Remedy::Saddle { eigenvalue, gain: f64::NAN }, best.value));
            }
            _ => break,
        }
    }
    let mut optimum = best.expect("the loop judged a point or returned");
    let mut gradient = vec![0.0; dim];
    // The objective's state belongs to the point that is returned.
    objective.value_gradient(&optimum.x, &mut gradient);
    objective.accept();
    optimum.evaluations = evaluations + 1;
    optimum.trace = trace;
    optimum.remedies = remedies;
    optimum
}

/// The better of an optimum and one that was searched for from elsewhere, with the effort of both; the objective's state
/// belongs to the point that is returned.
pub fn better_of(objective: &mut dyn Objective, first: Optimum, second: Optimum, from: &'static str) -> Optimum {
    let better = is_better(&second, &first);
    joined(objective, first, second, better, from)
}

/// The same, but that a point with coefficients on their way to infinity counts for as much as a maximum: the likelihood rises
/// to a supremum there, and a lower maximum is but a local one.
pub fn higher_of(objective: &mut dyn Objective, first: Optimum, second: Optimum, from: &'static str) -> Optimum {
    let settled =
        |optimum: &Optimum| optimum.verdict.status.is_converged() || optimum.verdict.status == Status::Separated;
    let better = if settled(&first) && settled(&second) {
        second.value <= first.value + 1e-9
    } else if settled(&first) || settled(&second) {
        settled(&second)
    } else {
        is_better(&second, &first)
    };
    joined(objective, first, second, better, from)
}

fn joined(
    objective: &mut dyn Objective,
    first: Optimum,
    second: Optimum,
    second_is_better: bool,
    from: &'static str,
) -> Optimum {
    let restart = Remedy::Restart { from, gain: first.value - second.value };
    let (mut best, mut other) = if second_is_better { (second, first) } else { (first, second) };
    objective.value_gradient(&best.x, &mut vec![0.0; best.x.len()]);
    objective.accept();
    best.evaluations += other.evaluations + 1;
    best.trace.extend(other.trace);
    // What helped a search that is dropped helped nobody; that there was one is told.
    other.remedies.retain(|remedy| matches!(remedy, Remedy::Restart { .. }));
    best.remedies.append(&mut other.remedies);
    best.remedies.push(restart);
    best
}

/// A converged point is better than one that is not; otherwise the lower value is.
pub(super) fn is_better(candidate: &Optimum, best: &Optimum) -> bool {
    let (new, old) = (candidate.verdict.status.is_converged(), best.verdict.status.is_converged());
    if new == old { candidate.value <= best.value + 1e-9 } else { new }
}

/// Hessian, polish and status at a stationary point; also the way down from a saddle.
fn judge(
    objective: &mut dyn Objective,
    frame: &Frame<'_>,
    mut x: Vec<f64>,
    outcome: &Outcome,
    zero: &[(usize, usize, f64)],
    edge: &impl Fn(&[f64], &[f64]) -> Vec<usize>,
) -> (Optimum, Option<Vec<f64>>) {
    let dim = x.len();
    let mut gradient = vec![0.0; dim];
    let mut value = objective.value_gradient(&x, &mut gradient);
    objective.accept();
    let mut evaluations = 1;
    let hessian = hessian_at(objective, &x, &mut evaluations);
    let boundary = hessian.as_ref().map_or_else(Vec::new, |hessian| edge(&x, hessian));
    let mut held = frame.fixed_at_edge(&x);
    held.extend(&boundary);
    held.extend(objective.dependents());
    let free: Vec<usize> = (0..dim).filter(|m| !held.contains(m)).collect();
    let curvature =
        hessian.as_ref().filter(|h| h.iter().all(|v| v.is_finite())).map(|h| Curvature::new(h, dim, free.clone()));
    let terms = frame.judge(&x, zero);
    let mut verdict = Verdict {
        status: Status::Failed,
        gradient_scaled: f64::NAN,
        gradient_max: free.iter().map(|&m| gradient[m].abs()).fold(0.0, f64::max),
        hessian_values: Vec::new(),
        flat: Vec::new(),
        separated: Vec::new(),
        boundary,
        terms,
        inner_decrement: f64::NAN,
        inner_definite: true,
    };
    // Where the curvature is not known, neither are the standard errors.
    let mut covariance = vec![f64::NAN; dim * dim];
    let mut downhill = None;
    let mut remedies = Vec::new();
    if let Some(mut curvature) = curvature.filter(|_| value.is_finite()) {
        let (mut steps, before) = (0, curvature.distance(&gradient));
        // Who limits the iterations does not want them made here.
        let stopped = outcome.reason == StopReason::MaxIterations;
        for round in 0..if stopped { 1 } else { POLISHES } {
            if round > 0 {
                // The Hessian of another point: the one before has not led to the optimum.
                let again = hessian_at(objective, &x, &mut evaluations).filter(|h| h.iter().all(|v| v.is_finite()));
                let Some(hessian) = again else { break };
                curvature = Curvature::new(&hessian, dim, free.clone());
            }
            let begun = steps;
            while steps - begun < NEWTON_STEPS && curvature.distance(&gradient) >= POLISH && curvature.is_definite() {
                let step = curvature.newton_step(&gradient);
                let mut shorter = [1.0, 0.25, 0.0625].into_iter().map(|share| {
                    let trial: Vec<f64> = x.iter().zip(&step).map(|(x, s)| x + share * s).collect();
                    let mut trial_gradient = vec![0.0; dim];
                    let trial_value = objective.value_gradient(&trial, &mut trial_gradient);
                    evaluations += 1;
                    let closer =
                        curvature.distance(&trial_gradient) < (1.0 - 0.5 * share) * curvature.distance(&gradient);
                    let taken = trial_value <= value + 1e-10 * (1.0 + value.abs()) && closer;
                    taken.then_some((trial, trial_value, trial_gradient))
                });
                // Shorter steps only where the optimum is too far off to stop here.
                let tries = if curvature.distance(&gradient) > CONVERGED && !stopped { 3 } else { 1 };
                let Some(found) = shorter.by_ref().take(tries).flatten().next() else { break };
                objective.accept();
                (x, value, gradient) = found;
                steps += 1;
            }
            if steps == begun || curvature.distance(&gradient) <= CONVERGED {
                break;
            }
        }
        verdict.gradient_scaled = curvature.distance(&gradient);
        if steps > 0 {
            remedies.push(Remedy::Polish { steps, before, after: verdict.gradient_scaled });
        }
        verdict.gradient_max = free.iter().map(|&m| gradient[m].abs()).fold(0.0, f64::max);
        verdict.hessian_values = curvature.values().to_vec();
        verdict.flat = curvature.flat_parameters();
        downhill = curvature.downhill();
        covariance = curvature.inverse();
        verdict.status = if downhill.is_some() {
            Status::Saddle
        } else if verdict.gradient_scaled > CONVERGED {
            if outcome.reason == StopReason::MaxIterations { Status::MaxIterations } else { Status::Failed }
        } else if !curvature.is_definite() {
            Status::Flat
        } else if rising(&verdict.boundary, &x, &gradient) {
            Status::Unbounded
        } else if !verdict.boundary.is_empty() {
            Status::BoundaryFamily
        } else if verdict.is_singular() {
            Status::ConvergedSingular
        } else {
            Status::Converged
        };
    }
    frame.canonical_signs(&mut x);
    objective.complete(&mut x);
    let trace = Vec::new();
    let optimum = Optimum { x, value, gradient, covariance, held, verdict, evaluations, trace, remedies };
    (optimum, downhill)
}

/// The best point so far, as it is: there is no time to judge it.
fn unfinished(
    objective: &mut dyn Objective,
    mut outcome: Outcome,
    evaluations: usize,
    trace: Vec<Step>,
    template: &crate::covariance::Template,
) -> Optimum {
    // The objective's state belongs to the point that is returned.
    objective.value_gradient(&outcome.x, &mut outcome.gradient);
    objective.accept();
    let largest = outcome.gradient.iter().fold(0.0_f64, |largest, g| largest.max(g.abs()));
    let mut optimum = failed(outcome, evaluations + 1, trace, template);
    optimum.verdict.status = Status::TimeLimit;
    optimum.verdict.gradient_max = largest;
    optimum
}

/// Steps from a saddle, in its downhill direction.
const SIDESTEPS: [f64; 6] = [1.0, -1.0, 0.25, -0.25, 0.05, -0.05];

/// The lowest of the points beside x on either side.
fn lowest_along(objective: &mut dyn Objective, x: &[f64], direction: &[f64]) -> Vec<f64> {
    let mut ignored = vec![0.0; x.len()];
    let mut lowest = (f64::INFINITY, x.to_vec());
    for share in SIDESTEPS {
        let point: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + share * d).collect();
        let value = objective.value_gradient(&point, &mut ignored);
        if value < lowest.0 {
            lowest = (value, point);
        }
    }
    lowest.1
}

/// Whether the objective still falls along parameters at the edge of the family: its derivative on the way out is more than
/// what an approach to a limit leaves there.
fn rising(boundary: &[usize], x: &[f64], gradient: &[f64]) -> bool {
    boundary.iter().map(|&m| (gradient[m] * x[m]).abs()).sum::<f64>() > STILL_RISING
}

/// The exact Hessian where the objective has one, else by differences of the exact gradient.
fn hessian_at(objective: &mut dyn Objective, x: &[f64], evaluations: &mut usize) -> Option<Vec<f64>> {
    let dim = x.len();
    objective.hessian(x).or_else(|| {
        let metric = objective.metric(x);
        let scale: Vec<f64> = (0..dim)
            .map(|m| (1.0 / metric[m * dim + m].abs().sqrt()).min(LARGEST_SCALE))
            .map(|s| if s.is_finite() { s } else { 1.0 })
            .collect();
        *evaluations += 2 * dim;
        gradient_differences(objective, x, &scale)
    })
}

fn failed(outcome: Outcome, evaluations: usize, trace: Vec<Step>, template: &crate::covariance::Template) -> Optimum {
    let dim = outcome.x.len();
    let verdict = Verdict {
        status: Status::Failed,
        gradient_scaled: f64::NAN,
        gradient_max: f64::NAN,
        hessian_values: Vec::new(),
        flat: Vec::new(),
        separated: Vec::new(),
        boundary: Vec::new(),
        terms: (0..template.n_terms())
            .map(|term| super::verdict::TermVerdict {
                rank: template.covariance(term).rank(),
                size: template.covariance(term).rank(),
                singular_values: Vec::new(),
                kkt: None,
            })
            .collect(),
        inner_decrement: f64::NAN,
        inner_definite: false,
    };
    Optimum {
        x: outcome.x,
        value: outcome.value,
        gradient: outcome.gradient,
        covariance: vec![f64::NAN; dim * dim],
        held: Vec::new(),
        verdict,
        evaluations,
        trace,
        remedies: Vec::new(),
    }
}
