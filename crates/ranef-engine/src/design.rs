//! The design of a model: the fixed-effects columns of each predictor and the random-effects terms.
//!
//! eta_ik = x_ik' beta_k + sum over terms t on predictor k of z_it' b_(t, level of row i) + offset_ik
//!
//! Z is never formed. A term keeps its few dense columns and shares the codes of its grouping factor; terms on the same
//! grouping factor, whatever predictors they act on, are merged into one block of effects for each level.

/// One column of a random-effects term.
#[derive(Clone, Debug)]
pub enum Column {
    /// The intercept: one in each row.
    One,
    /// A value for each row.
    Values(Vec<f64>),
}

impl Column {
    /// The value in row i.
    #[inline]
    pub fn at(&self, i: usize) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Values(values) => values[i],
        }
    }
}

/// A grouping factor: the level of each row, and the columns of all terms on it, in the order of the terms.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// Level of each row, 0..levels.
    pub codes: Vec<u32>,
    /// Number of levels.
    pub levels: usize,
    /// The merged columns of the terms on this factor.
    pub columns: Vec<Column>,
    /// The predictor that each merged column acts on.
    pub predictors: Vec<usize>,
}

/// The linear predictor of one distributional parameter.
#[derive(Clone, Debug)]
pub struct Predictor {
    /// n x p, column-major, of full column rank.
    pub x: Vec<f64>,
    /// Number of columns p.
    pub p: usize,
    /// Added to the linear predictor.
    pub offset: Option<Vec<f64>>,
}
