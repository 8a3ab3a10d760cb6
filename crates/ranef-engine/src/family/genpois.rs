//! Generalised Poisson: counts with more or less variance than a Poisson, Var(Y) = μφ.
//!
//! With a = φ^{−1/2} and u = y + a(μ − y),
//!
//! log f(y | μ, φ) = log aμ + (y − 1) log u − u − log y!,   y = 0, 1, 2, …
//!
//! which is Consul & Jain's law of θ = aμ and λ = 1 − a. At φ = 1 it is the Poisson. For φ < 1 the counts above 1 end where
//! u does, and the probabilities of those that remain add up to 1 only nearly. That of a count of 1, in which log u has no
//! part, would jump to zero there, and the likelihood with it; it falls as e^{−u + 10u³} instead.
//!
//! Reference: Consul & Famoye (1992), Communications in Statistics 21:89-109; Joe & Zhu (2005), Biometrical Journal
//! 47:219-229.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::derivatives::{by_jets, spread};
use super::poisson::{self, check_count};
use super::start::log_within;
use super::truncated::{self, Truncatable};
use super::{
    Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support, counted_tails,
};
use crate::jet::Number;
use crate::link::{Domain, Link};
use crate::special::ln_factorial;

/// Card of the family.
pub const CARD: Card = Card {
    name: "genpois",
    title: "Generalised Poisson",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" },
        Parameter {
            name: "phi",
            component: Component::Disp,
            link: Link::Log,
            meaning: "variance over mean; the Poisson's is 1, and less is possible",
        },
    ],
    links: &[Link::Log, Link::Sqrt, Link::Identity],
    support: Support::Counts,
    zero_inflation: true,
    reference: "Consul & Famoye (1992), Communications in Statistics 21:89-109",
    variance: "mu phi",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(GenPois::new(options)))
}

/// Beyond this the products in the derivatives of log u leave the range of a double: no data have such a mean.
const LARGEST: f64 = 1e100;

/// Whether a count above 0 has a probability, at its u.
fn supported(y: f64, u: f64) -> bool {
    (u > 0.0 || y == 1.0) && u < LARGEST
}

/// How steeply the probability of 1 falls where u < 0, with two continuous derivatives: by nothing that matters while u > −0.1.
const FALL: f64 = 10.0;

/// The part of log f(1) that makes it fall where u < 0.
fn beyond<D: Number>(u: D) -> D {
    if u.value() < 0.0 { u * u * u * FALL } else { D::from(0.0) }
}

/// The generalised Poisson family.
#[derive(Clone, Copy, Debug)]
pub struct GenPois {
    links: [Link; 2],
}

impl GenPois {
    pub(super) fn new(options: Options) -> Self {
        GenPois { links: [options.link, Link::Log] }
    }

    /// aμ = −log f(0).
    #[inline(always)]
    fn theta<D: Number>(&self, eta: &[D]) -> D {
        // One exponential where it can be: e^{η} and e^{−d/2} may overflow where their product does not.
        if self.links[0] == Link::Log { (eta[0] - eta[1] * 0.5).exp() } else { self.mean(eta) * (eta[1] * -0.5).exp() }
    }
}

impl Truncatable for GenPois {
    const TRUNCATED: &'static Card = &truncated::GENPOIS;

    #[inline(always)]
    fn beside_zero<D: Number>(&self, y: f64, eta: &[D]) -> [D; 2] {
        let theta = self.theta(eta);
        let u = (eta[1] * -0.5).exp_m1() * -y + theta;
        if y == 1.0 {
            return [theta, (eta[1] * -0.5).exp_m1() - theta * 0.5 + beyond(u)];
        }
        if !(u.value() > 0.0 && u.value() < LARGEST) {
            return [theta, D::from(f64::NEG_INFINITY)];
        }
        let value = if (u.value() - y).abs() < 0.4 * y {
            // The linear terms of (y − 1) log u − u in u − y = θ − ay, gathered with θ/2.
            let a = (eta[1] * -0.5).exp();
            let shift = theta - a * y;
            (shift / y).log1pmx() * (y - 1.0) + a + theta * (0.5 - 1.0 / y) + ((y - 1.0) * y.ln() - y)
        } else {
            u.ln() * (y - 1.0) - u + theta * 0.5
        };
        [theta, value - ln_factorial(y)]
    }
}

impl Density for GenPois {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let theta = self.theta(eta);
        if y == 0.0 {
            return -theta;
        }
        // u = (1 − a)y + aμ
        let u = (eta[1] * -0.5).exp_m1() * -y + theta;
        if !supported(y, u.value()) {
            return D::from(f64::NEG_INFINITY);
        }
        let log_theta = self.links[0].log_mean(eta[0]) - eta[1] * 0.5;
        if y == 1.0 {
            return log_theta - u + beyond(u);
        }
        log_theta + u.ln() * (y - 1.0) - u - ln_factorial(y)
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        self.mean(eta) * eta[1].exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        // The square-root link reaches μ = 0, where log μ is undefined.
        let mean = self.links[0].feasible(eta[0], Domain::Positive) && !(self.links[0] == Link::Sqrt && eta[0] == 0.0);
        mean && !eta[1].is_nan()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        check_count(y)
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        let phi = data.ratio(self.links[0], mean, |y, mu| (y - mu).powi(2), |_, mu| mu);
        // Every count above 1 needs u > 0, which is √φ > 1 − μ/y: start inside by a fifth of the way to 1.
        let bound = (0..data.y.len())
            .filter(|&i| data.y[i] > 1.0)
            .map(|i| 1.0 - self.links[0].mean(mean + data.offset.map_or(0.0, |offset| offset[i])) / data.y[i])
            .fold(0.0, f64::max);
        let least = (0.2 + 0.8 * bound).powi(2);
        vec![mean, log_within(phi, least.max(0.1), 100.0)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        self.links[0].eta(if y == 0.0 { 1.0 / 6.0 } else { y })
    }

    // No unit deviance: the saturated μ solves a quadratic that is not y, since log aμ is not multiplied by y.

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let density = |y: f64| Density::log_density(self, y, 1.0, eta);
        counted_tails::tails(y, self.mean(eta), f64::INFINITY, density)
    }

    /// For φ ≥ 1 the total progeny of aμ expected founders who each have 1 − a expected children.
    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let (mu, theta) = (self.mean(eta), self.theta(eta));
        let sd = (0.5 * (self.links[0].log_mean(eta[0]) + eta[1])).exp();
        if eta[1] < 0.0 {
            let density = |y: f64| Density::log_density(self, y, 1.0, eta);
            return counted_tails::draw(mu.round(), sd, density, rng);
        }
        // So many founders' families that their sum is normal: its skewness is below 3/√(aθ).
        if theta * (eta[1] * -0.5).exp() > 1e6 {
            let z: f64 = StandardNormal.sample(rng);
            return (mu + sd * z).round().max(0.0);
        }
        let children = -(eta[1] * -0.5).exp_m1();
        let mut generation = poisson::draw(theta, rng);
        let mut total = generation;
        while generation > 0.0 {
            generation = poisson::draw(children * generation, rng);
            total += generation;
        }
        total
    }

    fn closed_form(&self) -> bool {
        self.links[0] == Link::Log
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        if !self.closed_form() {
            return by_jets(self, rows, order, out);
        }
        let parts = |d: f64| (0.5 * d, (-0.5 * d).exp(), (-0.5 * d).exp_m1());
        match rows.constant(1).map(parts) {
            Some(parts) => spread(rows, order, out, |_, y, _, [eta, _]| log_link(y, eta, parts)),
            None => spread(rows, order, out, |_, y, _, [eta, d]| log_link(y, eta, parts(d))),
        }
    }
}

/// Derivatives in (log μ, d = log φ), from (d/2, a, a − 1).
#[inline(always)]
fn log_link(y: f64, eta: f64, (half, a, shortfall): (f64, f64, f64)) -> [f64; 10] {
    let log_theta = eta - half;
    let theta = log_theta.exp();
    if y == 0.0 {
        let t = -theta;
        return [t, t, -0.5 * t, t, -0.5 * t, 0.25 * t, t, -0.5 * t, 0.25 * t, -0.125 * t];
    }
    let u = theta - y * shortfall;
    if !supported(y, u) {
        return [f64::NEG_INFINITY; 10];
    }
    let v = theta - a * y;
    if y == 1.0 {
        // g(u) = −u, and what makes it fall where u < 0.
        let below = u.min(0.0);
        let fall = FALL * below * below;
        let g = [3.0 * fall - 1.0, 6.0 * FALL * below, if u < 0.0 { 6.0 * FALL } else { 0.0 }];
        return chained(log_theta - u + fall * below, g, theta, -0.5 * v);
    }
    // g(u) = (y − 1) log u − u.
    let (m, r) = (y - 1.0, 1.0 / u);
    let value = log_theta + m * u.ln() - u - ln_factorial(y);
    chained(value, [m - u, -m, 2.0 * m], theta * r, -0.5 * v * r)
}

/// Derivatives of log θ + g(u) in (log μ, log φ), from its value, (s g′, s² g″, s³ g‴), p = θ/s and w = −a(μ − y)/2s for
/// any scale s: with s = u no power of u is ever formed.
///
/// u's derivatives over s are η: p, d: w, ηη: p, ηd: −p/2, dd: −w/2, and so on.
#[inline(always)]
fn chained(value: f64, [g1, g2, g3]: [f64; 3], p: f64, w: f64) -> [f64; 10] {
    [
        value,
        1.0 + g1 * p,
        -0.5 + g1 * w,
        g1 * p + g2 * p * p,
        -0.5 * g1 * p + g2 * p * w,
        -0.5 * g1 * w + g2 * w * w,
        g1 * p + 3.0 * g2 * p * p + g3 * p * p * p,
        -0.5 * g1 * p + g2 * (p * w - p * p) + g3 * p * p * w,
        0.25 * g1 * p + g2 * (-p * w - 0.5 * p * w) + g3 * p * w * w,
        0.25 * g1 * w - 1.5 * g2 * w * w + g3 * w * w * w,
    ]
}
