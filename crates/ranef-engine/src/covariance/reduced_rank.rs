//! Reduced rank: p columns driven by d < p latent variables; `rr(x | g, d = 2)`.
//!
//! Lambda is the p x d matrix of loadings, b = Lambda u, and Sigma = Lambda Lambda' has rank d. Rotations of u leave Sigma as
//! it is; the loadings above the diagonal are zero, which leaves signs only. theta holds the others, column by column.
//!
//! Reference: McGillycuddy, Popovic, Bolker & Warton (2025), J. Stat. Softw. 112(1), 1-19; Niku et al. (2017), J. Agric.
//! Biol. Environ. Stat. 22, 498-522.
use super::{Card, Covariance};
use crate::linalg::{SymmetricEigen, symmetric_eigen};
use std::f64::consts::PI;

pub static CARD: Card = Card {
    name: "rr",
    title: "reduced rank: d latent variables with a loading for each column",
    parameters: "pd - d(d-1)/2",
    reference: "McGillycuddy et al. (2025), J. Stat. Softw. 112(1), 1-19",
};

/// The largest correlation of a rough estimate that is believed.
const LARGEST: f64 = 0.9;
/// The smallest eigenvalue and loading to start from: a column of zeros would be stationary.
const SMALLEST: f64 = 0.05;

/// The loadings.
#[derive(Debug)]
pub struct ReducedRank {
    size: usize,
    rank: usize,
    entries: Vec<(usize, usize)>,
}

impl ReducedRank {
    /// For a block of `size` columns and `rank` latent variables, at most as many.
    pub fn new(size: usize, rank: usize) -> Self {
        let entries = (0..rank).flat_map(|column| (column..size).map(move |row| (row, column))).collect();
        Self { size, rank, entries }
    }
}

impl Covariance for ReducedRank {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn size(&self) -> usize {
        self.size
    }

    fn rank(&self) -> usize {
        self.rank
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

    /// Rows of the length asked for, whose directions are spread: a column of zeros would be stationary, and with d < p
    /// no start is without correlations.
    fn start(&self, sds: &[f64]) -> Vec<f64> {
        let wave = |row: usize, column: usize| {
            let angle = PI * (row as f64 + 0.5) * column as f64 / self.size as f64;
            if row < column { 0.0 } else { angle.cos() }
        };
        let length = |row: usize| (0..self.rank).map(|column| wave(row, column).powi(2)).sum::<f64>().sqrt();
        self.entries.iter().map(|&(row, column)| sds[row] * wave(row, column) / length(row)).collect()
    }

    /// The loadings of the largest principal components of Sigma, rotated so that those above the diagonal are zero.
    fn start_near(&self, sigma: &[f64]) -> Vec<f64> {
        let (p, d) = (self.size, self.rank);
        let sds: Vec<f64> = (0..p).map(|j| sigma[j * p + j].sqrt()).collect();
        let correlation = |i: usize, j: usize| {
            if i == j { 1.0 } else { (sigma[j * p + i] / (sds[i] * sds[j])).clamp(-LARGEST, LARGEST) }
        };
        let matrix: Vec<f64> = (0..p * p).map(|at| correlation(at % p, at / p)).collect();
        let SymmetricEigen { values, vectors } = symmetric_eigen(&matrix, p);
        let mut order: Vec<usize> = (0..p).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let component = |k: usize, row: usize| vectors[order[k] * p + row] * values[order[k]].max(SMALLEST).sqrt();
        let gram = |i: usize, j: usize| (0..d).map(|k| component(k, i) * component(k, j)).sum::<f64>();
        // The first d columns of the Cholesky factor of a matrix of rank d are all of it.
        let mut lambda = vec![0.0; p * d];
        for j in 0..d {
            let rest = |i: usize, lambda: &[f64]| {
                gram(i, j) - (0..j).map(|k| lambda[k * p + i] * lambda[k * p + j]).sum::<f64>()
            };
            let pivot = rest(j, &lambda).max(SMALLEST * SMALLEST).sqrt();
            for i in j..p {
                lambda[j * p + i] = if i == j { pivot } else { rest(i, &lambda) / pivot };
            }
        }
        self.entries
            .iter()
            .map(|&(row, column)| {
                let length = (0..d).map(|k| lambda[k * p + row].powi(2)).sum::<f64>().sqrt().max(SMALLEST);
                sds[row] * lambda[column * p + row] / length.max(1.0)
            })
            .collect()
    }

    fn theta_of(&self, lambda: &[f64]) -> Vec<f64> {
        self.entries.iter().map(|&(row, column)| lambda[column * self.size + row]).collect()
    }

    fn absorbs_row_scaling(&self) -> bool {
        true
    }

    fn canonical_signs(&self, theta: &mut [f64]) {
        let mut first = 0;
        for column in 0..self.rank {
            let length = self.size - column;
            if theta[first] < 0.0 {
                theta[first..first + length].iter_mut().for_each(|value| *value = -*value);
            }
            first += length;
        }
    }
}
