//! Ordered beta: proportions that may be exactly 0 or 1.
//!
//! Two thresholds ψ₀ < ψ₁ on the scale of the mean's predictor η cut the response in three: 0, between, 1. Between,
//! it follows a beta with mean μ = expit η and precision φ.
//!
//! ```text
//! P(0) = 1 − expit(η − ψ₀)      P(1) = expit(η − ψ₁)      else [expit(η − ψ₀) − expit(η − ψ₁)] Beta(y | μ, φ)
//! ```
//!
//! so that one predictor raises the proportion between the bounds and the probability of the upper bound together. The
//! mean of the response is P(1) + P(between) μ.
//!
//! Reference: Kubinec (2023), Political Analysis 31:519-536.

use rand::{Rng, RngExt};

use super::beta::Beta;
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support};
use crate::jet::Number;
use crate::link::{Domain, Link};
use crate::special::expit;

/// Card of the ordered beta family.
pub const CARD: Card = Card {
    name: "ordbeta",
    title: "Ordered beta",
    parameters: &[
        Parameter {
            name: "mu",
            component: Component::Cond,
            link: Link::Logit,
            meaning: "mean of the responses strictly between 0 and 1",
        },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "precision" },
        Parameter {
            name: "psi0",
            component: Component::Threshold,
            link: Link::Identity,
            meaning: "threshold between 0 and what lies above, on the scale of the mean's predictor",
        },
        Parameter {
            name: "psi1",
            component: Component::Threshold,
            link: Link::Identity,
            meaning: "threshold between 1 and what lies below, on the scale of the mean's predictor",
        },
    ],
    links: &[Link::Logit],
    support: Support::ClosedUnit,
    zero_inflation: false,
    reference: "Kubinec (2023), Political Analysis 31:519-536",
    variance: "P(1) + P(between) (mu^2 + mu (1 - mu) / (1 + phi)) - (P(1) + P(between) mu)^2",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    let links = [options.link, Link::Log, Link::Identity, Link::Identity];
    Ok(Box::new(OrderedBeta { links }))
}

/// The ordered beta family.
#[derive(Clone, Copy, Debug)]
pub struct OrderedBeta {
    links: [Link; 4],
}

/// The law strictly between the bounds.
const BETWEEN: Beta = Beta::new(Link::Logit);

/// P(1) and P(between).
fn masses<D: Number>(eta: &[D]) -> [D; 2] {
    let one = (eta[0] - eta[3]).expit();
    [one, log_between(eta).exp()]
}

/// log[expit(η − ψ₀) − expit(η − ψ₁)] as a product, without cancellation.
#[inline(always)]
fn log_between<D: Number>(eta: &[D]) -> D {
    (eta[0] - eta[2]).log_expit() + (eta[3] - eta[0]).log_expit() + (eta[3] - eta[2]).log1mexp()
}

impl Density for OrderedBeta {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        if y == 0.0 {
            return (eta[2] - eta[0]).log_expit();
        }
        if y == 1.0 {
            return (eta[0] - eta[3]).log_expit();
        }
        log_between(eta) + Density::log_density(&BETWEEN, y, 1.0, &eta[..2])
    }

    fn mean<D: Number>(&self, eta: &[D]) -> D {
        let [one, between] = masses(eta);
        one + between * eta[0].expit()
    }

    fn conditional_mean<D: Number>(&self, eta: &[D]) -> D {
        eta[0].expit()
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        // Within the parts and between them, about the overall mean m: no large squares are subtracted.
        let [one, between] = masses(eta);
        let zero = (eta[2] - eta[0]).expit();
        let mean = self.mean(eta);
        let within = Density::variance(&BETWEEN, &eta[..2], 1.0);
        let centre = eta[0].expit() - mean;
        let rest = -mean + 1.0;
        between * (within + centre * centre) + one * rest * rest + zero * mean * mean
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        self.links[0].feasible(eta[0], Domain::Unit) && !eta[1].is_nan() && eta[2] < eta[3]
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if (0.0..=1.0).contains(&y) { Ok(()) } else { Err("a number from 0 to 1") }
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let inside: Vec<usize> = (0..data.y.len()).filter(|&i| data.y[i] > 0.0 && data.y[i] < 1.0).collect();
        let pick = |values: &[f64]| -> Vec<f64> { inside.iter().map(|&i| values[i]).collect() };
        let (y, weights, offset) = (pick(data.y), data.weights.map(pick), data.offset.map(pick));
        let (mean, log_phi) = if y.is_empty() {
            (0.0, 0.0)
        } else {
            let between = Responses { y: &y, trials: None, weights: weights.as_deref(), offset: offset.as_deref() };
            let start = Density::start(&BETWEEN, between);
            (start[0], start[1])
        };
        // Shares of the bounds, with half an observation for each part.
        let share = |inside: &dyn Fn(f64) -> bool| -> (f64, f64) {
            (0..data.y.len()).fold((0.0, 0.0), |(some, all), i| {
                let weight = data.weights.map_or(1.0, |weights| weights[i]);
                (some + if inside(data.y[i]) { weight } else { 0.0 }, all + weight)
            })
        };
        let ((zeros, all), (ones, _)) = (share(&|y| y == 0.0), share(&|y| y == 1.0));
        let (zero, one) = ((zeros + 0.5) / (all + 1.5), (ones + 0.5) / (all + 1.5));
        // The mean predictor of a typical row: its offset included.
        let shift = data.offset.map_or(0.0, |offset| offset.iter().sum::<f64>() / offset.len().max(1) as f64);
        let centre = mean + shift;
        vec![mean, log_phi, centre - ((1.0 - zero) / zero).ln(), centre - (one / (1.0 - one)).ln()]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        Link::Logit.eta(if y > 0.0 && y < 1.0 { y } else { 0.5 })
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        if y <= 0.0 {
            return [0.0, expit(eta[0] - eta[2])];
        }
        if y >= 1.0 {
            return [expit(eta[3] - eta[0]), 0.0];
        }
        let [one, between] = masses(eta);
        let [below, above] = Density::tails(&BETWEEN, y, 1.0, &eta[..2]);
        [expit(eta[2] - eta[0]) + between * below, between * above + one]
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        // Both draws are always made, so that a change of the thresholds leaves the other rows' draws in place.
        let u = rng.random::<f64>();
        let between = Density::sample(&BETWEEN, &eta[..2], 1.0, rng);
        if u < expit(eta[0] - eta[3]) {
            1.0
        } else if u < expit(eta[0] - eta[2]) {
            between
        } else {
            0.0
        }
    }
}
