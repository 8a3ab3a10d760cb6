//! Dependence that is known: relatedness, phylogeny, sampling error.
//!
//! `propto` has it up to one variance, `equalto` altogether. A covariance is dense; a precision (that of a pedigree, say) is
//! sparse, and stays so.
use super::{Correlation, Coupling, Form, Precision, split};
use crate::covariance::Card;
use crate::linalg::{Neighbours, SparseFactor};

pub static PROPTO: Card = Card {
    name: "propto",
    title: "proportional to a known matrix: relatedness, phylogeny, distance",
    parameters: "1",
    reference: "Henderson (1976), Biometrics 32, 69-83",
};

pub static EQUALTO: Card = Card {
    name: "equalto",
    title: "equal to a known matrix: sampling variances of a meta-analysis",
    parameters: "0",
    reference: "Hedges & Olkin (1985), Statistical Methods for Meta-Analysis",
};

pub static ICAR: Card = Card {
    name: "icar",
    title: "intrinsic conditional autoregression on a map in one piece",
    parameters: "1",
    reference: "Besag & Kooperberg (1995), Biometrika 82, 733-746",
};

pub static RW1: Card = Card {
    name: "rw1",
    title: "random walk: independent changes from one time to the next",
    parameters: "1",
    reference: "Rue & Held (2005), Gaussian Markov Random Fields, section 3.3.1",
};

pub static RW2: Card = Card {
    name: "rw2",
    title: "random walk of second order about a line: independent changes of slope",
    parameters: "1",
    reference: "Rue & Held (2005), Gaussian Markov Random Fields, section 3.4.1",
};

/// A known dense covariance (of unit size or not).
#[derive(Debug)]
pub struct KnownCorrelation {
    blocks: Vec<usize>,
    /// For each block its covariance, column-major; blocks may share one.
    values: Vec<std::sync::Arc<Vec<f64>>>,
}

impl KnownCorrelation {
    /// For levels in the order of their blocks.
    pub fn new(blocks: Vec<usize>, values: Vec<std::sync::Arc<Vec<f64>>>) -> Self {
        Self { blocks, values }
    }
}

impl Coupling for KnownCorrelation {
    fn levels(&self) -> usize {
        self.blocks.last().copied().unwrap_or(0)
    }

    fn form(&self) -> Form<'_> {
        Form::Correlation(self)
    }
}

impl Correlation for KnownCorrelation {
    fn blocks(&self) -> &[usize] {
        &self.blocks
    }

    fn values_into(&self, _theta: &[f64], block: usize, out: &mut [f64]) {
        out.copy_from_slice(&self.values[block]);
    }

    fn derivatives_into(&self, _theta: &[f64], _block: usize, _out: &mut [Vec<f64>]) {}
}

/// A known sparse precision.
#[derive(Debug)]
pub struct KnownPrecision {
    neighbours: Neighbours,
    diagonal: Vec<f64>,
    off: Vec<f64>,
    factor: SparseFactor,
}

impl KnownPrecision {
    /// From the entries (row, column, value) of a symmetric positive definite matrix; entries right of the diagonal are not
    /// read. On failure the level at which the matrix is not positive definite.
    ///
    /// # Errors
    /// The level of the first pivot that is not positive.
    pub fn new(levels: usize, entries: impl Iterator<Item = (usize, usize, f64)>) -> Result<Self, usize> {
        let (neighbours, diagonal, off) = split(levels, entries);
        let factor = SparseFactor::new(&neighbours, &diagonal, &off)?;
        Ok(Self { neighbours, diagonal, off, factor })
    }
}

impl Coupling for KnownPrecision {
    fn levels(&self) -> usize {
        self.diagonal.len()
    }

    fn form(&self) -> Form<'_> {
        Form::Precision(self)
    }
}

impl Precision for KnownPrecision {
    fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    fn values_into(&self, _theta: &[f64], diagonal: &mut [f64], off: &mut [f64]) -> f64 {
        diagonal.copy_from_slice(&self.diagonal);
        off.copy_from_slice(&self.off);
        self.factor.log_det()
    }

    fn derivative_into(&self, _theta: &[f64], _m: usize, _diagonal: &mut [f64], _off: &mut [f64]) -> f64 {
        unreachable!("there are no parameters")
    }

    fn solve_in_place(&self, _theta: &[f64], x: &mut [f64]) {
        self.factor.solve_in_place(x);
    }

    fn draw_in_place(&self, _theta: &[f64], z: &mut [f64]) {
        self.factor.draw_in_place(z);
    }
}
