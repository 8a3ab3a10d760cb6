//! The regularised incomplete gamma functions P(a, x) and Q(a, x): both tails of a gamma distribution, and those of a
//! Poisson one.
//!
//! Each tail that is small is computed itself, never as one less the other. A power series serves x < a, a continued
//! fraction x > a (Abramowitz & Stegun 6.5.29, 6.5.31), and from a = 1000 a quadrature of the tail, whose cost does not
//! grow with a. What they share, xᵃe⁻ˣ/Γ(a), is written around its largest value at x = a so that nothing large cancels.

use super::gamma::{gamma_sharpness, ln_gamma_1p};
use super::tail_integral::tail_integral;
use super::{expm1mx, log1pmx};

/// From here on the tails are integrated: the series would need √(72a) terms.
const LARGE: f64 = 1000.0;

/// Neither series nor fraction comes near it for a < [`LARGE`].
const ITERATIONS: u32 = 10_000;

/// P(a, x) and Q(a, x), the probabilities that a gamma variable of shape `a` and scale 1 falls below and above `x`.
///
/// For a > 0 and x ≥ 0, infinity included; NaN outside.
pub fn gamma_tails(a: f64, x: f64) -> [f64; 2] {
    if !(a > 0.0 && x >= 0.0) {
        return [f64::NAN; 2];
    }
    let distance = (x - a) / a;
    let log_x = x.ln();
    // Below a/2 the distance no longer tells x from 0.
    let fall = if distance > -0.5 { log1pmx(distance) } else { log_ratio(x, a) - distance };
    tails(a, x, log_x, distance, fall)
}

/// P and Q at x = a eᵈ: the same for a point known by its logarithmic distance `d` from the mean, which a large `a`
/// would otherwise round away.
pub fn gamma_tails_about_mean(a: f64, d: f64) -> [f64; 2] {
    if a.is_nan() || a <= 0.0 || d.is_nan() {
        return [f64::NAN; 2];
    }
    tails(a, a * d.exp(), a.ln() + d, d.exp_m1(), -expm1mx(d))
}

/// P and Q, with `distance` = x/a − 1 and `fall` = log(x/a) − distance ≤ 0. A tiny `x` may have underflowed where xᵃ is
/// still far from 0: there only `log_x` is used.
fn tails(a: f64, x: f64, log_x: f64, distance: f64, fall: f64) -> [f64; 2] {
    if log_x == f64::NEG_INFINITY {
        return [0.0, 1.0];
    }
    if x == f64::INFINITY {
        return [1.0, 0.0];
    }
    // xᵃ e⁻ˣ / Γ(a)
    let peak = (a * fall).exp() * gamma_sharpness(a);
    if a >= LARGE {
        let side = if distance < 0.0 { -1.0 } else { 1.0 };
        let slope = a * distance.abs();
        let tail = peak * tail_integral(x, slope, |v| -x * expm1mx(side * v) - slope * v);
        return if side < 0.0 { [tail, 1.0 - tail] } else { [1.0 - tail, tail] };
    }
    if a <= 1.0 && x < 1.0 {
        return small(a, x, log_x);
    }
    if distance < 0.0 || x < 1.0 {
        let p = peak / a * series(a, x);
        return [p, 1.0 - p];
    }
    let q = peak * fraction(a, x);
    [1.0 - q, q]
}

/// log(x/a), whose quotient may underflow.
pub(super) fn log_ratio(x: f64, a: f64) -> f64 {
    let ratio = x / a;
    if ratio > 1e-290 { ratio.ln() } else { x.ln() - a.ln() }
}

/// Both tails for a ≤ 1 and x < 1, where P is close to 1 when a is small: with xᵃ/Γ(1+a) = eᵍ,
/// P = eᵍ(1 + aΣ) and Q = (1 − eᵍ) − eᵍ aΣ, Σ = Σ_{n≥1} (−x)ⁿ / (n! (a+n)).
fn small(a: f64, x: f64, log_x: f64) -> [f64; 2] {
    let (mut term, mut sum) = (1.0, 0.0);
    for n in 1..=30_u32 {
        let n = f64::from(n);
        term *= -x / n;
        sum += term / (a + n);
    }
    let rest = -ln_gamma_1p(a);
    let power = if x < f64::MIN_POSITIVE { (a * log_x).exp() } else { x.powf(a) } * rest.exp();
    [power * (1.0 + a * sum), -(a * log_x + rest).exp_m1() - power * a * sum]
}

/// Σ xⁿ / ((a+1)…(a+n)), n ≥ 0.
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..=ITERATIONS {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// 1/(x+1−a− 1·(1−a)/(x+3−a− 2·(2−a)/(x+5−a− …))), by Lentz's method as modified by Thompson & Barnett (1986).
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-290;
    let nonzero = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / nonzero(b);
    let mut h = d;
    for n in 1..=ITERATIONS {
        let n = f64::from(n);
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        let change = d * c;
        h *= change;
        if (change - 1.0).abs() < 2.0 * f64::EPSILON {
            break;
        }
    }
    h
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_distribution() {
        for x in [1e-200, 0.3, 1.0, 1.5, 30.0, 700.0_f64] {
            let [p, q] = gamma_tails(1.0, x);
            assert!((p / -(-x).exp_m1() - 1.0).abs() < 1e-14, "{x}");
            assert!((q / (-x).exp() - 1.0).abs() < 1e-13, "{x}");
        }
    }

    #[test]
    fn ends() {
        assert_eq!(gamma_tails(2.5, 0.0), [0.0, 1.0]);
        assert_eq!(gamma_tails(2.5, f64::INFINITY), [1.0, 0.0]);
        assert!(gamma_tails(-1.0, 1.0)[0].is_nan());
        let [p, q] = gamma_tails_about_mean(1e300, 0.0);
        assert!((p - 0.5).abs() < 1e-15 && (q - 0.5).abs() < 1e-15);
    }
}
