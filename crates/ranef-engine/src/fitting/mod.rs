//! From a model to a fit: the one place where likelihood meets optimiser.

mod boundary;
mod denominators;
mod estimate;
mod marginal;
mod remedy;
pub mod saved;
mod search;
mod separation;
mod variance_components;
pub mod verdict;

use crate::covariance::{Natural, NaturalScale, Template};
use crate::design::{Constraint, Quantity};
use crate::error::ModelError;
use crate::family::Component;
use crate::inference::{Joint, Posterior, to_original};
use crate::likelihood::assumed::Assumed;
use crate::likelihood::data::{Data, Method};
use crate::likelihood::laplace::{Laplace, Layout};
use crate::likelihood::marginal::Residual;
use crate::likelihood::other_starts::{beyond, centred, even_zeros, other_shapes};
use crate::likelihood::profiled::Profiled;
use crate::likelihood::restriction::Restriction;
use crate::likelihood::start::{neutral, spread, start, with_moments};
use crate::linalg::among_threads;
use crate::link::Link;
use crate::objective::Objective;
use crate::optimizer::{Settings, Update};
use crate::stop::Stop;
pub(crate) use estimate::{Estimate, estimate};
pub(crate) use marginal::MarginalFit;
pub use marginal::ResidualParameter;
pub use remedy::Remedy;
pub use search::Optimum;
use std::sync::{Arc, Mutex, OnceLock};
pub use variance_components::VarianceComponents;
use verdict::Status;

/// Parameters beyond the mean whose predictor is this far out on its log or logit scale, on average, ...
const FAR_OUT: f64 = 5.0;
/// ... and whose curvature is below this (a standard error above 10) are at the edge of the family.
const NO_INFORMATION: f64 = 1e-2;
/// A zero inflation whose predictor is this far out, on average, has hardly a row for itself, or hardly one that it leaves.
const HARDLY_A_ROW: f64 = 2.0;
/// A conditional variance of a standardised effect, whose prior variance is 1, above which a search that ends without
/// an optimum has run into the place where Laplace's approximation breaks down.
const NOT_UNIMODAL: f64 = 10.0;

/// Where a search begins that takes the effects of a term to be independent in the middle of its covariate.
const CENTRED: &str = "with effects that are independent in the middle of their covariate";
/// Where a search begins after one that ended at effects nearly of two kinds.
const BEYOND: &str = "from effects three times as wide";
/// Where a search begins after one that lost the zero inflation.
const EVEN_ZEROS: &str = "from the same zero inflation in every row";
/// Rounding in a log likelihood beyond which nobody can say which of two points is higher.
const LOST_IN_ROUNDING: f64 = 1e-4;
/// Where a search from another maximum of the model without random effects begins.
const OTHER_SHAPE: &str = "from another shape of the distribution";
/// A log likelihood that is lower by no more than this is nearly as high, ...
const NEARLY_AS_HIGH: f64 = 6.0;
/// ... and predictors of a shape (on a log or logit scale) that differ by more are different shapes.
const APART: f64 = 0.5;
/// Where the second search for terms of reduced rank begins.
const SPREAD: &str = "with the loadings of reduced rank spread out";

/// Where a second search begins after one that ended at the edge of a parameter's space.
const WITHIN: &str = "from within the space of the parameters that were at its edge";

/// How to fit.
#[derive(Clone, Debug)]
pub struct Control {
    /// Most outer iterations.
    pub max_iterations: usize,
    /// Largest distance to the optimum, in standard errors.
    pub gradient_tolerance: f64,
    /// Start of the outer parameters in internal coordinates; found from the data where there is none.
    pub start: Option<Vec<f64>>,
    /// Values, in the user's units, of some parameters at the start; standard deviations are relative to sigma for a
    /// profiled likelihood, which has no start of coefficients.
    pub start_values: Vec<(Quantity, f64)>,
    /// What may end it early; what was found by then is marked.
    pub stop: Stop,
}

impl Default for Control {
    fn default() -> Self {
        Self { max_iterations: 500, gradient_tolerance: 1e-4, start: None, start_values: Vec::new(), stop: Stop::NEVER }
    }
}

/// The likelihood of a model.
#[derive(Clone, Debug)]
pub enum Likelihood {
    /// Laplace's approximation (exact for Gaussian models).
    Laplace(Method),
    /// The exact profiled likelihood of a Gaussian model with identity link and constant dispersion.
    Profiled {
        /// Restricted maximum likelihood.
        reml: bool,
        /// Precision weights: the residual variance of row i is sigma^2 / w_i.
        weights: Option<Vec<f64>>,
    },
    /// The exact marginal likelihood of a Gaussian model with correlated residuals or variance functions.
    Marginal {
        /// Restricted maximum likelihood.
        reml: bool,
        /// Precision weights, which are in the offset of the dispersion too.
        weights: Option<Vec<f64>>,
        /// The residuals.
        residual: Arc<Residual>,
    },
}

/// A fitted model.
pub struct Fit {
    /// The observations.
    pub data: Arc<Data>,
    /// What was maximised.
    pub likelihood: Likelihood,
    /// The maximised log likelihood (restricted, for REML), constants included.
    pub loglik: f64,
    /// The log prior density of the parameters, not part of the log likelihood; 0 without priors.
    pub log_prior: f64,
    /// Number of parameters that are held at values or follow from others.
    pub n_dependent: usize,
    /// beta~ of each predictor.
    pub beta: Vec<Vec<f64>>,
    /// theta in scaled columns, on the absolute scale.
    pub theta: Vec<f64>,
    /// Conditional modes of all b, in scaled columns.
    pub modes: Vec<f64>,
    /// The search's end point, in the coordinates of its objective.
    pub optimum: Optimum,
    /// Inner iterations used.
    pub inner_iterations: usize,
    /// Where the Laplace objective's outer parameters stand.
    pub layout: Layout,
    /// Covariance of the mean's beta~ given the variance parameters, where that is known without a posterior.
    fixed_conditional: Option<Vec<f64>>,
    /// The profiled likelihood at the optimum, from which refits, bootstrap and profile start.
    profiled: Option<Profiled>,
    /// What is kept of a marginal likelihood.
    marginal: Option<Box<MarginalFit>>,
    /// Covariance of the Laplace objective's outer parameters; made when first asked for.
    parameter_covariance: Vec<f64>,
    /// The Laplace objective's outer parameters.
    parameters: Vec<f64>,
    /// Start of the conditional mode: u, then beta~ inside.
    mode: Vec<f64>,
    /// Linear predictors at the conditional modes, by predictor; made when first asked for.
    eta: OnceLock<Vec<Vec<f64>>>,
    posterior: Mutex<Option<Arc<Posterior>>>,
}

/// Fits `data` by `likelihood`.
///
/// # Errors
/// [`ModelError::Profiled`] where the data do not determine the profiled likelihood; [`ModelError::Restriction`] where
/// parameters cannot be held or tied as the design says.
pub fn fit(data: Arc<Data>, likelihood: Likelihood, control: &Control) -> Result<Fit, ModelError> {
    among_threads(data.y.len(), || match &likelihood {
        Likelihood::Laplace(method) => fit_laplace(data, *method, control),
        Likelihood::Profiled { reml, weights } => fit_profiled(data.clone(), *reml, weights.clone(), control),
        Likelihood::Marginal { reml, weights, residual } => {
            marginal::fit_marginal(data.clone(), *reml, weights.clone(), residual.clone(), control)
        }
    })
}

fn fit_laplace(data: Arc<Data>, method: Method, control: &Control) -> Result<Fit, ModelError> {
    let layout = Layout::new(&data.design, method);
    let assumed = Assumed::new(&data.design, &layout, None).map_err(ModelError::Restriction)?;
    let mut laplace = Laplace::new(data.clone(), method);
    laplace.stop = control.stop.clone();
    let from = match &control.start {
        Some(given) => {
            start(&mut laplace, &data);
            given.clone()
        }
        None => {
            let mut found = start(&mut laplace, &data);
            adopt(&data, &layout, &control.start_values, &mut found);
            found
        }
    };
    let first_mode = laplace.start_mode().to_vec();
    // The average information of a Gaussian model tells the curvature far from the optimum too.
    let gaussian = data.family.card().name == "gaussian" && data.family.links()[0] == Link::Identity;
    let refreshed = gaussian && data.design.template.is_coupled();
    let settings = settings(control, if refreshed { Update::Refresh } else { Update::RankOne });
    let design = data.design.clone();
    let units = |x: &[f64]| units_of(&data, &layout.beta, x);
    let dependents = assumed.restriction().map_or_else(Vec::new, Restriction::dependents);
    let edge = |x: &[f64], hessian: &[f64]| {
        let mut found = family_edge(&data, &layout, x, hessian);
        found.retain(|m| !dependents.contains(m));
        found
    };
    // A coefficient that is held takes its own column's part of a start and no other's.
    let values: Vec<(Quantity, f64)> = design
        .assumptions
        .constraints
        .iter()
        .filter_map(|constraint| match constraint {
            Constraint::Held(quantity @ Quantity::Coefficient { .. }, value) => Some((*quantity, *value)),
            _ => None,
        })
        .collect();
    let search_from = |from: &[f64], laplace: &mut Laplace| {
        let mut from = from.to_vec();
        adopt(&data, &layout, &values, &mut from);
        let mut objective = assumed.objective(Box::new(laplace));
        let theta = layout.theta.clone();
        let mut optimum = search::search(&mut *objective, &from, &settings, units, &design.template, theta, edge);
        if let Some(restriction) = assumed.restriction() {
            restriction.spread(&mut optimum.covariance);
            optimum.held.retain(|m| !dependents.contains(m));
            optimum.held.extend(restriction.known(&optimum.held));
        }
        optimum
    };
    let mut optimum = search_from(&from, &mut laplace);
    if control.start.is_none()
        && let Some(theta) = spread(&design.template, &from[layout.theta.clone()])
    {
        let mut other = from.clone();
        other[layout.theta.clone()].copy_from_slice(&theta);
        let other = search_from(&other, &mut laplace);
        optimum = search::better_of(&mut laplace, optimum, other, SPREAD);
    }
    let mut several = false;
    if control.start.is_none() {
        for other in other_shapes(&data, &layout, &optimum.x) {
            let other = search_from(&other, &mut laplace);
            several |= is_another(&data, &layout, &optimum, &other);
            optimum = search::better_of(&mut laplace, optimum, other, OTHER_SHAPE);
        }
        if let Some(other) = centred(&data, &layout, &from) {
            let other = search_from(&other, &mut laplace);
            optimum = search::better_of(&mut laplace, optimum, other, CENTRED);
        }
        for other in beyond(&data, &layout, &optimum.x) {
            let other = search_from(&other, &mut laplace);
            optimum = search::better_of(&mut laplace, optimum, other, BEYOND);
        }
    }
    if several && optimum.verdict.status.is_converged() {
        optimum.verdict.status = Status::SeveralMaxima;
    }
    mark_separation(&data, &layout, &mut optimum);
    if control.start.is_none() && lost_inflation(&data, &layout, &optimum) {
        for even in even_zeros(&data, &layout, &from) {
            // Modes of the effects may be several where zeros are inflated: those of another search belong to its end.
            laplace.set_start_mode(first_mode.clone());
            let mut other = search_from(&even, &mut laplace);
            mark_separation(&data, &layout, &mut other);
            optimum = search::higher_of(&mut laplace, optimum, other, EVEN_ZEROS);
        }
    }
    // The likelihood is flat out there: only a search from within tells that it is the maximum.
    let within = if !optimum.verdict.boundary.is_empty() {
        Some(with_moments(&data, &layout.beta, &optimum.verdict.boundary, &optimum.x))
    } else if design.is_random(0) && optimum.verdict.separated.iter().any(|(predictor, _)| *predictor == 0) {
        Some(neutral(&data, &layout))
    } else {
        None
    };
    if let Some(within) = within {
        let mut other = search_from(&within, &mut laplace);
        mark_separation(&data, &layout, &mut other);
        optimum = search::better_of(&mut laplace, optimum, other, WITHIN);
    }
    let (decrement, definite) = laplace.inner_state();
    optimum.verdict.inner_decrement = decrement;
    optimum.verdict.inner_definite = definite;
    if optimum.verdict.status == Status::Failed && laplace.largest_variance() > NOT_UNIMODAL {
        optimum.verdict.status = Status::Breakdown;
    }
    Ok(of_laplace(data, layout, &assumed, laplace, optimum))
}

/// A fit at an optimum whose conditional modes are the objective's.
fn of_laplace(data: Arc<Data>, layout: Layout, assumed: &Assumed, mut laplace: Laplace, optimum: Optimum) -> Fit {
    let modes = laplace.effects(&laplace.mode()[..laplace.n_effects()]);
    let log_prior = assumed.log_prior(&optimum.x);
    Fit {
        likelihood: Likelihood::Laplace(laplace.method()),
        loglik: -optimum.value - log_prior,
        log_prior,
        n_dependent: assumed.n_dependent(),
        beta: laplace.beta(),
        theta: optimum.x[layout.theta.clone()].to_vec(),
        modes,
        eta: OnceLock::from(std::mem::take(&mut laplace.state.eta)),
        inner_iterations: laplace.inner_iterations(),
        layout,
        fixed_conditional: None,
        profiled: None,
        marginal: None,
        parameter_covariance: optimum.covariance.clone(),
        parameters: optimum.x.clone(),
        mode: laplace.mode().to_vec(),
        optimum,
        posterior: Mutex::new(None),
        data,
    }
}

/// Moves a start to where some quantities have given values: standard deviations with no correlations.
fn adopt(data: &Data, layout: &Layout, values: &[(Quantity, f64)], x: &mut [f64]) {
    let design = &data.design;
    for &(quantity, value) in values {
        match quantity {
            Quantity::Coefficient { predictor, column } => {
                let Some(range) = layout.beta[predictor].clone() else { continue };
                let mut beta = design.fixed[predictor].to_original(&x[range.clone()]);
                beta[column] = value;
                x[range].copy_from_slice(&design.fixed[predictor].to_rotated(&beta));
            }
            Quantity::Sd { term, column } => {
                let covariance = design.template.covariance(term);
                let own = design.template.theta_range(term);
                let range = layout.theta.start + own.start..layout.theta.start + own.end;
                if range.is_empty() {
                    continue;
                }
                let natural = NaturalScale::new(covariance, &x[range.clone()]);
                let common = covariance.sds().len() < covariance.size();
                let sds: Vec<f64> = (0..covariance.size())
                    .map(|i| {
                        let given = i == column || common;
                        if given { value * design.places[term].scales[i] } else { natural.value(Natural::Sd(i)) }
                    })
                    .collect();
                x[range].copy_from_slice(&covariance.start(&sds));
            }
            Quantity::Correlations { .. } => {}
        }
    }
}

fn settings(control: &Control, update: Update) -> Settings {
    let stop = control.stop.clone();
    Settings { max_iterations: control.max_iterations, gradient_tolerance: control.gradient_tolerance, update, stop }
}

/// The size of Lambda that counts as one, for each term: 1 on a non-linear link, the residual standard deviation (or
/// its typical value) on an identity link.
fn units_of(data: &Data, beta: &[Option<std::ops::Range<usize>>], x: &[f64]) -> Vec<f64> {
    let (design, links) = (&data.design, data.family.links());
    let residual = match beta.get(1) {
        Some(Some(range)) if !range.is_empty() => {
            let mut eta = design.fixed[1].offset().map_or_else(|| vec![0.0; design.n], <[f64]>::to_vec);
            design.fixed[1].add_to(&x[range.clone()], &mut eta);
            (eta.iter().sum::<f64>() / design.n as f64).exp()
        }
        _ => 1.0,
    };
    design
        .places
        .iter()
        .map(|place| {
            if links[place.predictor] == Link::Identity && data.family.card().name == "gaussian" {
                residual
            } else {
                1.0
            }
        })
        .collect()
}

/// Whether two searches ended at different maxima, nearly of the same height, of a parameter that shapes the distribution
/// and of which not all maxima can have been tried. Of one that may have either sign both have been.
fn is_another(data: &Data, layout: &Layout, first: &Optimum, second: &Optimum) -> bool {
    let inside = |optimum: &Optimum| optimum.verdict.status.is_converged() && optimum.verdict.boundary.is_empty();
    if !(inside(first) && inside(second)) || (first.value - second.value).abs() > NEARLY_AS_HIGH {
        return false;
    }
    let design = &data.design;
    layout.beta.iter().enumerate().any(|(k, range)| {
        let shape = data.family.components()[k] == Component::Shape && data.family.links()[k] != Link::Identity;
        let Some(range) = range.clone().filter(|_| shape) else { return false };
        let apart: Vec<f64> = range.map(|m| first.x[m] - second.x[m]).collect();
        let mut eta = vec![0.0; design.n];
        design.fixed[k].add_to(&apart, &mut eta);
        eta.iter().any(|eta| eta.abs() > APART)
    })
}

/// A predictor with these coefficients, without its offset.
fn predictor(data: &Data, k: usize, beta: &[f64]) -> Vec<f64> {
    let mut eta = vec![0.0; data.design.n];
    data.design.fixed[k].add_to(beta, &mut eta);
    eta
}

/// Whether a predictor is farther out than `far`, on average.
fn is_far_out(eta: &[f64], far: f64) -> bool {
    eta.iter().map(|eta| eta.abs()).sum::<f64>() > far * eta.len() as f64
}

/// Whether a search found no maximum, or one with no zero inflation but for the far end of some covariate: what overdispersion
/// had explained at the start of the search, it may explain less well than zero inflation.
fn lost_inflation(data: &Data, layout: &Layout, optimum: &Optimum) -> bool {
    let Some(k) = data.family.components().iter().position(|c| *c == Component::Zi) else { return false };
    match optimum.verdict.status {
        Status::SeveralMaxima | Status::TimeLimit => false,
        status if status.is_converged() => {
            let range = layout.beta[k].clone();
            range.is_some_and(|range| is_far_out(&predictor(data, k, &optimum.x[range]), HARDLY_A_ROW))
        }
        _ => true,
    }
}

/// Coefficients of predictors beyond the mean that have run to the edge of the family: no overdispersion is left, or no
/// zero inflation.
fn family_edge(data: &Data, layout: &Layout, x: &[f64], hessian: &[f64]) -> Vec<usize> {
    let (design, gaussian) = (&data.design, data.family.card().name == "gaussian");
    let mut found = Vec::new();
    for (k, range) in layout.beta.iter().enumerate().skip(if gaussian { 2 } else { 1 }) {
        let Some(range) = range.clone().filter(|range| !range.is_empty() && !design.is_random(k)) else { continue };
        let eta = predictor(data, k, &x[range.clone()]);
        // Out to both sides it is no edge: a zero inflation of some rows and not of others is a step of its predictor.
        let aside = eta.iter().all(|eta| *eta > 0.0) || eta.iter().all(|eta| *eta < 0.0);
        if aside
            && is_far_out(&eta, FAR_OUT)
            && range.clone().all(|m| hessian[m * layout.dim + m].abs() < NO_INFORMATION)
        {
            found.extend(range);
        }
    }
    found
}

/// Marks coefficients on non-linear scales that run to infinity.
fn mark_separation(data: &Data, layout: &Layout, optimum: &mut Optimum) {
    let (dim, links) = (layout.dim, data.family.links());
    for (k, range) in layout.beta.iter().enumerate() {
        let Some(range) = range.clone().filter(|_| links[k] != Link::Identity) else { continue };
        let block: Vec<f64> = range
            .clone()
            .flat_map(|j| range.clone().map(move |i| j * dim + i))
            .map(|at| optimum.covariance[at])
            .collect();
        let found = separation::separated(&data.design.fixed[k], &optimum.x[range], &block);
        // A prior density gives a coefficient its maximum, however wide.
        let free = |column: &usize| {
            let quantity = Quantity::Coefficient { predictor: k, column: *column };
            data.design.assumptions.penalties.iter().all(|penalty| penalty.quantity != quantity)
        };
        optimum.verdict.separated.extend(found.into_iter().filter(free).map(|column| (k, column)));
    }
    let verdict = &mut optimum.verdict;
    if !verdict.separated.is_empty() && (verdict.status.is_converged() || verdict.status == Status::Flat) {
        verdict.status = Status::Separated;
    }
}

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

fn fit_profiled(data: Arc<Data>, reml: bool, weights: Option<Vec<f64>>, control: &Control) -> Result<Fit, ModelError> {
    let profiled = profiled_of(&data, reml, weights.as_deref())?;
    Ok(maximise_profiled(data, profiled, reml, weights, control))
}

fn maximise_profiled(
    data: Arc<Data>,
    mut profiled: Profiled,
    reml: bool,
    weights: Option<Vec<f64>>,
    control: &Control,
) -> Fit {
    let design = data.design.clone();
    let fixed = &design.fixed[0];
    let n_theta = design.template.n_theta();
    let from = control.start.clone().unwrap_or_else(|| {
        let mut found = profiled.start();
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
    if control.start.is_none()
        && let Some(other) = spread(&design.template, &from)
    {
        let other = search_from(&other, &mut objective);
        optimum = search::better_of(&mut objective, optimum, other, SPREAD);
    }
    of_profiled(data, profiled, reml, weights, optimum).expect("the optimum was evaluated")
}

/// A fit at an optimum of the profiled likelihood; `None` where it cannot be evaluated there.
fn of_profiled(
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

impl Fit {
    /// Whether the exact profiled likelihood was used.
    pub fn is_profiled(&self) -> bool {
        matches!(self.likelihood, Likelihood::Profiled { .. })
    }

    /// The method, as Laplace's approximation sees it.
    pub fn method(&self) -> Method {
        match self.likelihood {
            Likelihood::Laplace(method) => method,
            Likelihood::Profiled { .. } | Likelihood::Marginal { .. } => Method::Reml,
        }
    }

    /// The same fit to data that have further levels of coupled grouping factors, which no row meets: they leave the
    /// likelihood as it is, and have modes all the same. `None` for a profiled likelihood, or where no mode is found.
    pub fn extended(&self, data: Arc<Data>) -> Option<Self> {
        let Likelihood::Laplace(method) = self.likelihood else { return None };
        let mut laplace = Laplace::new(data.clone(), method);
        let inside = laplace.inside().map_or(0, |k| self.beta[k].len());
        let mut start = vec![0.0; laplace.n_effects()];
        start.extend_from_slice(&self.mode[self.mode.len() - inside..]);
        laplace.set_start_mode(start);
        let value = laplace.value_gradient(&self.parameters, &mut vec![0.0; self.parameters.len()]);
        if !value.is_finite() {
            return None;
        }
        Some(Self {
            modes: laplace.effects(&laplace.mode()[..laplace.n_effects()]),
            eta: OnceLock::from(laplace.eta().to_vec()),
            mode: laplace.mode().to_vec(),
            likelihood: self.likelihood.clone(),
            loglik: self.loglik,
            log_prior: self.log_prior,
            n_dependent: self.n_dependent,
            beta: self.beta.clone(),
            theta: self.theta.clone(),
            optimum: self.optimum.clone(),
            inner_iterations: self.inner_iterations,
            layout: self.layout.clone(),
            fixed_conditional: None,
            profiled: None,
            marginal: None,
            parameter_covariance: self.parameter_covariance.clone(),
            parameters: self.parameters.clone(),
            posterior: Mutex::new(None),
            data,
        })
    }

    /// Linear predictors at the conditional modes, by predictor.
    pub fn eta(&self) -> &[Vec<f64>] {
        self.eta.get_or_init(|| {
            let design = &self.data.design;
            let mut eta = vec![vec![0.0; design.n]; design.n_predictors()];
            for ((fixed, beta), eta) in design.fixed.iter().zip(&self.beta).zip(&mut eta) {
                fixed.predict_into(beta, eta);
            }
            design.add_random(&self.modes, &mut eta);
            eta
        })
    }

    /// The value of predictor `k` where all rows have the same.
    pub fn common_predictor(&self, k: usize) -> Option<f64> {
        let design = &self.data.design;
        if design.fixed[k].is_constant() && !design.is_random(k) {
            return Some(self.beta[k][0]);
        }
        let eta = &self.eta()[k];
        eta.windows(2).all(|pair| pair[0] == pair[1]).then(|| eta[0])
    }

    /// Whether fixed effects and sigma were profiled out: the search has a parameter less than the layout, and the
    /// covariance of the fixed effects is conditional on the others.
    pub fn profiles_sigma(&self) -> bool {
        self.is_profiled() || self.is_marginal()
    }

    /// The joint distribution of effects and parameters; made when first asked for. `None` where the likelihood does
    /// not give one.
    pub fn joint(&self) -> Option<Joint> {
        if self.is_marginal() {
            self.marginal_posterior().map(Joint::Marginal)
        } else {
            self.posterior().map(Joint::Laplace)
        }
    }

    /// The joint distribution around the optimum of Laplace's approximation; made when first asked for. `None` where the
    /// inner Hessian is not positive definite.
    pub fn posterior(&self) -> Option<Arc<Posterior>> {
        let mut slot = self.posterior.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if slot.is_none() {
            let mut laplace = Laplace::new(self.data.clone(), self.method());
            if !self.mode.is_empty() {
                laplace.set_start_mode(self.mode.clone());
            }
            let mut gradient = vec![0.0; self.parameters.len()];
            if !laplace.value_gradient(&self.parameters, &mut gradient).is_finite() {
                return None;
            }
            *slot = Some(Arc::new(Posterior::new(laplace, self.parameter_covariance().to_vec())));
        }
        slot.clone()
    }

    /// What is assumed of the parameters, in the coordinates of the Laplace objective; a further quantity may be held.
    pub(crate) fn assumed(&self, besides: Option<(Quantity, f64)>) -> Result<Assumed, &'static str> {
        Assumed::new(&self.data.design, &self.layout, besides)
    }

    /// Covariance of the Laplace objective's outer parameters, dim x dim column-major.
    pub fn parameter_covariance(&self) -> &[f64] {
        &self.parameter_covariance
    }

    /// The profiled likelihood at the optimum; `None` for Laplace's approximation.
    pub(crate) fn profiled(&self) -> Option<&Profiled> {
        self.profiled.as_ref()
    }

    /// sigma of a profiled likelihood: theta is that many times the search's parameters.
    pub(crate) fn profiled_sigma(&self) -> f64 {
        self.data.design.fixed[1].to_original(&self.beta[1])[0].exp()
    }

    /// The Laplace objective's outer parameters at the optimum.
    pub(crate) fn parameters(&self) -> &[f64] {
        &self.parameters
    }

    /// The Laplace objective's mode at the optimum: u, then beta~ inside.
    pub(crate) fn mode(&self) -> &[f64] {
        &self.mode
    }

    /// The size of Lambda that counts as one, for each term, in the coordinates of the search.
    pub(crate) fn units(&self) -> Vec<f64> {
        if self.profiles_sigma() {
            vec![1.0; self.data.design.template.n_terms()]
        } else {
            units_of(&self.data, &self.layout.beta, &self.parameters)
        }
    }

    /// The same model fitted to another response (with its numbers of trials). A profiled likelihood keeps all that
    /// depends on the design. The search starts where the new data say, not at this fit's optimum: a response may be
    /// far from this one, and a variance that is zero here is a stationary point there.
    ///
    /// # Errors
    /// [`ModelError::Profiled`] where the new response does not determine the likelihood.
    pub fn refit(&self, y: Vec<f64>, trials: Option<Vec<f64>>, control: &Control) -> Result<Self, ModelError> {
        let old = self.marginal().map_or(&self.data, |own| &own.data);
        let (weights, family, design) = (old.weights.clone(), old.family.clone(), old.design.clone());
        let data = Arc::new(Data { y, trials, weights, family, design });
        match (&self.likelihood, &self.profiled) {
            (Likelihood::Profiled { reml, weights }, Some(profiled)) => {
                let mut profiled = profiled.clone();
                profiled.set_response(&data.y)?;
                Ok(maximise_profiled(data, profiled, *reml, weights.clone(), control))
            }
            (likelihood, _) => fit(data, likelihood.clone(), control),
        }
    }

    /// The block of V that belongs to a predictor's coefficients; NaN for those at the edge of the family.
    fn covariance_block(&self, range: std::ops::Range<usize>) -> Vec<f64> {
        let (dim, held) = (self.layout.dim, self.held());
        let at = |i: usize, j: usize| {
            if held.contains(&i) || held.contains(&j) { f64::NAN } else { self.parameter_covariance()[j * dim + i] }
        };
        range.clone().flat_map(|j| range.clone().map(move |i| (i, j))).map(|(i, j)| at(i, j)).collect()
    }

    /// Outer parameters that have no standard error because they sit at the edge of their space: indices in the Laplace
    /// objective's layout.
    pub fn held(&self) -> Vec<usize> {
        let shift = usize::from(self.profiles_sigma());
        self.optimum.held.iter().map(|m| m + shift).collect()
    }

    /// Covariance of a predictor's fixed effects in the user's units, p x p column-major.
    ///
    /// For the profiled likelihood it is conditional on the variance parameters, as lme4's.
    pub fn fixed_covariance(&self, predictor: usize) -> Option<Vec<f64>> {
        let rotated = match (&self.layout.beta[predictor], &self.fixed_conditional) {
            (Some(range), _) => self.covariance_block(range.clone()),
            (None, Some(known)) => known.clone(),
            (None, None) if self.profiled.is_some() => {
                let variance = self.profiled_sigma().powi(2);
                self.profiled()?.unscaled_covariance().into_iter().map(|value| variance * value).collect()
            }
            (None, None) => self.posterior()?.fixed_covariance(predictor, self.method() == Method::Profile),
        };
        Some(to_original(&self.data.design.fixed[predictor], &rotated))
    }

    /// Generalised leverage of the mean's rows, fixed effects and random effects counted.
    pub fn leverage(&self) -> Option<Vec<f64>> {
        if let Some(own) = self.marginal() {
            return own.likelihood.leverage(&own.x);
        }
        let posterior = self.posterior()?;
        let laplace = posterior.laplace();
        if laplace.inside().is_some() {
            return Some(laplace.leverage(0));
        }
        let mut inside = Laplace::new(self.data.clone(), Method::Reml);
        let range = laplace.layout().beta[0].clone().expect("the mean is outside");
        let outer: Vec<f64> =
            self.parameters.iter().enumerate().filter(|(m, _)| !range.contains(m)).map(|(_, v)| *v).collect();
        let mode: Vec<f64> = laplace.mode().iter().chain(&self.parameters[range.clone()]).copied().collect();
        inside.place(&outer, mode).then(|| inside.leverage(0))
    }
}

/// Puts a design's dispersion predictor to the precision weights of a Gaussian model: log sd_i = log sigma - log(w_i)/2.
pub fn precision_offset(weights: &[f64]) -> Vec<f64> {
    weights.iter().map(|w| -0.5 * w.ln()).collect()
}
