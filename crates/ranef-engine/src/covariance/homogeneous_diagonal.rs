//! Homogeneous diagonal: one variance for all columns, no correlations; `homdiag(x | g)`.
//!
//! theta = s, the standard deviation (up to sign): Lambda = s I.
use super::{Card, Covariance, Natural, pattern_of};

pub static CARD: Card = Card {
    name: "homdiag",
    title: "homogeneous diagonal: one variance for all columns, no correlation",
    parameters: "1",
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 4.2.2 (pdIdent)",
};

/// One standard deviation for all columns.
#[derive(Debug)]
pub struct HomogeneousDiagonal {
    size: usize,
}

impl HomogeneousDiagonal {
    /// For a block of `size` columns.
    pub fn new(size: usize) -> Self {
        Self { size }
    }
}

impl Covariance for HomogeneousDiagonal {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn size(&self) -> usize {
        self.size
    }

    fn n_theta(&self) -> usize {
        1
    }

    fn factor_into(&self, theta: &[f64], lambda: &mut [f64]) {
        lambda.fill(0.0);
        (0..self.size).for_each(|j| lambda[j * self.size + j] = theta[0]);
    }

    fn derivative_into(&self, _theta: &[f64], _m: usize, derivative: &mut [f64]) {
        derivative.fill(0.0);
        (0..self.size).for_each(|j| derivative[j * self.size + j] = 1.0);
    }

    fn chain(&self, _theta: &[f64], g: &[f64], out: &mut [f64]) {
        out[0] += (0..self.size).map(|j| g[j * self.size + j]).sum::<f64>();
    }

    fn entry(&self, _m: usize) -> Option<(usize, usize)> {
        // With one column the standard deviation is Lambda itself.
        (self.size == 1).then_some((0, 0))
    }

    fn start(&self, sds: &[f64]) -> Vec<f64> {
        vec![(sds.iter().map(|sd| sd * sd).sum::<f64>() / self.size as f64).sqrt()]
    }

    fn theta_of(&self, lambda: &[f64]) -> Vec<f64> {
        vec![lambda[0]]
    }

    fn edge(&self, _theta: &[f64], _m: usize) -> Option<f64> {
        Some(0.0)
    }

    fn linear_basis(&self) -> Option<Vec<Vec<f64>>> {
        Some(vec![pattern_of(self.size, |a, b| a == b)])
    }

    fn absorbs_row_scaling(&self) -> bool {
        self.size == 1
    }

    fn sds(&self) -> Vec<usize> {
        vec![0]
    }

    fn correlations(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    fn hold(&self, parameter: Natural, value: f64, theta: &mut [f64]) -> Option<usize> {
        theta[0] = value;
        matches!(parameter, Natural::Sd(_)).then_some(0)
    }

    fn canonical_signs(&self, theta: &mut [f64]) {
        theta[0] = theta[0].abs();
    }
}
