//! Whole fits: from data to a judged optimum.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family;
use ranef_engine::fitting::verdict::Status;
use ranef_engine::fitting::{Control, Fit, Likelihood, Remedy, fit};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::Laplace;
use ranef_engine::objective::Objective;
use std::sync::Arc;

const GROUPS: usize = 20;
const PER_GROUP: usize = 8;
const N: usize = GROUPS * PER_GROUP;

/// y = 1 + 0.5 x + intercepts and slopes that vary between groups with the given standard deviations + noise; or the
/// Poisson counts of that predictor.
fn data(name: &str, structure: &str, intercepts: f64, slopes: f64) -> Arc<Data> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let x: Vec<f64> = (0..N).map(|_| normal()).collect();
    let b: Vec<(f64, f64)> = (0..GROUPS).map(|_| (intercepts * normal(), slopes * normal())).collect();
    let eta: Vec<f64> = (0..N).map(|i| 1.0 + 0.5 * x[i] + b[i / PER_GROUP].0 + b[i / PER_GROUP].1 * x[i]).collect();
    // Without effects the residuals cancel within groups, so that the data speak for less variance than chance.
    let noise: Vec<f64> = (0..N).map(|i| 0.7 * if i % 2 == 0 { 1.0 } else { -1.0 } + 0.05 * normal()).collect();
    let family = family::build(name, None, false).expect("in the catalogue");
    let y = match name {
        "gaussian" => eta.iter().zip(&noise).map(|(eta, e)| eta + e).collect(),
        _ => eta.iter().zip(&noise).map(|(eta, e)| (eta + 0.1 * e).exp().round()).collect(),
    };
    let one = vec![1.0; N];
    let mut fixed = vec![Fixed::new(N, &[one.clone(), x.clone()].concat(), None)];
    fixed.extend((1..family.components().len()).map(|_| Fixed::new(N, &one, None)));
    let term = TermSpec {
        predictor: 0,
        grouping: 0,
        columns: vec![Column::One, Column::new(&x)],
        covariance: covariance::build(structure, 2).expect("in the catalogue"),
    };
    let codes = (0..N).map(|i| (i / PER_GROUP) as u32).collect();
    let design = Arc::new(Design::new(N, fixed, vec![(codes, GROUPS)], vec![term]));
    Arc::new(Data { y, trials: None, weights: None, family: family.into(), design })
}

fn fitted(data: Arc<Data>, likelihood: Likelihood, control: &Control) -> Fit {
    fit(data, likelihood, control).expect("data that determine a likelihood")
}

const PROFILED: Likelihood = Likelihood::Profiled { reml: false, weights: None };
const LAPLACE: Likelihood = Likelihood::Laplace(Method::Ml);

#[test]
fn the_profiled_likelihood_is_that_of_the_laplace_approximation() {
    for (intercepts, slopes) in [(0.8, 0.4), (0.8, 0.0)] {
        for structure in ["us", "diag", "homdiag", "cs", "hetar1"] {
            let data = data("gaussian", structure, intercepts, slopes);
            let profiled = fitted(data.clone(), PROFILED, &Control::default());
            let laplace = fitted(data, LAPLACE, &Control::default());
            // Both polish to 1e-7 standard errors: the values agree to rounding.
            assert!((profiled.loglik - laplace.loglik).abs() < 1e-8, "{} {}", profiled.loglik, laplace.loglik);
            for (a, b) in profiled.theta.iter().zip(&laplace.theta) {
                assert!((a - b).abs() < 1e-5, "{structure}: {:?} {:?}", profiled.theta, laplace.theta);
            }
            for (a, b) in profiled.modes.iter().zip(&laplace.modes) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}

#[test]
fn restricted_likelihoods_agree_too() {
    let data = data("gaussian", "us", 0.8, 0.4);
    let profiled = fitted(data.clone(), Likelihood::Profiled { reml: true, weights: None }, &Control::default());
    let laplace = fitted(data, Likelihood::Laplace(Method::Reml), &Control::default());
    assert!((profiled.loglik - laplace.loglik).abs() < 1e-8, "{} {}", profiled.loglik, laplace.loglik);
}

#[test]
fn variance_that_the_data_deny_is_exactly_zero_and_a_tested_minimum() {
    for (name, likelihood) in [("gaussian", PROFILED), ("gaussian", LAPLACE), ("poisson", LAPLACE)] {
        for structure in ["us", "diag", "homdiag", "homcs", "ar1"] {
            let fit = fitted(data(name, structure, 0.0, 0.0), likelihood.clone(), &Control::default());
            let verdict = &fit.optimum.verdict;
            assert_eq!(verdict.status, Status::ConvergedSingular, "{name} {structure}");
            assert!(verdict.terms[0].rank < 2, "{name} {structure}");
            assert!(verdict.terms[0].kkt.expect("a singular term") > 0.0, "{name} {structure}");
            let lambda = fit.data.design.template.term_factor(0, &fit.theta);
            assert!(lambda.contains(&0.0), "{lambda:?}");
        }
    }
}

#[test]
fn a_start_at_zero_variance_is_left_when_the_likelihood_rises() {
    // theta = 0 is stationary by symmetry; only the second-order test shows the way out.
    for (name, likelihood) in [("gaussian", PROFILED), ("gaussian", LAPLACE), ("poisson", LAPLACE)] {
        let data = data(name, "us", 0.8, 0.4);
        let free = fitted(data.clone(), likelihood.clone(), &Control::default());
        let mut start = free.optimum.x.clone();
        let first = start.len() - 3;
        start[first..].fill(0.0);
        let control = Control { start: Some(start), ..Control::default() };
        let from_zero = fitted(data, likelihood, &control);
        assert!((free.loglik - from_zero.loglik).abs() < 1e-7, "{name}: {} {}", free.loglik, from_zero.loglik);
        assert!(from_zero.optimum.verdict.status.is_converged());
    }
}

#[test]
fn a_level_whose_counts_are_all_zero_is_said_to_separate_the_response() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
    let level: Vec<f64> = (0..N).map(|i| f64::from(u8::from(i % 4 == 0))).collect();
    let y = level.iter().map(|l| if *l == 1.0 { 0.0 } else { (1.0 + 0.5 * normal()).exp().round() }).collect();
    let fixed = vec![Fixed::new(N, &[vec![1.0; N], level].concat(), None)];
    let term = TermSpec {
        predictor: 0,
        grouping: 0,
        columns: vec![Column::One],
        covariance: covariance::build("us", 1).expect("in the catalogue"),
    };
    let codes = (0..N).map(|i| (i / PER_GROUP) as u32).collect();
    let design = Arc::new(Design::new(N, fixed, vec![(codes, GROUPS)], vec![term]));
    let family = family::build("poisson", None, false).expect("in the catalogue");
    let data = Arc::new(Data { y, trials: None, weights: None, family: family.into(), design });
    let fit = fitted(data, LAPLACE, &Control::default());
    let verdict = &fit.optimum.verdict;
    assert_eq!((verdict.status, &verdict.separated[..]), (Status::Separated, &[(0, 1)][..]));
    // The intercept, which the other levels determine, keeps an ordinary standard error.
    let covariance = fit.fixed_covariance(0).expect("a definite inner Hessian");
    assert!(covariance[0].sqrt() < 0.2 && covariance[3].sqrt() > 100.0, "{covariance:?}");
}

#[test]
fn too_few_iterations_are_said_to_be_too_few() {
    let control = Control { max_iterations: 1, ..Control::default() };
    let fit = fitted(data("poisson", "us", 0.8, 0.4), LAPLACE, &control);
    assert!(fit.loglik.is_finite());
    assert!(matches!(fit.optimum.verdict.status, Status::MaxIterations | Status::Converged));
    assert!(fit.optimum.verdict.gradient_scaled > 1e-3 || fit.optimum.verdict.status == Status::Converged);
}

#[test]
fn simulated_data_bring_the_parameters_back() {
    use ranef_engine::simulation::Effects;
    let data = data("poisson", "us", 0.8, 0.4);
    let truth = fitted(data.clone(), LAPLACE, &Control::default());
    let replicates = 60;
    let draws = truth.simulate(replicates, 3, &[Effects::New], None, None);
    assert_eq!(draws, truth.simulate(replicates, 3, &[Effects::New], None, None));
    assert_eq!(draws[..N], truth.simulate(1, 3, &[Effects::New], None, None)[..]);
    let mut sum = [0.0; 4];
    for y in draws.chunks_exact(N) {
        let again = Data {
            y: y.to_vec(),
            trials: None,
            weights: None,
            family: data.family.clone(),
            design: data.design.clone(),
        };
        let refit = fitted(Arc::new(again), LAPLACE, &Control::default());
        assert!(refit.optimum.verdict.status.is_converged(), "{:?}", refit.optimum.verdict);
        let beta = data.design.fixed[0].to_original(&refit.beta[0]);
        let variance = |row: usize| {
            (0..2).map(|c| data.design.template.term_factor(0, &refit.theta)[c * 2 + row].powi(2)).sum::<f64>()
        };
        for (total, value) in sum.iter_mut().zip([beta[0], beta[1], variance(0).sqrt(), variance(1).sqrt()]) {
            *total += value / replicates as f64;
        }
    }
    let beta = data.design.fixed[0].to_original(&truth.beta[0]);
    let lambda = data.design.template.term_factor(0, &truth.theta);
    let sds = [lambda[0].abs(), lambda[1].hypot(lambda[3])];
    // The mean of 60 estimates has a standard error of about 0.2 / sqrt(60); maximum likelihood shrinks sds by 1/(2G).
    assert!((sum[0] - beta[0]).abs() < 0.1 && (sum[1] - beta[1]).abs() < 0.06, "{sum:?} {beta:?}");
    assert!((sum[2] / sds[0] - 1.0).abs() < 0.12 && (sum[3] / sds[1] - 1.0).abs() < 0.2, "{sum:?} {sds:?}");
}

#[test]
fn modes_do_not_depend_on_the_factor_that_leads_to_them() {
    // Two crossed factors that leave a dense matrix of 400, which takes longer to factor than the rows to pass.
    const ROWS: usize = 3000;
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let codes = |levels: usize, step: usize| (0..ROWS).map(|i| ((i * step + i / levels) % levels) as u32).collect();
    let groupings: Vec<(Vec<u32>, usize)> = vec![(codes(600, 7), 600), (codes(400, 11), 400)];
    let y: Vec<f64> =
        (0..ROWS).map(|_| -> f64 { StandardNormal.sample(&mut rng) }).map(|e| (0.8 + 0.7 * e).exp().round()).collect();
    let term = |grouping| TermSpec {
        predictor: 0,
        grouping,
        columns: vec![Column::One],
        covariance: covariance::build("us", 1).expect("in the catalogue"),
    };
    let fixed = vec![Fixed::new(ROWS, &vec![1.0; ROWS], None)];
    let design = Arc::new(Design::new(ROWS, fixed, groupings, vec![term(0), term(1)]));
    let family = family::build("poisson", None, false).expect("in the catalogue").into();
    let data = Arc::new(Data { y, trials: None, weights: None, family, design });
    let mut walking = Laplace::new(data.clone(), Method::Ml);
    for x in [[0.8, 0.5, 0.4], [0.81, 0.52, 0.4], [0.9, 0.6, 0.3], [0.3, 1.2, 0.9], [0.8, 0.5, 0.4]] {
        let mut gradient = [vec![0.0; 3], vec![0.0; 3]];
        let value = walking.value_gradient(&x, &mut gradient[0]);
        walking.accept();
        let mut fresh = Laplace::new(data.clone(), Method::Ml);
        let expected = fresh.value_gradient(&x, &mut gradient[1]);
        // The searches end within 1e-8 standard errors of the mode; the value's error is of second order.
        assert!((value - expected).abs() < 1e-9 * expected.abs(), "{x:?}: {value} not {expected}");
        for (a, b) in gradient[0].iter().zip(&gradient[1]) {
            assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{x:?}: {gradient:?}");
        }
    }
}

#[test]
fn a_remedy_tells_what_it_was_worth() {
    let rose = Remedy::Saddle { eigenvalue: -0.012, gain: 0.31 };
    assert_eq!(rose.message(), "left a saddle point (eigenvalue -1.2e-2): the log-likelihood rose by 0.310");
    let dropped = Remedy::Restart { from: "from elsewhere", gain: -12.5 };
    assert_eq!(dropped.message(), "searched again from elsewhere: it ended 12.5 lower and was dropped");
    assert!(rose.gained() && !dropped.gained());
}

#[test]
fn a_polish_is_recorded_with_the_distance_it_leaves() {
    let fit = fitted(data("gaussian", "us", 0.8, 0.4), PROFILED, &Control::default());
    let polish = fit.optimum.remedies.iter().find_map(|remedy| match remedy {
        Remedy::Polish { steps, before, after } => Some((*steps, *before, *after)),
        _ => None,
    });
    let (steps, before, after) = polish.expect("a search ends at 1e-4 standard errors, which a Newton step squares");
    assert!(steps >= 1 && after < before && after == fit.optimum.verdict.gradient_scaled);
}
