//! Negative binomial: counts with more variance than a Poisson.
//!
//! `nbinom2` has variance μ + μ²/φ (size φ), `nbinom1` has variance μ(1 + φ) (size μ/φ). With size κ
//! and t = log(μ/κ),
//!
//! log f(y) = log Γ(κ+y)/Γ(κ) − y log(1 + e^{−t}) − κ log(1 + eᵗ) − log y!
//!
//! Written with the excess D = log Γ(κ+y)/Γ(κ) − y log κ for large κ and as above for small κ, so
//! that neither the Poisson limit (κ → ∞) nor κ → 0 cancels.
//!
//! Reference: Hilbe (2011), Negative Binomial Regression, 2nd ed., §8.2 and §10.3.

use std::cell::RefCell;

use rand::Rng;

use super::derivatives::{by_jets, spread};
use super::poisson::{self, check_count, draw, half_deviance};
use super::start::log_within;
use super::{Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support, gamma};
use crate::jet::Number;
use crate::link::{Domain, Link};
use crate::special::{
    Taylor, beta_tails_at_logit, exp_each, ln_factorial, ln_rising, ln_rising_excess, log1p_over_derivatives, log1pmx,
    logistic_tails_each,
};

const LINKS: &[Link] = &[Link::Log, Link::Sqrt, Link::Identity];
const MEAN: Parameter = Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" };

/// Card of the negative binomial with quadratic variance.
pub const NBINOM2: Card = Card {
    name: "nbinom2",
    title: "Negative binomial (quadratic variance)",
    parameters: &[
        MEAN,
        Parameter {
            name: "phi",
            component: Component::Disp,
            link: Link::Log,
            meaning: "size; the variance falls to the Poisson's as it grows",
        },
    ],
    links: LINKS,
    support: Support::Counts,
    zero_inflation: true,
    reference: "Hilbe (2011), Negative Binomial Regression, 2nd ed., §8.2",
    variance: "mu + mu^2 / phi",
};

/// Card of the negative binomial with linear variance.
pub const NBINOM1: Card = Card {
    name: "nbinom1",
    title: "Negative binomial (linear variance)",
    parameters: &[
        MEAN,
        Parameter {
            name: "phi",
            component: Component::Disp,
            link: Link::Log,
            meaning: "relative excess of the variance over the Poisson's",
        },
    ],
    links: LINKS,
    support: Support::Counts,
    zero_inflation: true,
    reference: "Hilbe (2011), Negative Binomial Regression, 2nd ed., §10.3",
    variance: "mu (1 + phi)",
};

/// Makes `nbinom2`.
pub fn build_nbinom2(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Nbinom2 { links: [options.link, Link::Log] }))
}

/// Makes `nbinom1`.
pub fn build_nbinom1(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Nbinom1 { links: [options.link, Link::Log] }))
}

/// Negative binomial with variance μ + μ²/φ.
#[derive(Clone, Copy, Debug)]
pub struct Nbinom2 {
    links: [Link; 2],
}

/// Negative binomial with variance μ(1 + φ).
#[derive(Clone, Copy, Debug)]
pub struct Nbinom1 {
    links: [Link; 2],
}

/// The parameters as the density needs them. Each comes from the predictors by its own shortest way:
/// a t reconstructed from log μ and log κ would cancel in one limit, and a μ from log μ would lose
/// the curvature of −μ under the identity link.
struct Parameters<D> {
    mu: D,
    log_mu: D,
    /// κ
    size: D,
    log_size: D,
    /// log(μ/κ)
    t: D,
}

#[inline(always)]
fn log_density<D: Number>(y: f64, parameters: Parameters<D>) -> D {
    let Parameters { mu, log_mu, size, log_size, t } = parameters;
    // κ log(1 + eᵗ) = μ g(t): the first form for t ≥ 0, the second where κ overflows and eᵗ is 0.
    let zero = if t.value() < 0.0 { mu * t.log1p_over() } else { size * t.softplus() };
    if y == 0.0 {
        return -zero;
    }
    let value = if log_size.value().exp() < y {
        log_size.ln_rising(y) - (-t).softplus() * y
    } else if t.value() < 0.0 {
        log_size.ln_rising_excess(y) + (log_mu - t.softplus()) * y
    } else {
        log_size.ln_rising_excess(y) + (log_size - (-t).softplus()) * y
    };
    value - zero - ln_factorial(y)
}

/// A draw: Poisson with a gamma mean of shape e^log_size and mean e^log_mu.
fn sample(log_mu: f64, log_size: f64, rng: &mut dyn Rng) -> f64 {
    draw((log_mu - log_size + gamma::log_draw(log_size, rng)).exp(), rng)
}

/// P(Y < y) and P(Y > y) at log μ, log κ and t = log(μ/κ): a count is below y when a beta variable of parameters κ and y
/// is below κ/(κ + μ).
fn tails(y: f64, log_mu: f64, log_size: f64, t: f64) -> [f64; 2] {
    // The tails differ from the Poisson's by (y² + μ² + μ)/κ relatively.
    if log_size > 40.0 + 2.0 * log_mu.max((y + 1.0).ln()) {
        return poisson::tails(y, log_mu.exp());
    }
    let size = log_size.exp().clamp(1e-300, 1e300);
    let below = if y == 0.0 { 0.0 } else { beta_tails_at_logit(size, y, -t)[0] };
    [below, beta_tails_at_logit(y + 1.0, size, t)[0]]
}

/// The square-root link reaches μ = 0, where log μ and everything built on it is undefined.
#[inline(always)]
fn feasible(link: Link, eta: &[f64]) -> bool {
    link.feasible(eta[0], Domain::Positive)
        && eta[0..2].iter().all(|eta| !eta.is_nan())
        && !(link == Link::Sqrt && eta[0] == 0.0)
}

fn start_mean(link: Link, y: f64) -> f64 {
    link.eta(if y == 0.0 { 1.0 / 6.0 } else { y })
}

impl Density for Nbinom2 {
    const CARD: &'static Card = &NBINOM2;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let log_mu = self.links[0].log_mean(eta[0]);
        log_density(
            y,
            Parameters {
                mu: self.links[0].mean(eta[0]),
                log_mu,
                size: eta[1].exp(),
                log_size: eta[1],
                t: log_mu - eta[1],
            },
        )
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        let log_mu = self.links[0].log_mean(eta[0]);
        log_mu.exp() + (log_mu * 2.0 - eta[1]).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        feasible(self.links[0], eta)
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        check_count(y)
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], NBINOM2.support);
        let size = data.ratio(self.links[0], mean, |_, mu| mu * mu, |y, mu| (y - mu).powi(2) - mu);
        // A negative ratio means less variance than a Poisson: start at the mild end.
        let size = if size > 0.0 { size } else { f64::INFINITY };
        vec![mean, log_within(size, 0.05, 100.0)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        start_mean(self.links[0], y)
    }

    fn unit_deviance(&self, y: f64, _trials: f64, eta: &[f64]) -> Option<f64> {
        // 2[y log(y/μ) − (y+φ) log((y+φ)/(μ+φ))], both halves without cancellation.
        let (mu, phi) = (self.links[0].mean(eta[0]), eta[1].exp());
        let shrinkage = if phi.is_finite() { (y + phi) * log1pmx((mu - y) / (y + phi)) } else { 0.0 };
        Some(2.0 * (half_deviance(y, mu) + shrinkage))
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        sample(self.links[0].log_mean(eta[0]), eta[1], rng)
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let log_mu = self.links[0].log_mean(eta[0]);
        tails(y, log_mu, eta[1], log_mu - eta[1])
    }

    fn closed_form(&self) -> bool {
        self.links[0] == Link::Log
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        if !self.closed_form() {
            return by_jets(self, rows, order, out);
        }
        SCRATCH.with_borrow_mut(|Scratch { table, exponentials }| {
            exponentials.prepare(rows);
            // log Γ(φ+y)/Γ(φ) is by far the dearest part; with one φ it is needed once per count.
            match rows.constant(1) {
                Some(s) => {
                    table.prepare(s, order, rows.y);
                    spread(rows, order, out, |i, y, _, [eta, _]| log_link(y, eta, s, exponentials.at(i), table.at(y)));
                }
                None => spread(rows, order, out, |i, y, _, [eta, s]| {
                    log_link(y, eta, s, exponentials.at(i), Rising::at(s, y, order))
                }),
            }
        });
    }
}

/// log Γ(φ+y)/Γ(φ), with or without its leading y log φ, whichever does not cancel.
#[derive(Clone, Copy, Debug)]
enum Rising {
    Whole(Taylor),
    Excess(Taylor),
}

impl Rising {
    #[inline(always)]
    fn at(s: f64, y: f64, order: usize) -> Self {
        if s.exp() < y { Rising::Whole(ln_rising(s, y, order)) } else { Rising::Excess(ln_rising_excess(s, y, order)) }
    }
}

/// The counts that [`Table`] has room for.
const TABULATED: usize = 1 << 14;

thread_local! {
    /// Data come in chunks of rows, most of them with the same few counts.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    table: Table,
    exponentials: Exponentials,
}

/// What each row of a chunk needs of exp and log: μ, and e^−|t| and its log1p with t = log(μ/φ).
#[derive(Default)]
struct Exponentials {
    t: Vec<f64>,
    mu: Vec<f64>,
    tail: Vec<f64>,
    log1p_tail: Vec<f64>,
}

impl Exponentials {
    fn prepare(&mut self, rows: Rows<'_>) {
        let Self { t, mu, tail, log1p_tail } = self;
        t.clear();
        t.extend(rows.eta[0].iter().zip(rows.eta[1]).map(|(eta, s)| eta - s));
        for column in [&mut *mu, &mut *tail, &mut *log1p_tail] {
            column.resize(t.len(), 0.0);
        }
        exp_each(rows.eta[0], mu);
        logistic_tails_each(t, tail, log1p_tail);
    }

    #[inline(always)]
    fn at(&self, i: usize) -> [f64; 3] {
        [self.mu[i], self.tail[i], self.log1p_tail[i]]
    }
}

/// [`Rising`] at one φ for the counts met so far.
#[derive(Default)]
struct Table {
    s: f64,
    order: usize,
    values: Vec<Option<Rising>>,
}

impl Table {
    /// Makes sure of the entries for `y`; those for another φ or order are forgotten.
    fn prepare(&mut self, s: f64, order: usize, y: &[f64]) {
        if self.s.to_bits() != s.to_bits() || self.order != order {
            (self.s, self.order) = (s, order);
            self.values.clear();
        }
        for &y in y.iter().filter(|y| **y < TABULATED as f64) {
            if y as usize >= self.values.len() {
                self.values.resize(y as usize + 1, None);
            }
            self.values[y as usize].get_or_insert_with(|| Rising::at(s, y, order));
        }
    }

    #[inline(always)]
    fn at(&self, y: f64) -> Rising {
        self.values.get(y as usize).copied().flatten().unwrap_or_else(|| Rising::at(self.s, y, self.order))
    }
}

/// Derivatives in (log μ, s = log φ), given μ, e^−|t| and its log1p, with p = μ/(μ+φ), q = φ/(μ+φ), a = μq = φp.
#[inline(always)]
fn log_link(y: f64, eta: f64, s: f64, [mu, tail, log1p_tail]: [f64; 3], rising: Rising) -> [f64; 10] {
    let t = eta - s;
    let major = 1.0 / (1.0 + tail);
    let minor = tail * major;
    // zero = φ log(1 + eᵗ) = μ g(t), and slack = a − zero = μ g′(t), from whichever side is finite.
    let (p, q, a, zero, slack, slack_slope);
    if t < 0.0 {
        (p, q) = (minor, major);
        let [g, g1, g2, _] = if tail < 0.1 {
            log1p_over_derivatives(t)
        } else {
            let g = log1p_tail / tail;
            [g, q - g, -p * q - (q - g), 0.0]
        };
        (a, zero, slack, slack_slope) = (mu * q, mu * g, mu * g1, mu * g2);
    } else {
        (p, q) = (major, minor);
        let phi = s.exp();
        a = phi * p;
        zero = phi * (t + log1p_tail);
        slack = a - zero;
        slack_slope = -a * p - slack;
    }
    let (value, r) = match rising {
        Rising::Whole(r) => {
            let softplus_minus_t = log1p_tail + (-t).max(0.0);
            ([r[0] - y * softplus_minus_t, r[1] - y * q], r)
        }
        Rising::Excess(d) if t < 0.0 => ([d[0] + y * (eta - log1p_tail), d[1] + y * p], d),
        Rising::Excess(d) => ([d[0] + y * (s - log1p_tail), d[1] + y * p], d),
    };
    let constant = if y == 0.0 { 0.0 } else { ln_factorial(y) };
    // y q − a = q(y − μ), the score in log μ.
    let score = y * q - a;
    let spread = p * (q - p);
    [
        value[0] - zero - constant,
        score,
        value[1] + slack,
        -q * y * p - a * q,
        p * score,
        r[2] - y * p * q + a * p + slack,
        -(q - p) * (q * y * p + a * q),
        p * q * ((q - p) * y - 2.0 * a),
        -spread * score,
        r[3] + spread * score - slack_slope,
    ]
}

impl Density for Nbinom1 {
    const CARD: &'static Card = &NBINOM1;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let (mu, log_mu) = (self.links[0].mean(eta[0]), self.links[0].log_mean(eta[0]));
        log_density(y, Parameters { mu, log_mu, size: mu * (-eta[1]).exp(), log_size: log_mu - eta[1], t: eta[1] })
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        self.mean(eta) * (eta[1].exp() + 1.0)
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        feasible(self.links[0], eta)
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        check_count(y)
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], NBINOM1.support);
        let excess = data.ratio(self.links[0], mean, |y, mu| (y - mu).powi(2) - mu, |_, mu| mu);
        vec![mean, log_within(excess, 0.01, 1e3)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        start_mean(self.links[0], y)
    }

    // No unit deviance: the saturated μ at fixed φ solves ψ(μ/φ + y) − ψ(μ/φ) = log(1 + φ), which
    // has no closed form.

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let log_mu = self.links[0].log_mean(eta[0]);
        sample(log_mu, log_mu - eta[1], rng)
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let log_mu = self.links[0].log_mean(eta[0]);
        tails(y, log_mu, log_mu - eta[1], eta[1])
    }
}
