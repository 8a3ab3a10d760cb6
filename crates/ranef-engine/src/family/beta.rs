//! Beta: proportions strictly between 0 and 1 with mean μ and precision φ; parameters a = μφ and b = (1 − μ)φ.
//!
//! With c(log φ) = φ log φ − φ − log Γ(φ), the normaliser of a gamma density,
//!
//! ```text
//! log f(y | μ, φ) = c(log a) + c(log b) − c(log φ) − φ K − log y(1 − y),
//! K = μ log(μ/y) + (1 − μ) log((1 − μ)/(1 − y)).
//! ```
//!
//! The divergence K of y from μ is all that grows with φ, and it is a sum of two positive terms: nothing cancels for
//! φ → ∞. For φ < 1, where φ log φ is what would cancel, c is −log Γ and K the same without the entropy of μ:
//! −μ log y − (1 − μ) log(1 − y). Its derivatives in the mean's predictor are K′ = μ′ Δ with Δ the
//! difference of the logits of μ and y (or −logit y). The
//! density of zero is 0, so with zero inflation the family is a hurdle.
//!
//! Reference: Ferrari & Cribari-Neto (2004), J. Appl. Stat. 31:799-815.

use rand::Rng;

use super::derivatives::spread;
use super::gamma::log_draw;
use super::start::log_within;
use super::{Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{Taylor, beta_tails, expit, expm1mx, ln_gamma_deficit, ln_gamma_derivatives};

/// Card of the beta family.
pub const CARD: Card = Card {
    name: "beta",
    title: "Beta",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Logit, meaning: "mean" },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "precision" },
    ],
    links: &[Link::Logit, Link::Probit, Link::Cloglog, Link::Loglog, Link::Cauchit, Link::Log],
    support: Support::Unit,
    zero_inflation: true,
    reference: "Ferrari & Cribari-Neto (2004), J. Appl. Stat. 31:799-815",
    variance: "mu (1 - mu) / (1 + phi)",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Beta::new(options.link)))
}

/// The beta family.
#[derive(Clone, Copy, Debug)]
pub struct Beta {
    links: [Link; 2],
}

impl Beta {
    /// With a link for the mean.
    pub(super) const fn new(link: Link) -> Self {
        Self { links: [link, Link::Log] }
    }
}

/// The mean's side of a row: log μ, log(1 − μ) and the divergence K, each with its derivatives in η.
struct Mean {
    log_mean: Taylor,
    log_complement: Taylor,
    divergence: Taylor,
}

impl Mean {
    #[inline(always)]
    fn at(link: Link, y: f64, [eta, s]: [f64; 2]) -> Self {
        let (log_mean, log_complement) = (link.log_mean_derivatives(eta), link.log_complement_derivatives(eta));
        let [mu, m1, m2, m3] = link.mean_derivatives(eta);
        let (log_y, log_rest) = (y.ln(), (-y).ln_1p());
        if small(s) {
            let slope = log_rest - log_y;
            let value = -mu * log_y - log_complement[0].exp() * log_rest;
            return Self { log_mean, log_complement, divergence: [value, m1 * slope, m2 * slope, m3 * slope] };
        }
        let delta = (log_mean[0] - log_y) - (log_complement[0] - log_rest);
        // Derivatives of the logit of μ.
        let (l1, l2) = (log_mean[1] - log_complement[1], log_mean[2] - log_complement[2]);
        let divergence = [
            share(y, log_y, log_mean[0]) + share(1.0 - y, log_rest, log_complement[0]),
            m1 * delta,
            m2 * delta + m1 * l1,
            m3 * delta + 2.0 * m2 * l1 + m1 * l2,
        ];
        Self { log_mean, log_complement, divergence }
    }
}

/// Whether log φ is on the side where the entropy of the mean is left out.
#[inline(always)]
fn small(s: f64) -> bool {
    s < 0.0
}

/// c(t) of a parameter eᵗ, at log φ = s: −log Γ(eᵗ) as t − log Γ(1 + eᵗ), or [`ln_gamma_deficit`].
#[inline(always)]
fn normaliser(t: f64, s: f64, order: usize) -> Taylor {
    if !small(s) {
        return ln_gamma_deficit(t, order);
    }
    let phi = t.exp();
    let [g, g1, g2, g3] = ln_gamma_derivatives(1.0 + phi, order);
    let (a, b, c) = (phi * g1, phi * phi * g2, phi * phi * phi * g3);
    [t - g, 1.0 - a, -(a + b), -(a + 3.0 * b + c)]
}

/// μ (eᵈ − 1 − d) with d = log(y/μ): the part of the divergence that one side contributes.
#[inline(always)]
fn share(y: f64, log_y: f64, log_mu: f64) -> f64 {
    let d = log_y - log_mu;
    let mu = log_mu.exp();
    if d > 1.0 { y - mu * (1.0 + d) } else { mu * expm1mx(d) }
}

impl Density for Beta {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let (x, s) = (eta[0], eta[1]);
        let mean = Mean::at(self.links[0], y, [x.value(), s.value()]);
        let (log_a, log_b) = (x.compose(mean.log_mean) + s, x.compose(mean.log_complement) + s);
        let c = |t: D| t.compose(normaliser(t.value(), s.value(), D::ORDER));
        c(log_a) + c(log_b) - c(s) - s.exp() * x.compose(mean.divergence) - (y.ln() + (-y).ln_1p())
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        let link = self.links[0];
        (link.log_mean(eta[0]) + link.log_complement(eta[0]) - eta[1].softplus()).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        let link = self.links[0];
        // A mean so close to 0 or 1 that its logarithm, and the log density with it, is beyond representable.
        let inside = |x: f64| link == Link::Logit || link.log_mean_value(x).min(link.log_complement_value(x)) > -1e100;
        link.feasible(eta[0], CARD.support.domain()) && inside(eta[0]) && !eta[1].is_nan()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y > 0.0 && y < 1.0 { Ok(()) } else { Err("a number strictly between 0 and 1") }
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        let share = data.ratio(self.links[0], mean, |y, mu| (y - mu).powi(2), |_, mu| mu * (1.0 - mu));
        vec![mean, log_within(1.0 / share - 1.0, 1e-2, 1e6)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        // A zero of the hurdle model says nothing about the mean of the positive part.
        self.links[0].eta(if y > 0.0 { y } else { 0.5 })
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        if y == 0.0 {
            return [0.0, 1.0];
        }
        let link = self.links[0];
        let (log_a, log_b) = (link.log_mean_value(eta[0]) + eta[1], link.log_complement_value(eta[0]) + eta[1]);
        if log_a.min(log_b) < -300.0 {
            // All the mass sits at 0 and 1, to every digit.
            return [expit(log_b - log_a), expit(log_a - log_b)];
        }
        // A parameter above the bound is infinite to every digit.
        beta_tails(log_a.exp().min(1e300), log_b.exp().min(1e300), y, 1.0 - y)
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let link = self.links[0];
        let (log_a, log_b) = (link.log_mean_value(eta[0]) + eta[1], link.log_complement_value(eta[0]) + eta[1]);
        let logit = log_a.max(-700.0) - log_b.max(-700.0);
        let draw = if log_a.min(log_b) > 70.0 {
            expit(logit)
        } else {
            expit(log_draw(log_a.max(-700.0), rng) - log_draw(log_b.max(-700.0), rng))
        };
        // What lies closer to 0 or 1 than a double can be stays inside.
        draw.clamp(f64::MIN_POSITIVE, 1.0 - 0.5 * f64::EPSILON)
    }

    fn closed_form(&self) -> bool {
        true
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        let constant = rows.constant(1).map(|s| normaliser(s, s, order));
        spread(rows, order, out, |_, y, _, eta: [f64; 2]| {
            if !self.feasible(&eta) {
                return [f64::NEG_INFINITY; 10];
            }
            row(self.links[0], y, eta, constant.unwrap_or_else(|| normaliser(eta[1], eta[1], order)), order)
        });
    }
}

/// Derivatives in (η, log φ), with c those of the normaliser at φ.
#[inline(always)]
fn row(link: Link, y: f64, [eta, s]: [f64; 2], c: Taylor, order: usize) -> [f64; 10] {
    let mean = Mean::at(link, y, [eta, s]);
    let ([lm, p1, p2, p3], [lc, q1, q2, q3]) = (mean.log_mean, mean.log_complement);
    let a = normaliser(lm + s, s, order);
    let b = normaliser(lc + s, s, order);
    let k = mean.divergence.map(|k| s.exp() * k);
    [
        a[0] + b[0] - c[0] - k[0] - (y.ln() + (-y).ln_1p()),
        a[1] * p1 + b[1] * q1 - k[1],
        a[1] + b[1] - c[1] - k[0],
        a[2] * p1 * p1 + a[1] * p2 + b[2] * q1 * q1 + b[1] * q2 - k[2],
        a[2] * p1 + b[2] * q1 - k[1],
        a[2] + b[2] - c[2] - k[0],
        a[3] * p1 * p1 * p1 + 3.0 * a[2] * p1 * p2 + a[1] * p3 + b[3] * q1 * q1 * q1 + 3.0 * b[2] * q1 * q2 + b[1] * q3
            - k[3],
        a[3] * p1 * p1 + a[2] * p2 + b[3] * q1 * q1 + b[2] * q2 - k[2],
        a[3] * p1 + b[3] * q1 - k[1],
        a[3] + b[3] - c[3] - k[0],
    ]
}
