//! Unstructured: every variance and every covariance of the block is free.
//!
//! theta is the lower triangle of Lambda, column by column (lme4's order); Sigma = Lambda Lambda'.
//!
//! Reference: Bates, Maechler, Bolker & Walker (2015), J. Stat. Softw. 67(1), section 2.2, eq. 4.
use super::{Card, Covariance, entries_basis};

pub static CARD: Card = Card {
    name: "us",
    title: "unstructured: all variances and correlations free",
    parameters: "p(p+1)/2",
    reference: "Bates et al. (2015), J. Stat. Softw. 67(1), eq. 4",
};

/// The lower-triangular factor itself.
#[derive(Debug)]
pub struct Unstructured {
    size: usize,
    entries: Vec<(usize, usize)>,
}

impl Unstructured {
    /// For a block of `size` columns.
    pub fn new(size: usize) -> Self {
        let entries = (0..size).flat_map(|column| (column..size).map(move |row| (row, column))).collect();
        Self { size, entries }
    }
}

impl Covariance for Unstructured {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn size(&self) -> usize {
        self.size
    }

    fn n_theta(&self) -> usize {
        self.entries.len()
    }

    fn factor_into(&self, theta: &[f64], lambda: &mut [f64]) {
        lambda.fill(0.0);
        for (&(row, column), &value) in self.entries.iter().zip(theta) {
            lambda[column * self.size + row] = value;
        }
    }

    fn derivative_into(&self, _theta: &[f64], m: usize, derivative: &mut [f64]) {
        derivative.fill(0.0);
        let (row, column) = self.entries[m];
        derivative[column * self.size + row] = 1.0;
    }

    fn chain(&self, _theta: &[f64], g: &[f64], out: &mut [f64]) {
        for (slot, &(row, column)) in out.iter_mut().zip(&self.entries) {
            *slot += g[column * self.size + row];
        }
    }

    fn entry(&self, m: usize) -> Option<(usize, usize)> {
        Some(self.entries[m])
    }

    fn start(&self, sds: &[f64]) -> Vec<f64> {
        self.entries.iter().map(|&(row, column)| if row == column { sds[row] } else { 0.0 }).collect()
    }

    fn theta_of(&self, lambda: &[f64]) -> Vec<f64> {
        self.entries.iter().map(|&(row, column)| lambda[column * self.size + row]).collect()
    }

    fn linear_basis(&self) -> Option<Vec<Vec<f64>>> {
        Some(entries_basis(self.size))
    }

    fn absorbs_row_scaling(&self) -> bool {
        true
    }

    fn canonical_signs(&self, theta: &mut [f64]) {
        let mut first = 0;
        for column in 0..self.size {
            let length = self.size - column;
            if theta[first] < 0.0 {
                theta[first..first + length].iter_mut().for_each(|value| *value = -*value);
            }
            first += length;
        }
    }
}
