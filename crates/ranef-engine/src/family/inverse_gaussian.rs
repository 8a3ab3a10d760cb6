//! Inverse Gaussian: positive responses whose variance grows with the cube of the mean, μ³/λ.
//!
//! With d = log(y/μ), and log λ the predictor of the dispersion component,
//!
//! log f(y | μ, λ) = ½ (log λ − log 2π) − 3/2 log y − λ (eᵈ − 1)² / (2y),   y > 0.
//!
//! The density of zero is 0, so with zero inflation the family is a hurdle.
//!
//! References: McCullagh & Nelder (1989), Generalized Linear Models, ch. 2; Michael, Schucany & Haas (1976), The American
//! Statistician 30:88-90 (draws).

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::start::log_within;
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::log_ndtr;

const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// Card of the inverse Gaussian family.
pub const CARD: Card = Card {
    name: "inverse_gaussian",
    title: "Inverse Gaussian",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::InverseSquared, meaning: "mean" },
        Parameter {
            name: "lambda",
            component: Component::Disp,
            link: Link::Log,
            meaning: "precision: the inverse of the dispersion of the generalised linear model",
        },
    ],
    links: &[Link::InverseSquared, Link::Inverse, Link::Log, Link::Identity],
    support: Support::Positive,
    zero_inflation: true,
    reference: "McCullagh & Nelder (1989), Generalized Linear Models, ch. 2",
    variance: "mu^3 / lambda",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(InverseGaussian { links: [options.link, Link::Log] }))
}

/// The inverse Gaussian family.
#[derive(Clone, Copy, Debug)]
pub struct InverseGaussian {
    links: [Link; 2],
}

impl Density for InverseGaussian {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let log_y = y.ln();
        // y/μ − 1; linear in the predictor of the inverse link, and so without the rounding of a logarithm.
        let relative = match self.links[0] {
            Link::Inverse => eta[0] * y - 1.0,
            link => (-link.log_mean(eta[0]) + log_y).exp_m1(),
        };
        // One factor may be out of range where the other brings it back.
        let standardised = ((eta[1] - log_y) * 0.5).exp() * relative;
        (eta[1] - standardised * standardised) * 0.5 - (1.5 * log_y + LN_SQRT_TWO_PI)
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        (self.links[0].log_mean(eta[0]) * 3.0 - eta[1]).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        (eta[1] * -0.5).exp()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y > 0.0 && y.is_finite() { Ok(()) } else { Err("a number above 0") }
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        // The maximum likelihood estimate of 1/λ at given means; zeros of a hurdle model have no say.
        let inverse = data.ratio(
            self.links[0],
            mean,
            |y, mu| if y > 0.0 { (y / mu - 1.0).powi(2) / y } else { 0.0 },
            |y, _| if y > 0.0 { 1.0 } else { 0.0 },
        );
        let log_mu = self.links[0].log_mean(mean);
        // μ/λ is free of the response's unit.
        vec![mean, log_mu - log_within(inverse * log_mu.exp(), 1e-8, 1e8)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        // A zero of the hurdle model says nothing about the mean of the positive part.
        self.links[0].eta(if y > 0.0 { y } else { 1.0 })
    }

    fn unit_deviance(&self, y: f64, _trials: f64, eta: &[f64]) -> Option<f64> {
        // (y − μ)² / (μ² y)
        Some((y.ln() - self.links[0].log_mean(eta[0])).exp_m1().powi(2) / y)
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        if y == 0.0 {
            return [0.0, 1.0];
        }
        let log_y = y.ln();
        let d = log_y - self.links[0].log_mean(eta[0]);
        let root = ((eta[1] - log_y) * 0.5).exp();
        // Φ(z) ± e^{2λ/μ} Φ(−w); with the exponential drawn into the second term, which is a ratio of Mills and small.
        let z = (root * d.exp_m1()).clamp(-1e9, 1e9);
        let w = (root * (d.exp() + 1.0)).clamp(-1e9, 1e9);
        let second = (log_ndtr(-w) + 0.5 * (w - z) * (w + z)).exp();
        [(log_ndtr(z).exp() + second).min(1.0), (log_ndtr(-z).exp() - second).max(0.0)]
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let log_mu = self.links[0].log_mean(eta[0]);
        let (z, u): (f64, f64) = (StandardNormal.sample(rng), rng.random());
        // The roots x of λ(x − μ)² = μ² x z² are μ/q and μ q.
        let r = 0.5 * z * z * (log_mu - eta[1]).exp();
        let q = 1.0 + r + r.sqrt() * (r + 2.0).sqrt();
        let log_draw = if u * (1.0 + 1.0 / q) <= 1.0 { log_mu - q.ln() } else { log_mu + q.ln() };
        log_draw.exp().max(f64::MIN_POSITIVE)
    }
}
