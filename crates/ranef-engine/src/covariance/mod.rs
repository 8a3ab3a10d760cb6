//! Covariance structures: from the parameters theta of a term to its factor Lambda, with b = Lambda u, u ~ N(0, I).
//!
//! A structure owns its theta: how many there are, how they make Lambda (p x r, column-major), how a derivative with
//! respect to Lambda becomes one with respect to theta, where to start, and what the parameters are called. The
//! likelihood sees only Lambda. The coordinates are *linear* in Lambda wherever that can be:
//! a zero variance or a correlation of one is then an ordinary point at a finite theta, and because the objective is
//! even under a change of a column's sign no bounds are needed.

mod diagonal;
mod homogeneous_diagonal;
mod template;
mod unstructured;

pub use template::Template;

use thiserror::Error;

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

/// A catalogue line: the card and the constructor for a block of `size` columns.
pub struct Entry {
    /// The structure's card.
    pub card: &'static Card,
    /// Builds the structure for a block of the given size.
    pub build: fn(usize) -> Box<dyn Covariance>,
}

/// Every covariance structure there is.
pub static CATALOGUE: &[Entry] = &[
    Entry { card: &unstructured::CARD, build: |size| Box::new(unstructured::Unstructured::new(size)) },
    Entry { card: &diagonal::CARD, build: |size| Box::new(diagonal::Diagonal::new(size)) },
    Entry {
        card: &homogeneous_diagonal::CARD,
        build: |size| Box::new(homogeneous_diagonal::HomogeneousDiagonal::new(size)),
    },
];

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
    CATALOGUE.iter().find(|entry| entry.card.name == name).map(|entry| (entry.build)(size)).ok_or_else(|| {
        UnknownCovariance {
            name: name.to_owned(),
            known: CATALOGUE.iter().map(|entry| entry.card.name).collect::<Vec<_>>().join(", "),
        }
    })
}

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

    /// The entry (row, column) of Lambda that theta_m *is*, for structures whose theta are entries of Lambda.
    ///
    /// Only such structures have the exact boundary term N of the outer metric.
    fn entry(&self, m: usize) -> Option<(usize, usize)>;

    /// Theta for which Lambda is diagonal with these standard deviations (as near as the structure can).
    fn start(&self, sds: &[f64]) -> Vec<f64>;

    /// Theta of a given Lambda of this structure; the inverse of [`Covariance::factor_into`].
    fn theta_of(&self, lambda: &[f64]) -> Vec<f64>;

    /// Whether multiplying row i of Lambda by a constant stays inside the structure.
    ///
    /// Where it does, a term's columns are scaled to unit size before optimisation and Lambda is scaled back after.
    fn absorbs_row_scaling(&self) -> bool;

    /// Flips signs of columns of Lambda so that its diagonal is not negative, in place in theta.
    fn canonical_signs(&self, theta: &mut [f64]);

    /// The name of theta_m, given the names of the block's columns.
    fn parameter_name(&self, m: usize, columns: &[String]) -> String {
        match self.entry(m) {
            Some((row, column)) if row == column => format!("sd({})", columns[row]),
            Some((row, column)) => format!("cov({}, {})", columns[row], columns[column]),
            None => format!("theta[{m}]"),
        }
    }
}
