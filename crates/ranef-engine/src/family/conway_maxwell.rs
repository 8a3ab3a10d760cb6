//! Conway-Maxwell-Poisson: counts with more or less variance than a Poisson, parametrised by their mean.
//!
//! ```text
//! f(y) = λ^y / (y!)^ν / Z(λ, ν),   Z = Σ λ^j / (j!)^ν,   λ such that E Y = μ,   ν = 1/φ
//! ```
//!
//! φ = 1 is the Poisson; the variance is near μφ. With c the whole number next to μ and ρ = log λ − ν log c, a count y has the
//! exponent (y−c) ρ − ν D(y) relative to c, D(y) = log y!/c! − (y−c) log c: a two-parameter exponential family in (ρ, ν),
//! whose log Z has the cumulants of (Y−c, −D) as derivatives. ρ(μ, ν) follows from E Y = μ by Newton's method on the value and
//! then on truncated Taylor series, which gives its derivatives.
//!
//! Where the sum would be long, Z has an expansion in 1/(νx), x = λ^{1/ν}:
//!
//! ```text
//! Z = e^{νx} x^{−(ν−1)/2} (2π)^{−(ν−1)/2} ν^{−1/2} (1 + c₁/(νx) + c₂/(νx)² + …)
//! ```
//!
//! References: Huang (2017), Statistical Modelling 17, 359-380 (mean parametrisation); Gaunt, Iyengar, Olde Daalhuis & Simsek
//! (2019), Ann. Inst. Stat. Math. 71, 163-180 (expansion).

use std::cell::RefCell;
use std::collections::HashMap;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1};

use super::poisson::{check_count, half_deviance};
use super::start::log_within;
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support};
use crate::jet::{Jet, Number};
use crate::link::{Domain, Link};
use crate::special::{Taylor2, ln_factorial, ln_gamma_deficit};

/// Card of the Conway-Maxwell-Poisson family.
pub const CARD: Card = Card {
    name: "compois",
    title: "Conway-Maxwell-Poisson",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" },
        Parameter {
            name: "phi",
            component: Component::Disp,
            link: Link::Log,
            meaning: "1/nu: 1 for a Poisson, above 1 for more variance, below 1 for less",
        },
    ],
    links: &[Link::Log, Link::Sqrt, Link::Identity],
    support: Support::Counts,
    zero_inflation: true,
    reference: "Huang (2017), Statistical Modelling 17, 359-380",
    variance: "about mu phi",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(ConwayMaxwell { links: [options.link, Link::Log] }))
}

/// The Conway-Maxwell-Poisson family.
#[derive(Clone, Copy, Debug)]
pub struct ConwayMaxwell {
    links: [Link; 2],
}

/// |log φ| beyond which the law is, to any data, its limit: a geometric one, or two neighbouring counts. It changes no more.
const LARGEST_LOG_PHI: f64 = 13.0;
/// νx and x/ν from which four terms of the expansion of Z are exact to rounding.
const EXPANSION_FROM: f64 = 2000.0;
/// Terms of Z that are summed at most on one side.
const MOST_TERMS: f64 = 2e6;
/// Exponents this far below the largest do not count.
const NEGLIGIBLE: f64 = 42.0;

/// What the density of a row needs: functions of (log μ, ν), with derivatives.
#[derive(Clone, Copy, Debug)]
enum Law {
    /// c, ρ and log Z relative to the anchor, c or 0.
    Sum { centre: f64, anchor: f64, rho: Taylor2, log_z: Taylor2, variance: Taylor2 },
    /// log x, and log(1 + c₁/(νx) + …).
    Expansion { log_x: Taylor2, log_series: Taylor2 },
}

thread_local! {
    /// D(c ± k) by centre: data have few.
    static TERMS: RefCell<HashMap<u64, Terms>> = RefCell::default();
    /// Rows next to each other often have the same parameters.
    static LAST: RefCell<Option<([u64; 2], usize, Option<Law>)>> = const { RefCell::new(None) };
}

/// The law with mean e^log_mu, with derivatives to `order`; `None` where neither a sum nor the expansion serves.
fn law(log_mu: f64, nu: f64, order: usize) -> Option<Law> {
    let key = [log_mu.to_bits(), nu.to_bits()];
    let known = LAST.with_borrow(|last| match last {
        Some((at, known, law)) if *at == key && *known >= order => Some(*law),
        _ => None,
    });
    known.unwrap_or_else(|| {
        let law = match order {
            0 | 1 => solve::<3>(log_mu, nu),
            2 => solve::<6>(log_mu, nu),
            _ => solve::<10>(log_mu, nu),
        };
        LAST.with_borrow_mut(|last| *last = Some((key, order, law)));
        law
    })
}

fn solve<const N: usize>(log_mu: f64, nu: f64) -> Option<Law> {
    let mu = log_mu.exp();
    if mu * nu > EXPANSION_FROM && mu > EXPANSION_FROM * nu {
        return expand::<N>(log_mu, nu);
    }
    if mu.is_nan() || mu > MOST_TERMS {
        return None;
    }
    let centre = mu.round().max(1.0);
    TERMS.with_borrow_mut(|all| {
        if all.len() > 4096 {
            all.clear();
        }
        sum::<N>(log_mu, nu, all.entry(centre.to_bits()).or_insert_with(|| Terms::new(centre)))
    })
}

/// D(c + k) and D(c − k), as far as they were needed.
struct Terms {
    centre: f64,
    up: Vec<f64>,
    down: Vec<f64>,
}

impl Terms {
    fn new(centre: f64) -> Self {
        Self { centre, up: vec![0.0], down: vec![0.0] }
    }

    /// D(c + k).
    #[inline]
    fn up(&mut self, k: usize) -> f64 {
        while self.up.len() <= k {
            let j = self.up.len() as f64;
            self.up.push(self.up[self.up.len() - 1] + (j / self.centre).ln_1p());
        }
        self.up[k]
    }

    /// D(c − k).
    #[inline]
    fn down(&mut self, k: usize) -> f64 {
        while self.down.len() <= k {
            let j = (self.down.len() - 1) as f64;
            self.down.push(self.down[self.down.len() - 1] - (-j / self.centre).ln_1p());
        }
        self.down[k]
    }

    /// D(y).
    #[inline]
    fn of(&mut self, y: f64) -> f64 {
        if y >= self.centre { self.up((y - self.centre) as usize) } else { self.down((self.centre - y) as usize) }
    }

    /// Calls `add(y − anchor, D, weight)` for every count but `anchor` whose weight e^{(y−anchor)ρ − νD}, relative to that of the
    /// anchor, matters; `false` if they are too many or too large. The anchor is the centre, or 0 below the centre 1: D is 0 at
    /// both.
    fn visit(&mut self, anchor: f64, rho: f64, nu: f64, mut add: impl FnMut(f64, f64, f64)) -> bool {
        let mut top = 0.0_f64;
        for (step, last) in [(1.0, f64::INFINITY), (-1.0, anchor)] {
            let mut k = 1.0;
            while k <= last {
                let y = anchor + step * k;
                let d = self.of(y);
                let exponent = step * k * rho - nu * d;
                top = top.max(exponent);
                if exponent < top - NEGLIGIBLE {
                    break;
                }
                if top > 600.0 || k > MOST_TERMS {
                    return false;
                }
                add(step * k, d, exponent.exp());
                k += 1.0;
            }
        }
        true
    }

    /// (mass beside the anchor's, E Y − anchor, Var Y).
    fn moments(&mut self, anchor: f64, rho: f64, nu: f64) -> Option<[f64; 3]> {
        let (mut rest, mut first, mut second) = (0.0, 0.0, 0.0);
        let whole = self.visit(anchor, rho, nu, |k, _, weight| {
            rest += weight;
            first += weight * k;
            second += weight * k * k;
        });
        let mean = first / (1.0 + rest);
        whole.then(|| [rest, mean, second / (1.0 + rest) - mean * mean])
    }
}

/// ρ with E Y = μ, and its surroundings.
fn sum<const N: usize>(log_mu: f64, nu: f64, terms: &mut Terms) -> Option<Law> {
    let (mu, c) = (log_mu.exp(), terms.centre);
    // Small means are counted from 0, so that they keep their digits.
    let anchor = if mu < 0.5 { 0.0 } else { c };
    let k = mu.floor();
    // Ratios of neighbouring probabilities on either side of μ bound ρ: e^{±40} leaves no mass beyond.
    let mut high = nu * ((k + 1.0) / c).ln() + 40.0;
    let mut low = if k >= 1.0 { nu * (k / c).ln() - 40.0 } else { log_mu - 40.0 };
    let guess = mu + (nu - 1.0) / (2.0 * nu);
    let mut rho = if nu > 10.0 && k >= 1.0 && mu > k {
        // Two neighbours carry nearly all.
        let smooth = nu * (guess / c).ln();
        let pair = nu * ((k + 1.0) / c).ln() + ((mu - k) / (k + 1.0 - mu)).ln();
        if mu < nu { pair } else { smooth }
    } else if guess > 0.5 * mu {
        nu * (guess / c).ln()
    } else {
        log_mu - mu.ln_1p() - nu * c.ln()
    };
    rho = rho.clamp(low, high);
    for _ in 0..200 {
        let (at_most, mut next);
        match terms.moments(anchor, rho, nu) {
            None => (at_most, next) = (false, f64::NAN),
            Some([_, mean, variance]) => {
                // log E Y is nearly linear in ρ for small means, E Y for large ones.
                let mean = mean + anchor;
                let excess = mean / mu;
                let step = excess.ln() * mean / variance;
                at_most = excess <= 1.0;
                next = rho - step;
                if step.abs() <= 1e-15 * (1.0 + rho.abs()) || (excess - 1.0).abs() < 4e-16 {
                    break;
                }
            }
        }
        if at_most {
            low = rho
        } else {
            high = rho
        }
        if !(next > low && next < high) {
            next = 0.5 * (low + high);
        }
        if next == rho || high - low <= 1e-15 * (1.0 + low.abs()) {
            break;
        }
        rho = next;
    }
    // Weights once more, and with them the joint central moments of (Y, −D): m[a][b] of degree a in the first, b in the second.
    let mut weighed = vec![(0.0, 0.0, 1.0)];
    if !terms.visit(anchor, rho, nu, |k, d, weight| weighed.push((k, d, weight))) {
        return None;
    }
    let rest: f64 = weighed[1..].iter().map(|(_, _, weight)| weight).sum();
    let mass = 1.0 + rest;
    let mean = weighed.iter().map(|(k, _, weight)| weight * k).sum::<f64>() / mass;
    let d_mean = -weighed.iter().map(|(_, d, weight)| weight * d).sum::<f64>() / mass;
    let mut m = [[0.0; 5]; 5];
    for (k, d, weight) in &weighed {
        let (p, q, w) = (k - mean, -d - d_mean, weight / mass);
        let (pp, pq, qq) = (p * p, p * q, q * q);
        m[2][0] += w * pp;
        m[1][1] += w * pq;
        m[0][2] += w * qq;
        m[3][0] += w * pp * p;
        m[2][1] += w * pp * q;
        m[1][2] += w * p * qq;
        m[0][3] += w * qq * q;
        m[4][0] += w * pp * pp;
        m[3][1] += w * pp * pq;
        m[2][2] += w * pp * qq;
        m[1][3] += w * pq * qq;
    }
    if !(m[2][0] > 0.0) || (mean + anchor - mu).abs() > 1e-6 * mu {
        return None;
    }
    let k40 = m[4][0] - 3.0 * m[2][0] * m[2][0];
    let k31 = m[3][1] - 3.0 * m[2][0] * m[1][1];
    let k22 = m[2][2] - m[2][0] * m[0][2] - 2.0 * m[1][1] * m[1][1];
    let k13 = m[1][3] - 3.0 * m[1][1] * m[0][2];
    let log_z_of = [rest.ln_1p(), mean, d_mean, m[2][0], m[1][1], m[0][2], m[3][0], m[2][1], m[1][2], m[0][3]];
    let mean_of = [mean, m[2][0], m[1][1], m[3][0], m[2][1], m[1][2], k40, k31, k22, k13];
    let variance_of = [m[2][0], m[3][0], m[2][1], k40, k31, k22, 0.0, 0.0, 0.0, 0.0];
    let (log_mu, nu) = (Jet::<2, N>::variable(log_mu, 0), Jet::<2, N>::variable(nu, 1));
    let mut rho = Jet::<2, N>::constant(rho);
    // Each pass makes one more order of ρ(log μ, ν) exact; the value is exact already.
    for _ in 0..Jet::<2, N>::ORDER {
        let mut excess = rho.compose2(nu, &mean_of) + anchor - log_mu.exp();
        excess.coefficients[0] = 0.0;
        rho = rho - excess / m[2][0];
    }
    Some(Law::Sum {
        centre: c,
        anchor,
        rho: padded(rho),
        log_z: padded(rho.compose2(nu, &log_z_of)),
        variance: padded(rho.compose2(nu, &variance_of)),
    })
}

/// log x with E Y = μ: E Y = x − (ν−1)/(2ν) − z S′(z)/(ν S(z)), z = 1/(νx).
fn expand<const N: usize>(log_mu: f64, nu: f64) -> Option<Law> {
    let (log_mu, nu) = (Jet::<2, N>::variable(log_mu, 0), Jet::<2, N>::variable(nu, 1));
    let (mu, shift) = (log_mu.exp(), (nu - 1.0) / (nu * 2.0));
    if !mu.value().is_finite() {
        return None;
    }
    let mut x = mu + shift;
    let mut series = Jet::<2, N>::constant(1.0);
    for _ in 0..6 {
        let z = nu.compose([1.0, 0.0, 0.0, 0.0]) / (nu * x);
        let square = nu * nu;
        let base = (square - 1.0) / 24.0;
        let c =
            [base, base * (square + 23.0) / 48.0, base * (square * square * 5.0 - square * 298.0 + 11237.0) / 17280.0];
        series = ((c[2] * z + c[1]) * z + c[0]) * z + 1.0;
        let slope = ((c[2] * z * 3.0 + c[1] * 2.0) * z + c[0]) * z;
        x = mu + shift + slope / (nu * series);
    }
    Some(Law::Expansion { log_x: padded(x.ln()), log_series: padded(series.ln()) })
}

fn padded<const N: usize>(jet: Jet<2, N>) -> Taylor2 {
    let mut out = [0.0; 10];
    out[..N].copy_from_slice(&jet.coefficients);
    out
}

/// Counts this near to c take D(y) from the terms of the sum, so that it rounds as they do: at small φ it is multiplied by a
/// large ν.
const NEAR: f64 = 4096.0;

/// D(y) relative to c, without cancellation between large factorials.
fn relative_factorial(y: f64, c: f64) -> f64 {
    if (y - c).abs() <= NEAR {
        return TERMS.with_borrow_mut(|all| all.entry(c.to_bits()).or_insert_with(|| Terms::new(c)).of(y));
    }
    if y < 1.0 {
        return c * c.ln() - ln_factorial(c);
    }
    let rest = |n: f64| n.ln() - ln_gamma_deficit(n.ln(), 0)[0];
    half_deviance(y, c) + rest(y) - rest(c)
}

/// The value of the log density at fixed parameters.
fn log_mass(law: &Law, y: f64, nu: f64) -> f64 {
    density(law, y, 0.0, nu)
}

#[inline(always)]
fn density<D: Number>(law: &Law, y: f64, log_mu: D, nu: D) -> D {
    match law {
        Law::Sum { centre, anchor, rho, log_z, .. } => {
            let rho = log_mu.compose2(nu, rho);
            rho * (y - anchor) - nu * relative_factorial(y, *centre) - log_mu.compose2(nu, log_z)
        }
        Law::Expansion { log_x, log_series } => {
            let log_x = log_mu.compose2(nu, log_x);
            let x = log_x.value().exp();
            let normal = (nu.ln() - log_x - LN_TWO_PI) * 0.5 - log_mu.compose2(nu, log_series);
            // y log(y/x) − y + x as a function of log x.
            let distance = log_x.compose([half_deviance(y, x), x - y, x, x]);
            if y == 0.0 {
                return normal - nu * (distance - (log_x + LN_TWO_PI) * 0.5);
            }
            // log y! less its leading terms y log y − y + ½ log 2πy.
            let tail = y.ln() - ln_gamma_deficit(y.ln(), 0)[0] - 0.5 * (LN_TWO_PI + y.ln());
            normal - nu * (distance - (log_x - y.ln()) * 0.5 + tail)
        }
    }
}

const LN_TWO_PI: f64 = 1.837_877_066_409_345_5;

impl ConwayMaxwell {
    fn law<D: Number>(&self, eta: &[D]) -> (Option<Law>, D, D) {
        let log_phi = eta[1].value();
        let kept = if log_phi.abs() <= LARGEST_LOG_PHI { eta[1] } else { D::from(LARGEST_LOG_PHI.copysign(log_phi)) };
        let (log_mu, nu) = (self.links[0].log_mean(eta[0]), (-kept).exp());
        (law(log_mu.value(), nu.value(), D::ORDER), log_mu, nu)
    }
}

impl Density for ConwayMaxwell {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    fn feasible(&self, eta: &[f64]) -> bool {
        self.links[0].feasible(eta[0], Domain::Positive)
            && !(self.links[0] == Link::Sqrt && eta[0] == 0.0)
            && !eta[1].is_nan()
    }

    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        match self.law(eta) {
            (Some(law), log_mu, nu) => density(&law, y, log_mu, nu),
            _ => D::from(f64::NEG_INFINITY),
        }
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        match self.law(eta) {
            (Some(Law::Sum { variance, .. }), log_mu, nu) => log_mu.compose2(nu, &variance),
            // Var Y = dμ/d log λ with log λ = ν log x: the expansion's leading terms, x/ν.
            (Some(Law::Expansion { log_x, .. }), log_mu, nu) => log_mu.compose2(nu, &log_x).exp() / nu,
            _ => D::from(f64::NAN),
        }
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        check_count(y)
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        let phi = data.ratio(self.links[0], mean, |y, mu| (y - mu).powi(2), |_, mu| mu);
        // What looks like dispersion may be the random effects', and far out the likelihood is flat.
        vec![mean, log_within(phi, 0.1, 5.0)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        self.links[0].eta(if y == 0.0 { 1.0 / 6.0 } else { y })
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let (Some(law), _, nu) = self.law(eta) else { return [f64::NAN; 2] };
        // From y outwards, each side until nothing is added.
        let mut sums = [0.0; 2];
        for (sum, step) in sums.iter_mut().zip([-1.0, 1.0]) {
            let mut at = y + step;
            let mut before = 0.0;
            while at >= 0.0 {
                let mass = log_mass(&law, at, nu).exp();
                *sum += mass;
                if mass <= 1e-17 * *sum && mass <= before || (mass == 0.0 && (at - y).abs() > 1e6) {
                    break;
                }
                before = mass;
                at += step;
            }
        }
        sums
    }

    /// Rejection from a universal envelope of discrete log-concave laws: Devroye (1987), Computing 39, 87-91.
    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let (Some(law), _, nu) = self.law(eta) else {
            // Means out of reach of sums and expansion alike: beyond 2⁵³ counts are further apart than one, below e^−600 none
            // but 0 is ever seen.
            return self.links[0].mean(eta[0]).round();
        };
        // λ^{1/ν} rounds down to the mode.
        let mode = match &law {
            Law::Sum { centre, rho, .. } => (centre * (rho[0] / nu).exp()).floor(),
            Law::Expansion { log_x, .. } => log_x[0].exp().floor(),
        };
        let top = log_mass(&law, mode, nu);
        let p = top.exp();
        let w = 1.0 + 0.5 * p;
        loop {
            let (u, v): (f64, f64) = (rng.random(), rng.random());
            let size = if u <= w / (1.0 + w) {
                v * w / p
            } else {
                let e: f64 = Exp1.sample(rng);
                (w + e) / p
            };
            let y = mode + if rng.random::<bool>() { size.round() } else { -size.round() };
            let accept: f64 = rng.random();
            if y >= 0.0 && accept.ln() + (w - p * size).min(0.0) <= log_mass(&law, y, nu) - top {
                return y;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family() -> ConwayMaxwell {
        ConwayMaxwell { links: [Link::Log, Link::Log] }
    }

    #[test]
    fn unit_dispersion_is_poisson() {
        for mu in [0.01_f64, 0.7, 3.0, 40.0, 1900.0, 2100.0, 1e6] {
            for y in [0.0, 1.0, (mu * 0.9_f64).round(), (mu * 1.1_f64).ceil()] {
                let found = family().log_density(y, 1.0, &[mu.ln(), 0.0]);
                let poisson = if y == 0.0 { -mu } else { y * mu.ln() - mu - ln_factorial(y) };
                assert!((found - poisson).abs() < 1e-11 * (1.0 + mu), "{mu} {y}: {found} not {poisson}");
            }
        }
    }

    #[test]
    fn sum_and_expansion_meet() {
        for nu in [0.3_f64, 0.8, 1.0, 1.7, 4.0] {
            let mu = 1.0001 * (EXPANSION_FROM / nu).max(EXPANSION_FROM * nu);
            let log_mu = mu.ln();
            let expansion = expand::<10>(log_mu, nu).unwrap();
            let sum = sum::<10>(log_mu, nu, &mut Terms::new(mu.round())).unwrap();
            for z in [-4.0, -0.5, 0.0, 3.0] {
                let y = (mu + z * (mu / nu).sqrt()).round();
                let jets = |law: &Law| {
                    let (m, n) = (Jet::<2, 10>::variable(log_mu, 0), Jet::<2, 10>::variable(nu, 1));
                    density(law, y, m, n).coefficients
                };
                let (a, b) = (jets(&sum), jets(&expansion));
                let size = a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
                for (a, b) in a.iter().zip(&b) {
                    // A score is the difference of terms of the size of its curvature, mu nu.
                    assert!((a - b).abs() < 1e-11 * size.max(mu * nu), "nu {nu}, y {y}: {a} {b}");
                }
                assert!((a[0] - b[0]).abs() < 1e-10, "nu {nu}, y {y}: {} {}", a[0], b[0]);
            }
        }
    }

    #[test]
    fn geometric_is_the_limit_of_much_dispersion() {
        let mu: f64 = 2.5;
        for y in [0.0, 3.0, 11.0] {
            let geometric = y * (mu / (1.0 + mu)).ln() - (1.0 + mu).ln();
            let found = family().log_density(y, 1.0, &[mu.ln(), 12.0]);
            assert!((found - geometric).abs() < 1e-3, "{found} not {geometric}");
        }
    }

    #[test]
    fn two_neighbours_are_the_limit_of_little() {
        let mu: f64 = 3.4;
        for (y, p) in [(3.0, 0.6_f64), (4.0, 0.4)] {
            let found = family().log_density(y, 1.0, &[mu.ln(), -12.0]);
            assert!((found - p.ln()).abs() < 1e-9, "{found}");
        }
    }
}
