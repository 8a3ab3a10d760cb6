//! The contract of covariance structures, over the catalogue.
use ranef_engine::covariance::{CATALOGUE, Covariance, Natural, NaturalScale, Options, build_with};

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
            check(&*(entry.build)(size, &Options::default()), &format!("{} of {size}", entry.card.name));
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

fn structure(name: &str, size: usize) -> Box<dyn Covariance> {
    build_with(name, size, &Options { rank: Some(2) }).expect("in the catalogue")
}

/// The correlations that a structure stands for, from its natural parameters: written once more, as plainly as can be.
fn dense_correlation(name: &str, parameters: &[f64], i: usize, j: usize) -> f64 {
    let lag = i.abs_diff(j);
    match (name, lag) {
        (_, 0) => 1.0,
        ("cs" | "homcs", _) => parameters[0],
        ("ar1" | "hetar1", _) => parameters[0].powi(lag as i32),
        ("toep" | "homtoep", _) => parameters[lag - 1],
        ("diag" | "homdiag", _) => 0.0,
        _ => unreachable!("{name}"),
    }
}

#[test]
fn sigma_is_the_covariance_that_the_structure_stands_for() {
    for name in ["diag", "homdiag", "cs", "homcs", "ar1", "hetar1", "toep", "homtoep"] {
        for p in 1..=6 {
            let covariance = structure(name, p);
            for theta in thetas(&*covariance) {
                let sigma = sigma(&*covariance, &theta);
                let sd = |i: usize| sigma[i * p + i].sqrt();
                let found: Vec<f64> =
                    (covariance.correlations().iter()).map(|&(i, j)| sigma[j * p + i] / (sd(i) * sd(j))).collect();
                for i in 0..p {
                    if covariance.sds().len() == 1 {
                        assert!((sd(i) - sd(0)).abs() < ROUNDING, "{name} of {p}");
                    }
                    for j in 0..i {
                        let expected = dense_correlation(name, &found, i, j) * sd(i) * sd(j);
                        assert!((sigma[j * p + i] - expected).abs() < ROUNDING, "{name} of {p}: ({i}, {j})");
                    }
                }
            }
        }
    }
}

#[test]
fn known_angles_give_known_correlations() {
    let correlation = |name: &str, theta: &[f64], i: usize, j: usize| {
        let p = 4;
        let sigma = sigma(&*structure(name, p), theta);
        sigma[j * p + i] / (sigma[i * p + i] * sigma[j * p + j]).sqrt()
    };
    // rho = cos^2 a - sin^2 a / 3
    assert!(
        (correlation("homcs", &[2.0, 0.6], 3, 1) - (0.6_f64.cos().powi(2) - 0.6_f64.sin().powi(2) / 3.0)).abs()
            < ROUNDING
    );
    assert!((correlation("ar1", &[2.0, 0.6], 3, 1) - 0.6_f64.sin().powi(2)).abs() < ROUNDING);
    // Durbin and Levinson by hand: r_2 = alpha_1^2 + alpha_2 (1 - alpha_1^2).
    let (first, second) = (0.6_f64.sin(), (-0.4_f64).sin());
    let lag_two = first * first + second * (1.0 - first * first);
    assert!((correlation("homtoep", &[2.0, 0.6, -0.4, 0.3], 2, 0) - lag_two).abs() < ROUNDING);
}

#[test]
fn theta_follows_a_scaling_of_the_rows_as_it_says() {
    each_structure(|covariance, label| {
        let p = covariance.size();
        let scales: Vec<f64> =
            (0..p).map(|i| if covariance.absorbs_row_scaling() { 1.0 + 0.4 * i as f64 } else { 1.7 }).collect();
        for theta in thetas(covariance) {
            let scaled: Vec<f64> = theta
                .iter()
                .enumerate()
                .map(|(m, value)| {
                    let (row, degree) = covariance.scaling(m);
                    value * scales[row].powf(degree)
                })
                .collect();
            let expected: Vec<f64> =
                factor(covariance, &theta).iter().enumerate().map(|(at, value)| value * scales[at % p]).collect();
            let error = worst_difference(&factor(covariance, &scaled), &expected);
            assert!(error < ROUNDING, "{label}: {error:e}");
        }
    });
}

#[test]
fn the_covariance_is_symmetric_about_an_edge_and_singular_on_it() {
    each_structure(|covariance, label| {
        let p = covariance.size();
        for mut theta in thetas(covariance) {
            covariance.canonical_signs(&mut theta);
            for m in 0..theta.len() {
                let Some(edge) = covariance.edge(&theta, m) else { continue };
                // Of a whole column of Lambda the sign is free, of its pivot alone it is not.
                if matches!(covariance.card().name, "us" | "rr") {
                    continue;
                }
                let at = |distance: f64| {
                    let mut moved = theta.clone();
                    moved[m] = edge + distance;
                    sigma(covariance, &moved)
                };
                let error = worst_difference(&at(0.3), &at(-0.3));
                assert!(error < ROUNDING, "{label} theta[{m}]: {error:e}");
                let mut on = theta.clone();
                on[m] = edge;
                assert!(covariance.idle(&on).contains(&m), "{label} theta[{m}]");
                let lambda = factor(covariance, &on);
                assert!((0..p).any(|j| lambda[j * p + j] == 0.0), "{label} theta[{m}]: no pivot is zero");
            }
        }
    });
}

#[test]
fn the_curvature_of_the_factor_is_the_change_of_its_derivative() {
    each_structure(|covariance, label| {
        let (size, n) = (covariance.size() * covariance.rank(), covariance.n_theta());
        let g: Vec<f64> = (0..size).map(|at| (at as f64 * 0.9 + 0.2).cos()).collect();
        for theta in thetas(covariance) {
            let mut curvature = vec![0.0; n * n];
            covariance.add_curvature(&theta, &g, &mut curvature);
            let along = |theta: &[f64], m: usize| -> f64 {
                let mut derivative = vec![f64::NAN; size];
                covariance.derivative_into(theta, m, &mut derivative);
                derivative.iter().zip(&g).map(|(d, g)| d * g).sum()
            };
            for k in 0..n {
                let (mut above, mut below) = (theta.clone(), theta.clone());
                above[k] += 2e-5;
                below[k] -= 2e-5;
                for j in 0..n {
                    let numeric = (along(&above, j) - along(&below, j)) / 4e-5;
                    assert!((curvature[k * n + j] - numeric).abs() < 2e-7, "{label} theta[{j}], theta[{k}]");
                }
            }
        }
    });
}

#[test]
fn the_boundary_term_is_the_trace_over_derivatives() {
    each_structure(|covariance, label| {
        let (p, r, k) = (covariance.size(), covariance.rank(), covariance.n_theta());
        let n: Vec<f64> = (0..p * p).map(|at| ((at % p + at / p) as f64).cos()).collect();
        for theta in thetas(covariance) {
            let mut found = vec![0.0; k * k];
            covariance.add_quadratic(&theta, &n, &mut found);
            let derivatives: Vec<Vec<f64>> = (0..k)
                .map(|m| {
                    let mut derivative = vec![f64::NAN; p * r];
                    covariance.derivative_into(&theta, m, &mut derivative);
                    derivative
                })
                .collect();
            for at in 0..k * k {
                let (left, right) = (&derivatives[at % k], &derivatives[at / k]);
                let mut expected = 0.0;
                for c in 0..r {
                    for a in 0..p {
                        for b in 0..p {
                            expected += left[c * p + a] * n[b * p + a] * right[c * p + b];
                        }
                    }
                }
                assert!((found[at] - expected).abs() < 10.0 * ROUNDING, "{label}");
            }
        }
    });
}

#[test]
fn a_natural_parameter_is_held_where_it_is_asked_to_be() {
    each_structure(|covariance, label| {
        let p = covariance.size();
        for theta in thetas(covariance) {
            let entry = |sigma: &[f64], i: usize, j: usize| sigma[j * p + i];
            for row in covariance.sds() {
                let mut held = theta.clone();
                let Some(m) = covariance.hold(Natural::Sd(row), 0.7, &mut held) else { continue };
                assert!((0..held.len()).all(|l| l == m || held[l] == theta[l]), "{label}");
                assert!((entry(&sigma(covariance, &held), row, row).sqrt() - 0.7).abs() < ROUNDING, "{label}");
            }
            for (i, j) in covariance.correlations() {
                let mut held = theta.clone();
                let sigma_now = sigma(covariance, &theta);
                let now = entry(&sigma_now, i, j) / (entry(&sigma_now, i, i) * entry(&sigma_now, j, j)).sqrt();
                let Some(m) = covariance.hold(Natural::Correlation(i, j), 0.9 * now, &mut held) else { continue };
                if held[m].is_nan() {
                    continue;
                }
                assert!((0..held.len()).all(|l| l == m || held[l] == theta[l]), "{label}");
                let sigma = sigma(covariance, &held);
                let found = entry(&sigma, i, j) / (entry(&sigma, i, i) * entry(&sigma, j, j)).sqrt();
                assert!((found - 0.9 * now).abs() < ROUNDING, "{label} ({i}, {j}): {found} is not 0.9 x {now}");
            }
        }
    });
}

#[test]
fn standard_deviations_and_correlations_have_the_derivatives_of_central_differences() {
    each_structure(|covariance, label| {
        let p = covariance.size();
        let pairs = (0..p).flat_map(|i| (i + 1..p).map(move |j| Natural::Correlation(i, j)));
        for parameter in (0..p).map(Natural::Sd).chain(pairs) {
            for theta in thetas(covariance) {
                // Not so close to a variance of zero that a step leads across it.
                let sds = |i: usize| NaturalScale::new(covariance, &theta).value(Natural::Sd(i));
                if (0..p).any(|i| sds(i) < 1e-2) {
                    continue;
                }
                let slope = NaturalScale::new(covariance, &theta).slope(parameter);
                for (m, slope) in slope.iter().enumerate() {
                    let at = |step: f64| {
                        let mut moved = theta.clone();
                        moved[m] += step;
                        NaturalScale::new(covariance, &moved).value(parameter)
                    };
                    let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
                    let scale = 1.0 + slope.abs();
                    assert!((slope - numeric).abs() < 1e-5 * scale, "{label} {parameter:?} theta[{m}]");
                }
            }
        }
    });
}

#[test]
fn reduced_rank_starts_at_the_components_of_a_rough_covariance() {
    // Sigma of rank two with a unit diagonal: the start is its own factor, up to rotation.
    let p = 5;
    let angles = [0.2, 0.9, 1.4, 2.1, 2.6_f64];
    let dense: Vec<f64> = (0..p * p).map(|at| (angles[at % p] - angles[at / p]).cos()).collect();
    let covariance = structure("rr", p);
    let found = sigma(&*covariance, &covariance.start_near(&dense.iter().map(|v| 0.25 * v).collect::<Vec<_>>()));
    // Correlations are believed up to 0.9, which moves those above it.
    let error = worst_difference(&found, &dense.iter().map(|v| 0.25 * v).collect::<Vec<_>>());
    assert!(error < 0.06, "{error}");
}

#[test]
fn reduced_rank_with_as_many_latent_variables_as_columns_is_unstructured() {
    let (reduced, full) = (build_with("rr", 4, &Options { rank: Some(4) }).unwrap(), structure("us", 4));
    let theta: Vec<f64> = (0..10).map(|m| (m as f64).sin()).collect();
    assert_eq!(factor(&*reduced, &theta), factor(&*full, &theta));
    assert_eq!(structure("rr", 5).n_theta(), 9);
    assert_eq!(structure("rr", 5).rank(), 2);
}

#[test]
fn many_occasions_stay_positive_definite() {
    let p = 40;
    for name in ["cs", "hetar1", "toep", "homtoep"] {
        let covariance = structure(name, p);
        let theta: Vec<f64> = (0..covariance.n_theta()).map(|m| 1.2 * (m as f64 * 0.7).sin() + 0.1).collect();
        let lambda = factor(&*covariance, &theta);
        assert!((0..p).all(|j| lambda[j * p + j].abs() > 0.0), "{name}");
        let sigma = sigma(&*covariance, &theta);
        let again = covariance.theta_of(&lambda.iter().map(|v| v * 3.0).collect::<Vec<_>>());
        assert!(again.iter().all(|value| value.is_finite()), "{name}");
        assert!(sigma.iter().all(|value| value.is_finite()), "{name}");
    }
}

#[test]
fn homogeneous_diagonal_is_a_variance_times_the_identity() {
    let found = sigma(&*structure("homdiag", 3), &[0.5]);
    assert_eq!(found, [0.25, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.25]);
}
