//! Power of a covariate: g(v) = |v|^delta.
use super::{Card, VarianceFunction};
use crate::residual_correlation::{Parameter, Scale};

pub static CARD: Card = Card {
    name: "power",
    title: "sd = sigma |v|^power",
    parameters: "power",
    needs_nonzero: true,
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.2.1",
};

/// |v|^delta.
#[derive(Debug)]
pub struct Power;

impl VarianceFunction for Power {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn start(&self) -> Vec<f64> {
        vec![0.0]
    }

    fn log_sd(&self, x: &[f64], v: f64, derivative: &mut [f64]) -> f64 {
        derivative[0] = v.abs().ln();
        x[0] * derivative[0]
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("power", Scale::Identity)]
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        x.to_vec()
    }
}
