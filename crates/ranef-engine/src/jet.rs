//! Numbers that carry their derivatives.
//!
//! A log density is written once, generic over [`Number`]. Evaluated at `f64` it gives the value;
//! evaluated at [`Jet`]s seeded with the K predictors of a row it gives, in the same pass, every
//! partial derivative up to order 3 without approximation (truncated Taylor arithmetic; Griewank &
//! Walther 2008, Evaluating Derivatives, ch. 13).

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::special::{self, Taylor, Taylor2};

/// A scalar a log density can be evaluated on: `f64`, or a [`Jet`].
///
/// A new elementary function needs only its value and derivatives at a point, given to
/// [`Number::compose`]; all the methods below are made that way.
pub trait Number:
    Copy
    + Debug
    + From<f64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
{
    /// Highest order of derivative carried.
    const ORDER: usize;

    /// The value, without derivatives.
    fn value(self) -> f64;

    /// f(self), given f and its derivatives at `self.value()`.
    fn compose(self, derivatives: Taylor) -> Self;

    /// f(self, other), given f and its partial derivatives at the two values.
    #[inline(always)]
    fn compose2(self, other: Self, f: &Taylor2) -> Self {
        let mut sum = Self::from(f[0]);
        if Self::ORDER == 0 {
            return sum;
        }
        let (a, b) = (self - self.value(), other - other.value());
        sum = sum + a * f[1] + b * f[2];
        if Self::ORDER >= 2 {
            let (aa, ab, bb) = (a * a, a * b, b * b);
            sum = sum + aa * (0.5 * f[3]) + ab * f[4] + bb * (0.5 * f[5]);
            if Self::ORDER >= 3 {
                let cubes =
                    aa * a * (f[6] / 6.0) + aa * b * (0.5 * f[7]) + ab * b * (0.5 * f[8]) + bb * b * (f[9] / 6.0);
                sum = sum + cubes;
            }
        }
        sum
    }

    /// eˣ.
    #[inline(always)]
    fn exp(self) -> Self {
        let e = self.value().exp();
        self.compose([e, e, e, e])
    }

    /// eˣ − 1.
    #[inline(always)]
    fn exp_m1(self) -> Self {
        let x = self.value();
        let e = if Self::ORDER > 0 { x.exp() } else { 0.0 };
        self.compose([x.exp_m1(), e, e, e])
    }

    /// Natural logarithm.
    #[inline(always)]
    fn ln(self) -> Self {
        let x = self.value();
        let r = 1.0 / x;
        self.compose([x.ln(), r, -r * r, 2.0 * r * r * r])
    }

    /// log(1 + x).
    #[inline(always)]
    fn ln_1p(self) -> Self {
        let x = self.value();
        let r = 1.0 / (1.0 + x);
        self.compose([x.ln_1p(), r, -r * r, 2.0 * r * r * r])
    }

    /// Square root.
    #[inline(always)]
    fn sqrt(self) -> Self {
        let x = self.value();
        let root = x.sqrt();
        let first = 0.5 / root;
        let second = -0.5 * first / x;
        self.compose([root, first, second, -1.5 * second / x])
    }

    /// Integer power.
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        let x = self.value();
        let m = f64::from(n);
        // A vanished falling factorial must win over an infinite power: x² has no third derivative
        // at 0 or anywhere else.
        let term = |factor: f64, drop: i32| {
            if factor == 0.0 { 0.0 } else { factor * x.powi(n - drop) }
        };
        self.compose([x.powi(n), term(m, 1), term(m * (m - 1.0), 2), term(m * (m - 1.0) * (m - 2.0), 3)])
    }

    /// log(1 + eˣ), see [`special::softplus`].
    #[inline(always)]
    fn softplus(self) -> Self {
        let x = self.value();
        if Self::ORDER == 0 {
            return Self::from(special::softplus(x));
        }
        self.compose(special::softplus_derivatives(x))
    }

    /// log(1/(1 + e⁻ˣ)), see [`special::log_expit`].
    #[inline(always)]
    fn log_expit(self) -> Self {
        -(-self).softplus()
    }

    /// 1/(1 + e⁻ˣ).
    #[inline(always)]
    fn expit(self) -> Self {
        let x = self.value();
        let (p, q) = (special::expit(x), special::expit(-x));
        let pq = p * q;
        self.compose([p, pq, pq * (q - p), pq * (1.0 - 6.0 * pq)])
    }

    /// log(1 − e⁻ˣ) for x > 0, see [`special::log1mexp`].
    #[inline(always)]
    fn log1mexp(self) -> Self {
        self.compose(special::log1mexp_derivatives(self.value()))
    }

    /// eˣ − 1 − x, see [`special::expm1mx`].
    #[inline(always)]
    fn expm1mx(self) -> Self {
        self.compose(special::expm1mx_derivatives(self.value()))
    }

    /// log(1 + eˣ)/eˣ, see [`special::log1p_over`].
    #[inline(always)]
    fn log1p_over(self) -> Self {
        self.compose(special::log1p_over_derivatives(self.value()))
    }

    /// log(e^self + e^other).
    #[inline(always)]
    fn logaddexp(self, other: Self) -> Self {
        if self.value() >= other.value() { self + (other - self).softplus() } else { other + (self - other).softplus() }
    }

    /// log Γ(x).
    #[inline(always)]
    fn ln_gamma(self) -> Self {
        self.compose(special::ln_gamma_derivatives(self.value(), Self::ORDER))
    }

    /// φ log φ − φ − log Γ(φ) at φ = e^self, see [`special::ln_gamma_deficit`].
    #[inline(always)]
    fn ln_gamma_deficit(self) -> Self {
        self.compose(special::ln_gamma_deficit(self.value(), Self::ORDER))
    }

    /// log Γ(φ+y) − log Γ(φ) at φ = e^self for whole `y`, see [`special::ln_rising`].
    #[inline(always)]
    fn ln_rising(self, y: f64) -> Self {
        self.compose(special::ln_rising(self.value(), y, Self::ORDER))
    }

    /// log Γ(φ+y) − log Γ(φ) − y log φ at φ = e^self, see [`special::ln_rising_excess`].
    #[inline(always)]
    fn ln_rising_excess(self, y: f64) -> Self {
        self.compose(special::ln_rising_excess(self.value(), y, Self::ORDER))
    }

    /// log Γ(φ+y) − log Γ(φ+1) at φ = self for whole `y`, see [`special::ln_rising_rest`].
    #[inline(always)]
    fn ln_rising_rest(self, y: f64) -> Self {
        self.compose(special::ln_rising_rest(self.value(), y, Self::ORDER))
    }

    /// log(1 + x) − x, see [`special::log1pmx`].
    #[inline(always)]
    fn log1pmx(self) -> Self {
        self.compose(special::log1pmx_derivatives(self.value()))
    }

    /// (log(1 + x) − x)/x for x ≥ 0, see [`special::log1pmx_over_derivatives`].
    #[inline(always)]
    fn log1pmx_over(self) -> Self {
        self.compose(special::log1pmx_over_derivatives(self.value()))
    }

    /// log(sinh(x/2)/(x/2)) for x ≥ 0, see [`special::log_sinhc_half_derivatives`].
    #[inline(always)]
    fn log_sinhc_half(self) -> Self {
        self.compose(special::log_sinhc_half_derivatives(self.value()))
    }

    /// log Φ(x), see [`special::log_ndtr`].
    #[inline(always)]
    fn log_ndtr(self) -> Self {
        self.compose(special::log_ndtr_derivatives(self.value()))
    }
}

impl Number for f64 {
    const ORDER: usize = 0;

    #[inline(always)]
    fn value(self) -> f64 {
        self
    }

    #[inline(always)]
    fn compose(self, derivatives: Taylor) -> Self {
        derivatives[0]
    }
}

/// Place of the second derivative (k, l) among the packed ones, in any order of the arguments.
#[inline(always)]
pub const fn packed2(k: usize, l: usize) -> usize {
    let (k, l) = if k <= l { (k, l) } else { (l, k) };
    l * (l + 1) / 2 + k
}

/// Place of the third derivative (k, l, m) among the packed ones, in any order of the arguments.
#[inline(always)]
pub const fn packed3(k: usize, l: usize, m: usize) -> usize {
    let (k, l) = if k <= l { (k, l) } else { (l, k) };
    let (l, m) = if l <= m { (l, m) } else { (m, l) };
    let (k, l) = if k <= l { (k, l) } else { (l, k) };
    m * (m + 1) * (m + 2) / 6 + l * (l + 1) / 2 + k
}

/// Number of second derivatives of K variables.
pub const fn count2(k: usize) -> usize {
    k * (k + 1) / 2
}

/// Number of third derivatives of K variables.
pub const fn count3(k: usize) -> usize {
    k * (k + 1) * (k + 2) / 6
}

/// A value with all its partial derivatives in `K` variables, up to the order that `N` makes room
/// for: N = 1 + K (first), + K(K+1)/2 (second), + K(K+1)(K+2)/6 (third).
///
/// Storage: value, then first, [`packed2`] second and [`packed3`] third derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jet<const K: usize, const N: usize> {
    /// The value and derivatives in storage order.
    pub coefficients: [f64; N],
}

impl<const K: usize, const N: usize> Jet<K, N> {
    const SECOND: usize = 1 + K;
    const THIRD: usize = 1 + K + count2(K);
    const JET_ORDER: usize = if N == Self::THIRD + count3(K) {
        3
    } else if N == Self::THIRD {
        2
    } else if N == Self::SECOND {
        1
    } else {
        panic!("N is not the number of derivatives of K variables up to order 1, 2 or 3")
    };

    /// A constant: all derivatives are zero.
    #[inline(always)]
    pub fn constant(value: f64) -> Self {
        let mut coefficients = [0.0; N];
        coefficients[0] = value;
        Self { coefficients }
    }

    /// The `k`-th variable at `value`.
    #[inline(always)]
    pub fn variable(value: f64, k: usize) -> Self {
        let mut jet = Self::constant(value);
        jet.coefficients[1 + k] = 1.0;
        jet
    }

    /// The first derivative in variable `k`.
    #[inline(always)]
    pub fn first(&self, k: usize) -> f64 {
        self.coefficients[1 + k]
    }

    #[inline(always)]
    fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        for c in &mut self.coefficients {
            *c = f(*c);
        }
        self
    }

    #[inline(always)]
    fn zip(mut self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        for i in 0..N {
            self.coefficients[i] = f(self.coefficients[i], other.coefficients[i]);
        }
        self
    }
}

impl<const K: usize, const N: usize> From<f64> for Jet<K, N> {
    #[inline(always)]
    fn from(value: f64) -> Self {
        Self::constant(value)
    }
}

impl<const K: usize, const N: usize> Number for Jet<K, N> {
    const ORDER: usize = Self::JET_ORDER;

    #[inline(always)]
    fn value(self) -> f64 {
        self.coefficients[0]
    }

    /// Faà di Bruno's formula to order 3.
    #[inline(always)]
    fn compose(self, [f, f1, f2, f3]: Taylor) -> Self {
        let a = &self.coefficients;
        let mut out = [0.0; N];
        out[0] = f;
        for k in 0..K {
            out[1 + k] = f1 * a[1 + k];
        }
        if Self::ORDER >= 2 {
            let s = Self::SECOND;
            for l in 0..K {
                for k in 0..=l {
                    let i = s + packed2(k, l);
                    out[i] = f1 * a[i] + f2 * a[1 + k] * a[1 + l];
                }
            }
        }
        if Self::ORDER >= 3 {
            let (s, t) = (Self::SECOND, Self::THIRD);
            for m in 0..K {
                for l in 0..=m {
                    for k in 0..=l {
                        let i = t + packed3(k, l, m);
                        let (ak, al, am) = (a[1 + k], a[1 + l], a[1 + m]);
                        let mixed = a[s + packed2(k, l)] * am + a[s + packed2(k, m)] * al + a[s + packed2(l, m)] * ak;
                        out[i] = f1 * a[i] + f2 * mixed + f3 * ak * al * am;
                    }
                }
            }
        }
        Self { coefficients: out }
    }
}

impl<const K: usize, const N: usize> Add for Jet<K, N> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
}

impl<const K: usize, const N: usize> Sub for Jet<K, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
}

impl<const K: usize, const N: usize> Neg for Jet<K, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.map(|a| -a)
    }
}

impl<const K: usize, const N: usize> Mul for Jet<K, N> {
    type Output = Self;
    /// Leibniz's rule to order 3.
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let (a, b) = (&self.coefficients, &other.coefficients);
        let mut out = [0.0; N];
        out[0] = a[0] * b[0];
        for k in 0..K {
            out[1 + k] = a[0] * b[1 + k] + a[1 + k] * b[0];
        }
        if Self::ORDER >= 2 {
            let s = Self::SECOND;
            for l in 0..K {
                for k in 0..=l {
                    let i = s + packed2(k, l);
                    out[i] = a[0] * b[i] + a[i] * b[0] + a[1 + k] * b[1 + l] + a[1 + l] * b[1 + k];
                }
            }
        }
        if Self::ORDER >= 3 {
            let (s, t) = (Self::SECOND, Self::THIRD);
            for m in 0..K {
                for l in 0..=m {
                    for k in 0..=l {
                        let i = t + packed3(k, l, m);
                        let (kl, km, lm) = (s + packed2(k, l), s + packed2(k, m), s + packed2(l, m));
                        out[i] = a[0] * b[i]
                            + a[i] * b[0]
                            + (a[1 + k] * b[lm] + a[1 + l] * b[km] + a[1 + m] * b[kl])
                            + (a[lm] * b[1 + k] + a[km] * b[1 + l] + a[kl] * b[1 + m]);
                    }
                }
            }
        }
        Self { coefficients: out }
    }
}

impl<const K: usize, const N: usize> Div for Jet<K, N> {
    type Output = Self;
    // a/b = a · (1/b)
    #[allow(clippy::suspicious_arithmetic_impl)]
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let r = 1.0 / other.coefficients[0];
        self * other.compose([r, -r * r, 2.0 * r * r * r, -6.0 * r * r * r * r])
    }
}

impl<const K: usize, const N: usize> Add<f64> for Jet<K, N> {
    type Output = Self;
    #[inline(always)]
    fn add(mut self, other: f64) -> Self {
        self.coefficients[0] += other;
        self
    }
}

impl<const K: usize, const N: usize> Sub<f64> for Jet<K, N> {
    type Output = Self;
    #[inline(always)]
    fn sub(mut self, other: f64) -> Self {
        self.coefficients[0] -= other;
        self
    }
}

impl<const K: usize, const N: usize> Mul<f64> for Jet<K, N> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: f64) -> Self {
        self.map(|a| a * other)
    }
}

impl<const K: usize, const N: usize> Div<f64> for Jet<K, N> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: f64) -> Self {
        self.map(|a| a / other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_counts_every_multiset_once() {
        let mut seen = [false; count3(5)];
        for m in 0..5 {
            for l in 0..=m {
                for k in 0..=l {
                    let i = packed3(k, l, m);
                    assert!(!seen[i]);
                    seen[i] = true;
                    assert_eq!(i, packed3(m, k, l));
                    assert_eq!(i, packed3(l, m, k));
                }
            }
        }
        assert!(seen.iter().all(|&s| s));
        assert_eq!(packed2(1, 3), packed2(3, 1));
    }

    #[test]
    fn derivatives_of_a_polynomial() {
        // f = x²y + 3z/x at (2, 5, 7), every derivative by hand.
        type J = Jet<3, 20>;
        let (x, y, z) = (J::variable(2.0, 0), J::variable(5.0, 1), J::variable(7.0, 2));
        let f = (x.powi(2) * y + z * 3.0 / x).coefficients;
        let mut exact = [0.0; 20];
        exact[0] = 20.0 + 10.5;
        exact[1] = 2.0 * 2.0 * 5.0 - 21.0 / 4.0;
        exact[2] = 4.0;
        exact[3] = 1.5;
        exact[4 + packed2(0, 0)] = 10.0 + 42.0 / 8.0;
        exact[4 + packed2(0, 1)] = 4.0;
        exact[4 + packed2(0, 2)] = -0.75;
        exact[10 + packed3(0, 0, 0)] = -126.0 / 16.0;
        exact[10 + packed3(0, 0, 1)] = 2.0;
        exact[10 + packed3(0, 0, 2)] = 6.0 / 8.0;
        for i in 0..20 {
            assert!((f[i] - exact[i]).abs() < 1e-13, "{i}: {} {}", f[i], exact[i]);
        }
    }

    #[test]
    fn functions_that_undo_each_other() {
        type J = Jet<2, 10>;
        let x = J::variable(0.7, 0) * J::variable(1.3, 1);
        for undone in [
            x.exp().ln(),
            x.exp_m1().ln_1p(),
            x.sqrt().powi(2),
            x.softplus().exp_m1().ln(),
            (x.log_expit() - (-x).log_expit()),
            (x.expit() / (-x).expit()).ln(),
            -((-((x.log1mexp()).exp() - 1.0)).ln()),
            (x.expm1mx() + x).ln_1p(),
            (x.log1p_over() * x.exp()).exp_m1().ln(),
            (x + 1.0).ln_gamma().exp().ln() - x.ln_gamma() - x.ln() + x,
            x.logaddexp(-x) - (x * 2.0).softplus() + x * 2.0,
        ] {
            for (got, want) in undone.coefficients.iter().zip(&x.coefficients) {
                assert!((got - want).abs() < 1e-12, "{undone:?} is not {x:?}");
            }
        }
    }
}
