//! Exponential of a covariate: g(v) = exp(delta v).
use super::{Card, VarianceFunction};
use crate::residual_correlation::{Parameter, Scale};

pub static CARD: Card = Card {
    name: "exp",
    title: "sd = sigma exp(rate v)",
    parameters: "rate",
    needs_nonzero: false,
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.2.1",
};

/// exp(delta v).
#[derive(Debug)]
pub struct Exponential;

impl VarianceFunction for Exponential {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn start(&self) -> Vec<f64> {
        vec![0.0]
    }

    fn log_sd(&self, x: &[f64], v: f64, derivative: &mut [f64]) -> f64 {
        derivative[0] = v;
        x[0] * v
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("rate", Scale::Identity)]
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        x.to_vec()
    }
}
