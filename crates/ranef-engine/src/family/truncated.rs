//! Truncation at zero: a count family given that the count is not 0.
//!
//! log f(y | y > 0) = log f(y) − log(1 − f(0)),   y = 1, 2, …
//!
//! With x = −log f(0), 1 − f(0) = x e^{−x/2} sinh(x/2)/(x/2): the density is log[f(y) e^{x/2}/x] less the logarithm of that
//! quotient, and both stay small where x → 0, whereas log f(1) and log(1 − f(0)) are then both log μ and leave nothing but
//! rounding.
//!
//! The mean parameter is that of the family before truncation. With zero inflation it becomes a hurdle model.
//!
//! References: Mullahy (1986), J. Econometrics 33:341-365; Zeileis, Kleiber & Jackman (2008), J. Statistical Software 27(8).

use rand::{Rng, RngExt};

use super::conway_maxwell::{self, ConwayMaxwell};
use super::genpois::{self, GenPois};
use super::negative_binomial::{self, Nbinom1, Nbinom2};
use super::poisson::{self, Poisson, check_count};
use super::{Card, Density, FamilyError, Options, Responses, Support, counted_tails};
use crate::jet::Number;
use crate::link::Link;

/// A count family that can be truncated at zero.
pub(super) trait Truncatable: Density {
    /// The card of the truncated family.
    const TRUNCATED: &'static Card;

    /// x = −log f(0), and log[f(y) e^{x/2}/x] for y ≥ 1 without cancellation as x → 0.
    fn beside_zero<D: Number>(&self, y: f64, eta: &[D]) -> [D; 2];
}

/// The card of a family, after truncation.
const fn truncated(card: Card, name: &'static str, title: &'static str, variance: &'static str) -> Card {
    Card { name, title, support: Support::PositiveCounts, variance, ..card }
}

/// Card of the truncated Poisson.
pub const POISSON: Card = truncated(
    poisson::CARD,
    "truncated_poisson",
    "Poisson truncated at zero",
    "(mu - f0 mu^2 / (1 - f0)) / (1 - f0), f0 = exp(-mu)",
);

/// Card of the truncated negative binomial with linear variance.
pub const NBINOM1: Card = truncated(
    negative_binomial::NBINOM1,
    "truncated_nbinom1",
    "Negative binomial (linear variance) truncated at zero",
    "(mu (1 + phi) - f0 mu^2 / (1 - f0)) / (1 - f0)",
);

/// Card of the truncated negative binomial with quadratic variance.
pub const NBINOM2: Card = truncated(
    negative_binomial::NBINOM2,
    "truncated_nbinom2",
    "Negative binomial (quadratic variance) truncated at zero",
    "(mu + mu^2 / phi - f0 mu^2 / (1 - f0)) / (1 - f0)",
);

/// Card of the truncated generalised Poisson.
pub const GENPOIS: Card = truncated(
    genpois::CARD,
    "truncated_genpois",
    "Generalised Poisson truncated at zero",
    "(mu phi - f0 mu^2 / (1 - f0)) / (1 - f0), f0 = exp(-mu / sqrt(phi))",
);

/// Card of the truncated Conway-Maxwell-Poisson.
pub const COMPOIS: Card = truncated(
    conway_maxwell::CARD,
    "truncated_compois",
    "Conway-Maxwell-Poisson truncated at zero",
    "(V - f0 mu^2 / (1 - f0)) / (1 - f0), V that of compois",
);

/// Makes `truncated_poisson`.
pub fn build_poisson(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Truncated(Poisson::new(options))))
}

/// Makes `truncated_nbinom1`.
pub fn build_nbinom1(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Truncated(Nbinom1::new(options))))
}

/// Makes `truncated_nbinom2`.
pub fn build_nbinom2(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Truncated(Nbinom2::new(options))))
}

/// Makes `truncated_genpois`.
pub fn build_genpois(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Truncated(GenPois::new(options))))
}

/// Makes `truncated_compois`.
pub fn build_compois(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(Truncated(ConwayMaxwell::new(options))))
}

/// A family without its zeros.
#[derive(Clone, Copy, Debug)]
pub struct Truncated<F>(F);

impl<F: Truncatable> Truncated<F> {
    /// 1 − f(0).
    fn positive<D: Number>(&self, eta: &[D]) -> D {
        -(-self.0.beside_zero(1.0, eta)[0]).exp_m1()
    }
}

impl<F: Truncatable> Density for Truncated<F> {
    const CARD: &'static Card = F::TRUNCATED;

    fn links(&self) -> &[Link] {
        self.0.links()
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        if y == 0.0 {
            return D::from(f64::NEG_INFINITY);
        }
        let [x, ratio] = self.0.beside_zero(y, eta);
        ratio - x.log_sinhc_half()
    }

    /// μ/(1 − f(0))
    fn mean<D: Number>(&self, eta: &[D]) -> D {
        self.0.mean(eta) / self.positive(eta)
    }

    fn variance<D: Number>(&self, eta: &[D], trials: f64) -> D {
        let (positive, mean) = (self.positive(eta), self.mean(eta));
        self.0.variance(eta, trials) / positive - (-self.0.beside_zero(1.0, eta)[0]).exp() * mean * mean
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        self.0.sigma(eta)
    }

    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        self.0.feasible(eta)
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y > 0.0 && check_count(y).is_ok() { Ok(()) } else { Err("a whole number, 1 or more") }
    }

    /// The moments of the whole family, with the zeros that are missing estimated in turn.
    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        // A start needs no more rows than this.
        let stride = data.y.len().div_ceil(4000).max(1);
        let pick = |column: Option<&[f64]>, default: f64| -> Vec<f64> {
            let rows = (0..data.y.len()).step_by(stride);
            rows.map(|i| column.map_or(default, |column| column[i])).collect()
        };
        let (mut y, mut weights, mut offset) =
            (pick(Some(data.y), 0.0), pick(data.weights, 1.0), pick(data.offset, 0.0));
        let n = y.len();
        // A hurdle's zeros say nothing of the counts above it.
        weights.iter_mut().zip(&y).filter(|(_, y)| **y == 0.0).for_each(|(weight, _)| *weight = 0.0);
        y.resize(2 * n, 0.0);
        weights.resize(2 * n, 0.0);
        offset.extend_from_within(..n);
        let mut start = Vec::new();
        for _ in 0..40 {
            let offset = if data.offset.is_some() { Some(offset.as_slice()) } else { None };
            let next = self.0.start(Responses { y: &y, trials: None, weights: Some(&weights), offset });
            let moved = next.iter().zip(&start).fold(0.0_f64, |most, (a, b): (&f64, &f64)| most.max((a - b).abs()));
            let settled = !start.is_empty() && moved < 1e-3;
            start = next;
            if settled {
                break;
            }
            for i in 0..n {
                let mut eta = start.clone();
                eta[0] += offset.map_or(0.0, |offset| offset[i]);
                let x = if self.0.feasible(&eta) { self.0.beside_zero(1.0, &eta)[0] } else { f64::INFINITY };
                // f(0)/(1 − f(0)) zeros for every row that was seen, a hundred at most.
                weights[n + i] = weights[i] * (1.0 / x.exp_m1()).min(100.0);
            }
        }
        let eta = |i: usize| {
            let mut eta = start.clone();
            eta[0] += data.offset.map_or(0.0, |offset| offset[i]);
            eta
        };
        if (0..data.y.len()).all(|i| self.0.feasible(&eta(i))) { start } else { self.0.start(data) }
    }

    fn start_mean(&self, y: f64, trials: f64) -> f64 {
        self.0.start_mean(y.max(1.0), trials)
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        if y <= 0.0 {
            return [0.0, 1.0];
        }
        let density = |y: f64| Density::log_density(self, y, 1.0, eta);
        counted_tails::tails(y, self.mean(eta), f64::INFINITY, density)
    }

    fn sample(&self, eta: &[f64], trials: f64, rng: &mut dyn Rng) -> f64 {
        if self.positive(eta) > 1e-3 {
            // More draws than any complete law needs; an underdispersed generalised Poisson may have nothing but zeros.
            for _ in 0..100_000 {
                let y = self.0.sample(eta, trials, rng);
                if y != 0.0 {
                    return y;
                }
            }
        }
        let mut left: f64 = rng.random();
        for y in (1..100_000).map(f64::from) {
            left -= Density::log_density(self, y, trials, eta).exp();
            if left <= 0.0 {
                return y;
            }
        }
        1.0
    }
}
