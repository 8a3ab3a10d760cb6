//! Unit: variances of one and no correlation, without parameters; for effects whose size a known matrix gives.
use super::{Card, Covariance};

static CARD: Card = Card { name: "unit", title: "variances of one", parameters: "0", reference: "the identity" };

/// Lambda = I.
#[derive(Debug)]
pub struct Unit {
    size: usize,
}

impl Unit {
    /// For a block of `size` columns.
    pub fn new(size: usize) -> Self {
        Self { size }
    }
}

impl Covariance for Unit {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn size(&self) -> usize {
        self.size
    }

    fn n_theta(&self) -> usize {
        0
    }

    fn factor_into(&self, _theta: &[f64], lambda: &mut [f64]) {
        lambda.fill(0.0);
        (0..self.size).for_each(|j| lambda[j * self.size + j] = 1.0);
    }

    fn derivative_into(&self, _theta: &[f64], _m: usize, _derivative: &mut [f64]) {
        unreachable!("there are no parameters")
    }

    fn entry(&self, _m: usize) -> Option<(usize, usize)> {
        None
    }

    fn start(&self, _sds: &[f64]) -> Vec<f64> {
        Vec::new()
    }

    fn theta_of(&self, _lambda: &[f64]) -> Vec<f64> {
        Vec::new()
    }

    fn linear_basis(&self) -> Option<Vec<Vec<f64>>> {
        Some(Vec::new())
    }

    fn absorbs_row_scaling(&self) -> bool {
        false
    }

    fn canonical_signs(&self, _theta: &mut [f64]) {}
}
