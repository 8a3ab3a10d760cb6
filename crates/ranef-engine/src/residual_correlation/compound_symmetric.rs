//! Compound symmetry: one correlation rho between any two rows of a group.
//!
//! rho lies between -1 / (m - 1), m the rows of the largest group, and 1: rho = low + (1 - low) / (1 + e^-x).
use super::{Card, Parameter, Places, ResidualCorrelation, Scale, logistic};

pub static CARD: Card = Card {
    name: "cs",
    title: "compound symmetric: one correlation for all pairs of rows",
    parameters: "rho",
    places: "none",
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.3.1",
};

/// One correlation.
#[derive(Debug)]
pub struct CompoundSymmetric {
    low: f64,
}

impl CompoundSymmetric {
    /// For groups of up to `largest` rows.
    pub fn new(largest: usize) -> Self {
        Self { low: -1.0 / (largest.max(2) - 1) as f64 }
    }
}

impl ResidualCorrelation for CompoundSymmetric {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn n_parameters(&self) -> usize {
        1
    }

    fn start(&self) -> Vec<f64> {
        let share = (0.2 - self.low) / (1.0 - self.low);
        vec![(share / (1.0 - share)).ln()]
    }

    fn correlation_into(&self, x: &[f64], places: Places<'_>, r: &mut [f64]) {
        let rho = self.natural(x)[0];
        places.fill(r, 1.0, |_, _| rho);
    }

    fn derivative_into(&self, x: &[f64], places: Places<'_>, _k: usize, derivative: &mut [f64]) {
        let slope = (1.0 - self.low) * logistic(x[0]) * logistic(-x[0]);
        places.fill(derivative, 0.0, |_, _| slope);
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("rho", Scale::Fisher)]
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        vec![self.low + (1.0 - self.low) * logistic(x[0])]
    }
}
