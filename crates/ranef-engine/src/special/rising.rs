//! log of the rising factorial φ(φ+1)…(φ+y−1) = Γ(φ+y)/Γ(φ), never as a difference of log Γ.
//!
//! At y = 7 and log φ = 15 that difference carries an error of 1e-9 on a true derivative of 1e-7,
//! and the Poisson limit of a negative binomial (φ → ∞) becomes noise to an optimiser. Written as
//! Σ log(φ + j) for small y, and with the leading terms of Stirling's series removed by hand
//! otherwise, the limit is smooth.

use super::Taylor;
use super::exponential::{log1pmx, log1pmx_over};
use super::gamma::{STIRLING_FROM, ln_gamma, ln_gamma_derivatives, stirling_tail};

/// Up to here the plain sum over 0, …, y−1 is as cheap as Stirling's series.
const SUM_UP_TO: f64 = 20.0;

/// R(s) = log Γ(φ+y) − log Γ(φ) at φ = eˢ for whole y ≥ 0, and its derivatives in s.
///
/// Best for φ < y. For φ ≫ y the value tends to y·s; [`ln_rising_excess`] has that removed.
#[inline]
pub fn ln_rising(s: f64, y: f64, order: usize) -> Taylor {
    rising::<false>(s, y, order)
}

/// D(s) = log Γ(φ+y) − log Γ(φ) − y log φ = Σ_{j<y} log(1 + j/φ) at φ = eˢ, and derivatives in s.
///
/// Falls to y(y−1)/(2φ) as φ → ∞ with full relative accuracy. Best for φ ≥ y.
#[inline]
pub fn ln_rising_excess(s: f64, y: f64, order: usize) -> Taylor {
    rising::<true>(s, y, order)
}

/// log Γ(φ+y) − log Γ(φ+1) = Σ_{0<j<y} log(φ + j), and derivatives in φ *itself*: [`ln_rising`] without its first factor,
/// which is the only one that has a pole at φ = 0. Best for φ < y.
#[inline]
pub fn ln_rising_rest(phi: f64, y: f64, order: usize) -> Taylor {
    if y <= 1.0 {
        return [0.0; 4];
    }
    let by_hand = if phi < STIRLING_FROM { y.min(STIRLING_FROM) } else { 1.0 };
    let (mut product, mut sums, mut j) = (1.0, [0.0; 3], 1.0);
    while j < by_hand {
        product *= phi + j;
        let r = 1.0 / (phi + j);
        sums[0] += r;
        sums[1] -= r * r;
        sums[2] += 2.0 * r * r * r;
        j += 1.0;
    }
    let mut out = [f64::ln(product), sums[0], sums[1], sums[2]];
    if y > by_hand {
        let near = ln_gamma_derivatives(phi + by_hand, order);
        let far = ln_gamma_derivatives(phi + y, order);
        for (entry, (far, near)) in out.iter_mut().zip(far.iter().zip(&near)) {
            *entry += far - near;
        }
    }
    out
}

#[inline]
fn rising<const EXCESS: bool>(s: f64, y: f64, order: usize) -> Taylor {
    if y <= 1.0 {
        // R = 0 or s, D = 0.
        return if y == 0.0 || EXCESS { [0.0; 4] } else { [s, 1.0, 0.0, 0.0] };
    }
    let phi = s.exp();
    if y <= SUM_UP_TO {
        by_sum::<EXCESS>(s, phi, y, order)
    } else if phi >= STIRLING_FROM {
        by_stirling::<EXCESS>(s, phi, y)
    } else {
        by_recurrence::<EXCESS>(s, phi, y, order)
    }
}

/// Σ_{j=1}^{y−1} of p, pq, pq(q−p) with p = φ/(φ+j), q = j/(φ+j): the derivatives in s of
/// Σ log(φ+j); for the excess the first is −Σ q instead.
#[inline]
fn sums_in_s<const EXCESS: bool>(phi: f64, y: f64, order: usize) -> [f64; 3] {
    let (mut first, mut second, mut third) = (0.0, 0.0, 0.0);
    let mut j = 1.0;
    while j < y {
        let r = 1.0 / (phi + j);
        let (p, q) = (phi * r, j * r);
        first += if EXCESS { -q } else { p };
        if order > 1 {
            second += p * q;
            third += p * q * (q - p);
        }
        j += 1.0;
    }
    [first, second, third]
}

#[inline]
fn by_sum<const EXCESS: bool>(s: f64, phi: f64, y: f64, order: usize) -> Taylor {
    // For φ = ∞ the sums below would be ∞/∞; the excess is 0 and R = y s to all digits.
    if phi == f64::INFINITY {
        return if EXCESS { [0.0; 4] } else { [y * s, y, 0.0, 0.0] };
    }
    let value = if phi >= 1.0 {
        // Π(1 + j/φ) − 1, accumulated without the 1, so that one logarithm serves the whole sum
        // and a tiny excess keeps its relative accuracy. The product stays below 20!.
        let inverse = 1.0 / phi;
        let (mut excess, mut j) = (0.0, 1.0);
        while j < y {
            let a = j * inverse;
            excess += a + excess * a;
            j += 1.0;
        }
        let excess = f64::ln_1p(excess);
        if EXCESS { excess } else { excess + y * s }
    } else {
        let (mut product, mut j) = (1.0, 1.0);
        while j < y {
            product *= phi + j;
            j += 1.0;
        }
        let rest = f64::ln(product);
        if EXCESS { rest - (y - 1.0) * s } else { rest + s }
    };
    if order == 0 {
        return [value, 0.0, 0.0, 0.0];
    }
    let [first, second, third] = sums_in_s::<EXCESS>(phi, y, order);
    // The factor j = 0 is φ itself: it adds s to R, and nothing to the excess.
    [value, if EXCESS { first } else { first + 1.0 }, second, third]
}

/// φ ≥ 10: with x = y/φ, D = (φ+y−½) log(1+x) − y + S(φ+y) − S(φ).
#[inline]
fn by_stirling<const EXCESS: bool>(s: f64, phi: f64, y: f64) -> Taylor {
    if phi == f64::INFINITY {
        return if EXCESS { [0.0; 4] } else { [y * s, y, 0.0, 0.0] };
    }
    let x = y / phi;
    let log1p = x.ln_1p();
    // w = y/(φ+y) = x/(1+x) and its complement; dw/ds = −w q.
    let (w, q) = (y / (phi + y), phi / (phi + y));
    // y (log(1+x) − x)/x = φ log(1+x) − y
    let shortfall = y * log1pmx_over(x);
    let near = stirling_tail(phi);
    let far = stirling_tail(phi + y);
    // Scaled derivatives of S(φ+y) in log φ: one factor q per power of φ.
    let far1 = far[1] * q;
    let far2 = far[2] * q * q;
    let far3 = far[3] * q * q * q;

    let first = 0.5 * w + (far1 - near[1]);
    // log(1+x) − x/(1+x), written as (log(1+x) − x) + x²/(1+x).
    let curved = log1pmx(x) + x * w;
    let second = phi * curved - 0.5 * w * q + (far2 + far1 - near[2] - near[1]);
    let third =
        phi * (curved - w * w) + 0.5 * w * q * (q - w) + (far3 + 3.0 * far2 + far1 - near[3] - 3.0 * near[2] - near[1]);
    let value = shortfall + (y - 0.5) * log1p + (far[0] - near[0]);
    if EXCESS { [value, shortfall + first, second, third] } else { [value + y * s, phi * log1p + first, second, third] }
}

/// φ < 10 and y > 20: ten factors by hand, the rest as log Γ(φ+y) − log Γ(φ+10), far from its poles.
#[inline]
fn by_recurrence<const EXCESS: bool>(s: f64, phi: f64, y: f64, order: usize) -> Taylor {
    let near = phi + STIRLING_FROM;
    let far = phi + y;
    let mut out = by_sum::<false>(s, phi, STIRLING_FROM, order);
    if order == 0 {
        out[0] += ln_gamma(far) - ln_gamma(near);
    } else {
        let a = ln_gamma_derivatives(near, order);
        let b = ln_gamma_derivatives(far, order);
        let d1 = phi * (b[1] - a[1]);
        let d2 = phi * phi * (b[2] - a[2]);
        let d3 = phi * phi * phi * (b[3] - a[3]);
        out[0] += b[0] - a[0];
        out[1] += d1;
        out[2] += d2 + d1;
        out[3] += d3 + 3.0 * d2 + d1;
    }
    if EXCESS {
        out[0] -= y * s;
        out[1] -= y;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_across_the_switches() {
        // Neighbouring y on both sides of SUM_UP_TO, and φ on both sides of STIRLING_FROM, differ
        // by the one factor φ + y.
        for log_phi in [-30.0, -1.0, 0.3, 2.302, 2.303, 5.0] {
            for y in [20.0, 21.0, 50.0] {
                let phi = f64::exp(log_phi);
                let step = ln_rising(log_phi, y + 1.0, 3)[0] - ln_rising(log_phi, y, 3)[0];
                assert!((step - (phi + y).ln()).abs() < 1e-12 * (1.0 + (phi + y).ln() * y));
            }
        }
    }

    #[test]
    fn rest_is_all_but_the_first_factor() {
        for log_phi in [-5.0, 0.3, 2.302, 2.303, 5.0] {
            for y in [2.0, 9.0, 10.0, 11.0, 50.0] {
                let phi = f64::exp(log_phi);
                let (all, rest) = (ln_rising(log_phi, y, 3), ln_rising_rest(phi, y, 3));
                let (d1, d2, d3) = (phi * rest[1], phi * phi * rest[2], phi * phi * phi * rest[3]);
                let in_log = [rest[0] + log_phi, d1 + 1.0, d2 + d1, d3 + 3.0 * d2 + d1];
                for order in 0..4 {
                    // Third derivatives are sums of terms of the size of the first.
                    let scale = all[order].abs() + d1 + 1.0;
                    assert!((all[order] - in_log[order]).abs() < 1e-13 * scale, "{log_phi} {y} {order}");
                }
            }
        }
    }

    #[test]
    fn excess_vanishes_like_its_leading_term() {
        for y in [7.0, 19.0, 25.0, 1000.0] {
            for log_phi in [30.0, 40.0, 300.0] {
                let leading = 0.5 * y * (y - 1.0) * f64::exp(-log_phi);
                let d = ln_rising_excess(log_phi, y, 3);
                for (m, sign) in [1.0, -1.0, 1.0, -1.0].iter().enumerate() {
                    assert!((d[m] / (sign * leading) - 1.0).abs() < 1e-7, "y {y} log phi {log_phi} order {m}: {d:?}");
                }
            }
        }
    }
}
