//! Zero inflation: with probability π the response is 0, otherwise it follows another family.
//!
//! ```text
//! y = 0:   log(π + (1 − π) f(0))          y ≠ 0:   log(1 − π) + log f(y)
//! ```
//!
//! with logit π = ζ the last predictor. Derivatives follow from those of the wrapped family by the
//! chain rule: with ℓ = log f(0), the row y = 0 is −log(1 + e^ζ) + log(e^ζ + e^ℓ), whose weights are
//! P = expit(ζ − ℓ), the probability that this zero is structural, and Q = 1 − P. For a family that
//! cannot be 0 (truncated counts, positive continuous responses) f(0) := 0, which makes it a hurdle.
//!
//! References: Lambert (1992), Technometrics 34:1-14; Mullahy (1986), J. Econometrics 33:341-365.

use rand::{Rng, RngExt};

use super::{Card, Component, Derivatives, Family, FamilyError, Kind, Rows, Support, packed2, packed3};
use crate::link::Link;
use crate::special::{expit, softplus, softplus_derivatives};

/// A family with extra zeros.
#[derive(Debug)]
pub struct ZeroInflated {
    inner: Box<dyn Family>,
    components: Vec<Component>,
    links: Vec<Link>,
}

impl ZeroInflated {
    /// Adds zero inflation to a family whose card allows it.
    ///
    /// # Errors
    ///
    /// [`FamilyError::NoZeroInflation`] if it does not.
    pub fn new(inner: Box<dyn Family>) -> Result<Self, FamilyError> {
        let card = inner.card();
        if !card.zero_inflation {
            let allowing = super::CATALOGUE.iter().filter(|entry| entry.card.zero_inflation);
            return Err(FamilyError::NoZeroInflation {
                family: card.name,
                support: card.support.as_str(),
                valid: allowing.map(|entry| entry.card.name).collect(),
            });
        }
        let mut components = inner.components().to_vec();
        components.push(Component::Zi);
        let mut links = inner.links().to_vec();
        links.push(Link::Logit);
        Ok(Self { inner, components, links })
    }

    /// K of the wrapped family, which is also the place of the zero-inflation predictor.
    fn k(&self) -> usize {
        self.components.len() - 1
    }

    fn split<'a>(&self, eta: &'a [f64]) -> (&'a [f64], f64) {
        (&eta[..self.k()], eta[self.k()])
    }

    /// Turns the derivatives of log f in `out` into those of the mixture.
    fn mix(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        let k = self.k();
        let mut eta = vec![0.0; k];
        for i in 0..rows.y.len() {
            let zeta = rows.eta[k][i];
            if rows.y[i] != 0.0 {
                not_zero(k, i, zeta, order, out);
                continue;
            }
            if out.value[i] == f64::NEG_INFINITY {
                // Either f(0) = 0, an ordinary structural zero, or parameters that do not exist.
                for (slot, column) in eta.iter_mut().zip(rows.eta) {
                    *slot = column[i];
                }
                if !self.inner.feasible(&eta) {
                    set_zi(k, i, [0.0; 3], order, out);
                    continue;
                }
            }
            zero(k, i, zeta, order, out);
        }
    }
}

/// Writes the derivatives in ζ alone, and zeros for those mixed with the other predictors.
#[inline(always)]
fn set_zi(k: usize, i: usize, pure: [f64; 3], order: usize, out: &mut Derivatives) {
    if order >= 1 {
        out.first[k][i] = pure[0];
    }
    if order >= 2 {
        for a in 0..k {
            out.second[packed2(a, k)][i] = 0.0;
        }
        out.second[packed2(k, k)][i] = pure[1];
    }
    if order >= 3 {
        for b in 0..k {
            for a in 0..=b {
                out.third[packed3(a, b, k)][i] = 0.0;
            }
            out.third[packed3(b, k, k)][i] = 0.0;
        }
        out.third[packed3(k, k, k)][i] = pure[2];
    }
}

/// log(1 − π) + log f(y).
#[inline(always)]
fn not_zero(k: usize, i: usize, zeta: f64, order: usize, out: &mut Derivatives) {
    if out.value[i] == f64::NEG_INFINITY {
        return set_zi(k, i, [0.0; 3], order, out);
    }
    let [log_cost, pi, pi_rest, third] = softplus_derivatives(zeta);
    out.value[i] -= log_cost;
    set_zi(k, i, [-pi, -pi_rest, -third], order, out);
}

/// log(π + (1 − π)e^ℓ), from the side that does not cancel.
#[inline(always)]
fn log_zero(l: f64, zeta: f64) -> f64 {
    let v = zeta - l;
    if l > -std::f64::consts::LN_2 {
        (expit(-zeta) * l.exp_m1()).ln_1p()
    } else if v > 0.0 {
        softplus(-v) - softplus(-zeta)
    } else {
        l + softplus(v) - softplus(zeta)
    }
}

/// Derivatives of −log(1 + e^ζ) + log(e^ζ + e^ℓ), with v = ζ − ℓ and w = PQ.
#[inline(always)]
fn zero(k: usize, i: usize, zeta: f64, order: usize, out: &mut Derivatives) {
    let l = out.value[i];
    let (pi, rest) = (expit(zeta), expit(-zeta));
    let v = zeta - l;
    let (p, q) = (expit(v), expit(-v));
    out.value[i] = log_zero(l, zeta);
    if order == 0 {
        return;
    }
    // P − π = P (1−π)(1 − e^ℓ): exact when f(0) is near 1 and the two all but agree.
    let first = p * rest * -l.exp_m1();
    let (w, w_pi) = (p * q, pi * rest);
    // 1 − P − π, from the smaller of each pair.
    let balance = if p > 0.5 { q - pi } else { rest - p };
    let second = first * balance;
    let third = second * (q - p) - 2.0 * w_pi * first;

    if order >= 3 {
        let w2 = w * (q - p);
        for c in 0..k {
            for b in 0..=c {
                for a in 0..=b {
                    let (fa, fb, fc) = (out.first[a][i], out.first[b][i], out.first[c][i]);
                    let mut value = q * out.third[packed3(a, b, c)][i];
                    // Derivatives of ℓ may be infinite-sized where w has vanished.
                    if w > 0.0 {
                        let mixed = out.second[packed2(b, c)][i] * fa
                            + out.second[packed2(a, c)][i] * fb
                            + out.second[packed2(a, b)][i] * fc;
                        value += w * mixed - w2 * fa * fb * fc;
                    }
                    out.third[packed3(a, b, c)][i] = value;
                }
            }
        }
        for b in 0..k {
            let fb = out.first[b][i];
            for a in 0..=b {
                out.third[packed3(a, b, k)][i] =
                    if w > 0.0 { w2 * out.first[a][i] * fb - w * out.second[packed2(a, b)][i] } else { 0.0 };
            }
            out.third[packed3(b, k, k)][i] = if w > 0.0 { -w2 * fb } else { 0.0 };
        }
        out.third[packed3(k, k, k)][i] = third;
    }
    if order >= 2 {
        for b in 0..k {
            let fb = out.first[b][i];
            for a in 0..=b {
                let j = packed2(a, b);
                let bend = if w > 0.0 { w * out.first[a][i] * fb } else { 0.0 };
                out.second[j][i] = q * out.second[j][i] + bend;
            }
            out.second[packed2(b, k)][i] = if w > 0.0 { -w * fb } else { 0.0 };
        }
        out.second[packed2(k, k)][i] = second;
    }
    for a in 0..k {
        out.first[a][i] *= q;
    }
    out.first[k][i] = first;
}

impl Family for ZeroInflated {
    fn card(&self) -> &'static Card {
        self.inner.card()
    }

    fn components(&self) -> &[Component] {
        &self.components
    }

    fn links(&self) -> &[Link] {
        &self.links
    }

    fn feasible(&self, eta: &[f64]) -> bool {
        let (inner, zeta) = self.split(eta);
        self.inner.feasible(inner) && !zeta.is_nan()
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        self.inner.fill(rows, order, out);
        self.mix(rows, order, out);
    }

    fn fill_by_jets(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        self.inner.fill_by_jets(rows, order, out);
        self.mix(rows, order, out);
    }

    fn log_density(&self, y: f64, trials: f64, eta: &[f64]) -> f64 {
        let (inner, zeta) = self.split(eta);
        let l = self.inner.log_density(y, trials, inner);
        if y != 0.0 {
            return l - softplus(zeta);
        }
        if l == f64::NEG_INFINITY && !self.inner.feasible(inner) {
            return l;
        }
        let v = zeta - l;
        if v > 0.0 { softplus(-v) - softplus(-zeta) } else { l + softplus(v) - softplus(zeta) }
    }

    fn check_response(&self, y: f64, trials: f64) -> Result<(), &'static str> {
        let verdict = self.inner.check_response(y, trials);
        if verdict.is_ok() || self.inner.check_response(0.0, trials).is_ok() {
            return verdict;
        }
        // A hurdle: every zero is structural.
        match self.card().support {
            _ if y == 0.0 => Ok(()),
            Support::PositiveCounts => Err("a whole number, 0 or more"),
            Support::Unit => Err("a number from 0 to below 1"),
            _ => Err("a number, 0 or more"),
        }
    }

    /// One step of the EM algorithm: the zeros that the plain family does not expect are shared out
    /// to the inflation, and the plain family is estimated again without them.
    fn start(&self, y: &[f64], trials: Option<&[f64]>, weights: Option<&[f64]>, offset: Option<&[f64]>) -> Vec<f64> {
        let plain = self.inner.start(y, trials, weights, offset);
        let weight = |i: usize| weights.map_or(1.0, |weights| weights[i]);
        let expected = |i: usize, start: &[f64]| {
            let mut eta = start.to_vec();
            eta[0] += offset.map_or(0.0, |offset| offset[i]);
            self.inner.log_density(0.0, trials.map_or(1.0, |trials| trials[i]), &eta).exp()
        };
        let (mut total, mut zeros, mut expected_zeros) = (0.0, 0.0, 0.0);
        for i in 0..y.len() {
            total += weight(i);
            zeros += if y[i] == 0.0 { weight(i) } else { 0.0 };
            expected_zeros += weight(i) * expected(i, &plain);
        }
        let excess = (zeros - expected_zeros) / (total - expected_zeros);
        let pi = if excess.is_finite() { excess.clamp(0.05, 0.95) } else { 0.05 };
        let without: Vec<f64> = (0..y.len())
            .map(|i| {
                if y[i] != 0.0 {
                    return weight(i);
                }
                let sampling = (1.0 - pi) * expected(i, &plain);
                weight(i) * sampling / (pi + sampling)
            })
            .collect();
        let mut start = self.inner.start(y, trials, Some(&without), offset);
        if !start.iter().all(|eta| eta.is_finite()) {
            start = plain;
        }
        start.push((pi / (1.0 - pi)).ln());
        start
    }

    fn start_mean(&self, y: f64, trials: f64) -> f64 {
        self.inner.start_mean(y, trials)
    }

    fn predict(&self, kind: Kind, eta: &[f64], gradient: &mut [f64]) -> f64 {
        let k = self.k();
        let (inner, zeta) = self.split(eta);
        let (pi, rest) = (expit(zeta), expit(-zeta));
        gradient.fill(0.0);
        match kind {
            Kind::Conditional | Kind::Dispersion | Kind::Link => self.inner.predict(kind, inner, &mut gradient[..k]),
            Kind::Response => {
                let mu = self.inner.predict(kind, inner, &mut gradient[..k]);
                for slope in &mut gradient[..k] {
                    *slope *= rest;
                }
                gradient[k] = -pi * rest * mu;
                rest * mu
            }
            Kind::Variance => {
                // (1 − π)V + π(1 − π)μ²
                let mut mean_gradient = vec![0.0; k];
                let mu = self.inner.predict(Kind::Response, inner, &mut mean_gradient);
                let variance = self.inner.predict(kind, inner, &mut gradient[..k]);
                for (slope, mean_slope) in gradient[..k].iter_mut().zip(&mean_gradient) {
                    *slope = rest * *slope + 2.0 * pi * rest * mu * mean_slope;
                }
                gradient[k] = pi * rest * ((rest - pi) * mu * mu - variance);
                rest * variance + pi * rest * mu * mu
            }
            Kind::ZeroProbability => {
                gradient[k] = pi * rest;
                pi
            }
            Kind::ZeroLink => {
                gradient[k] = 1.0;
                zeta
            }
            Kind::Category(_) => f64::NAN,
        }
    }

    fn sigma(&self, eta: &[f64]) -> f64 {
        self.inner.sigma(self.split(eta).0)
    }

    fn variance(&self, eta: &[f64], trials: f64) -> f64 {
        let (inner, zeta) = self.split(eta);
        let (pi, rest) = (expit(zeta), expit(-zeta));
        let mu = self.inner.predict(Kind::Response, inner, &mut vec![0.0; self.k()]);
        rest * self.inner.variance(inner, trials) + pi * rest * mu * mu
    }

    fn unit_deviance(&self, _y: f64, _trials: f64, _eta: &[f64]) -> Option<f64> {
        None
    }

    fn tails(&self, y: f64, trials: f64, eta: &[f64]) -> [f64; 2] {
        let (inner, zeta) = self.split(eta);
        let [below, above] = self.inner.tails(y, trials, inner);
        let (pi, rest) = (expit(zeta), expit(-zeta));
        [rest * below + if y > 0.0 { pi } else { 0.0 }, rest * above + if y < 0.0 { pi } else { 0.0 }]
    }

    fn sample(&self, eta: &[f64], trials: f64, rng: &mut dyn Rng) -> f64 {
        let (inner, zeta) = self.split(eta);
        // Both draws are always made, so that a change of π leaves the other rows' draws in place.
        let structural = rng.random::<f64>() < expit(zeta);
        let y = self.inner.sample(inner, trials, rng);
        if structural && !y.is_nan() { 0.0 } else { y }
    }

    fn closed_form(&self) -> bool {
        self.inner.closed_form()
    }

    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }
}
