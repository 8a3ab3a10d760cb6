//! Fits by the exact profiled likelihood of a linear mixed model.
use super::verdict::Status;
use super::{Control, Fit, Likelihood, Optimum, SPREAD, adopt, search, settings};
use crate::covariance::Template;
use crate::error::ModelError;
use crate::likelihood::data::Data;
use crate::likelihood::laplace::Layout;
use crate::likelihood::profiled::Profiled;
use crate::likelihood::start::spread;
use crate::objective::Objective;
use crate::optimizer::Update;
use std::sync::{Arc, Mutex, OnceLock};

/// Rounding in a log likelihood beyond which nobody can say which of two points is higher.
const LOST_IN_ROUNDING: f64 = 1e-4;

/// Half the deviance of a profiled likelihood: a negative log likelihood.
pub(crate) struct HalfCriterion<'a> {
    /// The deviance or REML criterion.
    pub profiled: &'a mut Profiled,
    /// What is added to the value.
    pub constant: f64,
}

impl Objective for HalfCriterion<'_> {
    fn dim(&self) -> usize {
        self.profiled.template().n_theta()
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let value = self.profiled.value_gradient(x, gradient);
        gradient.iter_mut().for_each(|g| *g *= 0.5);
        if value.is_nan() { f64::INFINITY } else { 0.5 * value + self.constant }
    }

    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        self.profiled.metric(x).into_iter().map(|value| 0.5 * value).collect()
    }

    fn hessian(&mut self, x: &[f64]) -> Option<Vec<f64>> {
        Some(self.profiled.hessian(x)?.into_iter().map(|value| 0.5 * value).collect())
    }
}

pub(super) fn fit_profiled(
    data: Arc<Data>,
    reml: bool,
    weights: Option<Vec<f64>>,
    control: &Control,
) -> Result<Fit, ModelError> {
    let profiled = profiled_of(&data, reml, weights.as_deref())?;
    Ok(maximise_profiled(data, profiled, reml, weights, control))
}

pub(super) fn maximise_profiled(
    data: Arc<Data>,
    mut profiled: Profiled,
    reml: bool,
    weights: Option<Vec<f64>>,
    control: &Control,
) -> Fit {
    let design = data.design.clone();
    let fixed = &design.fixed[0];
    let n_theta = design.template.n_theta();
    let own = profiled.start();
    let from = control.start.clone().unwrap_or_else(|| {
        let mut found = own.clone();
        let layout = Layout { beta: vec![None; design.fixed.len()], theta: 0..n_theta, dim: n_theta };
        adopt(&data, &layout, &control.start_values, &mut found);
        found
    });
    // The restricted likelihood is in the user's beta; the columns given to it are Q = X R^-1.
    let constant = if reml { fixed.log_det() } else { 0.0 };
    let mut objective = HalfCriterion { profiled: &mut profiled, constant };
    let units = |_: &[f64]| vec![1.0; design.template.n_terms()];
    let settings = settings(control, Update::Refresh);
    let search_from = |from: &[f64], objective: &mut HalfCriterion<'_>| {
        search::search(objective, from, &settings, units, &design.template, 0..n_theta, |_, _| Vec::new())
    };
    let mut optimum = search_from(&from, &mut objective);
    if !optimum.value.is_finite() && from != own {
        optimum = search_from(&own, &mut objective);
    }
    if control.start.is_none()
        && let Some(other) = spread(&design.template, &from)
    {
        let other = search_from(&other, &mut objective);
        optimum = search::better_of(&mut objective, optimum, other, SPREAD);
    }
    of_profiled(data, profiled, reml, weights, optimum).expect("the optimum was evaluated")
}

/// A fit at an optimum of the profiled likelihood; `None` where it cannot be evaluated there.
pub(super) fn of_profiled(
    data: Arc<Data>,
    mut profiled: Profiled,
    reml: bool,
    weights: Option<Vec<f64>>,
    mut optimum: Optimum,
) -> Option<Fit> {
    let design = data.design.clone();
    let (fixed, n_theta) = (&design.fixed[0], design.template.n_theta());
    let solution = profiled.solution(&optimum.x)?;
    if profiled.rounding() > LOST_IN_ROUNDING && optimum.verdict.status.is_converged() {
        optimum.verdict.status = Status::Imprecise;
    }
    let sigma = solution.sigma;
    let theta = design.template.times(&optimum.x, sigma);
    let slope = profiled.sigma_slope(&optimum.x);
    let parameter_covariance =
        residual_covariance(&optimum, &design.template, sigma, &slope, profiled.degrees_of_freedom());
    // log sigma is the only coefficient of the dispersion, whose column is 1 = Q R.
    let dispersion = design.fixed[1].to_rotated(&[sigma.ln()]);
    let parameters: Vec<f64> = dispersion.iter().copied().chain(theta.iter().copied()).collect();
    // Thousands of fixed effects by level have a covariance that is better made when it is asked for.
    let unscaled = Some(&solution.vcov_beta_unscaled).filter(|_| fixed.level_basis().is_none());
    let fixed_conditional = unscaled.map(|unscaled| unscaled.iter().map(|value| sigma * sigma * value).collect());
    let modes: Vec<f64> = solution.b.concat();
    Some(Fit {
        likelihood: Likelihood::Profiled { reml, weights },
        loglik: -optimum.value,
        log_prior: 0.0,
        n_dependent: 0,
        beta: vec![solution.beta, dispersion],
        theta,
        modes,
        eta: OnceLock::new(),
        inner_iterations: 0,
        layout: Layout { beta: vec![None, Some(0..1)], theta: 1..1 + n_theta, dim: 1 + n_theta },
        fixed_conditional,
        profiled: Some(profiled),
        marginal: None,
        parameter_covariance,
        parameters,
        mode: Vec::new(),
        optimum,
        posterior: Mutex::new(None),
        data,
    })
}

/// The profiled likelihood of Gaussian data with identity link.
///
/// # Errors
/// [`ModelError::Profiled`] where the data do not determine it.
pub fn profiled_of(data: &Data, reml: bool, weights: Option<&[f64]>) -> Result<Profiled, ModelError> {
    Ok(Profiled::shared(&data.y, &data.design, weights, reml)?)
}

/// Covariance of (log sigma~, theta) from that of the theta relative to sigma at the optimum.
///
/// With s(theta) the sigma that is best at theta and 2 m / sigma^2 the curvature along sigma itself, sigma given theta
/// varies by sigma^2 / 2m about s: nothing beyond the verdict's Hessian is needed.
fn residual_covariance(
    optimum: &Optimum,
    template: &Template,
    sigma: f64,
    slope: &[f64],
    degrees_of_freedom: f64,
) -> Vec<f64> {
    let (k, dim) = (optimum.x.len(), optimum.x.len() + 1);
    if optimum.verdict.hessian_values.is_empty() && optimum.held.len() < k {
        return vec![f64::NAN; dim * dim];
    }
    let mut relative = vec![0.0; dim * dim];
    for j in 0..k {
        for i in 0..k {
            let value = optimum.covariance[j * k + i];
            relative[j * dim + i] = value;
            relative[k * dim + i] += value * slope[j];
            relative[k * dim + k] += value * slope[i] * slope[j];
        }
    }
    relative[k * dim + k] += sigma * sigma / (2.0 * degrees_of_freedom);
    for i in 0..k {
        relative[i * dim + k] = relative[k * dim + i];
    }
    // log sigma = log s; theta = s^degree * relative theta.
    let mut jacobian = vec![0.0; dim * dim];
    jacobian[k * dim] = 1.0 / sigma;
    for m in 0..k {
        let degree = template.degree(m);
        jacobian[m * dim + m + 1] = sigma.powf(degree);
        jacobian[k * dim + m + 1] = degree * sigma.powf(degree - 1.0) * optimum.x[m];
    }
    let mut out = vec![0.0; dim * dim];
    for a in 0..dim {
        for b in 0..dim {
            let mut sum = 0.0;
            for i in 0..dim {
                for j in 0..dim {
                    sum += jacobian[i * dim + a] * relative[j * dim + i] * jacobian[j * dim + b];
                }
            }
            out[b * dim + a] = sum;
        }
    }
    out
}
