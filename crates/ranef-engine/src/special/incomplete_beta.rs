//! The regularised incomplete beta function and its complement: both tails of a beta distribution, and those of the
//! binomial and negative binomial ones.
//!
//! Each tail that is small is computed itself, never as one less the other. The continued fraction of Didonato & Morris
//! (1992), ACM TOMS 18:360-373, eq. 9 ("BFRAC"), in which the distance from the mean appears as one number, serves all
//! but small parameters, where a power series is used (A&S 26.5.4 integrated term by term), and large ones, where the
//! tail is integrated at a cost that does not grow with them. What they share, xᵃyᵇ/B(a, b), is written around its
//! largest value so that nothing large cancels.

use super::gamma::{gamma_sharpness, ln_gamma_1p, ln_gamma_step};
use super::incomplete_gamma::log_ratio;
use super::tail_integral::tail_integral;
use super::{expit, expm1mx, log_expit, log1pmx};

/// From here on, for both parameters, the tails are integrated.
const LARGE: f64 = 500.0;

/// The fraction does not come near it when one parameter is below [`LARGE`].
const ITERATIONS: u32 = 10_000;

/// I_x(a, b) and I_y(b, a), the probabilities that a beta variable falls below and above `x`.
///
/// `y` is 1 − x. The smaller of the two is taken as exact: only so can x within rounding of 1 be told apart.
/// For a, b > 0; NaN outside.
pub fn beta_tails(a: f64, b: f64, x: f64, y: f64) -> [f64; 2] {
    tails(a, b, x, y, x.ln(), y.ln())
}

/// The same at x = expit(`logit`), also where x or 1 − x is too small for a double: xᵃ need not be.
pub fn beta_tails_at_logit(a: f64, b: f64, logit: f64) -> [f64; 2] {
    tails(a, b, expit(logit), expit(-logit), log_expit(logit), log_expit(-logit))
}

fn tails(a: f64, b: f64, x: f64, y: f64, log_x: f64, log_y: f64) -> [f64; 2] {
    if !(a > 0.0 && b > 0.0 && x >= 0.0 && y >= 0.0) {
        return [f64::NAN; 2];
    }
    if log_x == f64::NEG_INFINITY {
        return [0.0, 1.0];
    }
    if log_y == f64::NEG_INFINITY {
        return [1.0, 0.0];
    }
    // From here on a ≤ b in the branch of small parameters, and x below the mean in the others.
    let point = Point { a, b, x, y, log_x, log_y, above_mean: above_mean(a, b, x, y) };
    if a.min(b) <= 1.0 {
        return if a <= b { small(point) } else { reversed(small(point.mirrored())) };
    }
    if point.above_mean > 0.0 { reversed(below_mean(point.mirrored())) } else { below_mean(point) }
}

fn reversed([lower, upper]: [f64; 2]) -> [f64; 2] {
    [upper, lower]
}

/// Where a tail begins.
#[derive(Clone, Copy)]
struct Point {
    a: f64,
    b: f64,
    x: f64,
    y: f64,
    log_x: f64,
    log_y: f64,
    /// (a + b) x − a
    above_mean: f64,
}

impl Point {
    fn mirrored(self) -> Self {
        let Point { a, b, x, y, log_x, log_y, above_mean } = self;
        Point { a: b, b: a, x: y, y: x, log_x: log_y, log_y: log_x, above_mean: -above_mean }
    }

    /// xᵃ yᵇ / B(a, b)
    fn peak(self) -> f64 {
        let Point { a, b, x, y, above_mean, .. } = self;
        let total = a + b;
        // a log(x (a+b)/a), less its linear part, which is that of y with the other sign.
        let fall = |a: f64, x: f64, distance: f64| {
            if distance > -0.5 { log1pmx(distance) } else { log_ratio(x, a / total) - distance }
        };
        let exponent = a * fall(a, x, above_mean / a) + b * fall(b, y, -above_mean / b);
        exponent.exp() * gamma_sharpness(a) * (gamma_sharpness(b) / gamma_sharpness(total))
    }
}

/// (a + b) x − a = b − (a + b) y, from the smaller of x and y, with the rounding of the sum and of the product put back.
fn above_mean(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let n = a + b;
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    let lost = low - (n - high);
    if x <= y { n.mul_add(x, -a) + lost * x } else { -(n.mul_add(y, -b) + lost * y) }
}

/// Both parameters above 1, x at most the mean.
fn below_mean(point: Point) -> [f64; 2] {
    let Point { a, b, x, y, above_mean, .. } = point;
    let lower = if a.min(b) < LARGE {
        point.peak() * fraction(a, b, x, y, -above_mean)
    } else {
        // In v = logit x − logit t the density is xᵃyᵇ/B exp(E(v)). Its second-order part is n x y v²/2 less n x² v²/2
        // or n y² v²/2: taken from the smaller of x and y it cannot cancel.
        let n = a + b;
        let exponent = |v: f64| {
            let (part, v) = if x <= y { (x, -v) } else { (y, v) };
            -n * (log1pmx(part * v.exp_m1()) + part * expm1mx(v)) + above_mean * v.abs()
        };
        point.peak() * tail_integral(n * x * y, -above_mean, exponent)
    };
    [lower, 1.0 - lower]
}

/// a ≤ 1, a ≤ b.
fn small(point: Point) -> [f64; 2] {
    let Point { a, b, x, y, .. } = point;
    if x > 0.5 {
        if b <= 1.0 {
            return reversed(series(b, a, y, point.log_y));
        }
        let upper = point.peak() / (b * x.powf(a)) * (1.0 + b * series_sum(b, a, y));
        return [1.0 - upper, upper];
    }
    if b * x <= 1.5 {
        return series(a, b, x, point.log_x);
    }
    let upper = point.peak() * fraction(b, a, y, x, point.above_mean);
    [1.0 - upper, upper]
}

/// Both tails for a ≤ 1, where the lower one is close to 1 when a is small: with xᵃ / (a B(a, b)) = eᵍ, the lower is
/// eᵍ(1 + aΣ) and the upper (1 − eᵍ) − eᵍ aΣ.
fn series(a: f64, b: f64, x: f64, log_x: f64) -> [f64; 2] {
    let sum = series_sum(a, b, x);
    let rest = ln_gamma_step(b, a) - ln_gamma_1p(a);
    let power = if x < f64::MIN_POSITIVE { (a * log_x).exp() } else { x.powf(a) } * rest.exp();
    [power * (1.0 + a * sum), -(a * log_x + rest).exp_m1() - power * a * sum]
}

/// Σ_{j≥1} (1−b)(2−b)…(j−b) xʲ / (j! (a+j))
fn series_sum(a: f64, b: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 0.0_f64);
    for j in 1..=ITERATIONS {
        let j = f64::from(j);
        term *= (j - b) / j * x;
        sum += term / (a + j);
        if term.abs() <= 1e-17 * (sum.abs() * (a + j)) {
            break;
        }
    }
    sum
}

/// The fraction that xᵃyᵇ/B(a, b) is multiplied by, with `distance` = a − (a + b)x ≥ 0; by Lentz's method as modified by
/// Thompson & Barnett (1986).
fn fraction(a: f64, b: f64, x: f64, y: f64, distance: f64) -> f64 {
    const TINY: f64 = 1e-290;
    let nonzero = |v: f64| if v.abs() < TINY { TINY } else { v };
    let total = a + b;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / nonzero(a / (a + 1.0) * (distance + 1.0));
    let mut h = d;
    for n in 1..=ITERATIONS {
        let n = f64::from(n);
        let middle = a + 2.0 * n - 1.0;
        let numerator = ((a + n - 1.0) / middle) * ((total + n - 1.0) / middle * x) * n * ((b - n) * x);
        let denominator =
            n + n * ((b - n) * x) / middle + (a + n) / (a + 2.0 * n + 1.0) * (distance + 1.0 + n * (1.0 + y));
        d = 1.0 / nonzero(numerator * d + denominator);
        c = nonzero(denominator + numerator / c);
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
    fn powers() {
        // I_x(a, 1) = xᵃ
        for a in [1e-200, 0.3, 1.0, 2.5, 800.0] {
            for x in [1e-9, 0.25, 0.5, 0.75, 1.0 - 1e-9_f64] {
                let [lower, upper] = beta_tails(a, 1.0, x, 1.0 - x);
                let power = a * x.ln();
                assert!((lower - power.exp()).abs() <= 1e-13 * power.exp() * (1.0 + power.abs()), "{a} {x}: {lower}");
                assert!((upper + power.exp_m1()).abs() <= -1e-13 * power.exp_m1(), "{a} {x}: {upper}");
            }
        }
    }

    #[test]
    fn ends_and_middle() {
        assert_eq!(beta_tails(2.0, 3.0, 0.0, 1.0), [0.0, 1.0]);
        assert_eq!(beta_tails(2.0, 3.0, 1.0, 0.0), [1.0, 0.0]);
        for a in [1e-300, 0.5, 1.0, 7.0, 600.0, 1e9, 1e200] {
            let [lower, upper] = beta_tails(a, a, 0.5, 0.5);
            assert!((lower - 0.5).abs() < 1e-14 && (upper - 0.5).abs() < 1e-14, "{a}: {lower} {upper}");
        }
    }
}
