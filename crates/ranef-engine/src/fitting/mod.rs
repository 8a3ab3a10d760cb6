//! From a model to a fit: the one place where likelihood meets optimiser.

mod boundary;
mod denominators;
mod estimate;
mod laplace;
mod marginal;
mod profiled;
mod remedy;
pub mod saved;
mod search;
mod separation;
mod variance_components;
pub mod verdict;

use crate::covariance::{Natural, NaturalScale};
use crate::design::Quantity;
use crate::error::ModelError;
use crate::inference::{Joint, Posterior, to_original};
use crate::likelihood::assumed::Assumed;
use crate::likelihood::data::{Data, Method};
use crate::likelihood::laplace::{Laplace, Layout};
use crate::likelihood::marginal::Residual;
use crate::likelihood::profiled::Profiled;
use crate::linalg::among_threads;
use crate::link::Link;
use crate::objective::Objective;
use crate::optimizer::{Settings, Update};
use crate::stop::Stop;
pub(crate) use estimate::{Estimate, estimate};
use laplace::fit_laplace;
pub(crate) use marginal::MarginalFit;
pub use marginal::ResidualParameter;
pub(crate) use profiled::HalfCriterion;
pub use profiled::profiled_of;
use profiled::{fit_profiled, maximise_profiled};
pub use remedy::Remedy;
pub use search::Optimum;
use std::sync::{Arc, Mutex, OnceLock};
pub use variance_components::VarianceComponents;

/// A parameter far out whose curvature is below this (a standard error above 10) is at the end of its space.
const NO_INFORMATION: f64 = 1e-2;

/// Where the second search for terms of reduced rank begins.
const SPREAD: &str = "with the loadings of reduced rank spread out";

/// How to fit.
#[derive(Clone, Debug)]
pub struct Control {
    /// Most outer iterations.
    pub max_iterations: usize,
    /// Largest distance to the optimum, in standard errors.
    pub gradient_tolerance: f64,
    /// Start of the outer parameters in internal coordinates; found from the data where there is none.
    pub start: Option<Vec<f64>>,
    /// Where the first search for the conditional modes begins at `start`, as [`saved::Found`] has them; of another length, it is
    /// left aside.
    pub start_mode: Vec<f64>,
    /// Values, in the user's units, of some parameters at the start; standard deviations are relative to sigma for a
    /// profiled likelihood, which has no start of coefficients.
    pub start_values: Vec<(Quantity, f64)>,
    /// What may end it early; what was found by then is marked.
    pub stop: Stop,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            max_iterations: 500,
            gradient_tolerance: 1e-4,
            start: None,
            start_mode: Vec::new(),
            start_values: Vec::new(),
            stop: Stop::NEVER,
        }
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
