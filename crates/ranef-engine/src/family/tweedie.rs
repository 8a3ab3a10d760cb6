//! Tweedie: non-negative responses with a point mass at zero and variance φ μᵖ, 1 < p < 2; a Poisson sum of gamma draws.
//!
//! With P = p − 1 = expit ψ and Q = 2 − p, in units of the response (c = log(μ/y), s = log φ − Q log y),
//!
//! ```text
//! y = 0:   log f = −μ^Q/(φ Q)
//! y > 0:   log f = R(s, ψ) − log y − e^{−s} [(e^{−Pc} − 1)/P + (e^{Qc} − 1)/Q]
//! ```
//!
//! The bracket is half the unit deviance and holds all that depends on μ. R is the logarithm of the series of Dunn & Smyth
//! (2005) over the number j of gamma draws, of which the exponential at μ = y has been taken out by hand ([`normaliser`]):
//! it depends on two numbers only, and where φ and p are constant a row's R is kept while the optimiser moves μ.
//!
//! References: Jørgensen (1987), J. R. Stat. Soc. B 49:127-162; Dunn & Smyth (2005), Stat. Comput. 15:267-280.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex};

use rand::Rng;

use super::derivatives::{by_jets, spread};
use super::start::log_within;
use super::{Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support};
use super::{gamma, poisson};
use crate::jet::{Jet, Number};
use crate::link::Link;
use crate::special::{
    Taylor, expit, expm1mx, gamma_tails_about_mean, ln_factorial, ln_gamma_deficit, log_expit, log1pmx,
};

/// Log densities beyond this belong to infeasible predictors.
const LARGEST: f64 = 1e250;

/// Card of the Tweedie family.
pub const CARD: Card = Card {
    name: "tweedie",
    title: "Tweedie (compound Poisson-gamma)",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "dispersion" },
        Parameter {
            name: "p",
            component: Component::Shape,
            link: Link::Logit,
            meaning: "power of the variance, of which the link takes p - 1",
        },
    ],
    links: &[Link::Log, Link::Identity, Link::Inverse],
    support: Support::NonNegative,
    zero_inflation: true,
    reference: "Dunn & Smyth (2005), Stat. Comput. 15:267-280",
    variance: "phi mu^p, 1 < p < 2",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Tweedie { links: [options.link, Link::Log, Link::Logit], kept: Mutex::default() }))
}

/// The Tweedie family.
pub struct Tweedie {
    links: [Link; 3],
    kept: Mutex<HashMap<usize, Kept>>,
}

impl fmt::Debug for Tweedie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tweedie").field("links", &self.links).finish_non_exhaustive()
    }
}

/// The normalisers of a block of rows at the φ and p they were last evaluated at.
#[derive(Default)]
struct Kept {
    at: [f64; 2],
    order: usize,
    y: Vec<f64>,
    normalisers: Vec<[f64; 10]>,
}

/// Blocks of rows that are kept, and their length: at most 160 MB.
const BLOCKS: usize = 1 << 9;
const BLOCK: usize = 1 << 12;

impl Tweedie {
    /// The normalisers of these rows at constant φ and p.
    fn kept(&self, y: &[f64], at: [f64; 2], order: usize) -> Kept {
        let key = y.as_ptr() as usize;
        let mut kept = self.kept.lock().expect("nothing fails while it is held").remove(&key).unwrap_or_default();
        if kept.at == at && kept.order >= order && kept.y == y {
            return kept;
        }
        // Newton's method asks for second derivatives at once.
        let order = order.max(2);
        let (q, mut table) = (expit(-at[1]), Vec::new());
        kept.normalisers.clear();
        kept.normalisers.extend(
            y.iter().map(
                |&y| {
                    if y > 0.0 { normaliser(at[0] - q * y.ln(), at[1], order, &mut table) } else { [0.0; 10] }
                },
            ),
        );
        kept.y.clear();
        kept.y.extend_from_slice(y);
        (kept.at, kept.order) = (at, order);
        kept
    }

    fn keep(&self, key: usize, kept: Kept) {
        let mut all = self.kept.lock().expect("nothing fails while it is held");
        if kept.y.len() <= BLOCK && all.len() < BLOCKS {
            all.insert(key, kept);
        }
    }
}

impl Density for Tweedie {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let (log_mu, s, psi) = (self.links[0].log_mean(eta[0]), eta[1], eta[2]);
        let (p, q) = (psi.expit(), (-psi).expit());
        if y == 0.0 {
            let log_size = -s - (-psi).log_expit();
            if p.value() > 0.5 {
                return -(q * log_mu + log_size).exp();
            }
            // μ^Q as μ μ^{−P}: linear in μ for p → 1.
            return -(self.links[0].mean(eta[0]) * (log_size - p * log_mu).exp());
        }
        let log_y = y.ln();
        let (c, s) = (log_mu - log_y, s - q * log_y);
        // 1/P = 1 + e^{−ψ}, of which no power overflows before its time.
        let half_deviance = (-(p * c)).expm1mx() * (-psi).softplus().exp() + (q * c).expm1mx() * psi.softplus().exp();
        let r = normaliser(s.value(), psi.value(), D::ORDER, &mut Vec::new());
        let density = compose(r, s, psi) - (-s).exp() * half_deviance - log_y;
        let inside = density.value().abs() < LARGEST && representable(c.value(), p.value(), q.value());
        if inside { density } else { D::from(f64::NAN) }
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        (eta[1] + self.links[0].log_mean(eta[0]) * (eta[2].expit() + 1.0)).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y >= 0.0 && y.is_finite() { Ok(()) } else { Err("a number, 0 or more") }
    }

    /// The mean, and the best of a few powers with the dispersion that the variance then asks for.
    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let link = self.links[0];
        let mean = data.mean_predictor(link, CARD.support);
        let dispersion = |psi: f64| {
            let power = 1.0 + expit(psi);
            log_within(data.ratio(link, mean, |y, mu| (y - mu).powi(2) / mu.powf(power), |_, _| 1.0), 1e-6, 1e6)
        };
        let every = data.y.len().div_ceil(4000);
        let fit = |psi: f64| {
            let s = dispersion(psi);
            let (mut total, mut table) = (0.0, Vec::new());
            for i in (0..data.y.len()).step_by(every) {
                let eta = mean + data.offset.map_or(0.0, |offset| offset[i]);
                let weight = data.weights.map_or(1.0, |weights| weights[i]);
                if weight > 0.0 {
                    total += weight * self.value(data.y[i], [eta, s, psi], &mut table);
                }
                table.clear();
            }
            [total, s, psi]
        };
        let candidates = [-2.0, -1.25, -0.5, 0.25, 1.0, 1.5, 2.0, 2.5, 3.25].map(fit);
        let best = candidates.iter().fold(candidates[2], |best, c| if c[0] > best[0] { *c } else { best });
        vec![mean, best[1], best[2]]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        self.links[0].eta(if y > 0.0 { y } else { 0.1 })
    }

    fn unit_deviance(&self, y: f64, _trials: f64, eta: &[f64]) -> Option<f64> {
        let (log_mu, p, q) = (self.links[0].log_mean(eta[0]), expit(eta[2]), expit(-eta[2]));
        if y == 0.0 {
            return Some(2.0 * (q * log_mu).exp() / q);
        }
        let c = log_mu - y.ln();
        Some(2.0 * (q * y.ln()).exp() * (expm1mx(-p * c) / p + expm1mx(q * c) / q))
    }

    /// Over the number of gamma draws: Poisson probabilities times tails of gamma laws.
    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let (log_mu, s, psi) = (self.links[0].log_mean(eta[0]), eta[1], eta[2]);
        let (p, q) = (expit(psi), expit(-psi));
        let log_rate = q * log_mu - s - log_expit(-psi);
        if log_rate > 34.0 {
            // So many draws that only the variance of their sum is left of them: that of a gamma law of shape μ^Q/φ.
            return gamma_tails_about_mean((q * log_mu - s).exp().clamp(1e-300, 1e300), y.ln() - log_mu);
        }
        let rate = log_rate.exp();
        let some = -(-rate).exp_m1();
        if y == 0.0 || rate == 0.0 {
            return if y == 0.0 { [0.0, some] } else { [1.0, 0.0] };
        }
        let log_y = y.ln();
        // log(y/mean of j draws) = log y − log(j (2−p) φ μ^{p−1})
        let log_unit = log_y - log_expit(-psi) - s - p * log_mu;
        // For large rates the sum over every j is one over every hth to all digits, its terms being so smooth.
        let peak = rate.floor().max(1.0);
        let h = (rate.sqrt() / 12.0).floor().max(1.0);
        let log_weight = |j: f64| j * log_rate - rate - ln_factorial(j);
        let (mut total, mut below, mut above) = (0.0, 0.0, 0.0);
        let reference = log_weight(peak);
        for step in [h, -h] {
            let mut j = if step > 0.0 { peak } else { peak - h };
            while j >= 1.0 {
                let relative = log_weight(j) - reference;
                if relative < -750.0 || (relative < -45.0 && h > 1.0) {
                    break;
                }
                let weight = relative.exp();
                let [lower, upper] =
                    gamma_tails_about_mean((j.ln() - psi).exp().clamp(1e-300, 1e300), log_unit - j.ln());
                total += weight;
                below += weight * lower;
                above += weight * upper;
                j += step;
            }
        }
        // P(Y < y) includes the point mass.
        [(-rate).exp() + some * below / total, some * above / total]
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let (log_mu, s, psi) = (self.links[0].log_mean(eta[0]), eta[1], eta[2]);
        let q = expit(-psi);
        let rate = (q * log_mu - s - log_expit(-psi)).exp();
        if rate > 1e15 {
            return log_mu.exp();
        }
        let draws = poisson::draw(rate, rng);
        if draws == 0.0 {
            return 0.0;
        }
        // The scale of a draw is φ (p − 1) μ^{p−1}, its shape e^{−ψ}.
        let log_scale = s + log_expit(psi) + expit(psi) * log_mu;
        (log_scale + gamma::log_draw((draws.ln() - psi).clamp(-690.0, 690.0), rng)).exp().max(f64::MIN_POSITIVE)
    }

    fn closed_form(&self) -> bool {
        true
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        let (Some(s), Some(psi)) = (rows.constant(1), rows.constant(2)) else {
            return by_jets(self, rows, order, out);
        };
        if s.is_nan() || psi.is_nan() {
            return by_jets(self, rows, order, out);
        }
        let link = self.links[0];
        let kept = self.kept(rows.y, [s, psi], order);
        spread(rows, order, out, |i, y, _, eta: [f64; 3]| {
            if !self.feasible(&eta) {
                return [f64::NEG_INFINITY; 20];
            }
            let log_mu = link.log_mean_derivatives(eta[0]);
            if y == 0.0 {
                let seeds: [Jet<3, 20>; 3] = std::array::from_fn(|k| Jet::variable(eta[k], k));
                return Density::log_density(self, 0.0, 1.0, &seeds).coefficients;
            }
            let row = positive(y, log_mu[0], s, psi, &kept.normalisers[i]);
            if row[0].abs() > LARGEST || !representable(log_mu[0] - y.ln(), expit(psi), expit(-psi)) {
                return [f64::NEG_INFINITY; 20];
            }
            if link == Link::Log { row } else { chained(row, log_mu) }
        });
        self.keep(rows.y.as_ptr() as usize, kept);
    }
}

impl Tweedie {
    /// Log density of a row, with a table of gamma functions that serves all rows of this ψ.
    fn value(&self, y: f64, [eta, s, psi]: [f64; 3], table: &mut Vec<Taylor>) -> f64 {
        let (log_mu, p, q) = (self.links[0].log_mean(eta), expit(psi), expit(-psi));
        if y == 0.0 {
            return -(q * log_mu - s).exp() / q;
        }
        let (c, s) = (log_mu - y.ln(), s - q * y.ln());
        let half_deviance = expm1mx(-p * c) / p + expm1mx(q * c) / q;
        normaliser(s, psi, 0, table)[0] - (-s).exp() * half_deviance - y.ln()
    }
}

/// Whether the deviance, in the unit of y, and its derivatives can be held by doubles.
#[inline(always)]
fn representable(c: f64, p: f64, q: f64) -> bool {
    (-p * c).max(q * c) < 600.0
}

/// A function of two numbers with derivatives `r`, at numbers that carry their own.
#[inline(always)]
fn compose<D: Number>(r: [f64; 10], s: D, psi: D) -> D {
    if D::ORDER == 0 {
        return D::from(r[0]);
    }
    let (a, b) = (s - s.value(), psi - psi.value());
    let second = a * a * (0.5 * r[3]) + a * b * r[4] + b * b * (0.5 * r[5]);
    let third =
        a * a * a * (r[6] / 6.0) + a * a * b * (0.5 * r[7]) + a * b * b * (0.5 * r[8]) + b * b * b * (r[9] / 6.0);
    a * r[1] + b * r[2] + second + third + r[0]
}

/// Up to this variance of j the sum over j is taken term by term; above, no digit tells it from the integral.
const DISCRETE_UP_TO: f64 = 60.0;

/// For p → 1 the draws become whole multiples of φ and the density a comb. Up to this many multiples its teeth are
/// followed; beyond, they are narrower than any step an optimiser could take, and the predictors count as infeasible.
const LATTICE_UP_TO: f64 = 1e4;

/// R(s, ψ) = log Σ_j exp V_j and its derivatives (packed, s before ψ), with j₀ = e^{−s}/Q, x₀ = e^{−s}/P, N = j₀ + x₀ and
///
/// V_j = −N κ(j/j₀) + c(log(j e^{−ψ})) + c(log j) − log j,   κ(ρ) = ρ log ρ − ρ + 1,
///
/// where c(log φ) = φ log φ − φ − log Γ(φ): Dunn & Smyth's terms less N. Every V_j is at most of the size of its
/// distance from the largest, however many matter. `table` holds c(log(j e^{−ψ})) from j = 1 on.
fn normaliser(s: f64, psi: f64, order: usize, table: &mut Vec<Taylor>) -> [f64; 10] {
    let (log_p, log_q) = (log_expit(psi), log_expit(-psi));
    // That of j.
    let variance = (log_p - log_q - s).exp();
    let j0 = (-s - log_q).exp();
    if variance > DISCRETE_UP_TO || (j0 > LATTICE_UP_TO && variance > 3.0) {
        return integral(s, log_p, log_q, order);
    }
    let (p, q) = (log_p.exp(), log_q.exp());
    let n = (-s - log_p - log_q).exp();
    if !(j0 <= LATTICE_UP_TO && n.is_finite()) {
        return [f64::NAN; 10];
    }
    let term = |j: f64, table: &mut Vec<Taylor>| {
        let [log_j, own] = if j < LOGS.len() as f64 { LOGS[j as usize] } else { logs(j) };
        let c = tabulated(j, log_j, psi, order, table);
        let share = j / p;
        // N κ and N (ρ − 1); near the peak by the exact difference of j and j₀.
        let epsilon = (j - j0) / j0;
        let (bend, tilt) = if epsilon < 10.0 {
            let tilt = n * epsilon;
            ((n + tilt) * log1pmx(epsilon) + tilt * epsilon, tilt)
        } else {
            (share * (log_j + s + log_q - 1.0) + n, share - n)
        };
        let mut v = [c[0] + own - bend, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        if order > 0 {
            v[1] = -tilt;
            v[2] = q * bend + p * tilt - c[1];
            v[3] = -n;
            v[4] = q * tilt + p * n;
            v[5] = c[2] - (q * bend + p * q * tilt + p * p * n);
            v[6] = n;
            v[7] = n * (q - p);
            v[8] = -(q * tilt + p * (q - p) * n);
            v[9] = q * bend + p * q * (1.0 + p) * tilt - p * p * p * n - c[3];
        }
        v
    };
    let peak = j0.round().max(1.0);
    let mut mixture = Mixture::around(term(peak, table));
    for step in [1.0, -1.0] {
        let mut j = peak + step;
        while j >= 1.0 {
            let v = term(j, table);
            if v[0].is_nan() || v[0] <= mixture.centre[0] - 40.0 {
                break;
            }
            mixture.add(&v, order);
            j += step;
        }
    }
    mixture.logarithm(order)
}

/// c(log(j e^{−ψ})), from the table while there is room in it.
fn tabulated(j: f64, log_j: f64, psi: f64, order: usize, table: &mut Vec<Taylor>) -> Taylor {
    if j > 4096.0 {
        return ln_gamma_deficit(log_j - psi, order);
    }
    let place = j as usize - 1;
    if place >= table.len() {
        table.resize(place + 1, [f64::NAN; 4]);
    }
    if table[place][0].is_nan() {
        table[place] = ln_gamma_deficit(log_j - psi, order);
    }
    table[place]
}

/// log j and c(log j) − log j.
fn logs(j: f64) -> [f64; 2] {
    let log_j = j.ln();
    [log_j, ln_gamma_deficit(log_j, 0)[0] - log_j]
}

static LOGS: LazyLock<Vec<[f64; 2]>> = LazyLock::new(|| (0..4096).map(|j| logs(f64::from(j.max(1)))).collect());

/// log Σ exp V over terms V that have derivatives: these are cumulants under the weights exp V.
struct Mixture {
    centre: [f64; 10],
    weight: f64,
    /// Weighted sums of the terms' derivatives, less those of the centre.
    mean: [f64; 10],
    /// Of products of first derivatives: two (ss, sψ, ψψ) and three (sss, ssψ, sψψ, ψψψ) of them.
    squares: [f64; 3],
    cubes: [f64; 4],
    /// Of products of second derivatives (ss, sψ, ψψ) with s and with ψ.
    mixed: [[f64; 2]; 3],
}

impl Mixture {
    fn around(centre: [f64; 10]) -> Self {
        Self { centre, weight: 1.0, mean: [0.0; 10], squares: [0.0; 3], cubes: [0.0; 4], mixed: [[0.0; 2]; 3] }
    }

    #[inline(always)]
    fn add(&mut self, v: &[f64; 10], order: usize) {
        let w = (v[0] - self.centre[0]).exp();
        self.weight += w;
        if order == 0 {
            return;
        }
        let d: [f64; 10] = std::array::from_fn(|i| v[i] - self.centre[i]);
        let (a, b) = (w * d[1], w * d[2]);
        let upto = [1, 3, 6, 10][order];
        for (sum, d) in self.mean[1..upto].iter_mut().zip(&d[1..upto]) {
            *sum += w * d;
        }
        if order > 1 {
            let squares = [a * d[1], a * d[2], b * d[2]];
            for (sum, square) in self.squares.iter_mut().zip(squares) {
                *sum += square;
            }
            if order > 2 {
                for (sum, cube) in self.cubes.iter_mut().zip([
                    squares[0] * d[1],
                    squares[0] * d[2],
                    squares[2] * d[1],
                    squares[2] * d[2],
                ]) {
                    *sum += cube;
                }
                for (sum, second) in self.mixed.iter_mut().zip(&d[3..6]) {
                    sum[0] += a * second;
                    sum[1] += b * second;
                }
            }
        }
    }

    fn logarithm(&self, order: usize) -> [f64; 10] {
        let mut out = self.centre;
        out[0] += self.weight.ln();
        if order == 0 {
            return out;
        }
        let r = 1.0 / self.weight;
        let mean = self.mean.map(|sum| sum * r);
        for (out, mean) in out[1..].iter_mut().zip(&mean[1..]) {
            *out += mean;
        }
        let (a, b) = (mean[1], mean[2]);
        let [aa, ab, bb] = self.squares.map(|sum| sum * r);
        out[3] += aa - a * a;
        out[4] += ab - a * b;
        out[5] += bb - b * b;
        if order > 2 {
            let [aaa, aab, abb, bbb] = self.cubes.map(|sum| sum * r);
            let covariance = |k: usize, l: usize| self.mixed[k][l] * r - mean[3 + k] * mean[1 + l];
            out[6] += 3.0 * covariance(0, 0) + aaa - 3.0 * a * aa + 2.0 * a * a * a;
            out[7] += 2.0 * covariance(1, 0) + covariance(0, 1) + aab - 2.0 * a * ab - b * aa + 2.0 * a * a * b;
            out[8] += 2.0 * covariance(1, 1) + covariance(2, 0) + abb - 2.0 * b * ab - a * bb + 2.0 * a * b * b;
            out[9] += 3.0 * covariance(2, 1) + bbb - 3.0 * b * bb + 2.0 * b * b * b;
        }
        out
    }
}

/// R for many terms: the integral over j = j₀ e^{v/√N}, which the sum equals up to exp(−2π² Var j) (Poisson's summation
/// formula), by the trapezoidal rule in v, whose error is exp(−2π²/h²). At fixed v,
///
/// V = −v² κ(eʷ)/w² + c(log x₀ + w) + c(log j₀ + w) − ½ log N,   w = v/√N,
///
/// in which nothing grows with N, nor do its derivatives.
fn integral(s: f64, log_p: f64, log_q: f64, order: usize) -> [f64; 10] {
    const STEP: f64 = 0.5;
    type J = Jet<2, 10>;
    let (p, q) = (log_p.exp(), log_q.exp());
    let (pq, third) = (p * q, p * q * (q - p));
    let jet = |value: f64, slope: f64, psi: [f64; 3]| J {
        coefficients: [value, slope, psi[0], 0.0, 0.0, psi[1], 0.0, 0.0, 0.0, psi[2]],
    };
    let log_x0 = jet(-s - log_p, -1.0, [-q, pq, third]);
    let log_j0 = jet(-s - log_q, -1.0, [p, pq, third]);
    let log_n = jet(-s - log_p - log_q, -1.0, [p - q, 2.0 * pq, 2.0 * third]);
    let inverse_root = (log_n * -0.5).exp();
    let term = |v: f64| {
        let w = inverse_root * v;
        let (x, j) = (log_x0 + w, log_j0 + w);
        let c = |t: J| t.compose(ln_gamma_deficit(t.value(), order));
        (c(x) + c(j) - log_n * 0.5 - w.compose(relative_bend(w.value())) * (v * v)).coefficients
    };
    let mut mixture = Mixture::around(term(0.0));
    for step in [STEP, -STEP] {
        let mut v = step;
        loop {
            let terms = term(v);
            if terms[0].is_nan() || terms[0] <= mixture.centre[0] - 40.0 {
                break;
            }
            mixture.add(&terms, order);
            v += step;
        }
    }
    let mut out = mixture.logarithm(order);
    out[0] += STEP.ln();
    out
}

/// κ(eʷ)/w² = (eʷ(w − 1) + 1)/w² and its derivatives.
fn relative_bend(w: f64) -> Taylor {
    if w.abs() < 1.0 {
        // Σ wᵐ (m + 1)/(m + 2)!
        let mut sums = [0.0; 4];
        for coefficient in BEND.iter().rev() {
            sums[3] = sums[3] * w + sums[2];
            sums[2] = sums[2] * w + sums[1];
            sums[1] = sums[1] * w + sums[0];
            sums[0] = sums[0] * w + coefficient;
        }
        return [sums[0], sums[1], 2.0 * sums[2], 6.0 * sums[3]];
    }
    let e = w.exp();
    let k = (e * (w - 1.0) + 1.0) / (w * w);
    let k1 = (e - 2.0 * k) / w;
    let k2 = (e - 3.0 * k1) / w;
    [k, k1, k2, (e - 4.0 * k2) / w]
}

static BEND: LazyLock<[f64; 22]> = LazyLock::new(|| {
    let mut factorial = 1.0;
    std::array::from_fn(|m| {
        let m = m as f64;
        factorial *= m + 2.0;
        (m + 1.0) / factorial
    })
});

/// Derivatives of log f(y) in (log μ, log φ, ψ) for y > 0, with `r` the normaliser's.
#[inline(always)]
fn positive(y: f64, log_mu: f64, s: f64, psi: f64, r: &[f64; 10]) -> [f64; 20] {
    let (p, q) = (expit(psi), expit(-psi));
    let pq = p * q;
    let log_y = y.ln();
    let c = log_mu - log_y;
    let g = (q * log_y - s).exp();
    // Half the unit deviance B(c, ψ) in the unit of y, and its derivatives.
    let (m, n) = (-p * c, q * c);
    let (e1, e2) = (m.exp_m1(), n.exp_m1());
    let (f1, f2) = (e1 + 1.0, e2 + 1.0);
    let gap = e2 - e1;
    let (small1, small2) = (expm1mx(m), expm1mx(n));
    // κ(eˣ) = x eˣ − eˣ + 1 = x (eˣ − 1) − (eˣ − 1 − x)
    let (k1, k2) = (m * e1 - small1, n * e2 - small2);
    let (to_q, to_p) = (q / p, p / q);
    let (h1, h2) = (m * m * f1, n * n * f2);
    let b = small1 / p + small2 / q;
    let b_c = gap;
    let b_cc = p * f1 + q * f2;
    let b_ccc = q * q * f2 - p * p * f1;
    let b_p = to_q * k1 - to_p * k2;
    let b_cp = -pq * c * gap;
    let b_ccp = -pq * (gap + c * b_cc);
    let b_pp = to_q * (q * h1 - k1) + to_p * (p * h2 - k2);
    let b_cpp = pq * c * gap * (p - q + pq * c);
    let b_ppp = to_q * (k1 + q * h1 * (q * m - 3.0 * p)) - to_p * (k2 + p * h2 * (p * n - 3.0 * q));

    // In (c, s′, ψ) with s′ = log φ − Q log y …
    let f_s = r[1] + g * b;
    let f_p = r[2] - g * b_p;
    let f_ss = r[3] - g * b;
    let f_sp = r[4] + g * b_p;
    let f_pp = r[5] - g * b_pp;
    let f_sss = r[6] + g * b;
    let f_ssp = r[7] - g * b_p;
    let f_spp = r[8] + g * b_pp;
    let f_ppp = r[9] - g * b_ppp;
    // … of which s′ moves with ψ.
    let (d1, d2, d3) = (pq * log_y, pq * (q - p) * log_y, pq * (1.0 - 6.0 * pq) * log_y);
    [
        r[0] - g * b - log_y,
        -g * b_c,
        f_s,
        f_p + f_s * d1,
        -g * b_cc,
        g * b_c,
        f_ss,
        g * (b_c * d1 - b_cp),
        f_sp + f_ss * d1,
        f_pp + 2.0 * f_sp * d1 + f_ss * d1 * d1 + f_s * d2,
        -g * b_ccc,
        g * b_cc,
        -g * b_c,
        f_sss,
        g * (b_cc * d1 - b_ccp),
        g * (b_cp - b_c * d1),
        f_ssp + f_sss * d1,
        g * (-b_cpp + 2.0 * b_cp * d1 - b_c * d1 * d1 + b_c * d2),
        f_spp + 2.0 * f_ssp * d1 + f_sss * d1 * d1 + f_ss * d2,
        f_ppp + 3.0 * (f_spp + f_ssp * d1) * d1 + f_sss * d1 * d1 * d1 + 3.0 * (f_sp + f_ss * d1) * d2 + f_s * d3,
    ]
}

/// From derivatives in log μ to those in its predictor.
#[inline(always)]
fn chained(f: [f64; 20], [_, a1, a2, a3]: Taylor) -> [f64; 20] {
    let mut out = f;
    out[1] = f[1] * a1;
    out[4] = f[4] * a1 * a1 + f[1] * a2;
    out[5] = f[5] * a1;
    out[7] = f[7] * a1;
    out[10] = f[10] * a1 * a1 * a1 + 3.0 * f[4] * a1 * a2 + f[1] * a3;
    out[11] = f[11] * a1 * a1 + f[5] * a2;
    out[12] = f[12] * a1;
    out[14] = f[14] * a1 * a1 + f[7] * a2;
    out[15] = f[15] * a1;
    out[17] = f[17] * a1;
    out
}
