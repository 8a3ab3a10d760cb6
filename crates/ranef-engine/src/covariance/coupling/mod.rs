//! Couplings: how the effects of the levels of one grouping factor depend on each other.
//!
//! The levels are points in time or space, individuals of a pedigree, regions of a map. Their standardised effects are
//! u ~ N(0, P(theta)^{-1}) with one and the same P for each column of the term, and b = Lambda u as ever: the sizes stay in
//! Lambda, where zero is an ordinary point, and a coupling has parameters of shape only. It gives either the sparse precision
//! P, at a cost in proportion to its entries, or the dense correlation R = P^{-1} in blocks.

mod adjacency;
mod chain;
mod distance;
mod known;

pub use adjacency::Adjacency;
pub use chain::{Chain, Clock};
pub use distance::{Distance, Kernel};
pub use known::{KnownCorrelation, KnownPrecision};

use super::Card;
use crate::linalg::{Neighbours, Tie};

/// Cards of the structures that are couplings.
pub static CARDS: &[&Card] = &[
    &chain::OU,
    &distance::EXP,
    &distance::GAU,
    &distance::MAT,
    &known::PROPTO,
    &known::EQUALTO,
    &adjacency::CAR,
    &known::ICAR,
    &known::RW1,
    &known::RW2,
];

/// On which scale an interval of a natural parameter is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Fisher's z: a correlation.
    Correlation,
    /// The logarithm: a range, a smoothness.
    Log,
}

/// A natural parameter.
#[derive(Clone, Copy, Debug)]
pub struct ShapeParameter {
    /// What the field calls it.
    pub name: &'static str,
    /// The scale for its intervals.
    pub scale: Scale,
}

/// How the effects of a factor's levels depend on each other.
pub trait Coupling: Send + Sync + std::fmt::Debug {
    /// Number of levels.
    fn levels(&self) -> usize;

    /// The natural parameters, one for each theta; none of a dependence that is known.
    fn parameters(&self) -> &'static [ShapeParameter] {
        &[]
    }

    /// Where a search starts.
    fn start(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Natural parameter m and its derivative with respect to theta_m, on which alone it depends.
    fn natural(&self, _theta: &[f64], _m: usize) -> (f64, f64) {
        unreachable!("there are no parameters")
    }

    /// Theta_m of a natural parameter; not finite where it cannot have that value.
    fn theta_of(&self, _natural: f64, _m: usize) -> f64 {
        unreachable!("there are no parameters")
    }

    /// The dependence as it is computed.
    fn form(&self) -> Form<'_>;
}

/// Sparse precision or dense correlation.
pub enum Form<'a> {
    /// P.
    Precision(&'a dyn Precision),
    /// R = P^{-1}.
    Correlation(&'a dyn Correlation),
}

impl Form<'_> {
    /// The dependence as a pattern knows it.
    pub fn tie(&self) -> Tie {
        match self {
            Self::Precision(precision) => Tie::Precision(precision.neighbours().clone()),
            Self::Correlation(correlation) => Tie::Correlation(correlation.blocks().to_vec()),
        }
    }
}

/// A sparse precision P(theta).
pub trait Precision {
    /// Where its entries left of the diagonal are.
    fn neighbours(&self) -> &Neighbours;

    /// Writes the diagonal and the other entries of P; returns log|P|.
    fn values_into(&self, theta: &[f64], diagonal: &mut [f64], off: &mut [f64]) -> f64;

    /// Writes dP / dtheta_m; returns the derivative of log|P|.
    fn derivative_into(&self, theta: &[f64], m: usize, diagonal: &mut [f64], off: &mut [f64]) -> f64;

    /// x = P^{-1} x.
    fn solve_in_place(&self, theta: &[f64], x: &mut [f64]);

    /// From standard normal deviates to effects with precision P, in place.
    fn draw_in_place(&self, theta: &[f64], z: &mut [f64]);
}

/// A dense correlation R(theta), in blocks of consecutive levels.
pub trait Correlation {
    /// Where each block begins, and the number of levels.
    fn blocks(&self) -> &[usize];

    /// Writes a block of R, lower triangle (at least), column-major.
    fn values_into(&self, theta: &[f64], block: usize, out: &mut [f64]);

    /// Writes a block of dR / dtheta_m for all m, both triangles.
    fn derivatives_into(&self, theta: &[f64], block: usize, out: &mut [Vec<f64>]);
}

/// The entries left of the diagonal and the diagonal of a symmetric sparse matrix given by its columns, and the places of
/// the former.
pub(super) fn split(
    levels: usize,
    entries: impl Iterator<Item = (usize, usize, f64)>,
) -> (Neighbours, Vec<f64>, Vec<f64>) {
    let (mut rows, mut diagonal) = (vec![Vec::new(); levels], vec![0.0; levels]);
    for (row, column, value) in entries {
        match row.cmp(&column) {
            std::cmp::Ordering::Greater => rows[row].push((column as u32, value)),
            std::cmp::Ordering::Equal => diagonal[row] += value,
            std::cmp::Ordering::Less => {}
        }
    }
    let (mut neighbours, mut off) = (Neighbours { ptr: vec![0], lower: Vec::new() }, Vec::new());
    for mut row in rows {
        row.sort_unstable_by_key(|entry| entry.0);
        for (column, value) in row {
            neighbours.lower.push(column);
            off.push(value);
        }
        neighbours.ptr.push(neighbours.lower.len());
    }
    (neighbours, diagonal, off)
}
