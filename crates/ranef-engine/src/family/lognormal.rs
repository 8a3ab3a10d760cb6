//! Lognormal: positive responses whose logarithm is normal, with mean μ and standard deviation φ of the response itself.
//!
//! With v = log(1 + (φ/μ)²), the variance of log y, and d = log(y/μ),
//!
//! log f(y | μ, φ) = −log y − ½ log 2π − ½ log v − d²/(2v) − d/2 − v/8,   y > 0.
//!
//! The last three terms are the squared residual (d + v/2)²/(2v), multiplied out: for large v they are where its
//! derivatives are small differences of large ones. v is a softplus of 2(log φ − log μ) and log v has derivatives of its
//! own, so that φ/μ → 0 and φ/μ → ∞ are ordinary points. The density of zero is 0, so with zero inflation the family is
//! a hurdle.
//!
//! Reference: Johnson, Kotz & Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, ch. 14.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::start::log_within;
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{log_ndtr, log_softplus_derivatives, softplus};

const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// Card of the lognormal family.
pub const CARD: Card = Card {
    name: "lognormal",
    title: "Lognormal",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "standard deviation" },
    ],
    links: &[Link::Log, Link::Identity, Link::Inverse],
    support: Support::Positive,
    zero_inflation: true,
    reference: "Johnson, Kotz & Balakrishnan (1994), Continuous Univariate Distributions, vol. 1, ch. 14",
    variance: "phi^2",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Lognormal { links: [options.link, Link::Log] }))
}

/// The lognormal family.
#[derive(Clone, Copy, Debug)]
pub struct Lognormal {
    links: [Link; 2],
}

impl Lognormal {
    /// log μ and the variance of log y.
    fn logarithmic(&self, eta: &[f64]) -> (f64, f64) {
        let log_mu = self.links[0].log_mean(eta[0]);
        (log_mu, softplus(2.0 * (eta[1] - log_mu)))
    }
}

impl Density for Lognormal {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let log_y = y.ln();
        let log_mu = self.links[0].log_mean(eta[0]);
        let (d, t) = (-log_mu + log_y, (eta[1] - log_mu) * 2.0);
        let log_v = t.compose(log_softplus_derivatives(t.value()));
        -(log_v + d * d * (-log_v).exp() + d) * 0.5 - t.softplus() * 0.125 - (log_y + LN_SQRT_TWO_PI)
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        (eta[1] * 2.0).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y > 0.0 && y.is_finite() { Ok(()) } else { Err("a number above 0") }
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        // E log(y/μ) = −v/2: moments of y itself are at the mercy of its largest values.
        let v = data.ratio(self.links[0], mean, |y, mu| -2.0 * (y / mu).ln(), |_, _| 1.0);
        let relative = log_within(v.min(30.0).exp_m1().sqrt(), 1e-6, 1e6);
        vec![mean, self.links[0].log_mean(mean) + relative]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        // A zero of the hurdle model says nothing about the mean of the positive part.
        self.links[0].eta(if y > 0.0 { y } else { 1.0 })
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let (log_mu, v) = self.logarithmic(eta);
        // A variance below the smallest double is a point mass to every digit.
        let v = v.max(f64::MIN_POSITIVE);
        let standardised = ((y.ln() - log_mu + 0.5 * v) / v.sqrt()).clamp(-1e9, 1e9);
        [standardised, -standardised].map(|z| log_ndtr(z).exp())
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let (log_mu, v) = self.logarithmic(eta);
        let z: f64 = StandardNormal.sample(rng);
        // Where most of the law lies below the smallest double, y stays positive.
        (log_mu - 0.5 * v + v.sqrt() * z).exp().max(f64::MIN_POSITIVE)
    }
}
