//! The proper conditional autoregression on a map: P = I - rho W, with W the (weighted) adjacency of its regions.
//!
//! P is positive definite for rho between the reciprocals of W's smallest and largest eigenvalue, lambda_min < 0 <
//! lambda_max, and log|P| = sum log(1 - rho lambda_i). theta maps the line to that interval:
//! rho = low + (high - low) expit(theta).
//!
//! Reference: Besag (1974), J. R. Statist. Soc. B 36, 192-236; Rousset & Ferdy (2014), Ecography 37, 781-790.
use super::{Coupling, Form, Precision, Scale, ShapeParameter, split};
use crate::covariance::Card;
use crate::linalg::{Neighbours, SparseFactor};
use crate::special::expit;

pub static CAR: Card = Card {
    name: "car",
    title: "conditional autoregression on an adjacency matrix W: precision (I - rho W) / sd^2",
    parameters: "2",
    reference: "Besag (1974), J. R. Statist. Soc. B 36, 192-236",
};

static RHO: &[ShapeParameter] = &[ShapeParameter { name: "rho", scale: Scale::Correlation }];

/// Regions and their neighbours.
#[derive(Debug)]
pub struct Adjacency {
    neighbours: Neighbours,
    weights: Vec<f64>,
    eigenvalues: Vec<f64>,
    low: f64,
    high: f64,
}

impl Adjacency {
    /// From the entries (row, column, value) of the adjacency matrix, of which those left of the diagonal are read, and its
    /// eigenvalues.
    pub fn new(levels: usize, entries: impl Iterator<Item = (usize, usize, f64)>, eigenvalues: Vec<f64>) -> Self {
        let (neighbours, _, weights) = split(levels, entries);
        let low = 1.0 / eigenvalues.iter().copied().fold(0.0, f64::min);
        let high = 1.0 / eigenvalues.iter().copied().fold(0.0, f64::max);
        Self { neighbours, weights, eigenvalues, low, high }
    }

    fn factor(&self, theta: &[f64]) -> SparseFactor {
        let (mut diagonal, mut off) = (vec![0.0; self.eigenvalues.len()], vec![0.0; self.weights.len()]);
        self.values_into(theta, &mut diagonal, &mut off);
        SparseFactor::new(&self.neighbours, &diagonal, &off).expect("positive definite between the reciprocals")
    }
}

impl Coupling for Adjacency {
    fn levels(&self) -> usize {
        self.eigenvalues.len()
    }

    fn parameters(&self) -> &'static [ShapeParameter] {
        RHO
    }

    fn start(&self) -> Vec<f64> {
        // Half of the strongest positive dependence.
        vec![self.theta_of(0.5 * self.high, 0)]
    }

    fn natural(&self, theta: &[f64], _m: usize) -> (f64, f64) {
        let p = expit(theta[0]);
        (self.low + (self.high - self.low) * p, (self.high - self.low) * p * expit(-theta[0]))
    }

    fn theta_of(&self, natural: f64, _m: usize) -> f64 {
        ((natural - self.low) / (self.high - natural)).ln()
    }

    fn form(&self) -> Form<'_> {
        Form::Precision(self)
    }
}

impl Precision for Adjacency {
    fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    fn values_into(&self, theta: &[f64], diagonal: &mut [f64], off: &mut [f64]) -> f64 {
        let rho = self.natural(theta, 0).0;
        diagonal.fill(1.0);
        off.iter_mut().zip(&self.weights).for_each(|(value, w)| *value = -rho * w);
        self.eigenvalues.iter().map(|lambda| (-rho * lambda).ln_1p()).sum()
    }

    fn derivative_into(&self, theta: &[f64], _m: usize, diagonal: &mut [f64], off: &mut [f64]) -> f64 {
        let (rho, slope) = self.natural(theta, 0);
        diagonal.fill(0.0);
        off.iter_mut().zip(&self.weights).for_each(|(value, w)| *value = -slope * w);
        -slope * self.eigenvalues.iter().map(|lambda| lambda / (1.0 - rho * lambda)).sum::<f64>()
    }

    fn solve_in_place(&self, theta: &[f64], x: &mut [f64]) {
        self.factor(theta).solve_in_place(x);
    }

    fn draw_in_place(&self, theta: &[f64], z: &mut [f64]) {
        self.factor(theta).draw_in_place(z);
    }
}
