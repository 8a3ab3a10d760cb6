//! The likelihoods that are profiled: minus their logarithm as functions of all outer parameters, or of those left when a
//! coefficient of a linear mixed model is known.
use super::constraint::Constraint;
use crate::covariance::Natural;
use crate::design::Quantity;
use crate::fitting::{Fit, HalfCriterion, Likelihood, estimate};
use crate::inference::{Curvature, gradient_differences};
use crate::likelihood::assumed::Assumed;
use crate::likelihood::laplace::Laplace;
use crate::likelihood::profiled::{Profiled, Statistics};
use crate::likelihood::restriction::{Restricted, Restriction};
use crate::objective::Objective;
use crate::optimizer::{Settings, StopReason, Update, minimise};
use crate::stop::Stop;

/// Searches are short: their starts are close.
const SETTINGS: Settings =
    Settings { max_iterations: 200, gradient_tolerance: 1e-4, update: Update::RankOne, stop: Stop::NEVER };

/// The smallest residual standard deviation of a profile, in units of its estimate. Where random effects can explain
/// everything the likelihood is flat below, and the factors, relative to it, so large that rounding takes over.
pub(super) const SMALLEST_SIGMA: f64 = 1e-4;

/// The optimum that all sides start from, and the curvature there.
pub(super) struct Criterion {
    x: Vec<f64>,
    value: f64,
    hessian: Vec<f64>,
    covariance: Vec<f64>,
}

impl Criterion {
    pub fn new(fit: &Fit) -> Self {
        let mut x = fit.parameters().to_vec();
        if fit.is_profiled() {
            x[0] = fit.profiled_sigma().ln();
        }
        let dim = x.len();
        let mut objective = objective(fit);
        let dependents = objective.dependents();
        let mut gradient = vec![0.0; dim];
        let value = objective.value_gradient(&x, &mut gradient);
        objective.accept();
        // About a standard error of each parameter, from the covariance of the fit where it has one.
        let known = fit.parameter_covariance();
        let scale: Vec<f64> = (0..dim)
            .map(|m| known[m * dim + m].sqrt())
            .map(|s| if s.is_finite() && s > 0.0 { s.min(10.0) } else { 0.1 })
            .collect();
        let mut hessian = gradient_differences(&mut *objective, &x, &scale)
            .filter(|hessian| hessian.iter().all(|value| value.is_finite()))
            .unwrap_or_else(|| {
                let mut diagonal = vec![0.0; dim * dim];
                (0..dim).for_each(|m| diagonal[m * dim + m] = scale[m].powi(-2));
                diagonal
            });
        let free = (0..dim).filter(|m| !dependents.contains(m)).collect();
        let mut covariance = Curvature::new(&hessian, dim, free).inverse();
        // Searches leave the dependent alone, whatever their curvature.
        dependents.iter().for_each(|m| hessian[m * dim + m] = 1.0);
        if let Some(restriction) = assumed(fit).restriction() {
            restriction.spread(&mut covariance);
        }
        Self { x, value, hessian, covariance }
    }

    /// The optimum.
    pub fn optimum(&self) -> &[f64] {
        &self.x
    }

    /// Minus the log likelihood there.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The standard error of a parameter by the delta method.
    pub fn spread(&self, constraint: &Constraint) -> f64 {
        let (slope, dim) = (constraint.slope(&self.x), self.x.len());
        let variance: f64 =
            (0..dim).map(|j| slope[j] * (0..dim).map(|i| slope[i] * self.covariance[j * dim + i]).sum::<f64>()).sum();
        variance.sqrt()
    }

    /// A search of its own for one side of a profile.
    pub fn solver(&self, fit: &Fit) -> Solver<'_> {
        let mut objective = objective(fit);
        objective.value_gradient(&self.x, &mut vec![0.0; self.x.len()]);
        objective.accept();
        let template = &fit.data.design.template;
        let linear = (0..template.n_terms()).all(|term| template.covariance(term).is_linear());
        Solver { criterion: self, objective, x: self.x.clone(), linear }
    }
}

/// Searches that start where the last one ended.
pub(super) struct Solver<'a> {
    criterion: &'a Criterion,
    objective: Box<dyn Objective>,
    x: Vec<f64>,
    /// Whether every Lambda is linear in theta.
    pub linear: bool,
}

impl Solver<'_> {
    /// Half the rise of -2 log likelihood with the parameter at t.
    ///
    /// Where Lambda is not linear in theta a variance of zero or a residual variance of zero may be a second minimum in
    /// which a search that started at the last point stays; then one that starts at the optimum decides.
    pub fn solve(&mut self, constraint: &Constraint, t: f64) -> Option<f64> {
        let from = self.x.clone();
        let first = self.solve_from(&from, constraint, t);
        if self.linear {
            return first;
        }
        let found = self.x.clone();
        let second = self.solve_from(&self.criterion.x.clone(), constraint, t);
        match (first, second) {
            (Some(one), Some(two)) if one < two => {
                self.x = found;
                first
            }
            (_, None) => {
                self.x = found;
                first
            }
            _ => second,
        }
    }

    fn solve_from(&mut self, from: &[f64], constraint: &Constraint, t: f64) -> Option<f64> {
        let mut x = from.to_vec();
        constraint.start(t, &mut x);
        let free = constraint.free();
        let start: Vec<f64> = free.iter().map(|&m| x[m]).collect();
        let mut held =
            Held { objective: &mut *self.objective, constraint, t, free: &free, hessian: &self.criterion.hessian, x };
        let found = minimise(&mut held, &start, &SETTINGS);
        if !found.value.is_finite() || found.reason == StopReason::BadStart || found.reason == StopReason::MaxIterations
        {
            return None;
        }
        held.spread(&found.x);
        self.x = held.x;
        constraint.place(t, &mut self.x);
        Some(found.value - self.criterion.value)
    }

    /// Half the rise of -2 log likelihood with a quantity at t, where parameters are held or tied besides.
    pub fn solve_restricted(&mut self, fit: &Fit, quantity: Quantity, t: f64) -> Option<f64> {
        let restriction = Restriction::new(&fit.data.design, &fit.layout, Some((quantity, t))).ok()??;
        let mut start = self.x.clone();
        restriction.place(&mut start);
        let mut held = Restricted::new(Box::new(&mut *self.objective), restriction);
        let found = minimise(&mut held, &start, &SETTINGS);
        if !found.value.is_finite() || matches!(found.reason, StopReason::BadStart | StopReason::MaxIterations) {
            return None;
        }
        self.x = found.x;
        held.complete(&mut self.x);
        Some(found.value - self.criterion.value)
    }

    /// Minus the log likelihood without the column of a term; infinite where the search fails.
    pub fn without(&mut self, fit: &Fit, term: usize, column: usize) -> f64 {
        let (template, first) = (&fit.data.design.template, fit.layout.theta.start);
        let (range, covariance) = (template.theta_range(term), template.covariance(term));
        let without: Vec<usize> = if covariance.n_theta() > 0 && covariance.entry(0).is_some() {
            let gone = |m: usize| covariance.entry(m).is_some_and(|(r, c)| r == column || c == column);
            (0..covariance.n_theta()).filter(|&m| gone(m)).collect()
        } else {
            // The standard deviation is zero, and whatever then has no meaning rests.
            let mut own = self.x[first + range.start..first + range.end].to_vec();
            covariance.hold(Natural::Sd(column), 0.0, &mut own);
            covariance.idle(&own)
        };
        let zero: Vec<usize> = without.iter().map(|m| first + range.start + m).collect();
        let free: Vec<usize> = (0..self.x.len()).filter(|m| !zero.contains(m)).collect();
        let mut x = self.x.clone();
        if covariance.n_theta() > 0 && covariance.entry(0).is_some() {
            zero.iter().for_each(|&m| x[m] = 0.0);
        } else {
            covariance.hold(Natural::Sd(column), 0.0, &mut x[first + range.start..first + range.end]);
        }
        let start: Vec<f64> = free.iter().map(|&m| x[m]).collect();
        let mut masked = Masked { objective: &mut *self.objective, free: &free, hessian: &self.criterion.hessian, x };
        let found = minimise(&mut masked, &start, &SETTINGS);
        // The next search starts from the optimum again.
        self.objective.value_gradient(&self.x, &mut vec![0.0; self.x.len()]);
        self.objective.accept();
        if found.value.is_finite() { found.value } else { f64::INFINITY }
    }
}

/// The criterion with a parameter held.
struct Held<'a> {
    objective: &'a mut dyn Objective,
    constraint: &'a Constraint,
    t: f64,
    free: &'a [usize],
    hessian: &'a [f64],
    x: Vec<f64>,
}

impl Held<'_> {
    /// Writes free coordinates into x.
    fn spread(&mut self, z: &[f64]) {
        self.free.iter().zip(z).for_each(|(&m, z)| self.x[m] = *z);
    }
}

impl Objective for Held<'_> {
    fn dim(&self) -> usize {
        self.free.len()
    }

    fn value_gradient(&mut self, z: &[f64], gradient: &mut [f64]) -> f64 {
        self.spread(z);
        let (mut x, mut full) = (self.x.clone(), vec![0.0; self.x.len()]);
        self.constraint.place(self.t, &mut x);
        let value = self.objective.value_gradient(&x, &mut full);
        gradient.copy_from_slice(&self.constraint.pull(self.t, &self.x, &full));
        value
    }

    /// J'HJ with the Hessian of the optimum, and unit curvature along a direction without effect.
    fn metric(&mut self, z: &[f64]) -> Vec<f64> {
        self.spread(z);
        let (dim, size) = (self.x.len(), self.free.len());
        let rows: Vec<Vec<f64>> = (0..dim)
            .map(|m| {
                let mut unit = vec![0.0; dim];
                unit[m] = 1.0;
                self.constraint.pull(self.t, &self.x, &unit)
            })
            .collect();
        let mut out = vec![0.0; size * size];
        for (i, left) in rows.iter().enumerate() {
            for (j, right) in rows.iter().enumerate() {
                let h = self.hessian[j * dim + i];
                for (b, r) in right.iter().enumerate() {
                    for (a, l) in left.iter().enumerate() {
                        out[b * size + a] += l * h * r;
                    }
                }
            }
        }
        if let Some(idle) = self.constraint.idle(&self.x) {
            let idle: Vec<f64> = self.free.iter().map(|&m| idle[m]).collect();
            let largest = (0..size).map(|a| out[a * size + a].abs()).fold(1e-8, f64::max);
            for b in 0..size {
                for a in 0..size {
                    out[b * size + a] += largest * idle[a] * idle[b];
                }
            }
        }
        out
    }

    fn accept(&mut self) {
        self.objective.accept();
    }
}

/// The criterion with some parameters at fixed values.
struct Masked<'a> {
    objective: &'a mut dyn Objective,
    free: &'a [usize],
    hessian: &'a [f64],
    x: Vec<f64>,
}

impl Objective for Masked<'_> {
    fn dim(&self) -> usize {
        self.free.len()
    }

    fn value_gradient(&mut self, z: &[f64], gradient: &mut [f64]) -> f64 {
        self.free.iter().zip(z).for_each(|(&m, z)| self.x[m] = *z);
        let mut full = vec![0.0; self.x.len()];
        let value = self.objective.value_gradient(&self.x, &mut full);
        gradient.iter_mut().zip(self.free).for_each(|(g, &m)| *g = full[m]);
        value
    }

    fn metric(&mut self, _z: &[f64]) -> Vec<f64> {
        let dim = self.x.len();
        self.free.iter().flat_map(|&j| self.free.iter().map(move |&i| j * dim + i)).map(|at| self.hessian[at]).collect()
    }

    fn accept(&mut self) {
        self.objective.accept();
    }
}

fn assumed(fit: &Fit) -> Assumed {
    fit.assumed(None).expect("the fit was made under these assumptions")
}

fn objective(fit: &Fit) -> Box<dyn Objective> {
    match fit.profiled() {
        Some(profiled) => {
            Box::new(Explicit { profiled: profiled.clone(), smallest: SMALLEST_SIGMA * fit.profiled_sigma() })
        }
        None => {
            let mut laplace = Laplace::new(fit.data.clone(), fit.method());
            laplace.set_start_mode(fit.mode().to_vec());
            assumed(fit).objective(Box::new(laplace))
        }
    }
}

/// Minus the log likelihood of a linear mixed model in (log sigma, theta on the absolute scale): beta profiled out.
struct Explicit {
    profiled: Profiled,
    /// Below this sigma the likelihood counts as impossible.
    smallest: f64,
}

impl Objective for Explicit {
    fn dim(&self) -> usize {
        1 + self.profiled.template().n_theta()
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let sigma = x[0].exp();
        if sigma < self.smallest {
            return f64::INFINITY;
        }
        let template = self.profiled.template();
        let degrees: Vec<f64> = (0..x.len() - 1).map(|m| template.degree(m)).collect();
        let relative = template.times(&x[1..], 1.0 / sigma);
        let mut slope = vec![0.0; x.len()];
        let value = self.profiled.value_gradient_sigma(&relative, sigma, &mut slope);
        if !value.is_finite() {
            return f64::INFINITY;
        }
        let k = relative.len();
        let through: f64 = (relative.iter().zip(&slope).zip(&degrees)).map(|((theta, g), d)| d * theta * g).sum();
        gradient[0] = 0.5 * (sigma * slope[k] - through);
        for ((g, s), degree) in gradient[1..].iter_mut().zip(&slope).zip(&degrees) {
            *g = 0.5 * s * sigma.powf(-degree);
        }
        0.5 * value
    }

    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        let dim = x.len();
        let mut out = vec![0.0; dim * dim];
        (0..dim).for_each(|m| out[m * dim + m] = 1.0);
        out
    }
}

/// A linear mixed model with one coefficient known: its column is part of the offset.
///
/// Along y - t x the statistics of the response are linear (its square quadratic) in t, so a value of t costs no work of
/// the number of rows.
pub(super) struct Along {
    profiled: Profiled,
    /// Statistics at the estimate, and along the column, whose length is made that of the response.
    base: Statistics,
    column: Statistics,
    cross: f64,
    stretch: f64,
    estimate: f64,
    spread: f64,
    theta: Vec<f64>,
    value: f64,
}

impl Along {
    /// `None` where the remaining model is not determined.
    pub fn new(fit: &Fit, column: usize) -> Option<Self> {
        let (design, full) = (&fit.data.design, fit.profiled()?);
        let fixed = &design.fixed[0];
        let own = fixed.original_column(column);
        let estimate = fixed.to_original(&fit.beta[0])[column];
        let spread = fit.fixed_covariance(0)?[column * fixed.p() + column].sqrt();
        let mut y = fit.data.y.clone();
        if let Some(offset) = fixed.offset() {
            y.iter_mut().zip(offset).for_each(|(y, offset)| *y -= offset);
        }
        y.iter_mut().zip(&own).for_each(|(y, x)| *y -= estimate * x);
        let weights = match &fit.likelihood {
            Likelihood::Profiled { weights, .. } => weights.as_deref(),
            Likelihood::Laplace(_) | Likelihood::Marginal { .. } => None,
        };
        let profiled = if fixed.level_basis().is_some() {
            Profiled::by_level(&y, &fixed.without(column)?, design, weights).ok()?
        } else {
            let others: Vec<f64> =
                (0..fixed.p()).filter(|j| *j != column).flat_map(|j| fixed.original_column(j)).collect();
            let template = full.template().clone();
            Profiled::new(&y, &others, fixed.p() - 1, &design.groupings, template, weights, None, false).ok()?
        };
        let length = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
        let stretch = length(&y) / length(&own);
        let x: Vec<f64> = own.iter().map(|x| stretch * x).collect();
        let sum: Vec<f64> = y.iter().zip(&x).map(|(y, x)| y + x).collect();
        let (base, column) = (profiled.statistics_of(&y).ok()?, profiled.statistics_of(&x).ok()?);
        let both = profiled.statistics_of(&sum).ok()?;
        let cross = 0.5 * (both.yy - base.yy - column.yy);
        let (theta, value) = (fit.optimum.x.clone(), -fit.loglik);
        Some(Self { profiled, base, column, cross, stretch, estimate, spread, theta, value })
    }

    pub fn estimate(&self) -> f64 {
        self.estimate
    }

    /// The standard error of the coefficient, given the variance parameters.
    pub fn spread(&self) -> f64 {
        self.spread
    }

    /// Half the rise of -2 log likelihood with the coefficient at t.
    pub fn solve(&mut self, t: f64) -> Option<f64> {
        let step = (t - self.estimate) / self.stretch;
        let moved = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - step * b).collect();
        let yy = self.base.yy - 2.0 * step * self.cross + step * step * self.column.yy;
        self.profiled.set_statistics(Statistics {
            zy: moved(&self.base.zy, &self.column.zy),
            yy: yy.max(f64::MIN_POSITIVE),
            coefficients: moved(&self.base.coefficients, &self.column.coefficients),
        });
        let mut objective = HalfCriterion { profiled: &mut self.profiled, constant: 0.0 };
        // A variance of zero is a stationary point, but not for every value of the coefficient the best one.
        let template = objective.profiled.template().clone();
        let units = vec![1.0; template.n_terms()];
        let settings = Settings { update: Update::Refresh, ..SETTINGS };
        let range = 0..self.theta.len();
        let found = estimate(&mut objective, &self.theta, &settings, &template, range, &units);
        if !(found.converged && found.value.is_finite()) {
            return None;
        }
        self.theta = found.x;
        Some(found.value - self.value)
    }
}
