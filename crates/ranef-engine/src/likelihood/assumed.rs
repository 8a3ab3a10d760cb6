//! What is assumed of a model's parameters, in the coordinates of its likelihood.
use super::laplace::Layout;
use super::penalty::{Penalised, Penalties};
use super::restriction::{Restricted, Restriction};
use crate::design::{Design, Quantity};
use crate::objective::Objective;
use std::sync::Arc;

/// Prior densities and restrictions, where there are any.
#[derive(Clone, Debug)]
pub struct Assumed {
    penalties: Option<Penalties>,
    restriction: Option<Restriction>,
}

impl Assumed {
    /// Of a design in the coordinates of a layout; a further quantity may be held.
    ///
    /// # Errors
    /// What cannot be held, in words.
    pub fn new(design: &Arc<Design>, layout: &Layout, besides: Option<(Quantity, f64)>) -> Result<Self, &'static str> {
        let restriction = Restriction::new(design, layout, besides)?;
        Ok(Self { penalties: Penalties::new(design, layout), restriction })
    }

    /// An objective under what is assumed.
    pub fn objective<'a>(&self, inner: Box<dyn Objective + 'a>) -> Box<dyn Objective + 'a> {
        let penalised = match &self.penalties {
            Some(penalties) => Box::new(Penalised::new(inner, penalties.clone())),
            None => inner,
        };
        match &self.restriction {
            Some(restriction) => Box::new(Restricted::new(penalised, restriction.clone())),
            None => penalised,
        }
    }

    /// The log prior density at x, 0 without one.
    pub fn log_prior(&self, x: &[f64]) -> f64 {
        self.penalties.as_ref().map_or(0.0, |penalties| penalties.value(x))
    }

    /// The restriction.
    pub fn restriction(&self) -> Option<&Restriction> {
        self.restriction.as_ref()
    }

    /// Number of parameters that are not free.
    pub fn n_dependent(&self) -> usize {
        self.restriction.as_ref().map_or(0, Restriction::len)
    }
}
