//! log Γ and its derivatives, and the factorials and binomial coefficients built on it.
//!
//! Stirling's series (Abramowitz & Stegun 6.1.41, 6.3.18, 6.4.11) for x ≥ 10 and upward recurrence
//! below; log Γ between ½ and 5⁄2, where it crosses zero, by its Taylor series about 2 (A&S 6.1.33).

use std::sync::LazyLock;

use super::Taylor;

const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// From here on Stirling's series reaches full precision with eight terms.
pub(super) const STIRLING_FROM: f64 = 10.0;

/// B₂ₖ / (2k(2k−1)), k = 1..8: the coefficients of x^{1−2k} in Stirling's series.
const STIRLING: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360_360.0,
    1.0 / 156.0,
    -3617.0 / 122_400.0,
];

/// S(x) = log Γ(x) − [(x − ½) log x − x + ½ log 2π] and x·S′, x²·S″, x³·S‴, for x ≥ 10.
///
/// The derivatives carry their power of x so that none of them underflows or overflows.
#[inline]
pub(super) fn stirling_tail(x: f64) -> Taylor {
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let mut sums = [0.0; 4];
    let mut power = inverse;
    for (k, coefficient) in STIRLING.iter().enumerate() {
        let n = (2 * k + 1) as f64;
        let term = coefficient * power;
        sums[0] += term;
        sums[1] -= n * term;
        sums[2] += n * (n + 1.0) * term;
        sums[3] -= n * (n + 1.0) * (n + 2.0) * term;
        power *= square;
    }
    sums
}

/// (−1)ᵏ (ζ(k) − 1)/k, k = 2..31: log Γ(2+u) = (1−γ)u + Σ aₖ uᵏ.
const AROUND_TWO: [f64; 30] = [
    0.3224670334241132,
    -0.0673523010531981,
    0.020580808427784546,
    -0.007385551028673986,
    0.0028905103307415234,
    -0.001192753911703261,
    0.0005096695247430425,
    -0.00022315475845357939,
    9.945751278180853e-05,
    -4.492623673813314e-05,
    2.050721277567069e-05,
    -9.439488275268397e-06,
    4.374866789907488e-06,
    -2.039215753801366e-06,
    9.55141213040742e-07,
    -4.492469198764566e-07,
    2.1207184805554665e-07,
    -1.0043224823968099e-07,
    4.7698101693639804e-08,
    -2.2711094608943164e-08,
    1.0838659214896955e-08,
    -5.183475041970047e-09,
    2.4836745438024785e-09,
    -1.1921401405860912e-09,
    5.731367241678862e-10,
    -2.7595228851242334e-10,
    1.330476437424449e-10,
    -6.4229645638381e-11,
    3.1044247747322276e-11,
    -1.5021384080754142e-11,
];
const ONE_LESS_EULER: f64 = 0.42278433509846713;

#[inline]
fn ln_gamma_around_two(u: f64) -> f64 {
    let mut sum = 0.0;
    for coefficient in AROUND_TWO.iter().rev() {
        sum = sum * u + coefficient;
    }
    u * (ONE_LESS_EULER + u * sum)
}

/// log Γ(1 + x) for 0 ≤ x ≤ 1, relatively accurate down to −γx.
pub(super) fn ln_gamma_1p(x: f64) -> f64 {
    if x <= 0.5 { ln_gamma_around_two(x) - x.ln_1p() } else { ln_gamma(1.0 + x) }
}

/// log Γ(x + h) − log Γ(x) for 0 ≤ h ≤ 1, to the rounding of h (1 + |log x|).
pub(super) fn ln_gamma_step(x: f64, h: f64) -> f64 {
    if x < 0.0 {
        return f64::NAN;
    }
    if x < STIRLING_FROM {
        // Γ(x+1+h)/Γ(x+1) is (x+h)/x times what is asked for.
        return ln_gamma_step(x + 1.0, h) - (h / x).ln_1p();
    }
    let ratio = h / x;
    let tail = stirling_tail(x);
    // The difference of two tails, by its Taylor series where the subtraction would cancel.
    let tails = if ratio < 1e-3 {
        ratio * (tail[1] + ratio * (tail[2] / 2.0 + ratio * tail[3] / 6.0))
    } else {
        stirling_tail(x + h)[0] - tail[0]
    };
    (x - 0.5) * ratio.ln_1p() + h * ((x + h).ln() - 1.0) + tails
}

/// log Γ(x), x > 0; NaN of NaN.
pub fn ln_gamma(x: f64) -> f64 {
    if x >= STIRLING_FROM {
        if x == f64::INFINITY {
            return x;
        }
        // (x − ½)(log x − 1) − ½ + …: keeps x log x from overflowing before it must.
        return (x - 0.5) * (x.ln() - 1.0) - 0.5 + HALF_LN_TWO_PI + stirling_tail(x)[0];
    }
    if x < 0.5 {
        // log Γ(1 + x) − log x
        return ln_gamma_around_two(x) - x.ln_1p() - x.ln();
    }
    if x <= 1.5 {
        let u = x - 1.0;
        return ln_gamma_around_two(u) - u.ln_1p();
    }
    if x <= 2.5 {
        return ln_gamma_around_two(x - 2.0);
    }
    if x.is_nan() {
        return x;
    }
    let mut product = 1.0;
    let mut shifted = x;
    while shifted < STIRLING_FROM {
        product *= shifted;
        shifted += 1.0;
    }
    ln_gamma(shifted) - product.ln()
}

/// `[log Γ, ψ, ψ′, ψ″]` at x > 0.
#[inline]
pub fn ln_gamma_derivatives(x: f64, order: usize) -> Taylor {
    let mut out = [ln_gamma(x), 0.0, 0.0, 0.0];
    if order == 0 {
        return out;
    }
    let mut shifted = x;
    let mut shed = [0.0; 3];
    while shifted < STIRLING_FROM {
        let r = 1.0 / shifted;
        shed[0] += r;
        shed[1] += r * r;
        shed[2] += r * r * r;
        shifted += 1.0;
    }
    let r = 1.0 / shifted;
    let tail = stirling_tail(shifted);
    out[1] = shifted.ln() - 0.5 * r + tail[1] * r - shed[0];
    out[2] = r + 0.5 * r * r + tail[2] * r * r + shed[1];
    out[3] = -r * r - r * r * r + tail[3] * r * r * r - 2.0 * shed[2];
    out
}

/// ψ(x) = d log Γ(x)/dx, x > 0.
pub fn digamma(x: f64) -> f64 {
    ln_gamma_derivatives(x, 1)[1]
}

/// c(s) = φ log φ − φ − log Γ(φ) at φ = eˢ, and its derivatives in s.
///
/// The normaliser of a gamma density of shape φ. For large φ it is ½ log(φ/2π) − 1/(12φ) + …, a
/// small number that log Γ(φ) − φ log φ can only reach by cancelling; there Stirling's leading
/// terms are removed by hand. For small φ it is s − φ + φs + O(φ), differentiated in s so that
/// φ → 0 stays ordinary.
pub fn ln_gamma_deficit(s: f64, order: usize) -> Taylor {
    let phi = s.exp();
    if phi >= STIRLING_FROM {
        let t = stirling_tail(phi);
        // d/ds of a function with scaled derivatives t: t₁, t₂ + t₁, t₃ + 3t₂ + t₁.
        return [0.5 * s - HALF_LN_TWO_PI - t[0], 0.5 - t[1], -(t[2] + t[1]), -(t[3] + 3.0 * t[2] + t[1])];
    }
    // log Γ(φ) = log Γ(φ + 10) − log φ(φ+1)…(φ+9)
    let rising = super::ln_rising(s, STIRLING_FROM, order);
    let g = ln_gamma_derivatives(phi + STIRLING_FROM, order);
    let (g1, g2, g3) = (phi * g[1], phi * phi * g[2], phi * phi * phi * g[3]);
    [
        phi * s - phi + rising[0] - g[0],
        phi * s + rising[1] - g1,
        phi * s + phi + rising[2] - (g2 + g1),
        phi * s + 2.0 * phi + rising[3] - (g3 + 3.0 * g2 + g1),
    ]
}

/// φ^φ e^−φ / Γ(φ), which is exp([`ln_gamma_deficit`]): the height of a gamma density of log φ at its mean.
pub(super) fn gamma_sharpness(phi: f64) -> f64 {
    if phi >= STIRLING_FROM {
        return (phi / std::f64::consts::TAU).sqrt() * (-stirling_tail(phi)[0]).exp();
    }
    ln_gamma_deficit(phi.ln(), 0)[0].exp()
}

/// G(s) = log Γ(h + ½) − log Γ(h) − ½ log h at h = eˢ, and its derivatives in s.
///
/// The normaliser of a t density of 2h degrees of freedom; it falls to −1/(8h) for h → ∞.
pub fn ln_gamma_half_step(s: f64, order: usize) -> Taylor {
    // Coefficients of h^{1−2k}, k = 1…: (2^{−2k} − 1) B₂ₖ / (k(2k − 1)).
    const SERIES: [f64; 8] = [
        -1.0 / 8.0,
        1.0 / 192.0,
        -1.0 / 640.0,
        17.0 / 14_336.0,
        -31.0 / 18_432.0,
        691.0 / 180_224.0,
        -5461.0 / 425_984.0,
        929_569.0 / 15_728_640.0,
    ];
    let h = s.exp();
    let mut out = [0.0; 4];
    // G(h) = G(h + 1) + log(h/(h + ½)) + ½ log((h + 1)/h) until the series serves.
    let mut shifted = h;
    let mut product = 1.0;
    while shifted < STIRLING_FROM {
        product *= shifted / (shifted + 0.5);
        if order > 0 {
            // log(h + a) has derivatives p, pq, pq(q − p) in log h, with p = h/(h + a).
            for (a, sign) in [(shifted - h, 1.0), (shifted - h + 0.5, -1.0)] {
                let r = 1.0 / (h + a);
                let (p, q) = (h * r, a * r);
                out[1] += sign * p;
                out[2] += sign * p * q;
                out[3] += sign * p * q * (q - p);
            }
        }
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let square = inverse * inverse;
    let mut far = [0.0; 4];
    let mut power = inverse;
    for (k, coefficient) in SERIES.iter().enumerate() {
        let n = (2 * k + 1) as f64;
        let term = coefficient * power;
        far[0] += term;
        far[1] -= n * term;
        far[2] += n * n * term;
        far[3] -= n * n * n * term;
        power *= square;
    }
    if shifted == h {
        return far;
    }
    // log(h + m) as a function of log h, and −½ log h + ½ log(h + m).
    let steps = (shifted - h).round();
    let (p, q) = (h * inverse, steps * inverse);
    let (pq, third) = (p * q, p * q * (q - p));
    // For a tiny h the product has underflowed by the factor h.
    let log_product = if h > 0.0 && product > 1e-290 { product.ln() } else { small_half_step(s) };
    out[0] = log_product + 0.5 * (shifted.ln() - s) + far[0];
    out[1] += 0.5 * (p - 1.0) + far[1] * p;
    out[2] += 0.5 * pq + far[2] * p * p + far[1] * pq;
    out[3] += 0.5 * third + far[3] * p * p * p + 3.0 * far[2] * p * pq + far[1] * third;
    out
}

/// log of h/(h+½) · (h+1)/(h+3/2) ⋯ (ten factors) at h = eˢ so small that only the first depends on it.
fn small_half_step(s: f64) -> f64 {
    s + std::f64::consts::LN_2 + (1..10).map(|j| (f64::from(j) / (f64::from(j) + 0.5)).ln()).sum::<f64>()
}

static LN_FACTORIALS: LazyLock<Vec<f64>> = LazyLock::new(|| (0..256).map(|n| ln_gamma(f64::from(n) + 1.0)).collect());

/// log n!, from a table below 256; other n ≥ 0 (whole or not) by log Γ(n + 1).
#[inline]
pub fn ln_factorial(n: f64) -> f64 {
    if n < 256.0 && n.fract() == 0.0 && n >= 0.0 { LN_FACTORIALS[n as usize] } else { ln_gamma(n + 1.0) }
}

/// log of the binomial coefficient n! / (k! (n−k)!), exactly 0 at k = 0 and k = n.
#[inline]
pub fn ln_binomial(n: f64, k: f64) -> f64 {
    if k == 0.0 || k == n {
        return 0.0;
    }
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_argument_has_no_value() {
        assert!(ln_gamma(f64::NAN).is_nan());
        assert!(ln_gamma(-2.5).is_nan());
        assert!(ln_gamma(f64::NEG_INFINITY).is_nan());
        assert!(ln_gamma_step(-1e18, 1.0).is_nan());
        assert!(ln_gamma_step(f64::NAN, 1.0).is_nan());
    }

    #[test]
    fn zeros_of_ln_gamma_are_exact() {
        assert_eq!(ln_gamma(1.0), 0.0);
        assert_eq!(ln_gamma(2.0), 0.0);
        assert_eq!(ln_factorial(0.0), 0.0);
    }

    #[test]
    fn derivatives_at_no_number_are_no_numbers() {
        assert!(ln_gamma_derivatives(f64::NAN, 3).iter().all(|value| value.is_nan()));
    }

    #[test]
    fn binomial_coefficients_of_row_ten() {
        for (k, exact) in [1.0, 10.0, 45.0, 120.0, 210.0, 252.0_f64].iter().enumerate() {
            assert!((ln_binomial(10.0, k as f64) - exact.ln()).abs() < 1e-14 * 20.0);
        }
    }
}
