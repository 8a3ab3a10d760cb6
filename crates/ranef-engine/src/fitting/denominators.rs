//! Degrees of freedom of tests of the mean's fixed effects, from whichever likelihood was maximised.
use super::{Fit, Likelihood};
use crate::design::Fixed;
use crate::inference::{KenwardRoger, Satterthwaite};
use crate::likelihood::data::Data;
use crate::likelihood::profiled::Profiled;
use crate::link::Link;
use std::sync::Arc;

const NOT_NORMAL: &str = "the response is not normal with an identity link";
const NOT_LINEAR: &str = "the covariance is not linear in its parameters";
const ASSUMED: &str = "parameters are under priors, held or tied";
const OUT_OF_REACH: &str = "the traces of so large a covariance matrix are out of reach";
const BY_LEVEL: &str = "there are too many fixed effects";

/// Most numbers that columns of levels are written out to for degrees of freedom, which take them dense.
const WRITTEN_OUT: usize = 1 << 21;

impl Fit {
    /// Whether the response is normal given the parameters: a Gaussian family with identity link whose random effects are
    /// all the mean's.
    pub fn is_normal(&self) -> bool {
        let family = &self.data.family;
        family.card().name == "gaussian"
            && family.components().len() == 2
            && family.links()[0] == Link::Identity
            && !self.data.design.is_random(1)
    }

    /// What Satterthwaite's degrees of freedom are made of; `None` where the response is not normal or the parameters
    /// have no covariance.
    pub fn satterthwaite(&self) -> Option<Satterthwaite> {
        if !self.is_normal() || self.parameter_covariance().iter().any(|value| value.is_nan()) {
            return None;
        }
        if self.data.design.fixed[0].level_basis().is_some() {
            let (fixed, profiled) = self.written_out()?;
            return self.satterthwaite_of(&fixed, &profiled);
        }
        let (fixed, optimum) = (&self.data.design.fixed[0], &self.optimum);
        if let Some(own) = self.marginal() {
            let (found, log_sigma) = own.likelihood.fixed_covariance(&own.x)?;
            let (sigma, freedom) = (own.solution.sigma, own.likelihood.degrees_of_freedom());
            return Some(Satterthwaite::profiled(fixed, found, sigma, &log_sigma, freedom, &optimum.covariance));
        }
        if let (Likelihood::Profiled { .. }, Some(profiled)) = (&self.likelihood, self.profiled()) {
            return self.satterthwaite_of(fixed, profiled);
        }
        let found = self.posterior()?.laplace().fixed_covariance()?;
        Some(Satterthwaite::new(fixed, &found, self.parameter_covariance().to_vec()))
    }

    fn satterthwaite_of(&self, fixed: &Fixed, profiled: &Profiled) -> Option<Satterthwaite> {
        let (found, sigma) = (profiled.fixed_covariance()?, self.profiled_sigma());
        let (log_sigma, freedom) = (profiled.log_sigma_slope()?, profiled.degrees_of_freedom());
        Some(Satterthwaite::profiled(fixed, found, sigma, &log_sigma, freedom, &self.optimum.covariance))
    }

    /// Fixed effects and profiled likelihood at the optimum, of a model with fixed effects by level whose columns are
    /// written out; `None` where they are too many, or no likelihood is profiled.
    fn written_out(&self) -> Option<(Fixed, Profiled)> {
        let Likelihood::Profiled { reml, weights } = &self.likelihood else { return None };
        let design = &self.data.design;
        let mut fixed = design.fixed.clone();
        fixed[0] = fixed[0].written_out(WRITTEN_OUT)?;
        let first = fixed[0].clone();
        let data = Data {
            y: self.data.y.clone(),
            trials: None,
            weights: None,
            family: self.data.family.clone(),
            design: Arc::new(design.with_fixed(fixed)),
        };
        let mut profiled = super::profiled_of(&data, *reml, weights.as_deref()).ok()?;
        profiled.solution(&self.optimum.x)?;
        Some((first, profiled))
    }

    /// Kenward and Roger's covariance of the mean's fixed effects.
    ///
    /// # Errors
    /// Why there is none.
    pub fn kenward_roger(&self) -> Result<KenwardRoger, &'static str> {
        if !self.is_normal() {
            return Err(NOT_NORMAL);
        }
        let template = &self.data.design.template;
        if (0..template.n_terms()).any(|term| template.covariance(term).linear_basis().is_none()) {
            return Err(NOT_LINEAR);
        }
        let fixed = &self.data.design.fixed[0];
        if fixed.level_basis().is_some() {
            let (fixed, mut profiled) = self.written_out().ok_or(BY_LEVEL)?;
            let moments = profiled.linear_moments().ok_or(OUT_OF_REACH)?;
            let variance = self.profiled_sigma().powi(2);
            return Ok(KenwardRoger::new(&fixed, Some(profiled.basis_inverse()), &moments, variance));
        }
        if let Some(own) = self.marginal() {
            if !own.likelihood.is_linear() {
                return Err(NOT_LINEAR);
            }
            let moments = own.likelihood.linear_moments(&own.x).ok_or(OUT_OF_REACH)?;
            return Ok(KenwardRoger::new(fixed, None, &moments, own.solution.sigma.powi(2)));
        }
        if let (Likelihood::Profiled { .. }, Some(profiled)) = (&self.likelihood, self.profiled()) {
            let mut profiled = profiled.clone();
            let moments = profiled.linear_moments().ok_or(OUT_OF_REACH)?;
            let variance = self.profiled_sigma().powi(2);
            return Ok(KenwardRoger::new(fixed, Some(profiled.basis_inverse()), &moments, variance));
        }
        let assumptions = &self.data.design.assumptions;
        if self.n_dependent > 0 || !assumptions.penalties.is_empty() {
            return Err(ASSUMED);
        }
        let posterior = self.posterior().ok_or(OUT_OF_REACH)?;
        if !posterior.laplace().is_linear() {
            return Err(NOT_LINEAR);
        }
        let moments = posterior.laplace().linear_moments().ok_or(OUT_OF_REACH)?;
        Ok(KenwardRoger::new(fixed, None, &moments, 1.0))
    }
}
