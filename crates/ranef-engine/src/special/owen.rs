//! Both tails of the skew normal distribution, by way of Owen's T function.
//!
//! P(Z < z) = Φ(z) − 2T(z, α) with T(h, a) = (1/2π) ∫₀ᵃ exp(−½h²(1 + x²))/(1 + x²) dx. The integral is computed for
//! |a| ≤ 1, where a Gauss-Legendre rule reaches full precision, and carried over by T(h, a) + T(ah, 1/a) =
//! ½[Φ(h) + Φ(ah)] − Φ(h)Φ(ah). Where the difference would cancel, the rest of the integral, from α to ∞, is the tail itself.
//!
//! Reference: Owen (1956), Ann. Math. Stat. 27:1075-1090.

use super::normal::log_ndtr;
use super::tail_integral::integral;
use std::f64::consts::PI;

/// Where an exponent has fallen this far nothing is left that a double could hold.
const DEPTH: f64 = 45.0;

/// P(Z < z) and P(Z > z) of the standard skew normal law of shape `alpha`.
pub fn skew_normal_tails(z: f64, alpha: f64) -> [f64; 2] {
    if alpha < 0.0 {
        let [below, above] = skew_normal_tails(-z, -alpha);
        return [above, below];
    }
    let h = z.abs();
    let small = log_ndtr(-h).exp();
    if z < 0.0 {
        if h * alpha > 1.0 {
            let below = beyond(h, alpha);
            return [below, 1.0 - below];
        }
        let below = (small - 2.0 * owens_t(h, alpha)).max(0.0);
        return [below, 1.0 - below];
    }
    let above = small + 2.0 * owens_t(h, alpha);
    [(1.0 - above).max(0.0), above]
}

/// T(h, a) for h, a ≥ 0.
fn owens_t(h: f64, a: f64) -> f64 {
    if a <= 1.0 {
        return within(h, a);
    }
    // ½[Φ(h) + Φ(ah)] − Φ(h)Φ(ah) = ½[Φ(−h) + Φ(−ah)] − Φ(−h)Φ(−ah), of which small terms are left.
    let (p, q) = (log_ndtr(-h).exp(), log_ndtr(-a * h).exp());
    0.5 * (p + q) - p * q - within(a * h, 1.0 / a)
}

/// T(h, a) for 0 ≤ a ≤ 1.
fn within(h: f64, a: f64) -> f64 {
    let end = a.min((2.0 * DEPTH).sqrt() / h);
    integral(0.0, end, |x| (-0.5 * h * h * (1.0 + x * x)).exp() / (1.0 + x * x)) / (2.0 * PI)
}

/// (1/π) ∫_a^∞ exp(−½h²(1 + x²))/(1 + x²) dx for ha > 1.
fn beyond(h: f64, a: f64) -> f64 {
    let slope = h * h * a;
    let width = 2.0 * DEPTH / (slope + (slope * slope + 2.0 * DEPTH * h * h).sqrt());
    let relative = |v: f64| (-v * (slope + 0.5 * h * h * v)).exp() / (1.0 + (a + v) * (a + v));
    // Geometric panels: the denominator turns on the scale of a, the exponential on that of 1/(h²a).
    let mut sum = integral(0.0, width / 64.0, relative);
    for k in 0..6 {
        let end = width / f64::from(1 << k);
        sum += integral(0.5 * end, end, relative);
    }
    (-0.5 * h * h * (1.0 + a * a)).exp() * sum / PI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_values() {
        // T(0, a) = atan(a)/2π; T(h, 1) = ½Φ(h)Φ(−h).
        for a in [0.3_f64, 1.0, 7.0, 300.0] {
            assert!((owens_t(0.0, a) - a.atan() / (2.0 * PI)).abs() < 1e-16);
        }
        for h in [0.1, 1.0, 3.0, 8.0] {
            let product = (log_ndtr(h) + log_ndtr(-h)).exp();
            assert!((owens_t(h, 1.0) / (0.5 * product) - 1.0).abs() < 1e-13);
        }
        // At α = 1 the law is that of the larger of two normal draws.
        for z in [-8.0, -1.5, 0.0, 2.0] {
            let [below, above] = skew_normal_tails(z, 1.0);
            assert!((below / (2.0 * log_ndtr(z)).exp() - 1.0).abs() < 1e-12, "{z}: {below:e}");
            assert!((above / (-(2.0 * log_ndtr(z)).exp_m1()) - 1.0).abs() < 1e-14, "{z}: {above:e}");
        }
    }
}
