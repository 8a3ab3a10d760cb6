//! Random-effects columns: a few dense columns for each grouping factor, and the level of each row.

/// One column of a random-effects term.
#[derive(Clone, Debug)]
pub enum Column {
    /// The intercept: one in each row.
    One,
    /// A value for each row.
    Values(Vec<f64>),
}

impl Column {
    /// The column of these values; a column of ones is recognised.
    pub fn new(values: &[f64]) -> Self {
        if values.iter().all(|&value| value == 1.0) { Self::One } else { Self::Values(values.to_vec()) }
    }

    /// The value in row i.
    #[inline]
    pub fn at(&self, i: usize) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Values(values) => values[i],
        }
    }

    /// Root mean square, the size that scaling divides by; 1 for a column of zeros.
    pub fn rms(&self) -> f64 {
        match self {
            Self::One => 1.0,
            Self::Values(values) => {
                let mean_square = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
                if mean_square > 0.0 { mean_square.sqrt() } else { 1.0 }
            }
        }
    }

    /// Divides the column by `scale`.
    pub fn divide(&mut self, scale: f64) {
        if let Self::Values(values) = self {
            values.iter_mut().for_each(|value| *value /= scale);
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

impl Grouping {
    /// Number of columns p_f of a level's block.
    pub fn width(&self) -> usize {
        self.columns.len()
    }
}
