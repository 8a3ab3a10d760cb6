//! Moment estimates that a fit can start from.

use crate::link::{Domain, Link};

use super::Support;

/// The responses of a model, as far as starting values need them.
#[derive(Clone, Copy, Debug)]
pub struct Responses<'a> {
    /// Responses.
    pub y: &'a [f64],
    /// Numbers of trials; 1 where absent.
    pub trials: Option<&'a [f64]>,
    /// Weights; 1 where absent.
    pub weights: Option<&'a [f64]>,
    /// Offset of the mean predictor; 0 where absent.
    pub offset: Option<&'a [f64]>,
}

impl Responses<'_> {
    fn weight(&self, i: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[i])
    }

    fn trials(&self, i: usize) -> f64 {
        self.trials.map_or(1.0, |trials| trials[i])
    }

    fn offset(&self, i: usize) -> f64 {
        self.offset.map_or(0.0, |offset| offset[i])
    }

    /// Σ wᵢ f(i).
    fn total(&self, f: impl Fn(usize) -> f64) -> f64 {
        (0..self.y.len()).filter(|&i| self.weight(i) > 0.0).map(|i| self.weight(i) * f(i)).sum()
    }

    /// Weighted mean of y/trials, moved off the boundary of the domain by half an observation.
    fn mean(&self, link: Link, domain: Domain) -> f64 {
        let n = self.total(|i| self.trials(i));
        let sum = self.total(|i| self.y[i]);
        let mean = match domain {
            _ if n <= 0.0 => 0.5,
            Domain::Positive if sum <= 0.0 => 0.5 / (n + 1.0),
            Domain::Unit if sum <= 0.0 || sum >= n => (sum + 0.5) / (n + 1.0),
            _ => sum / n,
        };
        if link.valid_mean(mean) {
            return mean;
        }
        // A real-valued response whose mean the link cannot reach: its typical size can.
        let size = self.total(|i| self.y[i].abs()) / n;
        if link.valid_mean(size) { size } else { 1.0 }
    }

    /// The constant c at which the means of c + offset have the total of the responses:
    /// Σ w trials·μ(c + offset) = Σ w y.
    pub fn mean_predictor(&self, link: Link, support: Support) -> f64 {
        let domain = support.domain();
        let mean = self.mean(link, domain);
        let centre = link.eta(mean);
        if self.offset.is_none() {
            return centre;
        }
        let n = self.total(|i| self.trials(i));
        let excess = |c: f64| self.total(|i| self.trials(i) * (link.mean(c + self.offset(i)) - mean)) / n;
        // Each row alone would be solved by centre − offset: the root lies between the extremes.
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in 0..self.y.len() {
            low = low.min(centre - self.offset(i));
            high = high.max(centre - self.offset(i));
        }
        if !(low.is_finite() && high.is_finite()) {
            return centre;
        }
        let c = illinois(low, high, excess);
        // Under a link with a bounded predictor the root may leave rows infeasible; the extreme on
        // the far side of the bound leaves none.
        if (0..self.y.len()).all(|i| link.feasible(c + self.offset(i), domain)) {
            c
        } else if link == Link::Log {
            low
        } else {
            high
        }
    }

    /// The responses of positive weight, less their offsets where the link lets these shift the mean itself.
    pub fn without_offset(&self, link: Link) -> Vec<f64> {
        let shift = |i: usize| if link == Link::Identity { self.offset(i) } else { 0.0 };
        (0..self.y.len()).filter(|&i| self.weight(i) > 0.0).map(|i| self.y[i] - shift(i)).collect()
    }

    /// Σ w a / Σ w b over the rows, a and b being functions of (response, fitted mean): the ratio
    /// estimators of a dispersion.
    pub fn ratio(
        &self,
        link: Link,
        predictor: f64,
        numerator: impl Fn(f64, f64) -> f64,
        denominator: impl Fn(f64, f64) -> f64,
    ) -> f64 {
        let fitted = |i: usize| link.mean(predictor + self.offset(i));
        self.total(|i| numerator(self.y[i], fitted(i))) / self.total(|i| denominator(self.y[i], fitted(i)))
    }
}

impl Responses<'_> {
    /// [`Responses::ratio`] for binomial-type families: a and b are functions of (successes, trials, probability).
    pub fn ratio_of_trials(
        &self,
        link: Link,
        predictor: f64,
        numerator: impl Fn(f64, f64, f64) -> f64,
        denominator: impl Fn(f64, f64, f64) -> f64,
    ) -> f64 {
        let fitted = |i: usize| link.mean(predictor + self.offset(i));
        self.total(|i| numerator(self.y[i], self.trials(i), fitted(i)))
            / self.total(|i| denominator(self.y[i], self.trials(i), fitted(i)))
    }
}

/// log x, with x brought into [low, high] first (NaN to the middle on the log scale).
pub(super) fn log_within(x: f64, low: f64, high: f64) -> f64 {
    if x.is_nan() { (low * high).sqrt().ln() } else { x.clamp(low, high).ln() }
}

/// Root of a monotone function in a bracket, by regula falsi with the Illinois modification
/// (Dowell & Jarratt 1971), to the few digits a start needs.
fn illinois(low: f64, high: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut a, mut b) = (low, high);
    let (mut fa, mut fb) = (f(a), f(b));
    if fa == 0.0 || a == b {
        return a;
    }
    if !(fa.is_finite() && fb.is_finite()) || fa.signum() == fb.signum() {
        return 0.5 * (a + b);
    }
    for _ in 0..40 {
        let c = b - fb * (b - a) / (fb - fa);
        let fc = f(c);
        if fc == 0.0 || (c - b).abs() < 1e-6 * (high - low) {
            return c;
        }
        if fc.signum() == fb.signum() {
            fa *= 0.5;
        } else {
            (a, fa) = (b, fb);
        }
        (b, fb) = (c, fc);
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_is_divided_out() {
        // Counts proportional to exposure 1, 10, 100: rate 2.
        let exposure = [1.0_f64, 10.0, 100.0];
        let offset = exposure.map(f64::ln);
        let y = exposure.map(|e| 2.0 * e);
        let data = Responses { y: &y, trials: None, weights: None, offset: Some(&offset) };
        let c = data.mean_predictor(Link::Log, Support::Counts);
        assert!((c - 2.0_f64.ln()).abs() < 1e-5);
    }

    #[test]
    fn boundaries_are_left() {
        let data = Responses { y: &[0.0; 9], trials: None, weights: None, offset: None };
        assert_eq!(data.mean_predictor(Link::Log, Support::Counts), 0.05_f64.ln());
        let data = Responses { y: &[1.0; 9], trials: None, weights: None, offset: None };
        assert!((data.mean_predictor(Link::Logit, Support::Trials) - 19.0_f64.ln()).abs() < 1e-14);
    }
}
