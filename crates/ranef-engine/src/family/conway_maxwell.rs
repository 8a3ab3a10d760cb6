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

use super::counted_tails;
use super::poisson::{check_count, half_deviance};
use super::start::log_within;
use super::truncated::{self, Truncatable};
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
    Ok(Box::new(ConwayMaxwell::new(options)))
}

/// The Conway-Maxwell-Poisson family.
#[derive(Clone, Copy, Debug)]
pub struct ConwayMaxwell {
    links: [Link; 2],
}

/// log φ below and above which the law is, to any data, its limit: two neighbouring counts, or a geometric law. It changes no
/// more; a smaller φ would leave a variance below the rounding of large means.
const LOG_PHI: [f64; 2] = [-7.0, 13.0];
/// νx and x/ν from which four terms of the expansion of Z are exact to rounding: the fifth is 0.06 (νx)⁻⁴ for small ν and
/// 10⁻⁷ (ν/x)⁴ for large ones.
const EXPANSION_FROM: [f64; 2] = [2000.0, 200.0];
/// Terms of Z that are summed at most on one side.
const MOST_TERMS: f64 = 2e6;
/// Exponents this far below the largest do not count.
const NEGLIGIBLE: f64 = 42.0;

/// What the density of a row needs: functions of (μ or log μ, ν), with derivatives.
#[derive(Clone, Copy, Debug)]
enum Law {
    /// For means below a half: log λ, log Z, log[(Z − 1)/λ].
    Few { log_lambda: Taylor2, log_z: Taylor2, log_rest: Taylor2, variance: Taylor2 },
    /// c, ρ and log Z relative to c.
    Sum { centre: f64, rho: Taylor2, log_z: Taylor2, variance: Taylor2 },
    /// log x, and log(1 + c₁/(νx) + …).
    Expansion { log_x: Taylor2, log_series: Taylor2 },
}

/// What the derivatives of a law are in, besides ν: whichever the link makes of the predictor without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Mean,
    LogMean,
}

impl In {
    /// The mean as a function of the variable.
    fn mean<const N: usize>(self, mu: f64) -> Jet<2, N> {
        match self {
            Self::Mean => Jet::variable(mu, 0),
            Self::LogMean => Jet::<2, N>::variable(mu.ln(), 0).compose([mu; 4]),
        }
    }
}

/// D(c ± k) by centre, and how many there are: data have few.
#[derive(Default)]
struct Kept {
    of: HashMap<u64, Terms>,
    count: usize,
}

/// So many D are kept at most (32 MB a thread), besides those of one centre.
const MOST_KEPT: usize = 1 << 22;

impl Kept {
    /// What `work` makes of the terms around a centre.
    fn at<T>(&mut self, centre: f64, work: impl FnOnce(&mut Terms) -> T) -> T {
        if self.count > MOST_KEPT {
            *self = Self::default();
        }
        let terms = self.of.entry(centre.to_bits()).or_insert_with(|| Terms::new(centre));
        let before = terms.up.len() + terms.down.len();
        let out = work(terms);
        self.count += terms.up.len() + terms.down.len() - before;
        out
    }
}

thread_local! {
    static TERMS: RefCell<Kept> = RefCell::default();
    /// Rows next to each other often have the same parameters.
    static LAST: RefCell<Option<Solved>> = const { RefCell::new(None) };
}

/// What was solved: the bits of (μ, ν), the variable of the derivatives, their order, the law.
struct Solved {
    key: [u64; 2],
    variable: In,
    order: usize,
    law: Option<Law>,
}

/// The law with mean μ, with derivatives to `order`; `None` where neither a sum nor the expansion serves.
fn law(mu: f64, nu: f64, variable: In, order: usize) -> Option<Law> {
    let key = [mu.to_bits(), nu.to_bits()];
    let known = LAST.with_borrow(|last| match last {
        Some(last) if last.key == key && last.variable == variable && last.order >= order => Some(last.law),
        _ => None,
    });
    known.unwrap_or_else(|| {
        let law = match order {
            0 | 1 => solve::<3>(mu, nu, variable),
            2 => solve::<6>(mu, nu, variable),
            _ => solve::<10>(mu, nu, variable),
        };
        LAST.with_borrow_mut(|last| *last = Some(Solved { key, variable, order, law }));
        law
    })
}

fn solve<const N: usize>(mu: f64, nu: f64, variable: In) -> Option<Law> {
    if expandable(mu, nu) {
        return Some(expand::<N>(mu, nu, variable));
    }
    if !reachable(mu, nu) {
        return None;
    }
    if mu < 0.5 {
        return few::<N>(mu, nu, variable);
    }
    let centre = mu.round().max(1.0);
    TERMS.with_borrow_mut(|kept| kept.at(centre, |terms| sum::<N>(mu, nu, variable, terms)))
}

/// Whether the expansion serves.
fn expandable(mu: f64, nu: f64) -> bool {
    mu * nu > EXPANSION_FROM[0] && mu > EXPANSION_FROM[1] * nu && mu < f64::INFINITY
}

/// Whether the density can be computed.
fn reachable(mu: f64, nu: f64) -> bool {
    mu >= f64::MIN_POSITIVE && (expandable(mu, nu) || summable(mu, nu))
}

/// Whether Z has few enough terms: those of a geometric law, or ten standard deviations.
fn summable(mu: f64, nu: f64) -> bool {
    mu < 2e4 || (mu < MOST_TERMS && 10.0 * (mu / nu).sqrt() < 0.5 * MOST_TERMS)
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

    /// Calls `add(y − c, D, weight)` for every count but c whose weight e^{(y−c)ρ − νD}, relative to that of c, matters; `false`
    /// if they are too many or too large.
    fn visit(&mut self, rho: f64, nu: f64, mut add: impl FnMut(f64, f64, f64)) -> bool {
        let mut top = 0.0_f64;
        for (step, last) in [(1.0, f64::INFINITY), (-1.0, self.centre)] {
            let mut k = 1.0;
            while k <= last {
                let d = self.of(self.centre + step * k);
                let exponent = step * k * rho - nu * d;
                top = top.max(exponent);
                // The neighbours of c carry the variance, however small it is.
                if exponent < top - NEGLIGIBLE && k > 1.0 {
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

    /// (mass beside that of c, E Y − c, Var Y).
    fn moments(&mut self, rho: f64, nu: f64) -> Option<[f64; 3]> {
        let (mut rest, mut first, mut second) = (0.0, 0.0, 0.0);
        let whole = self.visit(rho, nu, |k, _, weight| {
            rest += weight;
            first += weight * k;
            second += weight * k * k;
        });
        let mean = first / (1.0 + rest);
        whole.then(|| [rest, mean, second / (1.0 + rest) - mean * mean])
    }
}

/// ρ with E Y = μ, and its surroundings.
fn sum<const N: usize>(mu: f64, nu: f64, variable: In, terms: &mut Terms) -> Option<Law> {
    let c = terms.centre;
    let k = mu.floor();
    // Ratios of neighbouring probabilities on either side of μ bound ρ: e^{±40} leaves no mass beyond.
    let mut high = nu * ((k + 1.0) / c).ln() + 40.0;
    let mut low = if k >= 1.0 { nu * (k / c).ln() - 40.0 } else { mu.ln() - 40.0 };
    let guess = mu + (nu - 1.0) / (2.0 * nu);
    let mut rho = if nu > 10.0 && k >= 1.0 && mu > k {
        // Two neighbours carry nearly all.
        let smooth = nu * (guess / c).ln();
        let pair = nu * ((k + 1.0) / c).ln() + ((mu - k) / (k + 1.0 - mu)).ln();
        if mu < nu { pair } else { smooth }
    } else if guess > 0.5 * mu {
        nu * (guess / c).ln()
    } else {
        mu.ln() - mu.ln_1p() - nu * c.ln()
    };
    rho = rho.clamp(low, high);
    for _ in 0..200 {
        let (at_most, mut next);
        match terms.moments(rho, nu) {
            None => (at_most, next) = (false, f64::NAN),
            Some([_, mean, variance]) => {
                // log E Y is nearly linear in ρ for small means, E Y for large ones.
                // The difference keeps its digits relative to c.
                let excess = (mean - (mu - c)) / mu;
                let mean = mean + c;
                let step = excess.ln_1p() * mean / variance;
                at_most = excess <= 0.0;
                next = rho - step;
                if step.abs() <= 1e-15 * (1.0 + rho.abs()) || excess.abs() < 1e-17 {
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
    let mut weighed = vec![(0.0, 0.0, 1.0)];
    if !terms.visit(rho, nu, |k, d, weight| weighed.push((k, d, weight))) {
        return None;
    }
    let rest: f64 = weighed[1..].iter().map(|(_, _, weight)| weight).sum();
    let [mean, d_mean] = means(&weighed);
    let m = central_moments(&weighed, mean, d_mean);
    if m[2][0].is_nan() || m[2][0] <= 0.0 || (mean + c - mu).abs() > 1e-6 * mu {
        return None;
    }
    let k40 = m[4][0] - 3.0 * m[2][0] * m[2][0];
    let k31 = m[3][1] - 3.0 * m[2][0] * m[1][1];
    let k22 = m[2][2] - m[2][0] * m[0][2] - 2.0 * m[1][1] * m[1][1];
    let k13 = m[1][3] - 3.0 * m[1][1] * m[0][2];
    let log_z_of = [rest.ln_1p(), mean, d_mean, m[2][0], m[1][1], m[0][2], m[3][0], m[2][1], m[1][2], m[0][3]];
    let mean_of = [mean, m[2][0], m[1][1], m[3][0], m[2][1], m[1][2], k40, k31, k22, k13];
    let variance_of = [m[2][0], m[3][0], m[2][1], k40, k31, k22, 0.0, 0.0, 0.0, 0.0];
    let (mu, nu) = (variable.mean::<N>(mu), Jet::<2, N>::variable(nu, 1));
    let mut rho = Jet::<2, N>::constant(rho);
    // Each pass makes one more order of ρ(log μ, ν) exact; the value is exact already.
    for _ in 0..Jet::<2, N>::ORDER {
        let mut excess = rho.compose2(nu, &mean_of) - mu;
        excess.coefficients[0] = 0.0;
        rho = rho - excess / m[2][0];
    }
    Some(Law::Sum {
        centre: c,
        rho: padded(rho),
        log_z: padded(rho.compose2(nu, &log_z_of)),
        variance: padded(rho.compose2(nu, &variance_of)),
    })
}

/// Means of (k, −D) under the weights of (k, D, weight).
fn means(weighed: &[(f64, f64, f64)]) -> [f64; 2] {
    let mass: f64 = weighed.iter().map(|(_, _, weight)| weight).sum();
    let first: f64 = weighed.iter().map(|(k, _, weight)| weight * k).sum();
    let second: f64 = weighed.iter().map(|(_, d, weight)| weight * d).sum();
    [first / mass, -second / mass]
}

/// Joint central moments of (k, −D): m[a][b] of degree a in the first, b in the second.
fn central_moments(weighed: &[(f64, f64, f64)], mean: f64, d_mean: f64) -> [[f64; 5]; 5] {
    let mass: f64 = weighed.iter().map(|(_, _, weight)| weight).sum();
    let mut m = [[0.0; 5]; 5];
    for (k, d, weight) in weighed {
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
    m
}

/// Small means: everything from power series in λ with positive terms, R = (Z − 1)/λ and its like, so that nothing cancels
/// as λ → 0.
fn few<const N: usize>(mu: f64, nu: f64, variable: In) -> Option<Law> {
    let lambda = few_lambda(mu, nu)?;
    // Partial derivatives in (λ, ν) of Σ jᵖ e^{−ν log j!} λ^{j−1} for p = 0, 1, 2: (Z − 1)/λ, Z′ and (λZ′)′. Of the first the
    // leading term, 1, is left out.
    let mut series = [[0.0; 10]; 3];
    for j in 1..FEW_TERMS {
        let (k, d) = (f64::from(j - 1), -ln_factorial(f64::from(j)));
        let weight = |a: i32| {
            let falling = [1.0, k, k * (k - 1.0), k * (k - 1.0) * (k - 2.0)][a as usize];
            if falling == 0.0 { 0.0 } else { falling * (nu * d).exp() * lambda.powi(j - 1 - a) }
        };
        let [w0, w1, w2, w3] = [weight(0), weight(1), weight(2), weight(3)];
        let terms = [w0, w1, w0 * d, w2, w1 * d, w0 * d * d, w3, w2 * d, w1 * d * d, w0 * d * d * d];
        for (power, sums) in series.iter_mut().enumerate() {
            let factor = f64::from(j).powi(power as i32);
            sums.iter_mut().zip(&terms).for_each(|(sum, term)| *sum += factor * term);
        }
        if j == 1 {
            series[0][0] = 0.0;
        }
        if j > 8 && w0 * f64::from(j).powi(6) < 1e-20 {
            break;
        }
    }
    let (mu, nu) = (variable.mean::<N>(mu), Jet::<2, N>::variable(nu, 1));
    let mut at = Jet::<2, N>::constant(lambda);
    let parts = |at: Jet<2, N>| {
        let [rest, slope, bend] = [0, 1, 2].map(|power| at.compose2(nu, &series[power]));
        let mass = at * (rest + 1.0) + 1.0;
        let mean = at * slope / mass;
        (rest, mass, mean, at * bend / mass - mean * mean)
    };
    let rate = parts(at).3.value() / lambda;
    for _ in 0..Jet::<2, N>::ORDER {
        let mut excess = parts(at).2 - mu;
        excess.coefficients[0] = 0.0;
        at = at - excess / rate;
    }
    let (rest, _, _, variance) = parts(at);
    let log_z = (at * (rest + 1.0)).ln_1p();
    // λ = μ Z/Z′, where it moves away from μ by little.
    let log_mu = if variable == In::LogMean { Jet::variable(mu.value().ln(), 0) } else { mu.ln() };
    Some(Law::Few {
        log_lambda: padded(log_mu + log_z - at.compose2(nu, &series[1]).ln()),
        log_z: padded(log_z),
        log_rest: padded(rest.ln_1p()),
        variance: padded(variance),
    })
}

/// Terms of the series for means below a half: those of a geometric law end before.
const FEW_TERMS: i32 = 120;

/// λ with E Y = μ, for μ below a half, by Newton's method on log E Y, which is concave in log λ.
fn few_lambda(mu: f64, nu: f64) -> Option<f64> {
    let mut log_lambda = mu.ln();
    for _ in 0..60 {
        let (mut mass, mut first, mut second) = (1.0, 0.0, 0.0);
        for j in 1..FEW_TERMS {
            let weight = (f64::from(j) * log_lambda - nu * ln_factorial(f64::from(j))).exp();
            mass += weight;
            first += weight * f64::from(j);
            second += weight * f64::from(j * j);
            if weight * f64::from(j * j) < 1e-20 * first {
                break;
            }
        }
        let mean = first / mass;
        let step = (mean / mu - 1.0).ln_1p() * mean / (second / mass - mean * mean);
        log_lambda -= step;
        if step.abs() < 1e-15 {
            break;
        }
    }
    log_lambda.is_finite().then(|| log_lambda.exp())
}

/// log x with E Y = μ: E Y = x − (ν−1)/(2ν) − z S′(z)/(ν S(z)), z = 1/(νx).
fn expand<const N: usize>(mu: f64, nu: f64, variable: In) -> Law {
    let (mu, nu) = (variable.mean::<N>(mu), Jet::<2, N>::variable(nu, 1));
    let shift = (nu - 1.0) / (nu * 2.0);
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
    Law::Expansion { log_x: padded(x.ln()), log_series: padded(series.ln()) }
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
        return TERMS.with_borrow_mut(|kept| kept.at(c, |terms| terms.of(y)));
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

/// `at` is the variable that the law's derivatives are in.
#[inline(always)]
fn density<D: Number>(law: &Law, y: f64, at: D, nu: D) -> D {
    match law {
        Law::Few { log_lambda, log_z, .. } => {
            let value = -(nu * ln_factorial(y)) - at.compose2(nu, log_z);
            if y == 0.0 { value } else { value + at.compose2(nu, log_lambda) * y }
        }
        Law::Sum { centre, rho, log_z, .. } => {
            let rho = at.compose2(nu, rho);
            rho * (y - centre) - nu * relative_factorial(y, *centre) - at.compose2(nu, log_z)
        }
        Law::Expansion { log_x, log_series } => {
            let log_x = at.compose2(nu, log_x);
            let x = log_x.value().exp();
            let normal = (nu.ln() - log_x - LN_TWO_PI) * 0.5 - at.compose2(nu, log_series);
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
    /// With the chosen link.
    pub(super) fn new(options: Options) -> Self {
        Self { links: [options.link, Link::Log] }
    }

    /// The law of a row, the variable that its derivatives are in, and ν.
    fn law<D: Number>(&self, eta: &[D]) -> (Option<Law>, D, D) {
        let log_phi = eta[1].value();
        let within = log_phi.clamp(LOG_PHI[0], LOG_PHI[1]);
        let kept = if within == log_phi { eta[1] } else { D::from(within) };
        let (mean, nu) = (self.links[0].mean(eta[0]), (-kept).exp());
        let (variable, at) = if self.links[0] == Link::Log { (In::LogMean, eta[0]) } else { (In::Mean, mean) };
        (law(mean.value(), nu.value(), variable, D::ORDER), at, nu)
    }
}

impl Truncatable for ConwayMaxwell {
    const TRUNCATED: &'static Card = &truncated::COMPOIS;

    fn beside_zero<D: Number>(&self, y: f64, eta: &[D]) -> [D; 2] {
        let (Some(law), at, nu) = self.law(eta) else { return [D::from(f64::NAN), D::from(f64::NEG_INFINITY)] };
        if let Law::Few { log_lambda, log_rest, log_z, .. } = &law {
            // Z − 1 = λ R, and log[(eˣ − 1)/x] − x/2 is the logarithm of sinh(x/2)/(x/2).
            let (x, log_rest) = (at.compose2(nu, log_z), at.compose2(nu, log_rest));
            let power = if y == 1.0 { D::from(0.0) } else { at.compose2(nu, log_lambda) * (y - 1.0) };
            return [x, power - nu * ln_factorial(y) - log_rest + x.log_sinhc_half()];
        }
        let x = -density(&law, 0.0, at, nu);
        [x, density(&law, y, at, nu) + x * 0.5 - x.ln()]
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
            && reachable(self.links[0].mean(eta[0]), (-eta[1].clamp(LOG_PHI[0], LOG_PHI[1])).exp())
    }

    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        match self.law(eta) {
            (Some(law), at, nu) => density(&law, y, at, nu),
            _ => D::from(f64::NEG_INFINITY),
        }
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        match self.law(eta) {
            (Some(Law::Few { variance, .. } | Law::Sum { variance, .. }), at, nu) => at.compose2(nu, &variance),
            // Var Y = dμ/d log λ with log λ = ν log x: the expansion's leading terms, x/ν.
            (Some(Law::Expansion { log_x, .. }), at, nu) => at.compose2(nu, &log_x).exp() / nu,
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
        counted_tails::tails(y, self.links[0].mean(eta[0]), f64::INFINITY, |y| log_mass(&law, y, nu))
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
            Law::Few { log_lambda, .. } => (log_lambda[0] / nu).exp().floor(),
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
    fn a_law_that_is_nearly_one_count_is_a_law() {
        // nu = 313: the neighbours of the mean have less than e^-80 each, far below what the search for rho resolves.
        let eta = [0.0, -5.747_558_593_75];
        let density = |y: f64| Density::log_density::<f64>(&family(), y, 1.0, &eta);
        assert!(density(1.0).abs() < 1e-15, "{}", density(1.0));
        for y in [0.0, 2.0] {
            assert!(density(y) < -80.0 && density(y).is_finite(), "{}", density(y));
        }
        assert_eq!(family().tails(255.0, 1.0, &eta), [1.0, 0.0]);
    }

    #[test]
    fn terms_of_many_centres_are_not_all_kept() {
        let mut kept = Kept::default();
        for centre in 1..=8 {
            kept.at(f64::from(centre), |terms| terms.up(1 << 20));
        }
        let held: usize = kept.of.values().map(|terms| terms.up.len() + terms.down.len()).sum();
        assert!(held <= MOST_KEPT + (1 << 20) + 2 * kept.of.len(), "{held}");
        assert!(kept.of.contains_key(&8.0_f64.to_bits()));
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
        for nu in [0.3_f64, 0.8, 1.0, 1.7, 4.0, 30.0] {
            let mu = 1.0001 * (EXPANSION_FROM[0] / nu).max(EXPANSION_FROM[1] * nu);
            let log_mu = mu.ln();
            let expansion = expand::<10>(mu, nu, In::LogMean);
            let sum = sum::<10>(mu, nu, In::LogMean, &mut Terms::new(mu.round())).unwrap();
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
