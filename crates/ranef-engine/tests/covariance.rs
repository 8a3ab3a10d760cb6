//! The contract of covariance structures, over the catalogue.
use ranef_engine::covariance::{CATALOGUE, Covariance};

/// Central differences with a step of 1e-5: truncation and rounding are both near 1e-10.
const DERIVATIVE_TOLERANCE: f64 = 1e-7;
/// Sums of a few products of numbers near one.
const ROUNDING: f64 = 1e-12;

/// Points at which nothing is special.
fn thetas(covariance: &dyn Covariance) -> Vec<Vec<f64>> {
    let point = |shift: f64| (0..covariance.n_theta()).map(|m| 0.8 * ((m as f64 + shift) * 1.7).sin() + 0.1).collect();
    [0.4, 1.3, 2.9].map(point).to_vec()
}

fn factor(covariance: &dyn Covariance, theta: &[f64]) -> Vec<f64> {
    let mut lambda = vec![f64::NAN; covariance.size() * covariance.rank()];
    covariance.factor_into(theta, &mut lambda);
    lambda
}

fn worst_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, d| if d > worst || d.is_nan() { d } else { worst })
}

fn each_structure(check: impl Fn(&dyn Covariance, &str)) {
    for entry in CATALOGUE {
        for size in 1..=6 {
            check(&*(entry.build)(size), &format!("{} of {size}", entry.card.name));
        }
    }
}

#[test]
fn derivatives_of_the_factor_are_those_of_central_differences() {
    each_structure(|covariance, label| {
        for theta in thetas(covariance) {
            for m in 0..theta.len() {
                let mut derivative = vec![f64::NAN; covariance.size() * covariance.rank()];
                covariance.derivative_into(&theta, m, &mut derivative);
                let step = 1e-5;
                let (mut above, mut below) = (theta.clone(), theta.clone());
                above[m] += step;
                below[m] -= step;
                let numeric: Vec<f64> = (factor(covariance, &above).iter().zip(factor(covariance, &below)))
                    .map(|(a, b)| (a - b) / (2.0 * step))
                    .collect();
                let error = worst_difference(&derivative, &numeric);
                assert!(error < DERIVATIVE_TOLERANCE, "{label} theta[{m}]: {error:e}");
            }
        }
    });
}

#[test]
fn the_chain_rule_is_the_sum_over_derivatives() {
    each_structure(|covariance, label| {
        let size = covariance.size() * covariance.rank();
        let g: Vec<f64> = (0..size).map(|at| (at as f64 * 0.9 + 0.2).cos()).collect();
        for theta in thetas(covariance) {
            let mut out = vec![1.0; theta.len()];
            covariance.chain(&theta, &g, &mut out);
            for (m, value) in out.iter().enumerate() {
                let mut derivative = vec![f64::NAN; size];
                covariance.derivative_into(&theta, m, &mut derivative);
                let expected: f64 = 1.0 + derivative.iter().zip(&g).map(|(d, g)| d * g).sum::<f64>();
                assert!((value - expected).abs() < ROUNDING, "{label} theta[{m}]");
            }
        }
    });
}

#[test]
fn theta_is_found_again_from_its_factor() {
    each_structure(|covariance, label| {
        for mut theta in thetas(covariance) {
            covariance.canonical_signs(&mut theta);
            let error = worst_difference(&covariance.theta_of(&factor(covariance, &theta)), &theta);
            assert!(error < ROUNDING, "{label}: {error:e}");
        }
    });
}

#[test]
fn canonical_signs_leave_the_covariance_as_it_is() {
    each_structure(|covariance, label| {
        for theta in thetas(covariance) {
            let mut canonical = theta.clone();
            covariance.canonical_signs(&mut canonical);
            let error = worst_difference(&sigma(covariance, &theta), &sigma(covariance, &canonical));
            assert!(error < ROUNDING, "{label}: {error:e}");
        }
    });
}

#[test]
fn the_start_has_the_standard_deviations_asked_for() {
    each_structure(|covariance, label| {
        let p = covariance.size();
        let sds = vec![0.7; p];
        let theta = covariance.start(&sds);
        assert_eq!(theta.len(), covariance.n_theta(), "{label}");
        let sigma = sigma(covariance, &theta);
        for j in 0..p {
            assert!((sigma[j * p + j].sqrt() - 0.7).abs() < ROUNDING, "{label} column {j}");
        }
    });
}

fn sigma(covariance: &dyn Covariance, theta: &[f64]) -> Vec<f64> {
    let (p, r, lambda) = (covariance.size(), covariance.rank(), factor(covariance, theta));
    let entry = |i: usize, j: usize| (0..r).map(|k| lambda[k * p + i] * lambda[k * p + j]).sum();
    (0..p).flat_map(|j| (0..p).map(move |i| (i, j))).map(|(i, j)| entry(i, j)).collect()
}

#[test]
fn homogeneous_diagonal_is_a_variance_times_the_identity() {
    let build = CATALOGUE.iter().find(|entry| entry.card.name == "homdiag").expect("in the catalogue").build;
    let found = sigma(&*build(3), &[0.5]);
    assert_eq!(found, [0.25, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.25]);
}
