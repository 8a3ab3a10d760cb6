//! Gaussian: a continuous response with standard deviation φ.
//!
//! log f(y | μ, φ) = −½ log 2π − log φ − (y − μ)² / (2φ²)
//!
//! Reference: McCullagh & Nelder (1989), Generalized Linear Models, ch. 3.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::derivatives::{by_jets, spread};
use super::start::log_within;
use super::{Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::log_ndtr;

const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// Card of the gaussian family.
pub const CARD: Card = Card {
    name: "gaussian",
    title: "Gaussian (normal)",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Identity, meaning: "mean" },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "residual standard deviation" },
    ],
    links: &[Link::Identity, Link::Log, Link::Inverse],
    support: Support::Real,
    zero_inflation: false,
    reference: "McCullagh & Nelder (1989), Generalized Linear Models, ch. 3",
    variance: "phi^2",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Gaussian { links: [options.link, Link::Log] }))
}

/// The gaussian family.
#[derive(Clone, Copy, Debug)]
pub struct Gaussian {
    links: [Link; 2],
}

impl Density for Gaussian {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let standardised = (-self.links[0].mean(eta[0]) + y) * (-eta[1]).exp();
        -(standardised * standardised) * 0.5 - eta[1] - LN_SQRT_TWO_PI
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        (eta[1] * 2.0).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y.is_finite() { Ok(()) } else { Err("a finite number") }
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        let variance = data.ratio(self.links[0], mean, |y, mu| (y - mu).powi(2), |_, _| 1.0);
        // A constant response has no spread to start from.
        let sd = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        vec![mean, log_within(sd, 1e-100, 1e100)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        let link = self.links[0];
        // The log and inverse links cannot reach every y; 1 is as good a start as any there.
        link.eta(if link.valid_mean(y) { y } else { 1.0 })
    }

    fn unit_deviance(&self, y: f64, _trials: f64, eta: &[f64]) -> Option<f64> {
        Some((y - self.links[0].mean(eta[0])).powi(2))
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let standardised = (y - self.links[0].mean(eta[0])) * (-eta[1]).exp();
        // As far out as this nothing is left, and infinity has no hazard.
        let standardised = standardised.clamp(-1e9, 1e9);
        [standardised, -standardised].map(|z| log_ndtr(z).exp())
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let z: f64 = StandardNormal.sample(rng);
        self.links[0].mean(eta[0]) + eta[1].exp() * z
    }

    fn closed_form(&self) -> bool {
        self.links[0] == Link::Identity
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        if !self.closed_form() {
            return by_jets(self, rows, order, out);
        }
        if let Some(log_sd) = rows.constant(1) {
            let precision = (-log_sd).exp();
            spread(rows, order, out, |_, y, _, [mu, _]| identity(y, mu, log_sd, precision));
        } else {
            spread(rows, order, out, |_, y, _, [mu, log_sd]| identity(y, mu, log_sd, (-log_sd).exp()));
        }
    }
}

/// Derivatives in (μ, log φ), with r the standardised residual and w = 1/φ.
#[inline(always)]
fn identity(y: f64, mu: f64, log_sd: f64, w: f64) -> [f64; 10] {
    let r = (y - mu) * w;
    let r2 = r * r;
    [
        -0.5 * r2 - log_sd - LN_SQRT_TWO_PI,
        r * w,
        r2 - 1.0,
        -w * w,
        -2.0 * r * w,
        -2.0 * r2,
        0.0,
        2.0 * w * w,
        4.0 * r * w,
        4.0 * r2,
    ]
}
