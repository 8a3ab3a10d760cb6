//! Variance functions: how the residual standard deviation of a row depends on a covariate v, beyond the log-linear
//! formula of the dispersion. Each adds log g(v; x) to the log of the standard deviation.

mod constant_power;
mod exponential;
mod power;

use crate::residual_correlation::Parameter;
use std::fmt::Debug;

/// What is known about a variance function before any data are seen.
#[derive(Debug)]
pub struct Card {
    /// The name used in the formula of the dispersion, as in `power(x)`.
    pub name: &'static str,
    /// g as text.
    pub title: &'static str,
    /// The parameters as text.
    pub parameters: &'static str,
    /// Whether g needs a covariate that is not zero.
    pub needs_nonzero: bool,
    /// Where the function is described.
    pub reference: &'static str,
}

/// A catalogue line: the card and the constructor.
pub struct Entry {
    /// The function's card.
    pub card: &'static Card,
    /// Builds the function.
    pub build: fn() -> Box<dyn VarianceFunction>,
}

/// Every variance function there is.
pub static CATALOGUE: &[Entry] = &[
    Entry { card: &power::CARD, build: || Box::new(power::Power) },
    Entry { card: &exponential::CARD, build: || Box::new(exponential::Exponential) },
    Entry { card: &constant_power::CARD, build: || Box::new(constant_power::ConstantPower) },
];

/// The function called `name`; `None` where the catalogue has no such name.
pub fn build(name: &str) -> Option<Box<dyn VarianceFunction>> {
    CATALOGUE.iter().find(|entry| entry.card.name == name).map(|entry| (entry.build)())
}

/// A variance function.
pub trait VarianceFunction: Send + Sync + Debug {
    /// The function's card.
    fn card(&self) -> &'static Card;

    /// Where a search starts; as many values as there are parameters.
    fn start(&self) -> Vec<f64>;

    /// log g at v; writes its derivatives with respect to x.
    fn log_sd(&self, x: &[f64], v: f64, derivative: &mut [f64]) -> f64;

    /// The parameters people speak of, as many as x has.
    fn parameters(&self) -> Vec<Parameter>;

    /// Their values at x.
    fn natural(&self, x: &[f64]) -> Vec<f64>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_differences() {
        for entry in CATALOGUE {
            let function = (entry.build)();
            let x: Vec<f64> = function.start().iter().map(|x| x + 0.3).collect();
            assert_eq!(function.parameters().len(), x.len());
            assert_eq!(function.natural(&x).len(), x.len());
            for v in [-3.0, 0.4, 12.0] {
                let mut exact = vec![f64::NAN; x.len()];
                let mut ignored = exact.clone();
                function.log_sd(&x, v, &mut exact);
                for k in 0..x.len() {
                    let mut at = |shift: f64| {
                        let mut moved = x.clone();
                        moved[k] += shift;
                        function.log_sd(&moved, v, &mut ignored)
                    };
                    // Rounding 1e-15 / 1e-5 and truncation 1e-10 times third derivatives of order ten.
                    let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!((difference - exact[k]).abs() < 1e-8, "{} {v}: {difference}", entry.card.name);
                }
            }
        }
    }
}
