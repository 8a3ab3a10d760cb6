//! Skew normal: a continuous, possibly asymmetric response with mean μ, standard deviation φ and shape α.
//!
//! With δ = α/√(1 + α²), c = √(1 − 2δ²/π), e = (y − μ)/φ and z = c e + δ √(2/π),
//!
//! log f(y | μ, φ, α) = log 2 − ½ log 2π − log φ + log c − ½ z² + log Φ(α z).
//!
//! α = 0 is the gaussian; the information about α vanishes there, where the likelihood depends on α³ (Azzalini 1985).
//!
//! Reference: Azzalini (1985), Scand. J. Stat. 12:171-178.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::{FRAC_2_PI, LN_2, PI};

use super::start::log_within;
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{Taylor, skew_normal_tails};

const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// Card of the skew normal family.
pub const CARD: Card = Card {
    name: "skewnormal",
    title: "Skew normal",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Identity, meaning: "mean" },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "standard deviation" },
        Parameter { name: "alpha", component: Component::Shape, link: Link::Identity, meaning: "asymmetry" },
    ],
    links: &[Link::Identity, Link::Log, Link::Inverse],
    support: Support::Real,
    zero_inflation: false,
    reference: "Azzalini (1985), Scand. J. Stat. 12:171-178",
    variance: "phi^2",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(SkewNormal { links: [options.link, Link::Log, Link::Identity] }))
}

/// The skew normal family.
#[derive(Clone, Copy, Debug)]
pub struct SkewNormal {
    links: [Link; 3],
}

/// δ = α/√(1 + α²) and log c = ½ log(1 − 2δ²/π), with their derivatives in α.
#[inline(always)]
fn shape(alpha: f64) -> [Taylor; 2] {
    const REST: f64 = 1.0 - FRAC_2_PI;
    let square = alpha * alpha;
    let (w, u) = (1.0 / (1.0 + square), 1.0 / (1.0 + REST * square));
    let root = w.sqrt();
    let delta = [alpha * root, w * root, -3.0 * alpha * w * w * root, w * w * w * root * (12.0 * square - 3.0)];
    let scale = -FRAC_2_PI * w * u;
    let log_c = [
        0.5 * ((REST * square).ln_1p() - square.ln_1p()),
        scale * alpha,
        scale * (2.0 * w + 2.0 * u - 3.0),
        -2.0 * scale * alpha * ((w + REST * u) * (2.0 * w + 2.0 * u - 3.0) + 2.0 * w * w + 2.0 * REST * u * u),
    ];
    [delta, log_c]
}

impl SkewNormal {
    /// z at a row, without derivatives.
    fn standardised(&self, y: f64, eta: &[f64]) -> f64 {
        let [delta, log_c] = shape(eta[2]);
        (y - self.links[0].mean(eta[0])) * (log_c[0] - eta[1]).exp() + delta[0] * FRAC_2_PI.sqrt()
    }
}

impl Density for SkewNormal {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let [delta, log_c] = shape(eta[2].value()).map(|taylor| eta[2].compose(taylor));
        let log_inverse_scale = log_c - eta[1];
        let residual = -self.links[0].mean(eta[0]) + y;
        let z = residual * log_inverse_scale.exp() + delta * FRAC_2_PI.sqrt();
        log_inverse_scale - z * z * 0.5 + (eta[2] * z).log_ndtr() + (LN_2 - LN_SQRT_TWO_PI)
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
        let link = self.links[0];
        let mean = data.mean_predictor(link, CARD.support);
        let moment = |power: i32| data.ratio(link, mean, |y, mu| (y - mu).powi(power), |_, _| 1.0);
        let variance = moment(2);
        // A constant response has no spread to start from.
        let sd = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        let skewness = moment(3) / (sd * sd * sd);
        // The skewness is (4 − π)/2 · (r/√(1 − r²))³ with r = δ √(2/π); it has no slope in α at 0, and no value above 0.995.
        let cube = (2.0 * skewness.abs() / (4.0 - PI)).cbrt();
        let delta = (cube / (1.0 + cube * cube).sqrt() / FRAC_2_PI.sqrt()).min(0.995);
        let alpha = (delta / (1.0 - delta * delta).sqrt()).max(0.5);
        let alpha = if alpha.is_finite() { alpha } else { 0.5 };
        vec![mean, log_within(sd, 1e-100, 1e100), if skewness < 0.0 { -alpha } else { alpha }]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        let link = self.links[0];
        // The log and inverse links cannot reach every y; 1 is as good a start as any there.
        link.eta(if link.valid_mean(y) { y } else { 1.0 })
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        skew_normal_tails(self.standardised(y, eta).clamp(-1e9, 1e9), eta[2])
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let [delta, log_c] = shape(eta[2]);
        let (a, b): (f64, f64) = (StandardNormal.sample(rng), StandardNormal.sample(rng));
        // δ|a| + √(1 − δ²) b, about its mean δ √(2/π).
        let rest = 1.0 / (1.0 + eta[2] * eta[2]).sqrt();
        let centred = delta[0] * (a.abs() - FRAC_2_PI.sqrt()) + rest * b;
        self.links[0].mean(eta[0]) + (eta[1] - log_c[0]).exp() * centred
    }
}
