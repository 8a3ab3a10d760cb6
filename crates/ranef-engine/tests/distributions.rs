//! The incomplete gamma and beta functions against mpmath (tests/fixtures/make_distributions.py).

use proptest::prelude::*;
use ranef_engine::special::{beta_tails, gamma_tails, gamma_tails_about_mean};
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/distributions.json")).unwrap();
    fixture["cases"].as_array().unwrap().iter().filter(|case| case["function"] == name).cloned().collect()
}

/// Both tails to a relative 1e-13 and the rounding of the exponent e^−z that a tail of size e^−z is made from.
fn compare(context: &str, got: [f64; 2], case: &Value) {
    for (side, got) in got.into_iter().enumerate() {
        let want = case["tails"][side].as_f64().unwrap();
        let tolerance = want * (1e-13 + 4.0 * f64::EPSILON * -want.max(1e-300).ln()) + 1e-300;
        assert!(
            (got - want).abs() <= tolerance,
            "{context}, tail {side}: {got:e}, should be {want:e}, off by {:e}",
            (got - want).abs() / want
        );
    }
}

#[test]
fn incomplete_gamma_agrees_with_mpmath() {
    let cases = cases("gamma");
    assert!(cases.len() > 40);
    for case in &cases {
        let (a, x) = (case["a"].as_f64().unwrap(), case["x"].as_f64().unwrap());
        compare(&format!("gamma({a}, {x})"), gamma_tails(a, x), case);
        if a < 1e4 && a > 1e-9 {
            // The logarithm of x/a rounds x by |log(x/a)| units: as far as the tail follows x, so does its error.
            let [p, q] = gamma_tails_about_mean(a, (x / a).ln());
            let [direct_p, direct_q] = gamma_tails(a, x);
            let steepness = (x - a).abs() + a.sqrt() + 1.0;
            let relative = 1e-15 * steepness * (1.0 + (x / a).ln().abs());
            assert!((p - direct_p).abs() <= relative * direct_p + 1e-300, "a {a} x {x}: {p:e} {direct_p:e}");
            assert!((q - direct_q).abs() <= relative * direct_q + 1e-300, "a {a} x {x}: {q:e} {direct_q:e}");
        }
    }
}

#[test]
fn incomplete_beta_agrees_with_mpmath() {
    let cases = cases("beta");
    assert!(cases.len() > 150);
    for case in &cases {
        let [a, b, x, y] = ["a", "b", "x", "y"].map(|key| case[key].as_f64().unwrap());
        compare(&format!("beta({a}, {b}, {x}, {y})"), beta_tails(a, b, x, y), case);
    }
}

proptest! {
    #[test]
    fn gamma_tails_recur(log_a in -30.0..30.0_f64, z in -6.0..6.0_f64) {
        // P(a, x) − P(a+1, x) = xᵃe⁻ˣ/Γ(a+1), whichever branches the two sides take.
        let a = log_a.exp();
        let x = (a + z * a.sqrt()).max(1e-300);
        let [p, q] = gamma_tails(a, x);
        let [p1, q1] = gamma_tails(a + 1.0, x);
        prop_assert!((p + q - 1.0).abs() < 1e-14);
        prop_assert!(p >= 0.0 && q >= 0.0 && p1 <= p * (1.0 + 1e-12) && q1 >= q * (1.0 - 1e-12));
        if log_a < 14.0 {
            let step = (a * x.ln() - x - ranef_engine::special::ln_gamma(a + 1.0)).exp();
            // The naive exponent cancels terms of size a log a.
            let tolerance = 1e-13 + 1e-15 * step * (a * a.ln().abs() + 1.0);
            prop_assert!((p - p1 - step).abs() < tolerance, "{} {}", p - p1, step);
        }
    }

    #[test]
    fn beta_tails_recur(log_a in -30.0..30.0_f64, log_b in -30.0..30.0_f64, logit in -30.0..30.0_f64) {
        // I_x(a, b) = x I_x(a−1, b) + y I_x(a, b−1), for a, b > 1; here from (a, b) upwards.
        let (a, b) = (log_a.exp(), log_b.exp());
        let (x, y) = (ranef_engine::special::expit(logit), ranef_engine::special::expit(-logit));
        let at = |a: f64, b: f64| beta_tails(a, b, x, y);
        let (whole, left, right) = (at(a + 1.0, b + 1.0), at(a, b + 1.0), at(a + 1.0, b));
        for side in 0..2 {
            let mixed = x * left[side] + y * right[side];
            // x and y are rounded, and with large parameters the tails are steep in them.
            let steepness = ((a + b) * x * y).sqrt() + (a * y - b * x).abs();
            prop_assert!((whole[side] - mixed).abs() <= 1e-12 * whole[side] * (1.0 + 0.01 * steepness) + 1e-290,
                "{side}: {:e} {mixed:e}", whole[side]);
        }
        prop_assert!((whole[0] + whole[1] - 1.0).abs() < 1e-14);
    }
}
