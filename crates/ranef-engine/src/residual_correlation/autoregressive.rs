//! First-order autoregression over counted occasions: R_ij = phi^|t_i - t_j|, t whole numbers.
//!
//! x = atanh(phi).
use super::{Card, Parameter, Places, ResidualCorrelation, Scale};

pub static CARD: Card = Card {
    name: "ar1",
    title: "autoregressive of order 1 over occasions 1, 2, 3, ...",
    parameters: "phi",
    places: "integer",
    reference: "Box, Jenkins & Reinsel (1994), Time Series Analysis, section 3.2",
};

/// phi^lag.
#[derive(Debug)]
pub struct Autoregressive;

impl ResidualCorrelation for Autoregressive {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn n_parameters(&self) -> usize {
        1
    }

    fn start(&self) -> Vec<f64> {
        vec![0.2]
    }

    fn correlation_into(&self, x: &[f64], places: Places<'_>, r: &mut [f64]) {
        let phi = x[0].tanh();
        places.fill(r, 1.0, |i, j| phi.powi(lag(places, i, j)));
    }

    fn derivative_into(&self, x: &[f64], places: Places<'_>, _k: usize, derivative: &mut [f64]) {
        let phi = x[0].tanh();
        // d phi / d x, without the cancellation of 1 - phi^2.
        let slope = x[0].cosh().powi(-2);
        places.fill(derivative, 0.0, |i, j| {
            let lag = lag(places, i, j);
            slope * f64::from(lag) * phi.powi(lag - 1)
        });
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("phi", Scale::Fisher)]
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        vec![x[0].tanh()]
    }
}

/// Occasions between two rows.
pub fn lag(places: Places<'_>, i: usize, j: usize) -> i32 {
    (places.values[i] - places.values[j]).abs().round() as i32
}
