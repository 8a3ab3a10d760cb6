//! Every way the engine can refuse, with the numbers involved.
use crate::covariance::UnknownCovariance;
use crate::family::{Alternatives, FamilyError};
use crate::likelihood::profiled::ProfiledError;
use thiserror::Error;

/// A model that cannot be built.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The family is unknown, or cannot be what is asked of it.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// The covariance structure is unknown.
    #[error(transparent)]
    Covariance(#[from] UnknownCovariance),
    /// A response outside the family's domain.
    #[error("row {row} of the response is {value}; the {family} family needs {needs}")]
    Response {
        /// Index of the first offending row.
        row: usize,
        /// What was found there.
        value: f64,
        /// The family's name.
        family: String,
        /// What the family needs.
        needs: String,
        /// What would take the whole response.
        alternatives: Alternatives,
    },
    /// The data do not determine the likelihood of a linear mixed model.
    #[error(transparent)]
    Profiled(#[from] ProfiledError),
    /// Parameters that cannot be held at a value, or tied.
    #[error("{0}")]
    Restriction(&'static str),
    /// Arrays that do not fit together, or values that cannot be used.
    #[error("{0}")]
    Shape(String),
}
