//! Tails of sharply peaked densities by quadrature.
//!
//! Far more degrees of freedom make the series and fractions of the incomplete gamma and beta functions longer (with
//! their square root), but the densities more alike: relative to its value at the point where the tail begins, every
//! tail falls like exp(−½ c v² − s v), with c > 0, s ≥ 0 and an exponent that is analytic in a wide strip. A fixed
//! Gauss-Legendre rule integrates that to full precision, however large the parameters.

use std::sync::LazyLock;

/// Enough for exp(−45t) and exp(−45t²) on [0, 1] to a relative 1e-17.
const NODES: usize = 40;

/// Where the exponent has fallen this far nothing is left that a double could hold (e⁻³⁷ is below rounding), with room
/// for cubic terms that slow the fall.
const DEPTH: f64 = 45.0;

static RULE: LazyLock<[(f64, f64); NODES]> = LazyLock::new(gauss_legendre);

/// Nodes and weights on [0, 1], by Newton's method on the Legendre polynomial (Abramowitz & Stegun 25.4.29).
fn gauss_legendre() -> [(f64, f64); NODES] {
    let n = NODES as f64;
    std::array::from_fn(|i| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..10 {
            let (mut previous, mut p) = (1.0, x);
            for k in 2..=NODES {
                let k = k as f64;
                (previous, p) = (p, ((2.0 * k - 1.0) * x * p - (k - 1.0) * previous) / k);
            }
            slope = n * (x * p - previous) / (x * x - 1.0);
            x -= p / slope;
        }
        (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
    })
}

/// ∫₀^∞ exp(E(v)) dv for an exponent with E(0) = 0, E′(0) = −slope ≤ 0 and E″(0) = −curvature < 0 that keeps falling.
pub(super) fn tail_integral(curvature: f64, slope: f64, exponent: impl Fn(f64) -> f64) -> f64 {
    // ½ c T² + s T = DEPTH, solved without cancellation.
    let width = 2.0 * DEPTH / (slope + (slope * slope + 2.0 * DEPTH * curvature).sqrt());
    width * RULE.iter().map(|(node, weight)| weight * exponent(width * node).exp()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_and_half_normal() {
        let exponential = tail_integral(1e-300, 3.0, |v| -3.0 * v);
        assert!((exponential - 1.0 / 3.0).abs() < 1e-15);
        let half_normal = tail_integral(1e20, 0.0, |v| -0.5e20 * v * v);
        assert!((half_normal / (0.5 * std::f64::consts::PI).sqrt() * 1e10 - 1.0).abs() < 1e-15);
    }
}
