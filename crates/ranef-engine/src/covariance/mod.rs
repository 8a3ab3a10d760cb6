//! Covariance structures: from the parameters theta of a term to its factor Lambda, with b = Lambda u, u ~ N(0, I).
//!
//! A structure owns its theta: how many there are, how they make Lambda (p x r, column-major), how a derivative with
//! respect to Lambda becomes one with respect to theta, where to start, and what the parameters are called. The
//! likelihood sees only Lambda. The coordinates are *linear* in Lambda wherever that can be, and angles otherwise:
//! a zero variance or a correlation of one is then an ordinary point at a finite theta, and because the objective is
//! even under a change of a column's sign no bounds are needed.

mod angle;
mod autoregressive;
mod compound_symmetry;
pub mod coupling;
mod diagonal;
mod homogeneous_diagonal;
mod known_correlation;
mod natural;
mod reduced_rank;
mod scaled;
mod template;
mod toeplitz;
mod unit;
mod unstructured;

pub use natural::{Natural, NaturalScale};
pub use template::{LinearEntry, Parameter, Template};

use autoregressive::Autoregressive;
use compound_symmetry::Exchangeable;
use diagonal::Diagonal;
use homogeneous_diagonal::HomogeneousDiagonal;
use known_correlation::KnownCorrelation;
use reduced_rank::ReducedRank;
use scaled::Scaled;
use thiserror::Error;
use toeplitz::Lagged;
use unstructured::Unstructured;

/// What is known about a structure before any data are seen.
#[derive(Debug)]
pub struct Card {
    /// The name used in formulas, as in `diag(x | g)`.
    pub name: &'static str,
    /// A short description for people.
    pub title: &'static str,
    /// Number of parameters as text, in terms of the block size p.
    pub parameters: &'static str,
    /// Where the parametrisation is described.
    pub reference: &'static str,
}

/// What a structure may be told besides the number of its columns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The number of latent variables of a reduced rank: 2, or the number of columns where that is less.
    pub rank: Option<usize>,
}

/// A catalogue line: the card and the constructor for a block of `size` columns.
pub struct Entry {
    /// The structure's card.
    pub card: &'static Card,
    /// Builds the structure for a block of the given size.
    pub build: fn(usize, &Options) -> Box<dyn Covariance>,
}

/// Every covariance structure there is.
pub static CATALOGUE: &[Entry] = &[
    Entry { card: &unstructured::CARD, build: |size, _| Box::new(Unstructured::new(size)) },
    Entry { card: &diagonal::CARD, build: |size, _| Box::new(Diagonal::new(size)) },
    Entry { card: &homogeneous_diagonal::CARD, build: |size, _| Box::new(HomogeneousDiagonal::new(size)) },
    Entry {
        card: &compound_symmetry::CARD,
        build: |size, _| Box::new(Scaled::heterogeneous(&compound_symmetry::CARD, Exchangeable::new(size))),
    },
    Entry {
        card: &compound_symmetry::HOMOGENEOUS,
        build: |size, _| Box::new(Scaled::homogeneous(&compound_symmetry::HOMOGENEOUS, Exchangeable::new(size))),
    },
    Entry {
        card: &autoregressive::CARD,
        build: |size, _| Box::new(Scaled::homogeneous(&autoregressive::CARD, Autoregressive::new(size))),
    },
    Entry {
        card: &autoregressive::HETEROGENEOUS,
        build: |size, _| Box::new(Scaled::heterogeneous(&autoregressive::HETEROGENEOUS, Autoregressive::new(size))),
    },
    Entry {
        card: &toeplitz::CARD,
        build: |size, _| Box::new(Scaled::heterogeneous(&toeplitz::CARD, Lagged::new(size))),
    },
    Entry {
        card: &toeplitz::HOMOGENEOUS,
        build: |size, _| Box::new(Scaled::homogeneous(&toeplitz::HOMOGENEOUS, Lagged::new(size))),
    },
    Entry {
        card: &reduced_rank::CARD,
        build: |size, options| Box::new(ReducedRank::new(size, options.rank.unwrap_or(2).min(size))),
    },
];

/// Variances of one, without parameters: the sizes of effects that a known matrix gives altogether.
pub fn unit(size: usize) -> Box<dyn Covariance> {
    Box::new(unit::Unit::new(size))
}

/// Unstructured, but for a known correlation matrix, of which the lower Cholesky factor is given (column-major).
pub fn with_correlation(size: usize, factor: Vec<f64>) -> Box<dyn Covariance> {
    Box::new(Scaled::heterogeneous(&unstructured::CARD, KnownCorrelation::new(size, factor)))
}

/// A structure that does not exist.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no covariance structure `{name}`; the structures are {known}")]
pub struct UnknownCovariance {
    /// The name that was asked for.
    pub name: String,
    /// The names there are, separated by commas.
    pub known: String,
}

/// The structure called `name` for a block of `size` columns.
///
/// # Errors
/// [`UnknownCovariance`] when the catalogue has no such name.
pub fn build(name: &str, size: usize) -> Result<Box<dyn Covariance>, UnknownCovariance> {
    build_with(name, size, &Options::default())
}

/// The same with options.
///
/// # Errors
/// [`UnknownCovariance`] when the catalogue has no such name.
pub fn build_with(name: &str, size: usize, options: &Options) -> Result<Box<dyn Covariance>, UnknownCovariance> {
    CATALOGUE.iter().find(|entry| entry.card.name == name).map(|entry| (entry.build)(size, options)).ok_or_else(|| {
        UnknownCovariance {
            name: name.to_owned(),
            known: CATALOGUE.iter().map(|entry| entry.card.name).collect::<Vec<_>>().join(", "),
        }
    })
}

/// The symmetric matrices of zeros but for one entry and its mirror image, of order p.
pub(crate) fn entries_basis(p: usize) -> Vec<Vec<f64>> {
    let pairs = (0..p).flat_map(|i| (i..p).map(move |j| (i, j)));
    pairs.map(|(i, j)| pattern_of(p, |a, b| (a, b) == (i, j) || (a, b) == (j, i))).collect()
}

/// The matrix of order p that is one where `is_one` says so.
pub(crate) fn pattern_of(p: usize, is_one: impl Fn(usize, usize) -> bool) -> Vec<f64> {
    (0..p * p).map(|at| f64::from(u8::from(is_one(at % p, at / p)))).collect()
}

/// The step of the differences that give the curvature of Lambda: theta are of the size of one, and the error is
/// its fourth power. A power of two, so that the steps are exact.
const CURVATURE_STEP: f64 = 1.0 / 1024.0;

/// A covariance structure in factor form: Sigma = Lambda Lambda'.
pub trait Covariance: Send + Sync + std::fmt::Debug {
    /// The structure's card.
    fn card(&self) -> &'static Card;

    /// Number of columns p of the block: rows of Lambda.
    fn size(&self) -> usize;

    /// Number of columns r of Lambda (p, or fewer for a reduced rank).
    fn rank(&self) -> usize {
        self.size()
    }

    /// Length of theta.
    fn n_theta(&self) -> usize;

    /// Writes Lambda(theta), p x r column-major.
    fn factor_into(&self, theta: &[f64], lambda: &mut [f64]);

    /// Writes dLambda / dtheta_m, p x r column-major.
    fn derivative_into(&self, theta: &[f64], m: usize, derivative: &mut [f64]);

    /// Adds <dLambda/dtheta_m, g> to `out[m]` for each m, where g = d objective / d Lambda (p x r).
    fn chain(&self, theta: &[f64], g: &[f64], out: &mut [f64]) {
        let mut derivative = vec![0.0; self.size() * self.rank()];
        for (m, slot) in out.iter_mut().enumerate() {
            self.derivative_into(theta, m, &mut derivative);
            *slot += derivative.iter().zip(g).map(|(d, g)| d * g).sum::<f64>();
        }
    }

    /// Whether Lambda is linear in theta.
    fn is_linear(&self) -> bool {
        true
    }

    /// Adds <d2 Lambda / dtheta_j dtheta_k, g> to `out` (n_theta x n_theta).
    ///
    /// By differences of [`Covariance::chain`] over four points, with an error near 1e-13 of the size of g.
    fn add_curvature(&self, theta: &[f64], g: &[f64], out: &mut [f64]) {
        if self.is_linear() {
            return;
        }
        let n = self.n_theta();
        let mut columns = vec![0.0; n * n];
        for (j, column) in columns.chunks_exact_mut(n).enumerate() {
            for (steps, weight) in [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)] {
                let (mut moved, mut slope) = (theta.to_vec(), vec![0.0; n]);
                moved[j] += steps * CURVATURE_STEP;
                self.chain(&moved, g, &mut slope);
                column.iter_mut().zip(&slope).for_each(|(sum, s)| *sum += weight * s / (12.0 * CURVATURE_STEP));
            }
        }
        for j in 0..n {
            for i in 0..n {
                out[j * n + i] += 0.5 * (columns[j * n + i] + columns[i * n + j]);
            }
        }
    }

    /// Adds tr(dLambda_j' N dLambda_k) to `out` (n_theta x n_theta), for N symmetric, p x p.
    fn add_quadratic(&self, theta: &[f64], n: &[f64], out: &mut [f64]) {
        let (p, r, n_theta) = (self.size(), self.rank(), self.n_theta());
        let entries: Option<Vec<(usize, usize)>> = (0..n_theta).map(|m| self.entry(m)).collect();
        if let Some(entries) = entries {
            for (k, &(row_k, column_k)) in entries.iter().enumerate() {
                for (j, &(row_j, column_j)) in entries.iter().enumerate() {
                    if column_j == column_k {
                        out[k * n_theta + j] += n[row_k * p + row_j];
                    }
                }
            }
            return;
        }
        let mut derivatives = vec![0.0; n_theta * p * r];
        for (m, derivative) in derivatives.chunks_exact_mut(p * r).enumerate() {
            self.derivative_into(theta, m, derivative);
        }
        for k in 0..n_theta {
            let column = |c: usize| &derivatives[k * p * r + c * p..][..p];
            let image: Vec<f64> = (0..r)
                .flat_map(|c| (0..p).map(move |a| (c, a)))
                .map(|(c, a)| column(c).iter().enumerate().map(|(b, value)| n[b * p + a] * value).sum())
                .collect();
            for (j, derivative) in derivatives.chunks_exact(p * r).enumerate() {
                out[k * n_theta + j] += derivative.iter().zip(&image).map(|(d, image)| d * image).sum::<f64>();
            }
        }
    }

    /// The entry (row, column) of Lambda that theta_m *is*, for structures whose theta are entries of Lambda.
    fn entry(&self, _m: usize) -> Option<(usize, usize)> {
        None
    }

    /// Matrices (p x p, of zeros and ones, no place in two of them) whose combinations with any coefficients are the matrices
    /// Sigma of this structure; `None` where Sigma is not linear in its parameters.
    fn linear_basis(&self) -> Option<Vec<Vec<f64>>> {
        None
    }

    /// How theta_m follows a scaling of Lambda: with row i of Lambda multiplied by c_i it is multiplied by c_row^degree.
    fn scaling(&self, m: usize) -> (usize, f64) {
        (self.entry(m).map_or(0, |(row, _)| row), 1.0)
    }

    /// The value of theta_m, near the one it has, at which Lambda loses a column's variance, and about which the
    /// covariance is symmetric in theta_m.
    fn edge(&self, _theta: &[f64], m: usize) -> Option<f64> {
        self.entry(m).and_then(|(row, column)| (row == column).then_some(0.0))
    }

    /// The theta at an edge or without meaning because of another one that is.
    fn idle(&self, theta: &[f64]) -> Vec<usize> {
        let all = 0..self.n_theta();
        if all.clone().all(|m| self.entry(m).is_some()) {
            let column = |m: usize| self.entry(m).expect("all are entries").1;
            return all.clone().filter(|&m| all.clone().all(|l| column(l) != column(m) || theta[l] == 0.0)).collect();
        }
        let mut derivative = vec![0.0; self.size() * self.rank()];
        all.filter(|&m| {
            self.derivative_into(theta, m, &mut derivative);
            self.edge(theta, m) == Some(theta[m]) || derivative.iter().all(|value| *value == 0.0)
        })
        .collect()
    }

    /// Theta for which Lambda is diagonal with these standard deviations (as near as the structure can).
    fn start(&self, sds: &[f64]) -> Vec<f64>;

    /// Theta to start from, given a rough estimate of Sigma (p x p, with a positive diagonal); without correlations where
    /// such a start will do.
    fn start_near(&self, sigma: &[f64]) -> Vec<f64> {
        let p = self.size();
        self.start(&(0..p).map(|j| sigma[j * p + j].sqrt()).collect::<Vec<f64>>())
    }

    /// Theta of a given Lambda of this structure; the inverse of [`Covariance::factor_into`].
    fn theta_of(&self, lambda: &[f64]) -> Vec<f64>;

    /// Whether multiplying row i of Lambda by a constant stays inside the structure.
    ///
    /// Where it does, a term's columns are scaled to unit size before optimisation and Lambda is scaled back after.
    fn absorbs_row_scaling(&self) -> bool;

    /// Flips signs of columns of Lambda so that its diagonal is not negative, in place in theta.
    fn canonical_signs(&self, theta: &mut [f64]);

    /// The columns whose standard deviations are parameters: the first where one stands for all.
    fn sds(&self) -> Vec<usize> {
        (0..self.size()).collect()
    }

    /// The pairs of columns whose correlations are parameters, the earlier column first; the others follow from them.
    fn correlations(&self) -> Vec<(usize, usize)> {
        let p = self.size();
        (0..p).flat_map(|i| (i + 1..p).map(move |j| (i, j))).collect()
    }

    /// Sets the one theta that a natural parameter determines, given the others, so that it has a value; its index. `None`
    /// where no one theta does, or where theta are entries of Lambda.
    fn hold(&self, _parameter: Natural, _value: f64, _theta: &mut [f64]) -> Option<usize> {
        None
    }
}
