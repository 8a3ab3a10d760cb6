//! Families: the distribution of a response given its linear predictors.
//!
//! An author writes [`Density`], one scalar formula in a file of its own; the engine calls
//! [`Family`], which works on whole vectors. [`CATALOGUE`] is the only list of families.
//!
//! A family has K linear predictors, in the order of the parameters on its [`Card`]: the mean, then
//! dispersion and shape where it has them, the thresholds of an ordinal family (one predictor for each
//! of their parameters), and last the zero inflation that [`ZeroInflated`] adds.

mod alternatives;
mod card;
mod counted_tails;
mod density;
mod derivatives;
mod error;
mod start;

mod bell;
mod beta;
mod betabinomial;
mod binomial;
mod conway_maxwell;
mod cumulative;
mod gamma;
mod gaussian;
mod genpois;
mod inverse_gaussian;
mod lognormal;
mod negative_binomial;
mod ordbeta;
mod poisson;
mod skewnormal;
mod student_t;
mod truncated;
mod tweedie;
mod zero_inflated;

use std::fmt::Debug;

use rand::Rng;

pub use crate::jet::{packed2, packed3};
use crate::link::Link;

pub use alternatives::{Alternatives, alternatives};
pub use card::{Card, Component, Parameter, Support};
pub use cumulative::Thresholds;
pub use density::Density;
pub use derivatives::{Derivatives, Rows};
pub use error::FamilyError;
pub use start::Responses;
pub use zero_inflated::ZeroInflated;

/// A line of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The description.
    pub card: &'static Card,
    /// Makes the family.
    pub build: fn(Options) -> Result<Box<dyn Family>, FamilyError>,
}

/// What may be chosen about a family when it is built.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The link of the mean, one of the card's.
    pub link: Link,
    /// The categories of an ordinal response; other families do not look at it.
    pub ordinal: Ordinal,
}

/// The categories of an ordinal response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinal {
    /// Their number, 2 or more.
    pub categories: usize,
    /// What the thresholds between them have in common.
    pub thresholds: Thresholds,
}

impl Default for Ordinal {
    /// Four categories, each threshold free: the form in which the catalogue is tested.
    fn default() -> Self {
        Self { categories: 4, thresholds: Thresholds::Flexible }
    }
}

/// Every family. Zero-inflated forms are not listed: they wrap any whose card allows it.
pub static CATALOGUE: &[Entry] = &[
    Entry { card: &gaussian::CARD, build: gaussian::build },
    Entry { card: &binomial::CARD, build: binomial::build },
    Entry { card: &poisson::CARD, build: poisson::build },
    Entry { card: &negative_binomial::NBINOM2, build: negative_binomial::build_nbinom2 },
    Entry { card: &negative_binomial::NBINOM1, build: negative_binomial::build_nbinom1 },
    Entry { card: &negative_binomial::NBINOM12, build: negative_binomial::build_nbinom12 },
    Entry { card: &betabinomial::CARD, build: betabinomial::build },
    Entry { card: &genpois::CARD, build: genpois::build },
    Entry { card: &conway_maxwell::CARD, build: conway_maxwell::build },
    Entry { card: &bell::CARD, build: bell::build },
    Entry { card: &truncated::POISSON, build: truncated::build_poisson },
    Entry { card: &truncated::GENPOIS, build: truncated::build_genpois },
    Entry { card: &truncated::COMPOIS, build: truncated::build_compois },
    Entry { card: &truncated::NBINOM1, build: truncated::build_nbinom1 },
    Entry { card: &truncated::NBINOM2, build: truncated::build_nbinom2 },
    Entry { card: &gamma::CARD, build: gamma::build },
    Entry { card: &lognormal::CARD, build: lognormal::build },
    Entry { card: &inverse_gaussian::CARD, build: inverse_gaussian::build },
    Entry { card: &student_t::CARD, build: student_t::build },
    Entry { card: &beta::CARD, build: beta::build },
    Entry { card: &skewnormal::CARD, build: skewnormal::build },
    Entry { card: &tweedie::CARD, build: tweedie::build },
    Entry { card: &cumulative::CARD, build: cumulative::build },
    Entry { card: &ordbeta::CARD, build: ordbeta::build },
];

/// The family of that name, with the named link of the mean (the default one if `None`).
///
/// # Errors
///
/// A name or link that does not exist, or zero inflation where the card does not allow it; the
/// message lists what there is.
///
/// # Example
///
/// ```
/// use ranef_engine::family::{Component, build};
///
/// let family = build("nbinom2", None, true).unwrap();
/// assert_eq!(family.components(), [Component::Cond, Component::Disp, Component::Zi]);
/// let error = build("poison", None, false).unwrap_err();
/// assert!(error.to_string().contains("did you mean 'poisson'?"));
/// ```
pub fn build(name: &str, link: Option<&str>, zero_inflated: bool) -> Result<Box<dyn Family>, FamilyError> {
    build_ordinal(name, link, zero_inflated, Ordinal::default())
}

/// [`build`] for a response of so many categories.
///
/// # Errors
///
/// As [`build`]; also fewer than two categories.
pub fn build_ordinal(
    name: &str,
    link: Option<&str>,
    zero_inflated: bool,
    ordinal: Ordinal,
) -> Result<Box<dyn Family>, FamilyError> {
    if ordinal.categories < 2 {
        return Err(FamilyError::TooFewCategories { categories: ordinal.categories });
    }
    let entry = CATALOGUE.iter().find(|entry| entry.card.name == name).ok_or_else(|| FamilyError::UnknownFamily {
        name: name.to_owned(),
        valid: CATALOGUE.iter().map(|entry| entry.card.name).collect(),
    })?;
    let link = match link {
        None => entry.card.links[0],
        Some(link) => Link::from_name(link).filter(|link| entry.card.links.contains(link)).ok_or_else(|| {
            FamilyError::UnknownLink {
                family: entry.card.name,
                name: link.to_owned(),
                valid: entry.card.links.iter().map(|link| link.name()).collect(),
            }
        })?,
    };
    let family = (entry.build)(Options { link, ordinal })?;
    if zero_inflated { Ok(Box::new(ZeroInflated::new(family)?)) } else { Ok(family) }
}

/// What can be predicted from a row's linear predictors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// E(Y), zero inflation included; for binomial-type families, of the proportion.
    Response,
    /// The mean of the part that is not structurally zero (of an ordered beta: strictly between 0 and 1).
    Conditional,
    /// The probability of a structural zero; 0 without zero inflation.
    ZeroProbability,
    /// What `sigma()` reports, per row.
    Dispersion,
    /// Var(Y), zero inflation included; for binomial-type families, of one trial.
    Variance,
    /// The linear predictor of the mean.
    Link,
    /// The linear predictor of the zero inflation; −∞ without.
    ZeroLink,
    /// P(Y = k) of an ordinal response, k = 1, 2, …; NaN for other families.
    Category(u32),
}

/// A distribution as the engine sees it: K linear predictors per row, on the link scale.
///
/// Implemented for every [`Density`], and by the wrappers.
pub trait Family: Send + Sync + Debug {
    /// The description; a wrapper answers with that of the family it wraps.
    fn card(&self) -> &'static Card;

    /// The component each of the K predictors drives.
    fn components(&self) -> &[Component];

    /// The links of the K predictors.
    fn links(&self) -> &[Link];

    /// Whether the predictors of a row give parameters inside their domains.
    fn feasible(&self, eta: &[f64]) -> bool;

    /// Log densities of the rows and their derivatives up to `order` (0 to 3), unweighted.
    ///
    /// `out` is given the shape it needs; blocks above `order` are left as they were. An infeasible
    /// row gets the value −∞ and derivatives 0, never NaN.
    fn derivatives(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        out.resize(self.components().len(), rows.y.len(), order);
        self.fill(rows, order, out);
    }

    /// [`Family::derivatives`] into blocks that already have room; `out` and `rows` may carry
    /// further predictors after the K of this family, which are not touched (packed indices of the
    /// first K are the same for every larger K).
    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives);

    /// As [`Family::fill`] by automatic differentiation, whatever closed form there is: the oracle
    /// for [`Family::closed_form`].
    fn fill_by_jets(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives);

    /// Log density of one row, constants included; −∞ where the predictors are infeasible.
    fn log_density(&self, y: f64, trials: f64, eta: &[f64]) -> f64;

    /// Whether the family can produce `y`.
    ///
    /// # Errors
    ///
    /// What it needs instead, as a noun phrase: "a whole number, 0 or more".
    fn check_response(&self, y: f64, trials: f64) -> Result<(), &'static str>;

    /// Moment estimates of the K predictors as constants, on the link scale. `offset` is that of
    /// the mean predictor. Finite for any valid data, all zeros and all ones included.
    fn start(&self, y: &[f64], trials: Option<&[f64]>, weights: Option<&[f64]>, offset: Option<&[f64]>) -> Vec<f64>;

    /// A finite predictor of the mean to start from for one row, near its response.
    fn start_mean(&self, y: f64, trials: f64) -> f64;

    /// A prediction, and its gradient in the K predictors (for the delta method).
    fn predict(&self, kind: Kind, eta: &[f64], gradient: &mut [f64]) -> f64;

    /// What `sigma()` reports: residual sd of a gaussian, φ of a negative binomial, 1 for families
    /// without dispersion.
    fn sigma(&self, eta: &[f64]) -> f64;

    /// Var(Y); for binomial-type families, of the proportion y/trials.
    fn variance(&self, eta: &[f64], trials: f64) -> f64;

    /// Squared deviance residual, unscaled, as R's `dev.resids`: 2φ'(l_sat − l) with φ' the
    /// dispersion of the generalised linear model. `None` where it has no closed form, and at
    /// infeasible predictors.
    fn unit_deviance(&self, y: f64, trials: f64, eta: &[f64]) -> Option<f64>;

    /// P(Y < y) and P(Y > y), from which quantile residuals follow; NaN at infeasible predictors.
    fn tails(&self, y: f64, trials: f64, eta: &[f64]) -> [f64; 2];

    /// One draw of Y; NaN at infeasible predictors.
    fn sample(&self, eta: &[f64], trials: f64, rng: &mut dyn Rng) -> f64;

    /// Whether [`Family::fill`] has a hand-written path.
    fn closed_form(&self) -> bool;

    /// Why a family that is not the engine's own could not be evaluated, if that has happened since this was last asked.
    fn failure(&self) -> Option<String> {
        None
    }
}
