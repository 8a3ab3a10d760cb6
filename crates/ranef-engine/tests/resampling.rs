//! Bootstrap and profile against what they must equal: other threads, whole refits, row-level draws, a brute-force grid.
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family;
use ranef_engine::fitting::{Control, Fit, Likelihood, fit, precision_offset};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::profile::Parameter;
use ranef_engine::special::log_ndtr;
use std::sync::Arc;

/// Smooth noise that is the same everywhere.
fn noise(i: usize) -> f64 {
    let x = ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453;
    2.0 * (x - x.floor()) - 1.0
}

/// A linear mixed model with correlated intercept and slope over `levels` groups of `each` rows.
fn linear(levels: usize, each: usize, weighted: bool, reml: bool) -> Fit {
    let n = levels * each;
    let code = |i: usize| i / each;
    let x: Vec<f64> = (0..n).map(|i| (i % each) as f64 / each as f64).collect();
    let y: Vec<f64> = (0..n)
        .map(|i| 3.0 + 2.0 * x[i] + 1.2 * noise(1000 + code(i)) + 1.5 * noise(2000 + code(i)) * x[i] + 0.5 * noise(i))
        .collect();
    let weights = weighted.then(|| (0..n).map(|i| 1.0 + 0.5 * noise(5000 + i)).collect::<Vec<f64>>());
    let one = vec![1.0; n];
    let mut fixed = vec![Fixed::new(n, &[one.clone(), x.clone()].concat(), None), Fixed::new(n, &one, None)];
    if let Some(w) = &weights {
        fixed[1].set_offset(Some(precision_offset(w)));
    }
    let terms = vec![TermSpec {
        predictor: 0,
        grouping: 0,
        columns: vec![Column::One, Column::new(&x)],
        covariance: covariance::build("us", 2).expect("in the catalogue"),
    }];
    let groups = vec![((0..n).map(|i| code(i) as u32).collect(), levels)];
    let design = Arc::new(Design::new(n, fixed, groups, terms));
    let family = family::build("gaussian", None, false).expect("in the catalogue").into();
    let data = Arc::new(Data { y, trials: None, weights: None, family, design });
    fit(data, Likelihood::Profiled { reml, weights }, &Control::default()).expect("determined")
}

/// Counts with a random intercept.
fn counts() -> Fit {
    let (levels, each) = (15, 8);
    let n = levels * each;
    let x: Vec<f64> = (0..n).map(|i| noise(i + 77)).collect();
    let y = (0..n).map(|i| (1.0 + 0.6 * x[i] + 0.7 * noise(300 + i / each) + noise(i)).exp().floor()).collect();
    let fixed = vec![Fixed::new(n, &[vec![1.0; n], x].concat(), None)];
    let covariance = covariance::build("us", 1).expect("in the catalogue");
    let terms = vec![TermSpec { predictor: 0, grouping: 0, columns: vec![Column::One], covariance }];
    let groups = vec![((0..n).map(|i| (i / each) as u32).collect(), levels)];
    let design = Arc::new(Design::new(n, fixed, groups, terms));
    let family = family::build("poisson", None, false).expect("in the catalogue").into();
    let data = Arc::new(Data { y, trials: None, weights: None, family, design });
    fit(data, Likelihood::Laplace(Method::Ml), &Control::default()).expect("determined")
}

fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads").install(work)
}

#[test]
fn replicates_are_the_same_bits_on_any_number_of_threads_and_in_any_pieces() {
    // 180 rows are drawn one by one, 3000 as their sufficient statistics.
    for fitted in [linear(18, 10, false, true), linear(300, 10, false, true), counts()] {
        let control = Control::default();
        let bits = |replicates: Vec<ranef_engine::bootstrap::Replicate>| -> Vec<u64> {
            replicates
                .iter()
                .flat_map(|r| [r.loglik, r.sigma].into_iter().chain(r.parameters.clone()))
                .map(f64::to_bits)
                .collect()
        };
        let one = bits(on_threads(1, || fitted.bootstrap(0..12, 7, &control)));
        assert_eq!(one, bits(on_threads(3, || fitted.bootstrap(0..12, 7, &control))));
        let pieces = [0..5, 5..6, 6..12].into_iter().flat_map(|piece| fitted.bootstrap(piece, 7, &control)).collect();
        assert_eq!(one, bits(pieces));
        assert_ne!(one, bits(fitted.bootstrap(0..12, 8, &control)));
    }
}

#[test]
fn replicates_are_those_of_whole_fits() {
    for fitted in [linear(18, 10, true, true), linear(18, 10, false, false), counts()] {
        let control = Control::default();
        let fits = fitted.bootstrap_fits(0..20, 3, &control).expect("determined");
        for (replicate, whole) in fitted.bootstrap(0..20, 3, &control).iter().zip(&fits) {
            assert!(replicate.converged);
            assert_eq!(replicate.singular, whole.optimum.verdict.is_singular());
            // The search ends within 1e-4 standard errors: half a square of that in the likelihood.
            assert!((replicate.loglik - whole.loglik).abs() < 1e-7, "{} {}", replicate.loglik, whole.loglik);
            for (a, b) in replicate.parameters.iter().zip(whole.natural_parameters()) {
                assert!((a - b).abs() < 2e-3 * (1.0 + b.abs()) || (a.is_nan() && b.is_nan()), "{a} {b}");
            }
        }
    }
}

#[test]
fn draws_without_rows_have_the_moments_of_draws_with_rows() {
    // Weights, so that no shortcut of a balanced design hides a mistake.
    let fitted = linear(250, 10, true, true);
    let (control, count) = (Control::default(), 400);
    let free = fitted.bootstrap(0..count, 11, &control);
    let rows = fitted.bootstrap_fits(0..count, 12, &control).expect("determined");
    let rows: Vec<Vec<f64>> = rows.iter().map(|fit| [vec![fit.loglik], fit.natural_parameters()].concat()).collect();
    let free: Vec<Vec<f64>> = free.iter().map(|r| [vec![r.loglik], r.parameters.clone()].concat()).collect();
    let moments = |draws: &[Vec<f64>], j: usize| {
        let mean = draws.iter().map(|row| row[j]).sum::<f64>() / count as f64;
        (mean, (draws.iter().map(|row| (row[j] - mean).powi(2)).sum::<f64>() / (count - 1) as f64).sqrt())
    };
    for j in 0..free[0].len() {
        let ((mean, sd), (other_mean, other_sd)) = (moments(&free, j), moments(&rows, j));
        let error = sd * (2.0 / count as f64).sqrt();
        assert!((mean - other_mean).abs() < 4.0 * error, "mean {j}: {mean} {other_mean} +- {error}");
        // The log of an estimated sd has a standard error of sqrt(1 / 2n) each.
        assert!((sd / other_sd).ln().abs() < 4.0 * (1.0 / count as f64).sqrt(), "sd {j}: {sd} {other_sd}");
    }
}

#[test]
fn profiles_are_those_of_a_brute_force_grid() {
    // A random intercept alone: D(t) over a fine grid of the other parameter, without any search.
    let fitted = counts();
    let at = |x: &[f64]| {
        let mut laplace = ranef_engine::likelihood::laplace::Laplace::new(fitted.data.clone(), Method::Ml);
        ranef_engine::objective::Objective::value_gradient(&mut laplace, x, &mut vec![0.0; x.len()])
    };
    let curve = &fitted.profile(&[Parameter::Sd { term: 0, column: 0 }], 1.96, 2, &Control::default()).expect("ok")[0];
    for &(t, zeta) in curve.points.iter().filter(|point| point.0 > 0.0) {
        // Cyclic golden sections over the two coefficients.
        let mut x = fitted.optimum.x.clone();
        let last = x.len() - 1;
        x[last] = t;
        let mut width = 0.3;
        let mut best = at(&x);
        while width > 1e-6 {
            let before = best;
            for m in 0..last {
                for step in [-width, width] {
                    let mut trial = x.clone();
                    trial[m] += step;
                    let value = at(&trial);
                    if value < best {
                        (x, best) = (trial, value);
                    }
                }
            }
            if before - best < 1e-12 {
                width *= 0.5;
            }
        }
        let brute = (2.0 * (best + fitted.loglik)).max(0.0).sqrt();
        assert!((brute - zeta.abs()).abs() < 1e-4, "{t}: {brute} {zeta}");
    }
}

#[test]
fn every_parameter_of_a_linear_model_has_two_ends() {
    let fitted = linear(18, 10, true, true);
    let parameters = [
        Parameter::Fixed { predictor: 0, column: 0 },
        Parameter::Fixed { predictor: 0, column: 1 },
        Parameter::Sd { term: 0, column: 0 },
        Parameter::Sd { term: 0, column: 1 },
        Parameter::Correlation { term: 0, first: 0, second: 1 },
        Parameter::Sigma,
    ];
    for (parameter, curve) in
        parameters.iter().zip(fitted.profile(&parameters, 1.96, 3, &Control::default()).expect("ok"))
    {
        assert!(curve.lower.note.is_empty() && curve.upper.note.is_empty(), "{parameter:?} {curve:?}");
        assert!(curve.lower.value < curve.estimate && curve.estimate < curve.upper.value);
        assert!(curve.points.windows(2).all(|pair| pair[0].1 < pair[1].1), "{parameter:?} {:?}", curve.points);
    }
}

/// Quantile residuals of counts out of trials lie between the probabilities of fewer successes and of no more; draws are counts
/// out of as many.
#[test]
fn residuals_and_draws_of_a_binomial_are_out_of_its_trials() {
    let (levels, each) = (6, 5);
    let n = levels * each;
    let trials: Vec<f64> = (0..n).map(|i| 3.0 + (i % 4) as f64).collect();
    let y: Vec<f64> =
        (0..n).map(|i| (trials[i] * (0.5 + 0.3 * noise(i) + 0.2 * noise(400 + i / each))).floor()).collect();
    let covariance = covariance::build("us", 1).expect("in the catalogue");
    let terms = vec![TermSpec { predictor: 0, grouping: 0, columns: vec![Column::One], covariance }];
    let groups = vec![((0..n).map(|i| (i / each) as u32).collect(), levels)];
    let design = Arc::new(Design::new(n, vec![Fixed::new(n, &vec![1.0; n], None)], groups, terms));
    let family = family::build("binomial", None, false).expect("in the catalogue").into();
    let data = Arc::new(Data { y: y.clone(), trials: Some(trials.clone()), weights: None, family, design });
    let fitted = fit(data, Likelihood::Laplace(Method::Ml), &Control::default()).expect("determined");
    let residuals = fitted.quantile_residuals(&[true], 5);
    for i in 0..n {
        let p = 1.0 / (1.0 + (-fitted.eta()[0][i]).exp());
        let up_to = |most: f64| -> f64 {
            let (mut sum, mut k, mut choices) = (0.0, 0.0, 1.0);
            while k <= most {
                sum += choices * p.powf(k) * (1.0 - p).powf(trials[i] - k);
                choices *= (trials[i] - k) / (k + 1.0);
                k += 1.0;
            }
            sum
        };
        let place = log_ndtr(residuals[i]).exp();
        assert!(up_to(y[i] - 1.0) - 1e-12 <= place && place <= up_to(y[i]) + 1e-12, "row {i}: {place}");
    }
    let draws = fitted.bootstrap_fits(0..3, 3, &Control::default()).expect("determined");
    let drawn: Vec<f64> = draws.iter().flat_map(|fit| fit.data.y.clone()).collect();
    assert!(drawn.iter().zip(trials.iter().cycle()).all(|(y, trials)| y <= trials));
    assert!(drawn.iter().any(|&y| y > 1.0));
}
