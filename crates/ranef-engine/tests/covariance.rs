//! The contract of covariance structures, over the catalogue.
use ranef_engine::covariance::coupling::{Chain, Clock};
use ranef_engine::covariance::{
    CATALOGUE, Covariance, Natural, NaturalScale, Options, Parameter, Template, build, build_with, unit,
    with_correlation,
};
use ranef_engine::linalg::Tie;
use std::f64::consts::{FRAC_PI_2, PI};

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
    check(&*build_with("rr", 5, &Options { rank: Some(3) }).expect("in the catalogue"), "rr of 5, rank 3");
    check(&*with_correlation(4, known_factor()), "a known correlation of 4");
}

/// The Cholesky factor of a correlation matrix of four columns: rows of length one.
fn known_factor() -> Vec<f64> {
    let rows: [[f64; 4]; 4] = [[1.0, 0.0, 0.0, 0.0], [0.6, 0.8, 0.0, 0.0], [0.0, 0.6, 0.8, 0.0], [0.5, -0.5, 0.5, 0.5]];
    (0..16).map(|at| rows[at % 4][at / 4]).collect()
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

/// Where a column has lost its variance, some theta mean nothing: Sigma is found again all the same.
#[test]
fn the_covariance_is_found_again_from_a_factor_on_an_edge() {
    each_structure(|covariance, label| {
        for mut theta in thetas(covariance) {
            covariance.canonical_signs(&mut theta);
            for m in 0..theta.len() {
                let Some(edge) = covariance.edge(&theta, m) else { continue };
                let mut on = theta.clone();
                on[m] = edge;
                // Of occasions on both sides of one without variance nothing tells how they are correlated.
                let among = m < covariance.size() - 1 && m < covariance.sds().len() && covariance.sds().len() > 1;
                if among && matches!(covariance.card().name, "toep" | "hetar1") {
                    continue;
                }
                let again = covariance.theta_of(&factor(covariance, &on));
                let error = worst_difference(&sigma(covariance, &again), &sigma(covariance, &on));
                assert!(error < 10.0 * ROUNDING, "{label} theta[{m}]: {error:e}");
            }
        }
    });
}

#[test]
fn there_are_as_many_natural_parameters_as_theta() {
    each_structure(|covariance, label| {
        let (sds, correlations) = (covariance.sds(), covariance.correlations());
        let p = covariance.size();
        if covariance.rank() == p {
            assert_eq!(sds.len() + correlations.len(), covariance.n_theta(), "{label}");
        } else {
            // The loadings of fewer latent variables are not told from each other: all of Sigma is of interest.
            assert_eq!((sds.len(), correlations.len()), (p, p * (p - 1) / 2), "{label}");
        }
        assert!(correlations.iter().all(|&(i, j)| i < j && j < p), "{label}");
    });
}

#[test]
fn a_factor_is_linear_where_its_derivative_does_not_depend_on_theta() {
    each_structure(|covariance, label| {
        let derivatives = |theta: &[f64]| -> Vec<f64> {
            (0..theta.len())
                .flat_map(|m| {
                    let mut derivative = vec![f64::NAN; covariance.size() * covariance.rank()];
                    covariance.derivative_into(theta, m, &mut derivative);
                    derivative
                })
                .collect()
        };
        let [one, other, _] = &thetas(covariance)[..] else { unreachable!("three points") };
        assert_eq!(covariance.is_linear(), derivatives(one) == derivatives(other), "{label}");
    });
}

#[test]
fn canonical_signs_make_the_diagonal_positive_and_leave_the_covariance_as_it_is() {
    each_structure(|covariance, label| {
        for theta in thetas(covariance) {
            let mut canonical = theta.clone();
            covariance.canonical_signs(&mut canonical);
            let error = worst_difference(&sigma(covariance, &theta), &sigma(covariance, &canonical));
            assert!(error < ROUNDING, "{label}: {error:e}");
            let (p, lambda) = (covariance.size(), factor(covariance, &canonical));
            assert!((0..covariance.rank()).all(|j| lambda[j * p + j] >= 0.0), "{label}: a negative diagonal");
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
                let Some(m) = covariance.hold(Natural::Sd(row), 0.7, &mut held) else {
                    assert!((0..theta.len()).all(|m| covariance.entry(m).is_some()), "{label}: theta are no entries");
                    continue;
                };
                assert!((0..held.len()).all(|l| l == m || held[l] == theta[l]), "{label}");
                assert!((entry(&sigma(covariance, &held), row, row).sqrt() - 0.7).abs() < ROUNDING, "{label}");
            }
            for (i, j) in covariance.correlations() {
                let mut held = theta.clone();
                let sigma_now = sigma(covariance, &theta);
                let now = entry(&sigma_now, i, j) / (entry(&sigma_now, i, i) * entry(&sigma_now, j, j)).sqrt();
                let Some(m) = covariance.hold(Natural::Correlation(i, j), 0.9 * now, &mut held) else { continue };
                // A weaker correlation of the first pair can always be had; those of later lags lie between bounds.
                if held[m].is_nan() && (i, j) != (0, 1) {
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

#[test]
fn factors_are_exact_where_an_angle_is_a_multiple_of_a_right_angle() {
    for quarters in -6_i32..=6 {
        let angle = f64::from(quarters) * FRAC_PI_2;
        let lambda = factor(&*structure("ar1", 2), &[1.0, angle]);
        let (sine, cosine) = [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)][quarters.rem_euclid(4) as usize];
        assert_eq!(lambda, [1.0, sine, 0.0, cosine], "{quarters} right angles");
    }
    // Compound symmetry: rho = 1 - p / (p - 1) sin^2 a.
    assert_eq!(factor(&*structure("homcs", 3), &[1.0, PI])[..3], [1.0, 1.0, 1.0]);
}

#[test]
fn a_basis_of_matrices_spans_the_covariances_that_are_linear_in_parameters() {
    each_structure(|covariance, label| {
        let (p, name) = (covariance.size(), covariance.card().name);
        let Some(basis) = covariance.linear_basis() else {
            // Sigma of one or two columns is linear in variances and covariances, whatever the structure; so it is with
            // one variance and with a correlation for all pairs or for each lag.
            let linear = matches!(name, "us" | "diag" | "homdiag" | "homcs" | "homtoep") && !label.contains("known");
            assert!(name == "rr" || (p > 2 && !linear), "{label}");
            return;
        };
        let parameters = covariance.sds().len() + covariance.correlations().len();
        assert_eq!(basis.len(), parameters, "{label}");
        for theta in thetas(covariance) {
            let sigma = sigma(covariance, &theta);
            let mut spanned = vec![0.0; p * p];
            for matrix in &basis {
                let place = matrix.iter().position(|one| *one != 0.0).expect("not a matrix of zeros");
                for (sum, one) in spanned.iter_mut().zip(matrix) {
                    assert!(*one == 0.0 || *one == 1.0, "{label}");
                    *sum += one * sigma[place];
                }
            }
            let error = worst_difference(&spanned, &sigma);
            assert!(error < ROUNDING, "{label}: {error:e}");
        }
        for at in 0..p * p {
            assert!(basis.iter().filter(|matrix| matrix[at] != 0.0).count() <= 1, "{label}: a place in two matrices");
        }
    });
}

/// A correlation of zero is not a column without variance.
#[test]
fn angles_after_an_angle_of_zero_are_found_again() {
    for (name, theta) in
        [("homtoep", vec![1.3, 0.0, 0.5, 0.0]), ("toep", vec![1.1, 0.9, 1.2, 0.0, -0.4]), ("ar1", vec![1.3, 0.0])]
    {
        let covariance = structure(name, if name == "toep" { 3 } else { 4 });
        let error = worst_difference(&covariance.theta_of(&factor(&*covariance, &theta)), &theta);
        assert!(error < ROUNDING, "{name}: {error:e}");
    }
}

/// Columns without variance have no correlations; those of the others are found again.
#[test]
fn theta_is_found_again_where_a_column_has_no_variance() {
    for (name, p, zero) in
        [("cs", 4, 1), ("cs", 4, 0), ("cs", 2, 1), ("hetar1", 4, 0), ("hetar1", 4, 3), ("toep", 4, 3)]
    {
        let covariance = structure(name, p);
        for mut theta in thetas(&*covariance) {
            covariance.canonical_signs(&mut theta);
            theta[zero] = 0.0;
            let lambda = factor(&*covariance, &theta);
            let again = covariance.theta_of(&lambda);
            let error = worst_difference(&sigma(&*covariance, &again), &sigma(&*covariance, &theta));
            assert!(error < ROUNDING, "{name} of {p} without column {zero}: {error:e}");
        }
        let nothing = covariance.theta_of(&vec![0.0; p * p]);
        assert_eq!(nothing[..p], vec![0.0; p], "{name}");
        assert!(nothing.iter().all(|value| value.is_finite()), "{name}: {nothing:?}");
    }
}

/// What theta there are at an edge, or mean nothing because of those that are.
#[test]
fn idle_parameters_are_those_without_effect_and_those_at_an_edge() {
    let us = structure("us", 3);
    // theta: (0,0) (1,0) (2,0) (1,1) (2,1) (2,2); the second column of Lambda is zero, the pivot of the first.
    assert_eq!(us.idle(&[0.0, 0.4, 0.2, 0.0, 0.0, 0.7]), [3, 4]);
    assert_eq!(us.idle(&[0.5, 0.4, 0.2, 0.3, 0.1, 0.0]), [5]);
    assert_eq!(us.idle(&[0.5, 0.0, 0.0, 0.3, 0.1, 0.2]), [0; 0]);
    assert_eq!(us.edge(&[0.5, 0.4, 0.2, 0.3, 0.1, 0.2], 1), None);
    assert_eq!((0..6).filter(|&m| us.edge(&[1.0; 6], m) == Some(0.0)).collect::<Vec<_>>(), [0, 3, 5]);
    // Standard deviations of zero make the correlation meaningless only together.
    let ar1 = structure("ar1", 3);
    assert_eq!(ar1.idle(&[0.0, 0.5]), [0, 1]);
    assert_eq!(ar1.idle(&[0.4, FRAC_PI_2]), [1]);
    assert_eq!(ar1.idle(&[0.4, 0.5]), [0; 0]);
    assert_eq!(ar1.edge(&[0.4, -0.5], 1), Some(-FRAC_PI_2));
    // A correlation of one beyond the first lag: the angles of later lags no longer matter.
    assert_eq!(structure("homtoep", 4).idle(&[0.4, 0.5, FRAC_PI_2, 0.3]), [2, 3]);
}

#[test]
fn reduced_rank_starts_at_the_factor_of_a_covariance_of_that_rank() {
    // Directions no two of which are closer than 36 degrees: no correlation is above the 0.9 that is believed.
    let (p, sds) = (5, [0.5, 1.0, 2.0, 0.7, 1.3]);
    let direction = |i: usize| 0.2 + PI * [0.0, 2.0, 4.0, 1.0, 3.0][i] / 5.0;
    let dense: Vec<f64> =
        (0..p * p).map(|at| sds[at % p] * sds[at / p] * (direction(at % p) - direction(at / p)).cos()).collect();
    let covariance = structure("rr", p);
    let error = worst_difference(&sigma(&*covariance, &covariance.start_near(&dense)), &dense);
    assert!(error < ROUNDING, "{error:e}");
    // The six axes of an icosahedron, in three dimensions: cosines of 1 / sqrt(5).
    let golden = 0.5 * (1.0 + 5.0_f64.sqrt());
    let axes = [
        [0.0, 1.0, golden],
        [0.0, 1.0, -golden],
        [1.0, golden, 0.0],
        [1.0, -golden, 0.0],
        [golden, 0.0, 1.0],
        [golden, 0.0, -1.0],
    ];
    let cosine = |i: usize, j: usize| (0..3).map(|k| axes[i][k] * axes[j][k]).sum::<f64>() / (1.0 + golden * golden);
    let dense: Vec<f64> = (0..36).map(|at| cosine(at % 6, at / 6)).collect();
    let three = build_with("rr", 6, &Options { rank: Some(3) }).expect("in the catalogue");
    let error = worst_difference(&sigma(&*three, &three.start_near(&dense)), &dense);
    assert!(error < ROUNDING, "{error:e}");
    // Two columns in step: a correlation of 0.9 is believed, and its first component is sqrt(1.9 / 2) in both.
    let one = build_with("rr", 2, &Options { rank: Some(1) }).expect("in the catalogue");
    let (start, loading) = (one.start_near(&[4.0, 6.0, 6.0, 9.0]), 0.95_f64.sqrt());
    assert!(worst_difference(&start, &[2.0 * loading, 3.0 * loading]) < ROUNDING, "{start:?}");
}

#[test]
fn reduced_rank_starts_in_directions_that_are_spread() {
    let (p, rank) = (5, 3);
    let covariance = build_with("rr", p, &Options { rank: Some(rank) }).expect("in the catalogue");
    let lambda = factor(&*covariance, &covariance.start(&[2.0; 5]));
    for row in 0..p {
        let wave =
            |column: usize| if column > row { 0.0 } else { (PI * (row as f64 + 0.5) * column as f64 / 5.0).cos() };
        let length = (0..rank).map(|k| wave(k).powi(2)).sum::<f64>().sqrt();
        for column in 0..rank {
            assert!((lambda[column * p + row] - 2.0 * wave(column) / length).abs() < ROUNDING, "({row}, {column})");
        }
    }
}

#[test]
fn a_start_takes_from_a_rough_covariance_what_the_structure_can_have() {
    let rough = [4.0, 1.0, 0.0, 1.0, 9.0, 0.0, 0.0, 0.0, 1.0];
    for name in ["us", "diag", "cs", "hetar1", "toep"] {
        let found = sigma(&*structure(name, 3), &structure(name, 3).start_near(&rough));
        assert!(worst_difference(&found, &[4.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 1.0]) < ROUNDING, "{name}");
    }
    // One variance: their mean.
    for name in ["homdiag", "homcs", "ar1", "homtoep"] {
        let found = sigma(&*structure(name, 3), &structure(name, 3).start_near(&rough));
        let mean = 14.0 / 3.0;
        assert!(
            worst_difference(&found, &[mean, 0.0, 0.0, 0.0, mean, 0.0, 0.0, 0.0, mean]) < 10.0 * ROUNDING,
            "{name}"
        );
    }
}

#[test]
fn a_unit_covariance_has_no_parameters() {
    let unit = unit(3);
    assert_eq!((unit.size(), unit.rank(), unit.n_theta()), (3, 3, 0));
    assert_eq!(sigma(&*unit, &[]), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!((unit.start(&[2.0; 3]), unit.theta_of(&[1.0; 9])), (vec![], vec![]));
    assert_eq!(unit.linear_basis(), Some(vec![]));
    assert!(!unit.absorbs_row_scaling() && unit.idle(&[]).is_empty());
}

#[test]
fn a_known_correlation_is_kept_under_its_standard_deviations() {
    let covariance = with_correlation(4, known_factor());
    let sigma = sigma(&*covariance, &[2.0_f64.sqrt(), 1.0, 0.5_f64.sqrt(), 3.0_f64.sqrt()]);
    let (sds, c) = ([2.0, 1.0, 0.5, 3.0], known_factor());
    for i in 0..4 {
        for j in 0..4 {
            let correlation: f64 = (0..4).map(|k| c[k * 4 + i] * c[k * 4 + j]).sum();
            assert!((sigma[j * 4 + i] - sds[i] * sds[j] * correlation).abs() < ROUNDING, "({i}, {j})");
        }
    }
    assert!(covariance.correlations().is_empty());
}

/// Three terms on two factors, the first of which has levels in a chain: every map of the template against its meaning.
#[test]
fn a_template_places_terms_beside_each_other() {
    let terms = || -> Vec<(Box<dyn Covariance>, usize)> {
        vec![(structure("us", 2), 1), (structure("rr", 3), 0), (structure("hetar1", 3), 1)]
    };
    let chain = || Box::new(Chain::new(Clock::Steps, vec![None, Some(1.0)]));
    let template = Template::new(terms(), 2).coupled(vec![Some(chain()), None]);
    assert_eq!((template.widths(), template.ranks()), (&[3, 5][..], &[2, 5][..]));
    assert_eq!((template.n_terms(), template.n_factor(), template.n_theta()), (3, 12, 13));
    assert_eq!([0, 1, 2].map(|term| template.theta_range(term)), [0..3, 3..8, 8..12]);
    assert_eq!([0, 1, 2].map(|term| template.factor_of(term)), [1, 0, 1]);
    assert_eq!([0, 1, 2].map(|term| template.position(term)), [(0, 0), (0, 0), (2, 2)]);
    assert_eq!((template.coupling_range(0), template.coupling_range(1)), (12..13, 0..0));
    assert!(template.is_coupled() && !Template::new(terms(), 2).is_coupled());
    assert!(matches!(&template.ties()[..], [Tie::Precision(_), Tie::None]));
    let owners: Vec<usize> = (0..13).map(|m| template.term_of(m)).collect();
    assert_eq!(owners, [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 1]);
    assert_eq!(template.parameter(9), Parameter::Factor { term: 2, m: 1 });
    assert_eq!(template.parameter(12), Parameter::Coupling { factor: 0, m: 0 });

    let theta: Vec<f64> = (0..13).map(|m| 0.6 + 0.5 * (m as f64 * 1.3).sin()).collect();
    let own = |term: usize| &theta[template.theta_range(term)];
    let placed = |theta: &[f64]| -> Vec<Vec<f64>> {
        let (us, rr, ar) = (structure("us", 2), structure("rr", 3), structure("hetar1", 3));
        let (us, ar) = (factor(&*us, &theta[0..3]), factor(&*ar, &theta[8..12]));
        let mut large = vec![0.0; 25];
        (0..4).for_each(|at| large[at / 2 * 5 + at % 2] = us[at]);
        (0..9).for_each(|at| large[(2 + at / 3) * 5 + 2 + at % 3] = ar[at]);
        vec![factor(&*rr, &theta[3..8]), large]
    };
    assert_eq!(template.factors(&theta), placed(&theta));
    assert_eq!(template.term_factor(2, &theta), factor(&*structure("hetar1", 3), own(2)));

    let g: Vec<Vec<f64>> = [6, 25].map(|n| (0..n).map(|at| (at as f64 * 0.9 + 0.2).cos()).collect()).to_vec();
    let mut chained = vec![f64::NAN; 13];
    template.chain(&theta, &g, &mut chained);
    for m in 0..12 {
        let (f, derivative) = template.derivative(&theta, m);
        let (mut above, mut below) = (theta.clone(), theta.clone());
        above[m] += 1e-5;
        below[m] -= 1e-5;
        let numeric: Vec<f64> =
            (placed(&above)[f].iter().zip(&placed(&below)[f])).map(|(a, b)| (a - b) / 2e-5).collect();
        assert!(worst_difference(&derivative, &numeric) < DERIVATIVE_TOLERANCE, "theta[{m}]");
        let expected: f64 = derivative.iter().zip(&g[f]).map(|(d, g)| d * g).sum();
        assert!((chained[m] - expected).abs() < ROUNDING, "theta[{m}]");
        // An entry of Lambda has a derivative of one there.
        if let Some((factor, row, column)) = template.entry(m) {
            let width = template.widths()[factor];
            let expected: Vec<f64> =
                (0..derivative.len()).map(|at| f64::from(u8::from(at == column * width + row))).collect();
            assert_eq!((f, &derivative), (factor, &expected), "theta[{m}]");
        }
    }
    assert_eq!(chained[12], 0.0);
    assert_eq!((0..13).filter(|&m| template.entry(m).is_none()).collect::<Vec<_>>(), [8, 9, 10, 11, 12]);
    assert_eq!(template.term_block(2, &g[1]), (0..9).map(|at| g[1][(2 + at / 3) * 5 + 2 + at % 3]).collect::<Vec<_>>());

    let times = template.times(&theta, 3.0);
    assert_eq!(times[12], theta[12]);
    for (found, expected) in template.factors(&times).iter().zip(placed(&theta)) {
        assert!(worst_difference(found, &expected.iter().map(|v| 3.0 * v).collect::<Vec<_>>()) < 10.0 * ROUNDING);
    }

    // Nothing linear with a reduced rank among the terms; without it, one matrix for each variance and covariance.
    assert!(template.linear_entries().is_none());
    let linear: Vec<(Box<dyn Covariance>, usize)> = vec![(structure("us", 2), 0), (structure("homdiag", 2), 0)];
    let entries = Template::new(linear, 1).linear_entries().expect("linear");
    let ones = |entry: usize| (0..16).filter(|&at| entries[entry].matrix[at] == 1.0).collect::<Vec<_>>();
    assert_eq!((0..entries.len()).map(ones).collect::<Vec<_>>(), [vec![0], vec![1, 4], vec![5], vec![10, 15]]);
    for entry in &entries {
        assert_eq!((entry.factor, entry.matrix[entry.place.1 * 4 + entry.place.0]), (0, 1.0));
    }

    let free = Template::new(vec![(build("diag", 1).expect("in the catalogue"), 0)], 1).with_free(2);
    assert_eq!(free.factors(&[0.3]), [vec![0.3], vec![1.0, 0.0, 0.0, 1.0]]);
    assert_eq!((free.n_theta(), free.coupling_range(1)), (1, 0..0));
    assert!(matches!(&free.ties()[..], [Tie::None, Tie::Free]));
}
