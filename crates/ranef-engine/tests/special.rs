//! Special functions and links against mpmath (tests/fixtures/make_special.py).

use proptest::prelude::*;
use ranef_engine::jet::{Jet, Number};
use ranef_engine::link::Link;
use ranef_engine::special::*;
use serde_json::Value;

const FIXTURE: &str = include_str!("fixtures/special.json");

fn cases() -> Vec<Value> {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    fixture["cases"].as_array().unwrap().clone()
}

/// The fixture's numerical derivatives leave dust of this size where the true value is 0.
const DUST: f64 = 1e-60;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The engine's answer for a case, in the order of its `values`.
fn answer(name: &str, x: f64, y: f64) -> Taylor {
    match name {
        "softplus" => softplus_derivatives(x),
        "log_expit" => log_expit_derivatives(x),
        "log1mexp" => log1mexp_derivatives(x),
        "expm1mx" => expm1mx_derivatives(x),
        "log1p_over" => log1p_over_derivatives(x),
        "ln_gamma" => ln_gamma_derivatives(x, 3),
        "ln_gamma_deficit" => ln_gamma_deficit(x, 3),
        "log_ndtr" => log_ndtr_derivatives(x),
        "ln_rising" => ln_rising(x, y, 3),
        "ln_rising_excess" => ln_rising_excess(x, y, 3),
        "log1pmx" => [log1pmx(x), 0.0, 0.0, 0.0],
        "ln_factorial" => [ln_factorial(x), 0.0, 0.0, 0.0],
        _ => panic!("no such function: {name}"),
    }
}

/// Which of R and D a likelihood would use here; the other one cancels by design.
fn is_used(name: &str, x: f64, y: f64) -> bool {
    match name {
        "ln_rising" => x.exp() < y,
        "ln_rising_excess" => x.exp() >= y,
        _ => true,
    }
}

#[test]
fn functions_agree_with_mpmath() {
    let mut compared = 0;
    for case in cases() {
        let Some(name) = case["function"].as_str() else {
            continue;
        };
        let (x, y) = (case["x"].as_f64().unwrap(), case["y"].as_f64().unwrap_or(0.0));
        let got = answer(name, x, y);
        let want_all = numbers(&case["values"]);
        for (order, (got, &want)) in got.iter().zip(&want_all).enumerate() {
            // A few roundings. A tail probability e^{−x²/2} inherits that of its exponent.
            let exponent = if name == "log_ndtr" { 0.5 * x * x } else { 0.0 };
            let relative = 2e-14 + f64::EPSILON * exponent;
            // Derivatives that cross zero (ψ at 1.46) or are far smaller than the terms they are
            // made of are judged on the scale of those.
            let scale = match name {
                "ln_gamma" | "ln_gamma_deficit" => 1.5,
                "ln_rising" if is_used(name, x, y) => 0.1 * want_all[1],
                "ln_rising" | "ln_rising_excess" if !is_used(name, x, y) => y * (1.0 + x.abs()),
                _ => 0.0,
            };
            let tolerance = relative * want.abs().max(scale);
            assert!(
                (got - want).abs() <= tolerance || (*got == 0.0 && want.abs() < DUST),
                "{name}({x}, {y}) order {order}: {got:e}, should be {want:e}, off by {:e}",
                (got - want).abs() / want.abs()
            );
            compared += 1;
        }
    }
    assert!(compared > 500, "only {compared} values in the fixture");
}

#[test]
fn links_agree_with_mpmath() {
    let mut seen = Vec::new();
    for case in cases() {
        let Some(name) = case["link"].as_str() else {
            continue;
        };
        let link = Link::from_name(name).unwrap();
        seen.push(link.name());
        let x = case["x"].as_f64().unwrap();
        let answers = [
            ("mean", link.mean_derivatives(x)),
            ("log_mean", link.log_mean_derivatives(x)),
            ("log_complement", link.log_complement_derivatives(x)),
        ];
        for (form, got) in answers {
            if case[form].is_null() {
                continue;
            }
            // The identity, inverse and square-root means are not probabilities: their complement
            // is the plain logarithm, which is as good as 1 − μ.
            for (order, (got, want)) in got.iter().zip(numbers(&case[form])).enumerate() {
                assert!(
                    (got - want).abs() <= 2e-13 * want.abs() || (*got == 0.0 && want.abs() < DUST),
                    "{name} {form}({x}) order {order}: {got:e}, should be {want:e}"
                );
            }
        }
    }
    for link in Link::ALL {
        assert!(seen.contains(&link.name()), "{link} is not in the fixture");
    }
}

#[test]
fn links_invert() {
    for link in Link::ALL {
        for mu in [1e-12, 0.01, 0.2, 0.5, 0.77, 0.999] {
            assert!(link.valid_mean(mu));
            let back = link.mean(link.eta(mu));
            assert!((back - mu).abs() < 1e-11 * mu, "{link}: {mu} came back as {back}");
            let log = link.log_mean(link.eta(mu));
            assert!((log - mu.ln()).abs() < 1e-11, "{link}: log {mu}");
            let complement = link.complement(link.eta(mu));
            assert!((complement - (1.0 - mu)).abs() < 1e-11 * (1.0 - mu), "{link}: 1 - {mu}");
        }
        assert!(!link.valid_mean(f64::NAN));
        assert!(!link.valid_mean(f64::INFINITY));
    }
}

proptest! {
    #[test]
    fn rising_factorial_recurs(log_phi in -50.0..50.0_f64, y in 0_u32..3000) {
        // Γ(φ+y+1)/Γ(φ) = (φ+y) Γ(φ+y)/Γ(φ), whatever branches the two sides take.
        let y = f64::from(y);
        let (a, b) = (ln_rising(log_phi, y + 1.0, 3), ln_rising(log_phi, y, 3));
        let step = Jet::<1, 4>::variable(log_phi, 0).exp() + y;
        let step = step.ln().coefficients;
        for order in 0..4 {
            // exp(50)³ overflows the naive jet's digits at high order; the sums stay of order y.
            let scale = a[order].abs().max(b[order].abs()).max(1.0);
            prop_assert!((a[order] - b[order] - step[order]).abs() < 1e-12 * scale);
        }
    }

    #[test]
    fn mills_ratio_recurs(x in -300.0..30.0_f64) {
        // f″ = −f′(x + f′), so each derivative follows from the one before where that is stable.
        let [_, h, second, _] = log_ndtr_derivatives(x);
        prop_assert!((second + h * (x + h)).abs() <= 1e-14 * h * (x.abs() + h));
        prop_assert!(h > 0.0 && second <= 0.0);
    }

    #[test]
    fn jets_agree_with_known_derivatives(x in -20.0..20.0_f64) {
        // log(1 − e⁻ᵗ) at t = e^x is log of the cloglog mean.
        let t = Jet::<1, 4>::variable(x, 0).exp();
        prop_assume!(t.value() < 100.0 && t.value() > 1e-3);
        let composed = t.log1mexp().coefficients;
        let direct = Link::Cloglog.log_mean_derivatives(x);
        for order in 0..4 {
            prop_assert!((composed[order] - direct[order]).abs() < 1e-11 * (1.0 + direct[order].abs()));
        }
    }
}
