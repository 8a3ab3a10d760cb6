//! exp and log(1 + e⁻ˣ) of many numbers at once.
//!
//! The loops hold no branch and no call, so that the compiler turns them into vector instructions: four numbers at a time
//! where the processor has AVX2 and fused multiply-adds, which is asked when the program runs. Each number goes through
//! the same operations wherever it stands in the slice. Processors without fused multiply-adds get the standard library,
//! which differs in the last digit.
//!
//! The polynomials are Chebyshev interpolants computed at 60 digits; their truncation errors are below 1e-18.

/// 3 · 2⁵¹: added to a small number, it leaves the nearest whole number in the last bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;
const LN_2: f64 = std::f64::consts::LN_2;
/// log 2 − [`LN_2`]
const LN_2_REST: f64 = 2.319_046_813_846_299_6e-17;

/// (eʳ − 1 − r)/r² for |r| ≤ log(2)/2, from the constant term up.
const EXP: [f64; 11] = [
    0.5,
    0.166_666_666_666_666_7,
    0.041_666_666_666_666_67,
    0.008_333_333_333_326_136,
    0.001_388_888_888_888_374_8,
    0.000_198_412_698_748_206_27,
    2.480_158_732_554_774_3e-5,
    2.755_725_540_020_642_2e-6,
    2.755_727_364_311_03e-7,
    2.510_521_700_472_074_5e-8,
    2.091_468_696_808_687_6e-9,
];

/// (2 atanh(s)/s − 2)/s² in s² for |s| ≤ 1/5, from the constant term up.
const ATANH: [f64; 8] = [
    0.666_666_666_666_666_6,
    0.400_000_000_000_078,
    0.285_714_285_673_391_9,
    0.222_222_230_378_072_43,
    0.181_817_384_547_230_26,
    0.153_888_346_778_019_16,
    0.132_103_604_851_326_2,
    0.136_040_157_071_240_79,
];

/// Runs a loop compiled for fused multiply-adds where there are any, otherwise `$plain`.
macro_rules! dispatch {
    ($run:ident($($argument:ident),*) else $plain:stmt) => {
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                #[expect(unsafe_code, reason = "the one way to call code compiled for a processor's extensions")]
                // SAFETY: the processor has just been asked for both extensions.
                return unsafe { fused::$run($($argument),*) };
            }
            $plain
        }
        #[cfg(target_arch = "aarch64")]
        $run($($argument),*);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        $plain
    };
}
/// Writes eˣ for each x.
pub fn exp_each(x: &[f64], out: &mut [f64]) {
    dispatch!(exp_with(x, out) else for (out, x) in out.iter_mut().zip(x) {
        *out = x.exp();
    });
}

/// Writes e^−|x| and log(1 + e^−|x|) for each x: all that a logistic function and its logarithm need.
pub fn logistic_tails_each(x: &[f64], tail: &mut [f64], log1p_tail: &mut [f64]) {
    dispatch!(tails_with(x, tail, log1p_tail) else for ((tail, log1p), x) in tail.iter_mut().zip(log1p_tail).zip(x) {
        *tail = (-x.abs()).exp();
        *log1p = tail.ln_1p();
    });
}

#[cfg(target_arch = "x86_64")]
mod fused {
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn exp_with(x: &[f64], out: &mut [f64]) {
        super::exp_with(x, out);
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn tails_with(x: &[f64], tail: &mut [f64], log1p_tail: &mut [f64]) {
        super::tails_with(x, tail, log1p_tail);
    }
}

#[inline(always)]
fn exp_with(x: &[f64], out: &mut [f64]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = exp(x);
    }
}

#[inline(always)]
fn tails_with(x: &[f64], tail: &mut [f64], log1p_tail: &mut [f64]) {
    for ((tail, log1p), &x) in tail.iter_mut().zip(log1p_tail).zip(x) {
        *tail = exp(-x.abs());
        *log1p = log1p_of_tail(*tail);
    }
}

/// eˣ = 2ᵏ eʳ with |r| ≤ log(2)/2.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // Beyond these the result is ∞ or 0; NaN passes.
    let x = if x > 710.0 { 710.0 } else { x };
    let x = if x < -746.0 { -746.0 } else { x };
    let k = x.mul_add(std::f64::consts::LOG2_E, ROUNDER) - ROUNDER;
    let r = k.mul_add(-LN_2_REST, k.mul_add(-LN_2, x));
    let q = horner(&EXP, r);
    let value = (r * r).mul_add(q, r) + 1.0;
    // Two halves, so that neither overflows where the product does not.
    let half = k.mul_add(0.5, ROUNDER);
    value * power_of_two(half) * power_of_two(k - (half - ROUNDER) + ROUNDER)
}

/// 2ᵏ from k + [`ROUNDER`].
#[inline(always)]
fn power_of_two(shifted: f64) -> f64 {
    f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52)
}

/// log(1 + t) for 0 ≤ t ≤ 1, as log(1 + f), or log 2 + log(1 + f) with 1 + f = (1 + t)/2, and s = f/(2 + f):
/// log(1 + f) = 2 atanh s = f − s (f − s² P(s²)).
#[inline(always)]
fn log1p_of_tail(t: f64) -> f64 {
    let halved = t > 0.5;
    let f = if halved { 0.5 * (t - 1.0) } else { t };
    let s = f / (2.0 + f);
    let z = s * s;
    let log = f - s * (f - z * horner(&ATANH, z));
    if halved { LN_2 + (log + LN_2_REST) } else { log }
}

#[inline(always)]
fn horner<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let mut sum = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        sum = sum.mul_add(x, coefficients[k]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units of the last place of `b`, the smallest of them for results that are not normal.
    fn ulps(a: f64, b: f64) -> f64 {
        if a == b || (a.is_nan() && b.is_nan()) {
            return 0.0;
        }
        let unit = f64::from_bits(b.abs().to_bits() + 1) - b.abs();
        (a - b).abs() / unit
    }

    fn points() -> Vec<f64> {
        let mut x: Vec<f64> = (-80_000..=80_000).map(|k| f64::from(k) * 0.009_437_1).collect();
        x.extend((0..2000).flat_map(|k| {
            let tiny = 10.0_f64.powf(-f64::from(k) * 0.01);
            [tiny, -tiny]
        }));
        x.extend([0.0, -0.0, 709.782_712_893_384, 709.79, -708.4, -745.1, -745.2, 1e300, -1e300]);
        x.extend([f64::INFINITY, f64::NEG_INFINITY, f64::NAN]);
        x
    }

    #[test]
    fn exp_is_that_of_the_standard_library_to_the_last_place() {
        let x = points();
        let mut out = vec![0.0; x.len()];
        exp_each(&x, &mut out);
        for (x, out) in x.iter().zip(out) {
            // Each of the two is within one unit of the true value.
            assert!(ulps(out, x.exp()) <= 1.0, "exp({x}): {out:e}, {:e}", x.exp());
        }
    }

    #[test]
    fn tails_are_those_of_the_standard_library_to_the_last_two_places() {
        let x = points();
        let (mut tail, mut log1p) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        logistic_tails_each(&x, &mut tail, &mut log1p);
        for ((x, tail), log1p) in x.iter().zip(tail).zip(log1p) {
            assert!(ulps(tail, (-x.abs()).exp()) <= 1.0, "tail of {x}");
            assert!(ulps(log1p, tail.ln_1p()) <= 2.0, "log1p of {tail:e}: {log1p:e}, {:e}", tail.ln_1p());
        }
    }

    #[test]
    fn a_number_gives_the_same_wherever_it_stands() {
        let x = points();
        let mut whole = vec![0.0; x.len()];
        exp_each(&x, &mut whole);
        for first in 1..9 {
            let mut part = vec![0.0; x.len() - first];
            exp_each(&x[first..], &mut part);
            for (a, b) in part.iter().zip(&whole[first..]) {
                assert_eq!(a.to_bits(), b.to_bits());
            }
        }
    }
}
