//! Gamma: positive responses with constant coefficient of variation φ^{-½}.
//!
//! With shape φ and mean μ, and d = log(y/μ),
//!
//! log f(y | μ, φ) = c(log φ) − φ (eᵈ − 1 − d) − log y,   c = φ log φ − φ − log Γ(φ),   y > 0.
//!
//! Both parts stay accurate for φ → ∞, where φ log(φ y/μ) − log Γ(φ) would cancel. The density of
//! zero is 0, so with zero inflation the family is a hurdle.
//!
//! Reference: McCullagh & Nelder (1989), Generalized Linear Models, ch. 8.

use rand::Rng;
use rand_distr::{Distribution, Open01};

use super::derivatives::{by_jets, spread};
use super::start::log_within;
use super::{Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{Taylor, expm1mx, gamma_tails_about_mean, ln_gamma_deficit};

/// Card of the gamma family.
pub const CARD: Card = Card {
    name: "gamma",
    title: "Gamma",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Inverse, meaning: "mean" },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "shape" },
    ],
    links: &[Link::Inverse, Link::Log, Link::Identity],
    support: Support::Positive,
    zero_inflation: true,
    reference: "McCullagh & Nelder (1989), Generalized Linear Models, ch. 8",
    variance: "mu^2 / phi",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Gamma { links: [options.link, Link::Log] }))
}

/// The gamma family.
#[derive(Clone, Copy, Debug)]
pub struct Gamma {
    links: [Link; 2],
}

impl Density for Gamma {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let log_y = y.ln();
        let d = -self.links[0].log_mean(eta[0]) + log_y;
        eta[1].ln_gamma_deficit() - eta[1].exp() * d.expm1mx() - log_y
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        (self.links[0].log_mean(eta[0]) * 2.0 - eta[1]).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        (eta[1] * -0.5).exp()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y > 0.0 && y.is_finite() { Ok(()) } else { Err("a number above 0") }
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        let dispersion = data.ratio(self.links[0], mean, |y, mu| (y / mu - 1.0).powi(2), |_, _| 1.0);
        vec![mean, -log_within(dispersion, 1e-6, 1e3)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        // A zero of the hurdle model says nothing about the mean of the positive part.
        self.links[0].eta(if y > 0.0 { y } else { 1.0 })
    }

    fn unit_deviance(&self, y: f64, _trials: f64, eta: &[f64]) -> Option<f64> {
        // −2[log(y/μ) − (y − μ)/μ]
        Some(2.0 * expm1mx(y.ln() - self.links[0].log_mean(eta[0])))
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        // A shape beyond either bound is a point mass to every digit.
        let shape = eta[1].exp().clamp(1e-300, 1e300);
        gamma_tails_about_mean(shape, y.ln() - self.links[0].log_mean(eta[0]))
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let log_draw = self.links[0].log_mean(eta[0]) - eta[1] + log_draw(eta[1], rng);
        // For tiny shapes most of the law lies below the smallest double; y stays positive.
        log_draw.exp().max(f64::MIN_POSITIVE)
    }

    fn closed_form(&self) -> bool {
        self.links[0] == Link::Log
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        if !self.closed_form() {
            return by_jets(self, rows, order, out);
        }
        if let Some(s) = rows.constant(1) {
            let (c, phi) = (ln_gamma_deficit(s, order), s.exp());
            spread(rows, order, out, |_, y, _, [eta, _]| log_link(y, eta, c, phi));
        } else {
            spread(rows, order, out, |_, y, _, [eta, s]| log_link(y, eta, ln_gamma_deficit(s, order), s.exp()));
        }
    }
}

/// Derivatives in (log μ, log φ), with c those of the normaliser.
#[inline(always)]
fn log_link(y: f64, eta: f64, c: Taylor, phi: f64) -> [f64; 10] {
    let log_y = y.ln();
    let d = log_y - eta;
    let gap = phi * expm1mx(d);
    let slope = phi * d.exp_m1();
    let curve = phi * d.exp();
    [c[0] - gap - log_y, slope, c[1] - gap, -curve, slope, c[2] - gap, curve, -curve, slope, c[3] - gap]
}

/// log of a gamma draw of shape e^s and scale 1.
///
/// For shapes below 1, G(φ) = G(φ+1) U^{1/φ} in law; in logarithms nothing underflows.
pub(super) fn log_draw(s: f64, rng: &mut dyn Rng) -> f64 {
    let phi = s.exp();
    // The coefficient of variation is below rounding: the draw is its mean.
    if phi > 1e32 {
        return s;
    }
    let (shape, correction) = if phi < 1.0 {
        let u: f64 = Open01.sample(rng);
        (phi + 1.0, u.ln() / phi)
    } else {
        (phi, 0.0)
    };
    let draw = rand_distr::Gamma::new(shape, 1.0).map_or(f64::NAN, |law| law.sample(rng));
    draw.ln() + correction
}
