//! Bell: counts whose variance exceeds their mean by a fixed rule, Var(Y) = μ(1 + θ) with θ e^θ = μ.
//!
//! log f(y | μ) = y log θ − e^θ + 1 + log(B_y/y!),   y = 0, 1, 2, …
//!
//! with the Bell numbers B_y. It is the sum of Poisson(e^θ − 1) many zero-truncated Poisson counts of parameter θ.
//!
//! References: Castellares, Ferrari & Lemonte (2018), Applied Mathematical Modelling 56:172-185; de Bruijn (1981),
//! Asymptotic Methods in Analysis, §6.2 (Bell numbers by the saddle point).

use std::sync::LazyLock;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::poisson::{check_count, draw};
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support, counted_tails};
use crate::jet::Number;
use crate::link::{Domain, Link};
use crate::special::{Taylor, ln_factorial};

/// Card of the family.
pub const CARD: Card = Card {
    name: "bell",
    title: "Bell",
    parameters: &[Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" }],
    links: &[Link::Log, Link::Sqrt, Link::Identity],
    support: Support::Counts,
    zero_inflation: true,
    reference: "Castellares, Ferrari & Lemonte (2018), Applied Mathematical Modelling 56:172-185",
    variance: "mu (1 + W(mu))",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Bell { links: [options.link] }))
}

/// The Bell family.
#[derive(Clone, Copy, Debug)]
pub struct Bell {
    links: [Link; 1],
}

/// s = log θ at log μ, which solves s + eˢ = log μ, with its derivatives.
fn log_theta(log_mu: f64) -> Taylor {
    // Newton's method on a convex increasing function, from a point on its right side.
    let mut s = if log_mu < 1.0 { log_mu } else { log_mu.ln() };
    for _ in 0..50 {
        let theta = s.exp();
        let step = (s + theta - log_mu) / (1.0 + theta);
        s -= step;
        if step.abs() <= 1e-16 * s.abs() {
            break;
        }
    }
    let theta = s.exp();
    let r = 1.0 / (1.0 + theta);
    // ds/dη = r and dr/dη = −θr³
    let q = theta * r;
    [s, r, -q * r * r, q * r * r * r * (2.0 * q - r)]
}

/// θ = W(μ) (Lambert's function) with its derivatives in μ, for small μ: those in log μ would leave the curvature of
/// θ ≈ μ to rounding.
fn theta(mu: f64) -> Taylor {
    let theta = log_theta(mu.ln())[0].exp();
    let (r, e) = (1.0 / (1.0 + theta), (-theta).exp());
    let first = e * r;
    [
        theta,
        first,
        -first * first * r * (theta + 2.0),
        first * first * first * r * r * (2.0 * theta * theta + 8.0 * theta + 9.0),
    ]
}

impl Bell {
    /// log θ and θ.
    #[inline(always)]
    fn both<D: Number>(&self, eta: &[D]) -> (D, D) {
        let mu = self.mean(eta);
        if mu.value() > 0.0 && mu.value() < 1.0 {
            let theta = mu.compose(theta(mu.value()));
            return (self.links[0].log_mean(eta[0]) - theta, theta);
        }
        let s = self.log_theta(eta);
        (s, s.exp())
    }

    #[inline(always)]
    fn log_theta<D: Number>(&self, eta: &[D]) -> D {
        let log_mu = self.links[0].log_mean(eta[0]);
        log_mu.compose(log_theta(log_mu.value()))
    }
}

impl Density for Bell {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let (s, theta) = self.both(eta);
        let zero = -theta.exp_m1();
        if y == 0.0 { zero } else { zero + s * y + ln_bell_over_factorial(y) }
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        self.mean(eta) * (self.log_theta(eta).exp() + 1.0)
    }

    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        // The square-root link reaches μ = 0, where log μ is undefined.
        self.links[0].feasible(eta[0], Domain::Positive) && !(self.links[0] == Link::Sqrt && eta[0] == 0.0)
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        check_count(y)
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        vec![data.mean_predictor(self.links[0], CARD.support)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        self.links[0].eta(if y == 0.0 { 1.0 / 6.0 } else { y })
    }

    fn unit_deviance(&self, y: f64, _trials: f64, eta: &[f64]) -> Option<f64> {
        // An exponential family in log θ: the saturated mean is y.
        let at = |log_mu: f64| {
            let s = log_theta(log_mu)[0];
            (s, s.exp().exp_m1())
        };
        let (s, cost) = at(self.links[0].log_mean(eta[0]));
        if y == 0.0 {
            return Some(2.0 * cost);
        }
        let (saturated, least) = at(y.ln());
        Some((2.0 * (y * (saturated - s) - (least - cost))).max(0.0))
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let density = |y: f64| Density::log_density(self, y, 1.0, eta);
        counted_tails::tails(y, self.mean(eta), f64::INFINITY, density)
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let theta = self.log_theta(eta).exp();
        let clusters = draw(theta.exp_m1(), rng);
        if clusters > 1e5 {
            // So many clusters that their sum is normal.
            let z: f64 = StandardNormal.sample(rng);
            let mu = self.mean(eta);
            return (mu + mu.sqrt() * (1.0 + theta).sqrt() * z).round().max(0.0);
        }
        (0..clusters as u64).map(|_| positive_poisson(theta, rng)).sum()
    }
}

/// A draw of a Poisson count that is not 0: the first event falls inside the unit of time by inversion, the others after it.
pub(super) fn positive_poisson(mu: f64, rng: &mut dyn Rng) -> f64 {
    let u: f64 = rng.random();
    let first = -(u * (-mu).exp_m1()).ln_1p();
    1.0 + draw((mu - first).max(0.0), rng)
}

/// Counts whose log(B_y/y!) is tabulated.
const TABULATED: usize = 1024;

static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    // With b_n = B_n/n!: (n+1) b_{n+1} = Σ_k b_k/(n−k)!, kept in logarithms because b_n underflows at n = 400.
    let mut table = vec![0.0_f64];
    for n in 0..TABULATED - 1 {
        let top = table[n];
        let sum: f64 = (0..=n.min(170)).map(|j| (table[n - j] - top - ln_factorial(j as f64)).exp()).sum();
        table.push(top + (sum / (n + 1) as f64).ln());
    }
    table
});

/// log(B_y/y!).
fn ln_bell_over_factorial(y: f64) -> f64 {
    if y < TABULATED as f64 { TABLE[y as usize] } else { by_contour(y) }
}

/// log(B_n/n!) as Cauchy's integral of exp(e^z − 1)/z^{n+1} on the circle through the saddle point r e^r = n, by the
/// trapezoidal rule, which converges geometrically.
fn by_contour(n: f64) -> f64 {
    let s = log_theta(n.ln())[0];
    let r = s.exp();
    let peak = n / r;
    // The integrand is exp(−n(1+r)θ²/2) nearly.
    let h = 0.25 / (n * (1.0 + r)).sqrt();
    let mut sum = 0.5;
    for k in 1..60 {
        let angle = h * f64::from(k);
        let half = (0.5 * angle).sin();
        let (a, b) = (-2.0 * r * half * half, r * angle.sin());
        // e^w − 1 at w = a + ib
        let half = (0.5 * b).sin();
        let real = a.exp_m1() * b.cos() - 2.0 * half * half;
        let imaginary = a.exp() * b.sin();
        sum += (peak * real).exp() * (peak * imaginary - n * angle).cos();
    }
    peak - 1.0 - n * s + (sum * h / std::f64::consts::PI).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bell_numbers_are_those_of_the_triangle() {
        for (n, bell) in
            [1.0, 1.0, 2.0, 5.0, 15.0, 52.0, 203.0, 877.0, 4140.0, 21147.0, 115_975.0_f64].iter().enumerate()
        {
            let exact = bell.ln() - ln_factorial(n as f64);
            assert!((ln_bell_over_factorial(n as f64) - exact).abs() < 1e-14 * 20.0, "{n}");
        }
    }

    #[test]
    fn contour_agrees_with_the_recurrence() {
        for n in [100.0, 300.0, 1000.0] {
            let (table, contour) = (ln_bell_over_factorial(n), by_contour(n));
            // Rounding of a thousand steps of the recurrence.
            assert!((table - contour).abs() < 1e-12 * table.abs(), "{n}: {table} {contour}");
        }
    }
}
