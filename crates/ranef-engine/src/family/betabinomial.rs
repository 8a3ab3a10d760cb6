//! Beta-binomial: y successes out of N trials whose probability varies as a beta variable of mean μ.
//!
//! With a = μφ, b = (1 − μ)φ and (x)ₙ = Γ(x+n)/Γ(x),
//!
//! log f(y | μ, φ) = log C(N, y) + log (a)_y + log (b)_{N−y} − log (φ)_N,   y = 0, …, N
//!
//! Each rising factorial is written with its leading power removed where its base is large; the powers of φ then cancel
//! by hand, and φ → ∞ is the binomial without a rounding error that grows.
//!
//! Reference: Crowder (1978), Applied Statistics 27:34-37; Morris (1997), American Naturalist 150:299-327.

use rand::{Rng, RngExt};
use rand_distr::Distribution;

use super::binomial::{LINKS, check_successes};
use super::start::log_within;
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support, counted_tails, gamma};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{expit, ln_binomial};

/// Card of the family.
pub const CARD: Card = Card {
    name: "betabinomial",
    title: "Beta-binomial",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Logit, meaning: "mean probability of success" },
        Parameter {
            name: "phi",
            component: Component::Disp,
            link: Link::Log,
            meaning: "precision; the variance falls to the binomial's as it grows",
        },
    ],
    links: LINKS,
    support: Support::Trials,
    zero_inflation: true,
    reference: "Morris (1997), American Naturalist 150:299-327",
    variance: "mu (1 - mu) (phi + N) / (N (phi + 1))",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(BetaBinomial { links: [options.link, Link::Log] }))
}

/// The beta-binomial family.
#[derive(Clone, Copy, Debug)]
pub struct BetaBinomial {
    links: [Link; 2],
}

/// log (pφ)_y as a number and a multiple of s = log φ less y, from log p.
#[inline(always)]
fn rising<D: Number>(log_p: D, s: D, y: f64) -> (D, f64) {
    let log_a = log_p + s;
    if y == 0.0 {
        (D::from(0.0), 0.0)
    } else if log_a.value().exp() < y {
        (log_p + log_a.exp().ln_rising_rest(y), 1.0 - y)
    } else {
        (log_a.ln_rising_excess(y) + log_p * y, 0.0)
    }
}

/// Probability of what cannot have happened up to which its absence is computed without a difference of 1.
const RARE: f64 = 0.1;
/// Trials up to which that is worth its sum.
const FEW: f64 = 10_000.0;

/// log (qφ)_n/(φ)_n = Σ log(1 − p φ/(φ+j)), j < n: none of n trials, for small p = 1 − q.
fn none<D: Number>(p: D, log_q: D, s: D, n: f64) -> D {
    // The term j = 0 is log q; where j < φ a term is nearly log q too, and written as what it lacks.
    let odds = p / log_q.exp();
    let (mut rest, mut whole, mut j) = (D::from(0.0), 1.0, 1.0_f64);
    while j < n {
        let distance = s - j.ln();
        rest = rest
            + if distance.value() > 0.0 {
                whole += 1.0;
                (odds * (-distance).expit()).ln_1p()
            } else {
                (-(p * distance.expit())).ln_1p()
            };
        j += 1.0;
    }
    rest + log_q * whole
}

impl Density for BetaBinomial {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, trials: f64, eta: &[D]) -> D {
        if trials == 0.0 {
            return D::from(0.0);
        }
        let s = eta[1];
        let (log_p, log_q) = (self.links[0].log_mean(eta[0]), self.links[0].log_complement(eta[0]));
        let rare = |log_p: D| log_p.value() < RARE.ln() && trials <= FEW;
        if y == 0.0 && rare(log_p) {
            return none(self.mean(eta), log_q, s, trials);
        }
        if y == trials && rare(log_q) {
            // The derivatives of 1 − μ are those of −μ; its value has digits of its own.
            let mean = self.mean(eta);
            let complement = D::from(self.links[0].complement(eta[0].value())) - (mean - mean.value());
            return none(complement, log_p, s, trials);
        }
        let (successes, a) = rising(log_p, s, y);
        let (failures, b) = rising(log_q, s, trials - y);
        let (all, c) = rising(D::from(0.0), s, trials);
        // The powers of φ are whole numbers: what is left of them cancels exactly.
        successes + failures - all + s * (a + b - c) + ln_binomial(trials, y)
    }

    fn variance<D: Number>(&self, eta: &[D], trials: f64) -> D {
        let link = self.links[0];
        let one_trial = (link.log_mean(eta[0]) + link.log_complement(eta[0])).exp();
        // (φ + N)/(φ + 1) = 1 + (N − 1)/(φ + 1)
        one_trial * ((-eta[1]).expit() * (trials - 1.0) + 1.0) / trials
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    fn check_response(&self, y: f64, trials: f64) -> Result<(), &'static str> {
        check_successes(y, trials)
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let mean = data.mean_predictor(self.links[0], CARD.support);
        // Var(y) = Nμ(1−μ)(1 + (N−1)ρ) with ρ = 1/(φ+1), solved for ρ.
        let rho = data.ratio_of_trials(
            self.links[0],
            mean,
            |y, n, p| (y - n * p).powi(2) - n * p * (1.0 - p),
            |_, n, p| n * (n - 1.0) * p * (1.0 - p),
        );
        let phi = if rho > 0.0 { 1.0 / rho - 1.0 } else { rho * f64::NEG_INFINITY };
        vec![mean, log_within(phi, 0.05, 100.0)]
    }

    fn start_mean(&self, y: f64, trials: f64) -> f64 {
        self.links[0].eta((y + 0.5) / (trials + 1.0))
    }

    fn tails(&self, y: f64, trials: f64, eta: &[f64]) -> [f64; 2] {
        let density = |y: f64| Density::log_density(self, y, trials, eta);
        counted_tails::tails(y, trials * self.links[0].mean(eta[0]), trials, density)
    }

    fn sample(&self, eta: &[f64], trials: f64, rng: &mut dyn Rng) -> f64 {
        let (log_p, log_q) = (self.links[0].log_mean(eta[0]), self.links[0].log_complement(eta[0]));
        // A beta variable is the share of one gamma variable in two, both by their logarithms, which do not underflow.
        let logit = gamma::log_draw(log_p + eta[1], rng) - gamma::log_draw(log_q + eta[1], rng);
        let p = if logit.is_nan() {
            // φ → 0: all trials of a row are alike.
            f64::from(u8::from(rng.random::<f64>() < log_p.exp()))
        } else {
            expit(logit)
        };
        rand_distr::Binomial::new(trials as u64, p).map_or(f64::NAN, |law| law.sample(rng) as f64)
    }
}
