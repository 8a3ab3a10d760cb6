//! Constant plus power of a covariate: g(v) = const + |v|^delta, const > 0.
//!
//! x = (log const, delta).
use super::{Card, VarianceFunction};
use crate::residual_correlation::{Parameter, Scale};

pub static CARD: Card = Card {
    name: "constpower",
    title: "sd = sigma (const + |v|^power)",
    parameters: "const, power",
    needs_nonzero: true,
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.2.1",
};

/// const + |v|^delta.
#[derive(Debug)]
pub struct ConstantPower;

impl VarianceFunction for ConstantPower {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn start(&self) -> Vec<f64> {
        // A power of zero would make the constant part of sigma.
        vec![0.0, 0.5]
    }

    fn log_sd(&self, x: &[f64], v: f64, derivative: &mut [f64]) -> f64 {
        let (constant, log_v) = (x[0].exp(), v.abs().ln());
        let power = (x[1] * log_v).exp();
        let total = constant + power;
        derivative[0] = constant / total;
        derivative[1] = power * log_v / total;
        total.ln()
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("const", Scale::Log), Parameter::new("power", Scale::Identity)]
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        vec![x[0].exp(), x[1]]
    }
}
