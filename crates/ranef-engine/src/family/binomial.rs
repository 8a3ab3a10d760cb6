//! Binomial: y successes out of N trials of probability μ.
//!
//! log f(y | μ) = y log μ + (N − y) log(1 − μ) + log C(N, y),   y = 0, …, N
//!
//! Both logarithms come straight from the linear predictor, so no probability is ever clipped.
//!
//! Reference: McCullagh & Nelder (1989), Generalized Linear Models, ch. 4.

use rand::Rng;
use rand_distr::Distribution;

use super::derivatives::by_jets;
use super::poisson::half_deviance;
use super::{Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{beta_tails, ln_binomial, logistic_tails_each};

/// Card of the binomial family.
pub const CARD: Card = Card {
    name: "binomial",
    title: "Binomial",
    parameters: &[Parameter {
        name: "mu",
        component: Component::Cond,
        link: Link::Logit,
        meaning: "probability of success",
    }],
    links: &[Link::Logit, Link::Probit, Link::Cloglog, Link::Cauchit, Link::Log, Link::Loglog],
    support: Support::Trials,
    zero_inflation: true,
    reference: "McCullagh & Nelder (1989), Generalized Linear Models, ch. 4",
    variance: "mu (1 - mu) / N",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Binomial { links: [options.link] }))
}

/// The binomial family.
#[derive(Clone, Copy, Debug)]
pub struct Binomial {
    links: [Link; 1],
}

impl Density for Binomial {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, trials: f64, eta: &[D]) -> D {
        // A term with no trials in it must vanish even where its logarithm is −∞.
        let mut value = D::from(ln_binomial(trials, y));
        if y > 0.0 {
            value = value + self.links[0].log_mean(eta[0]) * y;
        }
        if y < trials {
            value = value + self.links[0].log_complement(eta[0]) * (trials - y);
        }
        value
    }

    fn variance<D: Number>(&self, eta: &[D], trials: f64) -> D {
        let link = self.links[0];
        (link.log_mean(eta[0]) + link.log_complement(eta[0])).exp() / trials
    }

    fn check_response(&self, y: f64, trials: f64) -> Result<(), &'static str> {
        if trials == 1.0 {
            return if y == 0.0 || y == 1.0 { Ok(()) } else { Err("0 or 1") };
        }
        if trials.fract() != 0.0 || !(trials >= 0.0 && trials.is_finite()) {
            return Err("a whole number of trials, 0 or more");
        }
        if y >= 0.0 && y <= trials && y.fract() == 0.0 {
            Ok(())
        } else {
            Err("a whole number of successes between 0 and the number of trials")
        }
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        vec![data.mean_predictor(self.links[0], CARD.support)]
    }

    fn start_mean(&self, y: f64, trials: f64) -> f64 {
        self.links[0].eta((y + 0.5) / (trials + 1.0))
    }

    fn unit_deviance(&self, y: f64, trials: f64, eta: &[f64]) -> Option<f64> {
        let link = self.links[0];
        let expected = trials * link.mean(eta[0]);
        let remaining = trials * link.complement(eta[0]);
        Some(2.0 * (half_deviance(y, expected) + half_deviance(trials - y, remaining)))
    }

    fn tails(&self, y: f64, trials: f64, eta: &[f64]) -> [f64; 2] {
        let (p, q) = (self.links[0].mean(eta[0]), self.links[0].complement(eta[0]));
        let below = if y == 0.0 { 0.0 } else { beta_tails(trials - y + 1.0, y, q, p)[0] };
        let above = if y == trials { 0.0 } else { beta_tails(y + 1.0, trials - y, p, q)[0] };
        [below, above]
    }

    fn sample(&self, eta: &[f64], trials: f64, rng: &mut dyn Rng) -> f64 {
        let p = self.links[0].mean(eta[0]);
        rand_distr::Binomial::new(trials as u64, p).map_or(f64::NAN, |law| law.sample(rng) as f64)
    }

    fn closed_form(&self) -> bool {
        self.links[0] == Link::Logit
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        if !self.closed_form() {
            return by_jets(self, rows, order, out);
        }
        fill_logit(rows, order, out);
    }
}

/// Rows that go through the loops together: what belongs to them stays in the first cache.
const BLOCK: usize = 256;

/// Derivatives in the logit; the two tails share one exponential. Loops without branches, a block of rows at a time.
fn fill_logit(rows: Rows<'_>, order: usize, out: &mut Derivatives) {
    let eta = rows.eta[0];
    let (mut tail, mut log1p_tail) = ([0.0; BLOCK], [0.0; BLOCK]);
    // What is not asked for is computed all the same, and written here.
    let mut unwanted = [[0.0; BLOCK]; 3];
    let [first, second, third] = &mut unwanted;
    let ones = [1.0; BLOCK];
    for start in (0..eta.len()).step_by(BLOCK) {
        let block = start..(start + BLOCK).min(eta.len());
        let length = block.len();
        logistic_tails_each(&eta[block.clone()], &mut tail[..length], &mut log1p_tail[..length]);
        let trials = match rows.trials {
            Some(trials) => &trials[block.clone()],
            None => &ones[..length],
        };
        let first = if order >= 1 { &mut out.first[0][block.clone()] } else { &mut first[..length] };
        let second = if order >= 2 { &mut out.second[0][block.clone()] } else { &mut second[..length] };
        let third = if order >= 3 { &mut out.third[0][block.clone()] } else { &mut third[..length] };
        let given = Given { y: &rows.y[block.clone()], trials, eta: &eta[block.clone()] };
        let value = &mut out.value[block];
        logit(given, &tail[..length], &log1p_tail[..length], value, first, second, third);
        if rows.trials.is_some() {
            for ((value, n), y) in value.iter_mut().zip(trials).zip(given.y) {
                *value += ln_binomial(*n, *y);
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Given<'a> {
    y: &'a [f64],
    trials: &'a [f64],
    eta: &'a [f64],
}

/// All but the binomial coefficient, from e^−|η| and its log1p.
#[inline(always)]
fn logit(
    given: Given<'_>,
    tail: &[f64],
    log1p_tail: &[f64],
    value: &mut [f64],
    first: &mut [f64],
    second: &mut [f64],
    third: &mut [f64],
) {
    let length = value.len();
    let Given { y, trials, eta } = given;
    let (y, trials, eta, tail, log1p_tail) =
        (&y[..length], &trials[..length], &eta[..length], &tail[..length], &log1p_tail[..length]);
    let (first, second, third) = (&mut first[..length], &mut second[..length], &mut third[..length]);
    for i in 0..length {
        let (y, n, eta, tail) = (y[i], trials[i], eta[i], tail[i]);
        let major = 1.0 / (1.0 + tail);
        let minor = tail * major;
        let positive = eta >= 0.0;
        let (p, q) = if positive { (major, minor) } else { (minor, major) };
        // The count on the improbable side pays |η|; both pay log(1 + e^{−|η|}).
        let paying = if positive { n - y } else { y };
        let log_density = -paying * eta.abs() - n * log1p_tail[i];
        let npq = n * p * q;
        let finite = log_density * 0.0 == 0.0;
        value[i] = if finite { log_density } else { f64::NEG_INFINITY };
        first[i] = if finite { y * q - (n - y) * p } else { 0.0 };
        second[i] = if finite { -npq } else { 0.0 };
        third[i] = if finite { -npq * (q - p) } else { 0.0 };
    }
}
