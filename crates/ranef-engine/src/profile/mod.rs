//! Profile likelihood of single parameters, in the user's units.
//!
//! With D = -2 log likelihood (always of maximum likelihood) and D(t) its minimum over all other parameters where the
//! parameter is t,
//!
//! ```text
//! zeta(t) = sign(t - estimate) sqrt( D(t) - D(estimate) ) ,
//! ```
//!
//! which is close to linear in t, and the interval of level 1 - alpha is where |zeta| is below the normal quantile.
//! Its ends are found by inverse interpolation of zeta, every search starting from the one before; the two sides of
//! every parameter are independent tasks.
//!
//! Reference: Bates, Maechler, Bolker & Walker (2015), J. Stat. Softw. 67(1), section 5.1; Venzon & Moolgavkar (1988),
//! Appl. Statist. 37, 87-94.

mod constraint;
mod criterion;
mod side;

use crate::covariance::coupling;
use crate::design::Quantity;
use crate::error::ModelError;
use crate::fitting::{Control, Fit, Likelihood, fit};
use crate::likelihood::data::Method;
use crate::likelihood::restriction::{Restriction, theta_of_sd};
use constraint::Constraint;
use criterion::Criterion;
use rayon::prelude::*;
use side::{Scale, Side, walk};

/// What a profile is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// A fixed effect: predictor, column among those kept.
    Fixed {
        /// The predictor.
        predictor: usize,
        /// The column among those kept.
        column: usize,
    },
    /// The standard deviation of a column of a term.
    Sd {
        /// The term.
        term: usize,
        /// The column.
        column: usize,
    },
    /// The correlation of two columns of a term.
    Correlation {
        /// The term.
        term: usize,
        /// The earlier column.
        first: usize,
        /// The later column.
        second: usize,
    },
    /// A parameter of a coupling of a term's levels.
    Coupling {
        /// The term.
        term: usize,
        /// Its index.
        index: usize,
    },
    /// The residual standard deviation of a profiled likelihood.
    Sigma,
}

/// One end of an interval.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The value; NaN where none was found.
    pub value: f64,
    /// What there is to say about it; empty for an ordinary end.
    pub note: &'static str,
}

/// One side of a profile: points (value, zeta), the estimate, the end.
type Half = (Vec<(f64, f64)>, f64, Limit);

impl Limit {
    fn missing(note: &'static str) -> Self {
        Self { value: f64::NAN, note }
    }
}

/// The profile of a parameter.
#[derive(Clone, Debug)]
pub struct Curve {
    /// The maximum likelihood estimate.
    pub estimate: f64,
    /// (value, zeta), ascending, the estimate included.
    pub points: Vec<(f64, f64)>,
    /// Where zeta is minus the level asked for.
    pub lower: Limit,
    /// Where it is the level.
    pub upper: Limit,
}

impl Fit {
    /// Profiles `parameters` as far as |zeta| = `level`, with `inner` further points on each side. A fit by another
    /// method than maximum likelihood is fitted again by it.
    ///
    /// # Errors
    /// [`ModelError::Profiled`] where the data do not determine the likelihood.
    pub fn profile(
        &self,
        parameters: &[Parameter],
        level: f64,
        inner: usize,
        control: &Control,
    ) -> Result<Vec<Curve>, ModelError> {
        let again;
        let ml = match &self.likelihood {
            Likelihood::Profiled { reml: true, weights } => {
                let likelihood = Likelihood::Profiled { reml: false, weights: weights.clone() };
                again = fit(self.data.clone(), likelihood, control)?;
                &again
            }
            Likelihood::Marginal { .. } => {
                return Err(ModelError::Shape(
                    "there is no profile of a model with correlated residuals or variance functions; use intervals by \
                     Wald or bootstrap"
                        .to_owned(),
                ));
            }
            Likelihood::Laplace(Method::Reml | Method::Profile) => {
                again = fit(self.data.clone(), Likelihood::Laplace(Method::Ml), control)?;
                &again
            }
            _ => self,
        };
        let criterion = Criterion::new(ml);
        let sides: Vec<Half> = (0..2 * parameters.len())
            .into_par_iter()
            .map(|task| ml.side(&criterion, parameters[task / 2], if task % 2 == 0 { -1.0 } else { 1.0 }, level, inner))
            .collect();
        Ok(sides
            .chunks_exact(2)
            .map(|pair| {
                let ((below, estimate, lower), (above, _, upper)) = (pair[0].clone(), pair[1].clone());
                let mut points = below;
                points.push((estimate, 0.0));
                points.extend(above);
                points.retain(|point| point.0.is_finite());
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                Curve { estimate, points, lower, upper }
            })
            .collect())
    }

    /// One side of a parameter's profile: points, estimate, limit.
    fn side(&self, criterion: &Criterion, parameter: Parameter, direction: f64, level: f64, inner: usize) -> Half {
        let missing = |note| (Vec::new(), f64::NAN, Limit::missing(note));
        if let (Parameter::Fixed { predictor: 0, column }, true) = (parameter, self.is_profiled()) {
            let Some(mut along) = criterion::Along::new(self, column) else {
                return missing("without this coefficient the data do not determine the likelihood");
            };
            let (estimate, spread) = (along.estimate(), along.spread());
            let side = Side { estimate, spread, scale: Scale::Identity, direction, level, inner, edge: None };
            let (points, limit) = walk(&side, &mut |t| along.solve(t));
            return (points, estimate, limit);
        }
        let Some(constraint) = Constraint::new(self, parameter) else {
            return missing("profiles of this covariance structure are not available");
        };
        let x = criterion.optimum();
        let estimate = constraint.value(x);
        if !estimate.is_finite() {
            return missing("not defined: a standard deviation is zero");
        }
        let linear = self.linear_quantity(parameter);
        if let Some(quantity) = linear {
            let restriction = Restriction::new(&self.data.design, &self.layout, Some((quantity, estimate)));
            if !matches!(restriction, Ok(Some(found)) if found.len() > self.n_dependent) {
                return missing("held at a value: there is nothing to profile");
            }
        }
        let mut solver = criterion.solver(self);
        let (scale, mut spread) = match parameter {
            Parameter::Fixed { .. } => (Scale::Identity, criterion.spread(&constraint)),
            Parameter::Sd { .. } | Parameter::Sigma => (Scale::Log, criterion.spread(&constraint)),
            Parameter::Correlation { .. } => (Scale::Fisher, criterion.spread(&constraint)),
            Parameter::Coupling { term, index } => {
                let template = &self.data.design.template;
                let coupling = template.coupling(template.factor_of(term)).expect("the term is coupled");
                let scale = match coupling.parameters()[index].scale {
                    coupling::Scale::Correlation => Scale::Fisher,
                    coupling::Scale::Log => Scale::Log,
                };
                (scale, criterion.spread(&constraint))
            }
        };
        let mut edge = None;
        let mut used = scale;
        if let Parameter::Sd { term, column } = parameter {
            let unit = self.units()[term] * if self.is_profiled() { self.profiled_sigma() } else { 1.0 };
            let scales = &self.data.design.places[term].scales;
            if estimate < 1e-6 * unit / scales[column] {
                if direction < 0.0 {
                    return (Vec::new(), estimate, Limit { value: 0.0, note: "the estimate is zero" });
                }
                (used, spread) = (Scale::Identity, 0.1 * unit / scales[column]);
            } else if direction < 0.0 {
                edge = Some(match linear {
                    Some(quantity) => solver
                        .solve_restricted(self, quantity, 0.0)
                        .map_or(f64::INFINITY, |rise| criterion.value() + rise),
                    None => solver.without(self, term, column),
                });
                if linear.is_some() {
                    solver = criterion.solver(self);
                }
            }
        }
        if parameter == Parameter::Sigma && direction < 0.0 && !solver.linear {
            // Random effects for every row may leave no residual at all.
            let smallest = criterion.solver(self).solve(&constraint, 2.0 * criterion::SMALLEST_SIGMA * estimate);
            edge = smallest.map(|half| criterion.value() + half);
        }
        if parameter != Parameter::Sigma && used == Scale::Fisher && estimate.abs() > 1.0 - 1e-9 {
            if direction * estimate > 0.0 {
                return (Vec::new(), estimate, Limit { value: estimate, note: "the estimate is at the edge" });
            }
            return missing("the estimate is at the edge: the profile has no start");
        }
        if !(spread.is_finite() && spread > 0.0) {
            spread = 0.1 * estimate.abs().max(0.1);
        }
        let edge = edge.map(|value: f64| (2.0 * (value - criterion.value())).max(0.0).sqrt());
        let side = Side { estimate, spread, scale: used, direction, level, inner, edge };
        let (points, limit) = walk(&side, &mut |t| match linear {
            Some(quantity) => solver.solve_restricted(self, quantity, t),
            None => solver.solve(&constraint, t),
        });
        (points, estimate, limit)
    }

    /// The quantity that a parameter is, in a fit with parameters held or tied, where it can be held like those.
    fn linear_quantity(&self, parameter: Parameter) -> Option<Quantity> {
        if self.n_dependent == 0 {
            return None;
        }
        match parameter {
            Parameter::Fixed { predictor, column } => Some(Quantity::Coefficient { predictor, column }),
            Parameter::Sd { term, column } => {
                theta_of_sd(&self.data.design, term, column).map(|_| Quantity::Sd { term, column })
            }
            Parameter::Correlation { .. } | Parameter::Coupling { .. } | Parameter::Sigma => None,
        }
    }
}
