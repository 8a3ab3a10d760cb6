//! The logarithm of the standard normal distribution function.
//!
//! For the lower tail, Laplace's continued fraction (Abramowitz & Stegun 26.2.14) writes the hazard
//! h(z) = φ(z)/Φ(−z), the inverse Mills ratio, as
//!
//! ```text
//! h = z + δ,   δ = 1/(z + c),   c = 2/(z + e),   e = 3/(z + 4/(z + …)).
//! ```
//!
//! Each of h, δ, c, e is a sum of positive terms, and the derivatives of log Φ are products of them:
//! computed from h alone, log Φ‴ would lose four digits for every tenfold z. The smooth remainder
//! (z + 4) e(z) is a Chebyshev series in (z − 4)/(z + 4) on the whole half-line (the variable of
//! Shepherd & Laframboise 1981); its coefficients were computed at 60 digits
//! (tests/fixtures/make_special.py --chebyshev).

use super::Taylor;

const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// Chebyshev coefficients of (z + 4) e(z); the first neglected one is below 2e-17.
const CHEBYSHEV: [f64; 34] = [
    4.838226093006342,
    -1.7966291840627064,
    -0.15170448390884722,
    0.11342289583333917,
    0.005310865027695772,
    -0.009073908600639453,
    -0.0003260976800233924,
    0.0008120236107427546,
    3.652457587448023e-05,
    -7.68477039926807e-05,
    -5.35915201032032e-06,
    7.432035794088563e-06,
    8.019028070112067e-07,
    -7.159429012640293e-07,
    -1.1411668582642765e-07,
    6.71403208211179e-08,
    1.5275091627328207e-08,
    -5.97601858702153e-09,
    -1.9239639075523584e-09,
    4.867284746999855e-10,
    2.2822977304416027e-10,
    -3.369658809467599e-11,
    -2.5478524846182764e-11,
    1.5415224084404345e-12,
    2.6692084793503097e-12,
    4.7779860120294263e-14,
    -2.6108026943919936e-13,
    -2.4844568997288965e-14,
    2.3648362025776172e-14,
    4.250001550435632e-15,
    -1.957638458101618e-15,
    -5.577863546871022e-16,
    1.4462420374511873e-16,
    6.359137908842823e-17,
];

/// The remainder e(z) of the continued fraction, z ≥ 0.
#[inline]
fn fraction_tail(z: f64) -> f64 {
    let t = (z - 4.0) / (z + 4.0);
    let (mut b1, mut b2) = (0.0, 0.0);
    for &coefficient in CHEBYSHEV[1..].iter().rev() {
        (b1, b2) = (2.0 * t * b1 - b2 + coefficient, b1);
    }
    (t * b1 - b2 + CHEBYSHEV[0]) / (z + 4.0)
}

/// log Φ(x), accurate in both tails.
pub fn log_ndtr(x: f64) -> f64 {
    log_ndtr_derivatives(x)[0]
}

/// log Φ(x) and its derivatives h, −h(x+h), h[(x+h)(x+2h) − 1] with h = φ(x)/Φ(x).
pub fn log_ndtr_derivatives(x: f64) -> Taylor {
    let z = x.abs();
    let e = fraction_tail(z);
    let c = 2.0 / (z + e);
    let delta = 1.0 / (z + c);
    let hazard = z + delta;
    let log_density = -0.5 * z * z - LN_SQRT_TWO_PI;
    if x <= 0.0 {
        // x + h = δ and (x+h)(x+2h) − 1 = δ(2δ − c) = 2δ(e − c)/((z+c)(z+e)).
        let third = 2.0 * delta * (e - c) / ((z + c) * (z + e));
        return [log_density - hazard.ln(), hazard, -hazard * delta, hazard * third];
    }
    let density = log_density.exp();
    let upper = density / hazard;
    let h = density / (1.0 - upper);
    [(-upper).ln_1p(), h, -h * (x + h), h * ((x + h) * (x + 2.0 * h) - 1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centre_and_tails() {
        assert!((log_ndtr(0.0) + std::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!(log_ndtr(40.0), 0.0);
        // Leading terms of Mills' expansion at −1e8.
        let d = log_ndtr_derivatives(-1e8);
        assert!((d[1] / 1e8 - 1.0).abs() < 1e-15);
        assert!((d[2] + 1.0).abs() < 1e-15);
        assert!((d[3] / (2.0 * 1e-24) - 1.0).abs() < 1e-12);
    }
}
