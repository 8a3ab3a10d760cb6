//! Both tails of a discrete law that has no closed distribution function, and draws from it, by summation.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

/// Sums of more terms than these are given up: a tail that falls so slowly is had from the other side.
const MOST_TERMS: usize = 100_000;

/// Counts up to here are summed downwards, all of them.
const FEW: f64 = 10_000.0;

/// A tail above this may be one less the others without losing its digits.
const LARGE: f64 = 1e-3;

/// P(Y < y) and P(Y > y) for a law on 0, …, `top` (which may be infinite) whose probabilities fall away from the mean.
pub(super) fn tails(y: f64, mean: f64, top: f64, log_density: impl Fn(f64) -> f64) -> [f64; 2] {
    let density = |y: f64| log_density(y).exp();
    let side = |step: f64| {
        let (mut sum, mut last) = (0.0_f64, f64::INFINITY);
        let mut at = y + step;
        for _ in 0..MOST_TERMS {
            if !(0.0..=top).contains(&at) {
                return Some(sum.min(1.0));
            }
            let term = density(at);
            sum += term;
            // Beyond the mean every further term is smaller.
            if (at - mean) * step > 0.0 && (term == 0.0 || (term < last && term < 1e-18 * sum)) {
                return Some(sum.min(1.0));
            }
            last = term;
            at += step;
        }
        None
    };
    let here = density(y);
    let rest = |sum: f64| (1.0 - sum - here).max(0.0);
    let near = if y <= FEW || y <= mean { -1.0 } else { 1.0 };
    let first = side(near).unwrap_or(0.0);
    let left = rest(first);
    let second = if left > LARGE { left } else { side(-near).unwrap_or(left) };
    let [below, above] = if near < 0.0 { [first, second] } else { [second, first] };
    [if y > 0.0 { below } else { 0.0 }, if y < top { above } else { 0.0 }]
}

/// A draw by inversion from the mode outwards; the normal law where the counts are too many to visit.
pub(super) fn draw(mode: f64, sd: f64, log_density: impl Fn(f64) -> f64, rng: &mut dyn Rng) -> f64 {
    if !(mode < 9e15 && sd < 1e5) {
        let z: f64 = StandardNormal.sample(rng);
        return (mode + sd * z).round().max(0.0);
    }
    let mut left = rng.random::<f64>() - log_density(mode).exp();
    if left <= 0.0 {
        return mode;
    }
    let reach = 40.0 * sd + 100.0;
    let mut distance = 1.0;
    while distance < reach {
        for y in [mode + distance, mode - distance] {
            if y >= 0.0 {
                left -= log_density(y).exp();
                if left <= 0.0 {
                    return y;
                }
            }
        }
        distance += 1.0;
    }
    // What rounding (or a law that is not quite complete) left over.
    mode
}
