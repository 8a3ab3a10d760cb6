//! Poisson: counts whose variance equals their mean.
//!
//! log f(y | μ) = y log μ − μ − log y!,   y = 0, 1, 2, …
//!
//! Reference: McCullagh & Nelder (1989), Generalized Linear Models, ch. 6.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::derivatives::by_jets;
use super::truncated::{self, Truncatable};
use super::{Card, Component, Density, Derivatives, FamilyError, Options, Parameter, Responses, Rows, Support};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{exp_each, gamma_tails, ln_factorial, log1pmx};

/// Card of the poisson family.
pub const CARD: Card = Card {
    name: "poisson",
    title: "Poisson",
    parameters: &[Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" }],
    links: &[Link::Log, Link::Sqrt, Link::Identity],
    support: Support::Counts,
    zero_inflation: true,
    reference: "McCullagh & Nelder (1989), Generalized Linear Models, ch. 6",
    variance: "mu",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Poisson::new(options)))
}

/// The poisson family.
#[derive(Clone, Copy, Debug)]
pub struct Poisson {
    links: [Link; 1],
}

impl Poisson {
    pub(super) fn new(options: Options) -> Self {
        Poisson { links: [options.link] }
    }
}

impl Truncatable for Poisson {
    const TRUNCATED: &'static Card = &truncated::POISSON;

    #[inline(always)]
    fn beside_zero<D: Number>(&self, y: f64, eta: &[D]) -> [D; 2] {
        let mu = self.mean(eta);
        let powers = if y == 1.0 { D::from(0.0) } else { self.links[0].log_mean(eta[0]) * (y - 1.0) };
        [mu, powers - mu * 0.5 - ln_factorial(y)]
    }
}

impl Density for Poisson {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let mu = self.links[0].mean(eta[0]);
        // At y = 0 the term y log μ must vanish even where μ = 0 (square-root link).
        if y == 0.0 {
            return -mu;
        }
        self.links[0].log_mean(eta[0]) * y - mu - ln_factorial(y)
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        self.mean(eta)
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        check_count(y)
    }

    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        vec![data.mean_predictor(self.links[0], CARD.support)]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        self.links[0].eta(y + 0.1)
    }

    fn unit_deviance(&self, y: f64, _trials: f64, eta: &[f64]) -> Option<f64> {
        Some(2.0 * half_deviance(y, self.links[0].mean(eta[0])))
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        tails(y, self.links[0].mean(eta[0]))
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        draw(self.links[0].mean(eta[0]), rng)
    }

    fn closed_form(&self) -> bool {
        self.links[0] == Link::Log
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        if !self.closed_form() {
            return by_jets(self, rows, order, out);
        }
        fill_log(rows, order, out);
    }
}

/// Derivatives in log μ. Loops without branches, a block of rows at a time.
fn fill_log(rows: Rows<'_>, order: usize, out: &mut Derivatives) {
    const BLOCK: usize = 256;
    let mut mean = [0.0; BLOCK];
    for start in (0..rows.y.len()).step_by(BLOCK) {
        let block = start..(start + BLOCK).min(rows.y.len());
        let (y, eta) = (&rows.y[block.clone()], &rows.eta[0][block.clone()]);
        let mu = &mut mean[..block.len()];
        exp_each(eta, mu);
        let mut infeasible = false;
        for (((value, mu), y), eta) in out.value[block.clone()].iter_mut().zip(&*mu).zip(y).zip(eta) {
            *value = y * eta - mu - ln_factorial(*y);
            infeasible |= !value.is_finite();
        }
        if order >= 1 {
            let first = &mut out.first[0][block.clone()];
            first.iter_mut().zip(&*mu).zip(y).for_each(|((first, mu), y)| *first = y - mu);
        }
        if order >= 2 {
            out.second[0][block.clone()].iter_mut().zip(&*mu).for_each(|(second, mu)| *second = -mu);
        }
        if order >= 3 {
            out.third[0][block.clone()].iter_mut().zip(&*mu).for_each(|(third, mu)| *third = -mu);
        }
        if infeasible {
            for i in block {
                if !out.value[i].is_finite() {
                    out.set_infeasible(i, 1, order);
                }
            }
        }
    }
}

/// Whether `y` is a count.
pub(super) fn check_count(y: f64) -> Result<(), &'static str> {
    if y >= 0.0 && y.is_finite() && y.fract() == 0.0 { Ok(()) } else { Err("a whole number, 0 or more") }
}

/// y log(y/μ) − (y − μ), half the unit deviance, without cancellation near y = μ.
///
/// The deviance term of Loader (2000), "Fast and accurate computation of binomial probabilities".
pub(super) fn half_deviance(y: f64, mu: f64) -> f64 {
    if y == 0.0 { mu } else { -y * log1pmx((mu - y) / y) }
}

/// P(Y < y) and P(Y > y) at mean μ: a Poisson count is below y when the y-th event comes later than μ.
pub(super) fn tails(y: f64, mu: f64) -> [f64; 2] {
    let below = if y == 0.0 { 0.0 } else { gamma_tails(y, mu)[1] };
    [below, gamma_tails(y + 1.0, mu)[0]]
}

/// A Poisson draw for any finite mean ≥ 0.
pub(super) fn draw(mu: f64, rng: &mut dyn Rng) -> f64 {
    if mu == 0.0 {
        return 0.0;
    }
    // Beyond 2⁵³ counts are further apart than one: the normal law is exact to what a double holds.
    if mu > 9e15 {
        let z: f64 = StandardNormal.sample(rng);
        return (mu + mu.sqrt() * z).round().max(0.0);
    }
    rand_distr::Poisson::new(mu).map_or(f64::NAN, |law| law.sample(rng))
}
