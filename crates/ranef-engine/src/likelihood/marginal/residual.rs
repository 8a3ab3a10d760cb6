//! What a marginal likelihood is told of the residuals.
use crate::residual_correlation::ResidualCorrelation;
use crate::variance_function::VarianceFunction;

/// The correlation of residuals within groups.
#[derive(Debug)]
pub struct Correlation {
    /// R as a function of its parameters and the rows' places.
    pub structure: Box<dyn ResidualCorrelation>,
    /// The group of each row.
    pub groups: Vec<u32>,
    /// Where each row stands, row after row.
    pub places: Vec<f64>,
    /// Numbers of each row's place.
    pub width: usize,
}

/// What a variance function takes.
#[derive(Debug)]
pub enum Covariate {
    /// A value for each row.
    Values(Vec<f64>),
    /// The fitted mean at the conditional modes.
    Fitted,
}

/// A variance function with its covariate.
#[derive(Debug)]
pub struct Spread {
    /// log g and its derivatives.
    pub function: Box<dyn VarianceFunction>,
    /// v.
    pub covariate: Covariate,
}

/// The residuals of a model: which rows belong together, how they are correlated, what multiplies sigma besides the
/// dispersion's own predictor.
#[derive(Debug)]
pub struct Residual {
    /// The outermost group of each row, in which every other grouping is nested.
    pub blocks: Vec<u32>,
    /// The correlation of the residuals, if they are not independent.
    pub correlation: Option<Correlation>,
    /// Variance functions.
    pub spreads: Vec<Spread>,
}
