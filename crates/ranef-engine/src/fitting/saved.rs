//! What a search found, and the fit made of it again without a search.
use super::laplace::of_laplace;
use super::profiled::of_profiled;
use super::{Assumed, Fit, Layout, Likelihood, Optimum, marginal, profiled_of};
use crate::error::ModelError;
use crate::likelihood::data::Data;
use crate::likelihood::laplace::Laplace;
use crate::likelihood::marginal::Marginal;
use crate::linalg::among_threads;
use crate::objective::Objective;
use std::sync::Arc;

/// What has to be kept of a fit: the rest follows from it and the data.
#[derive(Clone, Debug)]
pub struct Found {
    /// The search's end point.
    pub optimum: Optimum,
    /// Conditional modes of Laplace's approximation: u, then beta~ inside. Empty for other likelihoods.
    pub mode: Vec<f64>,
    /// The fitted mean that variance functions take; empty where none does.
    pub fitted: Vec<f64>,
    /// Inner iterations used.
    pub inner_iterations: usize,
}

impl Fit {
    /// What has to be kept of this fit.
    pub fn found(&self) -> Found {
        let fitted = self.marginal().map(|own| &own.likelihood).filter(|likelihood| likelihood.takes_fitted());
        Found {
            optimum: self.optimum.clone(),
            mode: self.mode.clone(),
            fitted: fitted.map_or_else(Vec::new, |likelihood| likelihood.fitted().to_vec()),
            inner_iterations: self.inner_iterations,
        }
    }
}

/// The fit of `data` by `likelihood` that a search found.
///
/// # Errors
/// [`ModelError::Shape`] where what was found is not of this model; else as `fit`.
pub fn restore(data: Arc<Data>, likelihood: Likelihood, found: Found) -> Result<Fit, ModelError> {
    among_threads(data.y.len(), || match likelihood {
        Likelihood::Laplace(method) => {
            let layout = Layout::new(&data.design, method);
            let assumed = Assumed::new(&data.design, &layout, None).map_err(ModelError::Restriction)?;
            let mut laplace = Laplace::new(data.clone(), method);
            found.require(&data, layout.dim, laplace.mode_size(), 0)?;
            laplace.place(&found.optimum.x, found.mode);
            if laplace.eta().is_empty() {
                return Err(nowhere());
            }
            let mut fit = of_laplace(data, layout, &assumed, laplace, found.optimum);
            fit.inner_iterations = found.inner_iterations;
            Ok(fit)
        }
        Likelihood::Profiled { reml, weights } => {
            let profiled = profiled_of(&data, reml, weights.as_deref())?;
            found.require(&data, profiled.template().n_theta(), 0, 0)?;
            of_profiled(data, profiled, reml, weights, found.optimum).ok_or_else(nowhere)
        }
        Likelihood::Marginal { reml, weights, residual } => {
            let mut likelihood = Marginal::new(&data.y, data.design.clone(), residual.clone(), reml);
            let rows = if likelihood.takes_fitted() { data.y.len() } else { 0 };
            found.require(&data, likelihood.dim(), 0, rows)?;
            if rows > 0 {
                likelihood.set_fitted(found.fitted);
            }
            let solution = likelihood.solution(&found.optimum.x).ok_or_else(nowhere)?;
            Ok(marginal::assemble(data, reml, weights, residual, likelihood, found.optimum, solution))
        }
    })
}

fn nowhere() -> ModelError {
    ModelError::Shape("the likelihood cannot be evaluated at these parameters".to_owned())
}

impl Found {
    /// Refuses what is not of this model's sizes.
    fn require(&self, data: &Data, dim: usize, mode: usize, fitted: usize) -> Result<(), ModelError> {
        let (optimum, verdict, design) = (&self.optimum, &self.optimum.verdict, &data.design);
        let sizes = [
            ("parameters", optimum.x.len(), dim),
            ("slopes", optimum.gradient.len(), dim),
            ("covariances", optimum.covariance.len(), dim * dim),
            ("conditional modes", self.mode.len(), mode),
            ("fitted values", self.fitted.len(), fitted),
            ("terms", verdict.terms.len(), design.template.n_terms()),
        ];
        for (what, given, wanted) in sizes {
            if given != wanted {
                return Err(ModelError::Shape(format!("{given} {what}; the model has {wanted}")));
            }
        }
        let mut places = optimum.held.iter().chain(&verdict.flat).chain(&verdict.boundary);
        if let Some(place) = places.find(|place| **place >= dim) {
            return Err(ModelError::Shape(format!("parameter {place}; the model has {dim}")));
        }
        let known = |k: usize, j: usize| design.fixed.get(k).is_some_and(|fixed| j < fixed.p());
        if let Some((k, j)) = verdict.separated.iter().find(|(k, j)| !known(*k, *j)) {
            return Err(ModelError::Shape(format!("coefficient {j} of predictor {k}, which the model does not have")));
        }
        if optimum.x.iter().chain(&self.fitted).any(|value| !value.is_finite()) {
            return Err(ModelError::Shape("a parameter that is not finite".to_owned()));
        }
        Ok(())
    }
}
