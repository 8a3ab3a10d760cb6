//! Diagonal: a variance for each column of the block, no correlations; `(x || g)` and `diag(x | g)`.
//!
//! theta_j = Lambda_jj, the standard deviation of column j (up to sign).
use super::{Card, Covariance, pattern_of};

pub static CARD: Card = Card {
    name: "diag",
    title: "diagonal: a variance for each column, no correlation",
    parameters: "p",
    reference: "Bates et al. (2015), J. Stat. Softw. 67(1), section 2.1",
};

/// One standard deviation for each column.
#[derive(Debug)]
pub struct Diagonal {
    size: usize,
}

impl Diagonal {
    /// For a block of `size` columns.
    pub fn new(size: usize) -> Self {
        Self { size }
    }
}

impl Covariance for Diagonal {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn size(&self) -> usize {
        self.size
    }

    fn n_theta(&self) -> usize {
        self.size
    }

    fn factor_into(&self, theta: &[f64], lambda: &mut [f64]) {
        lambda.fill(0.0);
        for (j, &value) in theta.iter().enumerate() {
            lambda[j * self.size + j] = value;
        }
    }

    fn derivative_into(&self, _theta: &[f64], m: usize, derivative: &mut [f64]) {
        derivative.fill(0.0);
        derivative[m * self.size + m] = 1.0;
    }

    fn entry(&self, m: usize) -> Option<(usize, usize)> {
        Some((m, m))
    }

    fn start(&self, sds: &[f64]) -> Vec<f64> {
        sds.to_vec()
    }

    fn theta_of(&self, lambda: &[f64]) -> Vec<f64> {
        (0..self.size).map(|j| lambda[j * self.size + j]).collect()
    }

    fn linear_basis(&self) -> Option<Vec<Vec<f64>>> {
        Some((0..self.size).map(|j| pattern_of(self.size, |a, b| (a, b) == (j, j))).collect())
    }

    fn absorbs_row_scaling(&self) -> bool {
        true
    }

    fn correlations(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    fn canonical_signs(&self, theta: &mut [f64]) {
        theta.iter_mut().for_each(|value| *value = value.abs());
    }
}
