//! Fits by the exact marginal likelihood: correlated residuals, variance functions.
//!
//! Where a variance function takes the fitted mean, the search holds it at the conditional modes of the last one, and
//! searches follow one another until it no longer moves: the definition of nlme (Pinheiro & Bates 2000, section 5.2.1).
//! Where they lead away from each other the mean moves by a part of the way only, which leaves the point where they meet.
use super::verdict::Status;
use super::{Control, Fit, Likelihood, NO_INFORMATION, Optimum, profiled_of, search, settings};
use crate::error::ModelError;
use crate::inference::MarginalPosterior;
use crate::likelihood::data::Data;
use crate::likelihood::laplace::Layout;
use crate::likelihood::marginal::{Marginal, Residual, Solution};
use crate::optimizer::Update;
use crate::residual_correlation::Scale;
use std::sync::{Arc, Mutex, OnceLock};

/// Searches at most, where the fitted mean is a covariate of the variance.
const MOST_SEARCHES: usize = 100;
/// The fitted mean has settled when no row moves by more than this share of the residual standard deviation: the log
/// likelihood is then right to the square of it.
const SETTLED: f64 = 1e-7;
/// The smallest part of the way.
const SHORTEST: f64 = 0.05;
/// A parameter of the correlation that is this far out on its unbounded scale, where the likelihood has no curvature
/// (`NO_INFORMATION`), is at the end of its interval.
const FAR_OUT: f64 = 2.0;
/// Step of differences in standard errors: the closed form is exact to rounding, and its error of second order is then
/// a millionth.
const STEP: f64 = 1e-3;

/// What a fit by the marginal likelihood keeps of it.
pub(crate) struct MarginalFit {
    /// The likelihood at the fitted mean.
    pub likelihood: Marginal,
    /// Its parameters at the optimum.
    pub x: Vec<f64>,
    /// The closed form there.
    pub solution: Solution,
    /// The data without what the variance functions say of the rows.
    pub data: Arc<Data>,
    posterior: OnceLock<Option<Arc<MarginalPosterior>>>,
}

/// A parameter of the correlation or of a variance function, as people speak of it.
#[derive(Clone, Debug)]
pub struct ResidualParameter {
    /// The variance function it belongs to; `None` for the correlation.
    pub spread: Option<usize>,
    /// Its name.
    pub name: String,
    /// The scale of its interval.
    pub scale: Scale,
    /// Its estimate.
    pub estimate: f64,
    /// Its standard error; NaN where the likelihood does not give one.
    pub std_error: f64,
}

pub(super) fn fit_marginal(
    data: Arc<Data>,
    reml: bool,
    weights: Option<Vec<f64>>,
    residual: Arc<Residual>,
    control: &Control,
) -> Result<Fit, ModelError> {
    let design = data.design.clone();
    // The linear model without structure also says whether the data determine a variance at all.
    let mut plain = profiled_of(&data, reml, weights.as_deref())?;
    let mut likelihood = Marginal::new(&data.y, design.clone(), residual.clone(), reml);
    let theta = match &control.start {
        Some(given) => given.clone(),
        None => plain.start(),
    };
    if likelihood.takes_fitted() {
        let fitted = fitted_mean(&data, &plain.solution(&theta).map_or_else(Vec::new, |s| s.beta), None);
        likelihood.set_fitted(fitted);
    }
    let mut starts = likelihood.starts(&theta);
    let settings = settings(control, Update::Refresh);
    let units = |_: &[f64]| vec![1.0; design.template.n_terms()];
    let bounded = bounded(&likelihood);
    let edge = |x: &[f64], hessian: &[f64]| {
        let flat = |k: usize| hessian[k * x.len() + k].abs() < NO_INFORMATION;
        bounded.iter().copied().filter(|&k| x[k].abs() > FAR_OUT && flat(k)).collect()
    };
    let (mut evaluations, mut trace, mut remedies) = (0, Vec::new(), Vec::new());
    let mut found: Option<(Optimum, Solution)> = None;
    let (mut share, mut distance) = (1.0_f64, f64::INFINITY);
    let mut settled = false;
    for left in (0..MOST_SEARCHES).rev() {
        let range = likelihood.places().theta.clone();
        let mut best: Option<Optimum> = None;
        for from in &starts {
            let mut optimum =
                search::search(&mut likelihood, from, &settings, units, &design.template, range.clone(), edge);
            evaluations += optimum.evaluations;
            trace.append(&mut optimum.trace);
            remedies.append(&mut optimum.remedies);
            let converged = optimum.verdict.status.is_converged();
            if best.as_ref().is_none_or(|best| search::is_better(&optimum, best)) {
                best = Some(optimum);
            }
            if converged {
                break;
            }
        }
        let optimum = best.expect("there is a start");
        let Some(solution) = likelihood.solution(&optimum.x) else {
            return Err(ModelError::Shape(
                "no covariance matrix of the residuals is positive definite near the start: check the variance \
                 covariates for extreme values"
                    .to_owned(),
            ));
        };
        settled = true;
        if likelihood.takes_fitted() && optimum.verdict.status.is_converged() {
            let fitted = fitted_mean(&data, &solution.beta, Some(&solution.modes));
            let (sds, _) = likelihood.sds(&optimum.x);
            let moved = fitted.iter().zip(likelihood.fitted()).map(|(new, old)| (new - old).abs());
            let apart = moved.zip(sds).map(|(moved, s)| moved / (s * solution.sigma)).fold(0.0, f64::max);
            settled = apart <= SETTLED;
            // The state of the likelihood belongs to the point that is kept.
            if !settled && left > 0 {
                if apart > 0.9 * distance {
                    share = (0.5 * share).max(SHORTEST);
                }
                distance = apart;
                let old = likelihood.fitted().iter();
                likelihood.set_fitted(old.zip(&fitted).map(|(old, new)| old + share * (new - old)).collect());
            }
        }
        starts = vec![optimum.x.clone()];
        found = Some((optimum, solution));
        if settled {
            break;
        }
    }
    let (mut optimum, solution) = found.expect("there was a search");
    (optimum.evaluations, optimum.trace, optimum.remedies) = (evaluations, trace, remedies);
    if !settled && optimum.verdict.status.is_converged() {
        optimum.verdict.status = Status::Unsettled;
    }
    Ok(assemble(data, reml, weights, residual, likelihood, optimum, solution))
}

/// Parameters that stand for an interval with ends: a correlation, a share, a size.
fn bounded(likelihood: &Marginal) -> Vec<usize> {
    let (residual, places) = (&likelihood.residual, likelihood.places());
    let of_spreads = residual
        .spreads
        .iter()
        .zip(&places.spreads)
        .flat_map(|(spread, range)| range.clone().zip(spread.function.parameters()));
    let correlation =
        residual.correlation.iter().flat_map(|c| places.correlation.clone().zip(c.structure.parameters()));
    of_spreads.chain(correlation).filter(|(_, parameter)| parameter.scale != Scale::Identity).map(|(k, _)| k).collect()
}

/// The mean of the rows at coefficients beta~ and effects b.
fn fitted_mean(data: &Data, beta: &[f64], modes: Option<&[f64]>) -> Vec<f64> {
    let design = &data.design;
    let mut eta: Vec<Vec<f64>> = vec![vec![0.0; design.n]; design.n_predictors()];
    if let Some(offset) = design.fixed[0].offset() {
        eta[0].copy_from_slice(offset);
    }
    design.fixed[0].add_to(beta, &mut eta[0]);
    if let Some(modes) = modes {
        design.add_random(modes, &mut eta);
    }
    eta.swap_remove(0)
}

/// A fit at an optimum of the marginal likelihood.
pub(super) fn assemble(
    data: Arc<Data>,
    reml: bool,
    weights: Option<Vec<f64>>,
    residual: Arc<Residual>,
    likelihood: Marginal,
    optimum: Optimum,
    solution: Solution,
) -> Fit {
    let design = &data.design;
    let (x, places, sigma) = (optimum.x.clone(), likelihood.places().clone(), solution.sigma);
    let (centre, _) = likelihood.centre(&x);
    let dispersion: Vec<f64> =
        std::iter::once(sigma.ln() - centre).chain(x[places.gamma.clone()].iter().copied()).collect();
    let theta: Vec<f64> = x[places.theta.clone()].iter().map(|value| sigma * value).collect();
    // What the variance functions say of the rows joins the offset of the dispersion.
    let (spread, _) = likelihood.spread(&x);
    let offset = match design.fixed[1].offset() {
        Some(offset) => offset.iter().zip(&spread).map(|(a, b)| a + b).collect(),
        None => spread,
    };
    let mut fixed = design.fixed.clone();
    fixed[1].set_offset(Some(offset));
    let settled = Arc::new(design.with_fixed(fixed));
    let mut eta = vec![vec![0.0; design.n]; design.n_predictors()];
    for (k, beta) in [&solution.beta, &dispersion].into_iter().enumerate() {
        if let Some(offset) = settled.fixed[k].offset() {
            eta[k].copy_from_slice(offset);
        }
        settled.fixed[k].add_to(beta, &mut eta[k]);
    }
    settled.add_random(&solution.modes, &mut eta);
    let parameters: Vec<f64> = dispersion.iter().chain(&theta).chain(&x[places.theta.end..]).copied().collect();
    let dim = parameters.len();
    let p = dispersion.len();
    let parameter_covariance = absolute_covariance(&likelihood, &optimum, sigma);
    Fit {
        likelihood: Likelihood::Marginal { reml, weights, residual },
        loglik: -optimum.value,
        log_prior: 0.0,
        n_dependent: 0,
        beta: vec![solution.beta.clone(), dispersion],
        theta,
        modes: solution.modes.clone(),
        eta: OnceLock::from(eta),
        inner_iterations: 0,
        layout: Layout { beta: vec![None, Some(0..p)], theta: p..p + places.theta.len(), dim },
        fixed_conditional: Some(solution.unscaled.iter().map(|value| sigma * sigma * value).collect()),
        profiled: None,
        parameter_covariance,
        parameters,
        mode: Vec::new(),
        optimum,
        posterior: Mutex::new(None),
        data: Arc::new(Data {
            y: data.y.clone(),
            trials: None,
            weights: None,
            family: data.family.clone(),
            design: settled,
        }),
        marginal: Some(Box::new(MarginalFit { likelihood, x, solution, data, posterior: OnceLock::new() })),
    }
}

/// Steps for differences by each parameter of the search; zero for those that are held.
fn steps(optimum: &Optimum) -> Vec<f64> {
    let dim = optimum.x.len();
    let step = |k: usize| STEP * optimum.covariance[k * dim + k].max(0.0).sqrt();
    (0..dim).map(|k| if step(k).is_finite() { step(k).min(STEP * 10.0) } else { 0.0 }).collect()
}

/// The closed form at both ends of a step along each parameter that is not held.
fn neighbours(likelihood: &Marginal, optimum: &Optimum) -> Vec<Option<(f64, Solution, Solution)>> {
    let at = |k: usize, shift: f64| {
        let mut moved = optimum.x.clone();
        moved[k] += shift;
        likelihood.solution(&moved)
    };
    let steps = steps(optimum).into_iter().enumerate();
    steps.map(|(k, h)| (h > 0.0).then(|| Some((h, at(k, h)?, at(k, -h)?))).flatten()).collect()
}

/// How (log sigma~, gamma, theta, ...) on the absolute scale move with (log sigma given x, x): dim x dim column-major.
fn to_absolute(likelihood: &Marginal, x: &[f64], sigma: f64, slope: &[f64]) -> Vec<f64> {
    let dim = x.len() + 1;
    let mut map = vec![0.0; dim * dim];
    map[0] = 1.0;
    for k in 0..x.len() {
        let column = &mut map[(k + 1) * dim..(k + 2) * dim];
        column[0] = slope[k];
        column[k + 1] = 1.0;
    }
    let places = likelihood.places();
    for m in places.theta.clone() {
        for k in 0..dim {
            // theta = sigma theta~.
            map[k * dim + m + 1] = sigma * (map[k * dim + m + 1] + x[m] * map[k * dim]);
        }
    }
    // The intercept of the dispersion is log sigma without the mean of the variance functions.
    for (m, slope) in (places.theta.end..).zip(likelihood.centre(x).1) {
        map[(m + 1) * dim] -= slope;
    }
    map
}

/// Covariance of (log sigma~, gamma, theta, ...) from that of x, sigma profiled out: given x, log sigma varies by 1 / 2m
/// about the value that is best there.
fn absolute_covariance(likelihood: &Marginal, optimum: &Optimum, sigma: f64) -> Vec<f64> {
    let (k, dim) = (optimum.x.len(), optimum.x.len() + 1);
    if optimum.verdict.hessian_values.is_empty() && optimum.held.len() < k {
        return vec![f64::NAN; dim * dim];
    }
    let slope: Vec<f64> = neighbours(likelihood, optimum)
        .iter()
        .map(|ends| ends.as_ref().map_or(0.0, |(h, above, below)| (above.sigma / below.sigma).ln() / (2.0 * h)))
        .collect();
    let mut relative = vec![0.0; dim * dim];
    relative[0] = 0.5 / likelihood.degrees_of_freedom();
    for j in 0..k {
        for i in 0..k {
            relative[(j + 1) * dim + i + 1] = optimum.covariance[j * k + i];
        }
    }
    sandwich(&to_absolute(likelihood, &optimum.x, sigma, &slope), &relative, dim)
}

/// A B A', all n x n.
fn sandwich(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut half = vec![0.0; n * n];
    for j in 0..n {
        for k in 0..n {
            for i in 0..n {
                half[j * n + i] += a[k * n + i] * b[j * n + k];
            }
        }
    }
    let mut out = vec![0.0; n * n];
    for j in 0..n {
        for k in 0..n {
            for i in 0..n {
                out[j * n + i] += half[k * n + i] * a[k * n + j];
            }
        }
    }
    out
}

impl Fit {
    /// Whether the exact marginal likelihood of correlated or heteroscedastic residuals was used.
    pub fn is_marginal(&self) -> bool {
        self.marginal.is_some()
    }

    /// What the fit keeps of the marginal likelihood.
    pub(crate) fn marginal(&self) -> Option<&MarginalFit> {
        self.marginal.as_deref()
    }

    /// The joint distribution of effects and parameters of a marginal fit.
    pub(super) fn marginal_posterior(&self) -> Option<Arc<MarginalPosterior>> {
        let own = self.marginal()?;
        own.posterior.get_or_init(|| self.make_marginal_posterior(own).map(Arc::new)).clone()
    }

    fn make_marginal_posterior(&self, own: &MarginalFit) -> Option<MarginalPosterior> {
        let (design, sigma) = (&self.data.design, own.solution.sigma);
        let effects = own.likelihood.effects(&own.x)?;
        let (size, dim) = (design.q + own.solution.beta.len(), self.layout.dim);
        let mut jacobian = vec![0.0; size * dim];
        for (k, ends) in neighbours(&own.likelihood, &self.optimum).into_iter().enumerate() {
            let Some((h, above, below)) = ends else { continue };
            let above = above.modes.iter().chain(&above.beta);
            let difference = above.zip(below.modes.iter().chain(&below.beta)).map(|(a, b)| (a - b) / (2.0 * h));
            jacobian[(k + 1) * size..(k + 2) * size].iter_mut().zip(difference).for_each(|(out, d)| *out = d);
        }
        // theta~ = theta / sigma: it falls as sigma rises, ...
        for m in own.likelihood.places().theta.clone() {
            for i in 0..size {
                let by_theta = jacobian[(m + 1) * size + i];
                jacobian[i] -= by_theta * own.x[m];
                jacobian[(m + 1) * size + i] = by_theta / sigma;
            }
        }
        // ... which is the dispersion's intercept with the mean of the variance functions.
        for (m, slope) in (own.likelihood.places().theta.end..).zip(own.likelihood.centre(&own.x).1) {
            for i in 0..size {
                jacobian[(m + 1) * size + i] += slope * jacobian[i];
            }
        }
        let dispersion = self.layout.beta[1].clone().expect("the dispersion is outside");
        let psi = self.parameter_covariance().to_vec();
        Some(MarginalPosterior::new(design.clone(), &own.solution, effects, jacobian, psi, dispersion))
    }

    /// What the variance functions add to the log standard deviation of each row.
    pub fn spread(&self) -> Vec<f64> {
        self.marginal().map_or_else(|| vec![0.0; self.data.y.len()], |own| own.likelihood.spread(&own.x).0)
    }

    /// A value for each row, multiplied by the inverse Cholesky factor of the residuals' correlation.
    pub fn whitened(&self, mut values: Vec<f64>) -> Vec<f64> {
        if let Some(own) = self.marginal() {
            own.likelihood.correlate(&own.x, &mut values, true);
        }
        values
    }

    /// Parameters of the variance functions and of the correlation, in the order of the search.
    pub fn residual_parameters(&self) -> Vec<ResidualParameter> {
        let Some(own) = self.marginal() else { return Vec::new() };
        let (residual, places) = (&own.likelihood.residual, own.likelihood.places());
        let mut found = Vec::new();
        for (t, (spread, range)) in residual.spreads.iter().zip(&places.spreads).enumerate() {
            let natural = |x: &[f64]| spread.function.natural(x);
            found.extend(self.natural_residual(Some(t), range.clone(), spread.function.parameters(), natural));
        }
        if let Some(correlation) = &residual.correlation {
            let structure = &correlation.structure;
            let natural = |x: &[f64]| structure.natural(x);
            found.extend(self.natural_residual(None, places.correlation.clone(), structure.parameters(), natural));
        }
        found
    }

    fn natural_residual(
        &self,
        spread: Option<usize>,
        range: std::ops::Range<usize>,
        parameters: Vec<crate::residual_correlation::Parameter>,
        natural: impl Fn(&[f64]) -> Vec<f64>,
    ) -> Vec<ResidualParameter> {
        let (x, dim) = (&self.optimum.x[range.clone()], self.optimum.x.len());
        // A smooth function of size one: rounding and truncation are both below 1e-10.
        let h = 1e-5;
        let columns: Vec<Vec<f64>> = (0..x.len())
            .map(|k| {
                let at = |shift: f64| {
                    let mut moved = x.to_vec();
                    moved[k] += shift;
                    natural(&moved)
                };
                at(h).iter().zip(at(-h)).map(|(above, below)| (above - below) / (2.0 * h)).collect()
            })
            .collect();
        let known = !self.optimum.verdict.hessian_values.is_empty();
        let cov = |a: usize, b: usize| self.optimum.covariance[(range.start + b) * dim + range.start + a];
        natural(x)
            .into_iter()
            .zip(parameters)
            .enumerate()
            .map(|(i, (estimate, parameter))| {
                let pairs = (0..x.len()).flat_map(|a| (0..x.len()).map(move |b| (a, b)));
                let variance: f64 = pairs.map(|(a, b)| columns[a][i] * columns[b][i] * cov(a, b)).sum();
                let std_error = if known && variance > 0.0 { variance.sqrt() } else { f64::NAN };
                ResidualParameter { spread, name: parameter.name, scale: parameter.scale, estimate, std_error }
            })
            .collect()
    }
}
