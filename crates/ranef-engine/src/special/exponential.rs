//! Combinations of exp and log that lose their digits when written out naively.
//!
//! Reference: Mächler (2012), "Accurately computing log(1 − exp(−|a|))", R package Rmpfr vignette.

use super::Taylor;

/// log(1 + eˣ), finite for every finite `x`.
#[inline(always)]
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Logistic function 1 / (1 + e⁻ˣ); tiny probabilities keep their relative accuracy.
#[inline(always)]
pub fn expit(x: f64) -> f64 {
    // One exponential of a negative number serves both tails: no overflow, no 1 − p.
    let tail = (-x.abs()).exp();
    (if x >= 0.0 { 1.0 } else { tail }) / (1.0 + tail)
}

/// [`softplus`] and its derivatives p, p(1−p), p(1−p)(1−2p) with p = expit(x).
#[inline(always)]
pub fn softplus_derivatives(x: f64) -> Taylor {
    let tail = (-x.abs()).exp();
    let (major, minor) = (1.0 / (1.0 + tail), tail / (1.0 + tail));
    let (p, q) = if x >= 0.0 { (major, minor) } else { (minor, major) };
    [x.max(0.0) + tail.ln_1p(), p, p * q, p * q * (q - p)]
}

/// log(expit(x)) = −softplus(−x).
#[inline(always)]
pub fn log_expit(x: f64) -> f64 {
    -softplus(-x)
}

/// [`log_expit`] and its derivatives q, −pq, −pq(q−p) with p = expit(x), q = 1 − p.
#[inline(always)]
pub fn log_expit_derivatives(x: f64) -> Taylor {
    let [value, q, pq, third] = softplus_derivatives(-x);
    [-value, q, -pq, third]
}

/// log(1 − e⁻ˣ) for x > 0; −∞ at 0, NaN below.
///
/// The form changes at log 2, where both are exact to rounding (Mächler 2012, eq. 7).
#[inline(always)]
pub fn log1mexp(x: f64) -> f64 {
    if x <= std::f64::consts::LN_2 { (-(-x).exp_m1()).ln() } else { (-(-x).exp()).ln_1p() }
}

/// [`log1mexp`] and its derivatives r, −r(1+r), r(1+r)(1+2r) with r = 1/(eˣ − 1).
#[inline(always)]
pub fn log1mexp_derivatives(x: f64) -> Taylor {
    let r = 1.0 / x.exp_m1();
    [log1mexp(x), r, -r * (1.0 + r), r * (1.0 + r) * (1.0 + 2.0 * r)]
}

/// [`log1pmx`] and its derivatives.
#[inline]
pub fn log1pmx_derivatives(x: f64) -> Taylor {
    let r = 1.0 / (1.0 + x);
    [log1pmx(x), -x * r, -r * r, 2.0 * r * r * r]
}

/// (log(1 + x) − x)/x for x ≥ 0, and its derivatives; −x/2 as x → 0.
#[inline]
pub fn log1pmx_over_derivatives(x: f64) -> Taylor {
    let value = log1pmx_over(x);
    if x < 0.25 {
        // Σ (−x)ᵏ/(k+1), k ≥ 1, differentiated term by term.
        let mut sums = [0.0; 3];
        for k in (1..=30_u32).rev() {
            let n = f64::from(k);
            let c = if k % 2 == 0 { 1.0 } else { -1.0 } / (n + 1.0);
            sums[0] = sums[0] * x + n * c;
            if k >= 2 {
                sums[1] = sums[1] * x + n * (n - 1.0) * c;
            }
            if k >= 3 {
                sums[2] = sums[2] * x + n * (n - 1.0) * (n - 2.0) * c;
            }
        }
        return [value, sums[0], sums[1], sums[2]];
    }
    // x q = log(1+x) − x, differentiated: each derivative follows from the one before.
    let (r, s) = (1.0 / (1.0 + x), 1.0 / x);
    let first = -r - value * s;
    let second = -(r * r + 2.0 * first) * s;
    [value, first, second, (2.0 * r * r * r - 3.0 * second) * s]
}

/// log(sinh(x/2)/(x/2)) for x ≥ 0, and its derivatives; x²/24 as x → 0.
///
/// What truncation at zero adds, with x = −log P(Y = 0): 1 − e⁻ˣ = x e^{−x/2} · sinh(x/2)/(x/2).
#[inline]
pub fn log_sinhc_half_derivatives(x: f64) -> Taylor {
    if x < 1.0 {
        // Σ B₂ₖ x²ᵏ/(2k (2k)!), which converges below 2π.
        const SERIES: [f64; 9] = [
            1.0 / 24.0,
            -1.0 / 2880.0,
            1.0 / 181_440.0,
            -1.0 / 9_676_800.0,
            1.0 / 479_001_600.0,
            -691.0 / 15_692_092_416_000.0,
            1.0 / 1_046_139_494_400.0,
            -3617.0 / 170_729_965_486_080_000.0,
            43_867.0 / 91_963_695_909_076_992_000.0,
        ];
        let square = x * x;
        let mut sums = [0.0; 4];
        for (k, coefficient) in SERIES.iter().enumerate().rev() {
            let n = (2 * k + 2) as f64;
            sums[0] = sums[0] * square + coefficient;
            sums[1] = sums[1] * square + n * coefficient;
            sums[2] = sums[2] * square + n * (n - 1.0) * coefficient;
            if k > 0 {
                sums[3] = sums[3] * square + n * (n - 1.0) * (n - 2.0) * coefficient;
            }
        }
        return [square * sums[0], x * sums[1], sums[2], x * sums[3]];
    }
    let (r, s) = (1.0 / x.exp_m1(), 1.0 / x);
    [
        log1mexp(x) - x.ln() + 0.5 * x,
        r - s + 0.5,
        s * s - r * (1.0 + r),
        r * (1.0 + r) * (1.0 + 2.0 * r) - 2.0 * s * s * s,
    ]
}

/// log(eᵃ + eᵇ); either argument may be −∞.
#[inline(always)]
pub fn logaddexp(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// log(1 + x) − x for x > −1, without cancellation near 0.
///
/// With r = x/(2+x): log(1+x) = 2(r + r³/3 + r⁵/5 + …) and 2r − x = −rx.
#[inline]
pub fn log1pmx(x: f64) -> f64 {
    if (-0.4..=0.7).contains(&x) {
        let r = x / (2.0 + x);
        r * (2.0 * atanh_tail(r * r) - x)
    } else {
        x.ln_1p() - x
    }
}

/// (log(1 + x) − x) / x, with its limit 0 at x = 0.
#[inline]
pub(super) fn log1pmx_over(x: f64) -> f64 {
    if (-0.4..=0.7).contains(&x) {
        let r = x / (2.0 + x);
        (2.0 * atanh_tail(r * r) - x) / (2.0 + x)
    } else {
        x.ln_1p() / x - 1.0
    }
}

/// s/3 + s²/5 + s³/7 + … with s = r² ≤ 1/15: the tail of atanh(r)/r.
#[inline(always)]
fn atanh_tail(s: f64) -> f64 {
    let mut sum = 0.0;
    for k in (1..=13_u32).rev() {
        sum = s * (sum + 1.0 / f64::from(2 * k + 1));
    }
    sum
}

/// eˣ − 1 − x, without cancellation near 0.
#[inline(always)]
pub fn expm1mx(x: f64) -> f64 {
    if x.abs() < 0.5 {
        // x²/2! + x³/3! + …, by Horner; the first neglected term is below 1e-17 relative.
        let mut sum = 0.0;
        for n in (3..=15_u32).rev() {
            sum = (sum + 1.0) * x / f64::from(n);
        }
        0.5 * x * x * (1.0 + sum)
    } else {
        x.exp_m1() - x
    }
}

/// [`expm1mx`] and its derivatives eˣ − 1, eˣ, eˣ.
#[inline(always)]
pub fn expm1mx_derivatives(x: f64) -> Taylor {
    let exp = x.exp();
    [expm1mx(x), x.exp_m1(), exp, exp]
}

/// g(t) = log(1 + eᵗ) / eᵗ, which tends to 1 as t → −∞.
///
/// The negative binomial contains −μ g(t), with t = log(μ/size): the Poisson limit needs g to be
/// exactly 1 there, and its derivatives to vanish without cancellation.
#[inline(always)]
pub fn log1p_over(t: f64) -> f64 {
    log1p_over_derivatives(t)[0]
}

/// [`log1p_over`] and its derivatives in t.
///
/// g′ = q − g, g″ = −pq − g′, g‴ = −pq(q−p) − g″, with p = expit(t), q = 1 − p. These cancel when
/// eᵗ is small, where the series g = Σ (−eᵗ)ᵏ/(k+1) is differentiated term by term instead.
#[inline]
pub fn log1p_over_derivatives(t: f64) -> Taylor {
    let x = t.exp();
    if x < 0.1 {
        // Σ_{k≥1} kᵐ (−x)ᵏ/(k+1), m = 0..3; 0.1¹⁸ is below rounding.
        let mut sums = [0.0; 4];
        let mut power = 1.0;
        for k in 1..=18_u32 {
            power *= -x;
            let k = f64::from(k);
            let mut term = power / (k + 1.0);
            for sum in &mut sums {
                *sum += term;
                term *= k;
            }
        }
        sums[0] += 1.0;
        return sums;
    }
    let [value, _, pq, third] = softplus_derivatives(t);
    let q = 1.0 / (1.0 + x);
    let g = if x.is_finite() { value / x } else { value * (-t).exp() };
    let g1 = q - g;
    let g2 = -pq - g1;
    [g, g1, g2, -third - g2]
}

/// log log(1 + eᵗ) and its derivatives: t + log of [`log1p_over`], whose own derivatives vanish for t → −∞.
#[inline]
pub fn log_softplus_derivatives(t: f64) -> Taylor {
    if t < -2.0 {
        let [g, g1, g2, g3] = log1p_over_derivatives(t);
        let (a, b, c) = (g1 / g, g2 / g, g3 / g);
        return [t + g.ln(), 1.0 + a, b - a * a, c - 3.0 * a * b + 2.0 * a * a * a];
    }
    let [value, p, pq, third] = softplus_derivatives(t);
    let (a, b, c) = (p / value, pq / value, third / value);
    [value.ln(), a, b - a * a, c - 3.0 * a * b + 2.0 * a * a * a]
}

/// log(1 + x)/x for x ≥ 0 and its derivatives in x.
#[inline]
pub fn ln_1p_over_derivatives(x: f64) -> Taylor {
    if x < 0.25 {
        // Σ (−x)ᵏ/(k+1), differentiated term by term: the recurrence below divides by x³.
        let mut sums = [0.0; 4];
        for k in (0..=26_u32).rev() {
            let coefficient = if k % 2 == 0 { 1.0 } else { -1.0 } / f64::from(k + 1);
            sums[3] = sums[3] * x + sums[2];
            sums[2] = sums[2] * x + sums[1];
            sums[1] = sums[1] * x + sums[0];
            sums[0] = sums[0] * x + coefficient;
        }
        return [sums[0], sums[1], 2.0 * sums[2], 6.0 * sums[3]];
    }
    let (r, s) = (1.0 / x, 1.0 / (1.0 + x));
    let f = x.ln_1p() * r;
    let f1 = (s - f) * r;
    let f2 = (-s * s - 2.0 * f1) * r;
    [f, f1, f2, (2.0 * s * s * s - 3.0 * f2) * r]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_exact() {
        assert_eq!(softplus(800.0), 800.0);
        assert_eq!(log_expit(-800.0), -800.0);
        assert_eq!(logaddexp(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!(logaddexp(f64::NEG_INFINITY, 3.0), 3.0);
        assert_eq!(log1p_over_derivatives(-800.0), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(log1mexp(0.0), f64::NEG_INFINITY);
    }

    #[test]
    fn small_differences_keep_their_digits() {
        // Leading terms of the series: the naive forms return 0 here.
        let x = 1e-9;
        assert!((log1pmx(x) / (-0.5 * x * x) - 1.0).abs() < 1e-8);
        assert!((expm1mx(x) / (0.5 * x * x) - 1.0).abs() < 1e-8);
        assert!((log1p_over_derivatives(-30.0)[1] / (-0.5 * (-30.0_f64).exp()) - 1.0).abs() < 1e-12);
    }
}
