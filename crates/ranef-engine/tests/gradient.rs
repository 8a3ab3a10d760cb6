//! The gradient of the whole Laplace objective against finite differences: every family, link and covariance
//! structure of the catalogues, with random effects in every predictor, by every method.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family::{self, Component, Family, Support};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::Laplace;
use ranef_engine::objective::{Objective, each_gradient};
use std::sync::Arc;

const N: usize = 72;

/// A model with two crossed factors and a nested one; slopes in the mean, intercepts in every other predictor.
fn model(family: Arc<dyn Family>, structure: &str, weighted: bool, seed: u64) -> Data {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let uniform = Uniform::new(0.0, 1.0).expect("a valid range");
    let k_all = family.components().len();
    let mut normal = |scale: f64| -> Vec<f64> {
        (0..N).map(|_| scale * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, &mut rng)).collect()
    };
    let x = normal(1.0);
    let z = normal(0.5);
    let offset = normal(0.02);
    let a: Vec<u32> = (0..N).map(|i| (i % 6) as u32).collect();
    let b: Vec<u32> = (0..N).map(|i| ((i / 6) % 4) as u32).collect();
    let nested: Vec<u32> = (0..N).map(|i| (i % 6 * 2 + (i / 36) % 2) as u32).collect();
    let mut terms = vec![
        TermSpec {
            predictor: 0,
            grouping: 0,
            columns: vec![Column::One, Column::new(&x)],
            covariance: covariance::build(structure, 2).expect("in the catalogue"),
        },
        TermSpec {
            predictor: 0,
            grouping: 1,
            columns: vec![Column::One],
            covariance: covariance::build("us", 1).expect("in the catalogue"),
        },
        TermSpec {
            predictor: 0,
            grouping: 2,
            columns: vec![Column::new(&z)],
            covariance: covariance::build("diag", 1).expect("in the catalogue"),
        },
    ];
    for k in 1..k_all {
        terms.push(TermSpec {
            predictor: k,
            grouping: k % 2,
            columns: vec![Column::One],
            covariance: covariance::build("us", 1).expect("in the catalogue"),
        });
    }
    let one = vec![1.0; N];
    let fixed = (0..k_all)
        .map(|k| match k {
            0 => Fixed::new(N, &[one.clone(), x.clone()].concat(), Some(offset.clone())),
            1 => Fixed::new(N, &[one.clone(), z.clone()].concat(), None),
            _ => Fixed::new(N, &one, None),
        })
        .collect();
    let design = Design::new(N, fixed, vec![(a, 6), (b, 4), (nested, 12)], terms);
    let trials: Option<Vec<f64>> =
        (family.card().support == Support::Trials).then(|| (0..N).map(|i| 1.0 + (i % 5) as f64).collect());
    let mut eta = vec![0.0; k_all];
    // Well inside the domain: under an identity link the mode of counts near zero may sit on its edge, and an inverse link
    // has its pole at zero.
    let typical: f64 = match (family.card().support, family.links()[0].name()) {
        (Support::Trials, _) => 2.0,
        (Support::Unit, _) => 0.4,
        (_, "identity") => 20.0,
        (_, "inverse" | "inverse_squared") => 0.5,
        _ => 3.0,
    };
    eta[0] = family.start_mean(typical, 4.0);
    // Humps, not the U of a beta with little precision or tails that reach the edge of the domain.
    match family.card().name {
        "beta" | "betabinomial" => eta[1] = 2.0,
        "inverse_gaussian" => eta[1] = typical.ln() + 2.0,
        "lognormal" => eta[1] = typical.ln() - 1.0,
        "student_t" | "skewnormal" => eta[1] = typical.ln() - 1.0,
        _ => {}
    }
    let thresholds = (0..k_all).filter(|&k| family.components()[k] == Component::Threshold);
    for (k, threshold) in thresholds.zip([-0.8, 0.2, 1.1]) {
        eta[k] = threshold;
    }
    // A second excess of variance would bring back the counts near zero.
    for (k, _) in family.components().iter().enumerate().filter(|(_, c)| **c == Component::Shape) {
        eta[k] = if family.card().support == Support::Counts { 3.0 } else { 0.0 };
    }
    let y: Vec<f64> = (0..N).map(|i| family.sample(&eta, trials.as_ref().map_or(1.0, |t| t[i]), &mut rng)).collect();
    let weights = weighted.then(|| (0..N).map(|_| 0.5 + uniform.sample(&mut rng)).collect());
    Data { y, trials, weights, family, design: Arc::new(design) }
}

/// A point at which the model makes sense: the family's constants, small coefficients, moderate standard deviations.
fn point(laplace: &Laplace, data: &Data, theta_scale: f64) -> Vec<f64> {
    let constants = data.family.start(&data.y, data.trials.as_deref(), data.weights.as_deref(), None);
    let mut x = vec![0.0; laplace.layout().dim];
    for (k, range) in laplace.layout().beta.iter().enumerate() {
        for (j, m) in range.clone().into_iter().flatten().enumerate() {
            x[m] = if j == 0 { if k == 0 { constants[k] } else { 0.95 * constants[k].clamp(-2.0, 3.0) } } else { 0.02 };
        }
    }
    for (j, m) in laplace.layout().theta.clone().enumerate() {
        x[m] = theta_scale * [0.11, 0.05, 0.08, 0.13, 0.06, 0.1, 0.12][j % 7];
    }
    x
}

/// Fourth-order central differences; largest error relative to max(1, |g|).
fn worst_error(data: Data, method: Method, theta_scale: f64) -> f64 {
    let data = Arc::new(data);
    let mut laplace = Laplace::new(data.clone(), method);
    if method != Method::Ml {
        let constants = data.family.start(&data.y, data.trials.as_deref(), data.weights.as_deref(), None);
        let mut mode = vec![0.0; laplace.n_effects() + data.design.fixed[0].p()];
        mode[laplace.n_effects()] = constants[0];
        laplace.set_start_mode(mode);
    }
    let x = point(&laplace, &data, theta_scale);
    let mut gradient = vec![0.0; x.len()];
    let value = laplace.value_gradient(&x, &mut gradient);
    assert!(value.is_finite(), "{:?} {method:?} has no value at the test point", data.family);
    laplace.accept();
    let size = gradient.iter().fold(1.0_f64, |m, g| m.max(g.abs()));
    let mut worst = 0.0_f64;
    let mut ignored = vec![0.0; x.len()];
    for m in 0..x.len() {
        let h = 1e-3 * (1.0 + x[m].abs());
        let mut at = |t: f64| {
            let mut moved = x.clone();
            moved[m] += t;
            laplace.value_gradient(&moved, &mut ignored)
        };
        let difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
        worst = worst.max((difference - gradient[m]).abs() / size);
    }
    worst
}

/// The differences themselves are good to about 1e-9 of the gradient (step 1e-3, fourth order, values to 1e-12).
const TOLERANCE: f64 = 1e-7;

/// Differences of gradients at x +- `share` of `scale`, not symmetrised, in units of `scale`.
fn differences(laplace: &mut Laplace, x: &[f64], scale: &[f64], share: f64, nearby: bool) -> Vec<f64> {
    let dim = x.len();
    let points: Vec<Vec<f64>> = (0..2 * dim)
        .map(|k| {
            let mut moved = x.to_vec();
            moved[k / 2] += if k % 2 == 0 { share } else { -share } * scale[k / 2];
            moved
        })
        .collect();
    let gradients = if nearby { laplace.gradients_nearby(x, &points) } else { each_gradient(laplace, &points) };
    let gradients = gradients.expect("finite");
    (0..dim * dim)
        .map(|k| {
            (gradients[k / dim * 2][k % dim] - gradients[k / dim * 2 + 1][k % dim]) * scale[k % dim] / (2.0 * share)
        })
        .collect()
}

/// Gradients at expected modes cost the differences an error of second order in the step.
#[test]
fn the_hessian_needs_no_search_for_the_mode_at_each_point() {
    // The negative binomial has rows that are not log-concave: the expansion of the mode must not use a mended curvature.
    for (name, zero_inflation) in [("binomial", false), ("poisson", true), ("nbinom2", false), ("gaussian", false)] {
        for method in [Method::Ml, Method::Reml, Method::Profile] {
            let family: Arc<dyn Family> = family::build(name, None, zero_inflation).expect("in the catalogue").into();
            let data = Arc::new(model(family, "us", true, 7));
            let mut laplace = Laplace::new(data.clone(), method);
            if method != Method::Ml {
                let constants = data.family.start(&data.y, data.trials.as_deref(), data.weights.as_deref(), None);
                let mut mode = vec![0.0; laplace.n_effects() + data.design.fixed[0].p()];
                mode[laplace.n_effects()] = constants[0];
                laplace.set_start_mode(mode);
            }
            let x = point(&laplace, &data, 1.0);
            let dim = x.len();
            assert!(laplace.value_gradient(&x, &mut vec![0.0; dim]).is_finite());
            laplace.accept();
            let metric = laplace.metric(&x);
            let scale: Vec<f64> = (0..dim).map(|m| metric[m * dim + m].abs().sqrt().recip().min(1.0)).collect();
            let mut error = |share: f64| {
                let fast = differences(&mut laplace, &x, &scale, share, true);
                let slow = differences(&mut laplace, &x, &scale, share, false);
                laplace.value_gradient(&x, &mut vec![0.0; dim]);
                laplace.accept();
                laplace.metric(&x);
                fast.iter().zip(&slow).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
            };
            // Entries are about 1. Second order: a tenth of the step leaves a hundredth of the error.
            let (coarse, fine, used) = (error(1e-2), error(1e-3), error(2e-4));
            assert!(fine < 0.02 * coarse, "{name} {method:?}: {coarse:e}, {fine:e}");
            // With the step of the Hessian the worst of these small models, the negative binomial's, has 1.2e-5.
            assert!(used < 2e-5, "{name} {method:?}: {used:e}");
        }
    }
}

#[test]
fn every_family_and_link_has_the_exact_gradient() {
    for entry in family::CATALOGUE {
        for link in entry.card.links {
            for zero_inflated in [false, true] {
                if zero_inflated && !entry.card.zero_inflation {
                    continue;
                }
                let build =
                    || family::build(entry.card.name, Some(link.name()), zero_inflated).expect("in the catalogue");
                for (method, weighted) in [(Method::Ml, false), (Method::Ml, true), (Method::Reml, false)] {
                    let error = worst_error(model(build().into(), "us", weighted, 7), method, 1.0);
                    assert!(
                        error < TOLERANCE,
                        "{} {} zi={zero_inflated} {method:?} weighted={weighted}: {error:e}",
                        entry.card.name,
                        link.name()
                    );
                }
            }
        }
    }
}

#[test]
fn every_structure_has_the_exact_gradient_also_where_it_is_singular() {
    for entry in covariance::CATALOGUE {
        for theta_scale in [1.0, 3.0, 0.0] {
            for method in [Method::Ml, Method::Reml, Method::Profile] {
                let family = family::build("nbinom2", None, true).expect("in the catalogue");
                let error = worst_error(model(family.into(), entry.card.name, false, 11), method, theta_scale);
                assert!(error < TOLERANCE, "{} {method:?} theta x {theta_scale}: {error:e}", entry.card.name);
            }
        }
    }
}

/// Enough rows for sums over them to be shared between threads.
#[test]
fn many_rows_give_the_same_bits_at_any_number_of_threads() {
    let n = 12_000;
    let wave = |a: f64| -> Vec<f64> { (0..n).map(|i| (i as f64 * a).sin()).collect() };
    let (slope, ones) = (wave(0.7), vec![1.0; n]);
    let x: Vec<f64> = ones.iter().chain(&slope).copied().collect();
    let term = |grouping: usize, columns: Vec<Column>| TermSpec {
        predictor: 0,
        grouping,
        covariance: covariance::build("us", columns.len()).expect("in the catalogue"),
        columns,
    };
    let codes = |levels: u32| -> (Vec<u32>, usize) {
        ((0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) % levels).collect(), levels as usize)
    };
    let design = Design::new(
        n,
        vec![Fixed::new(n, &x, None), Fixed::new(n, &ones, None), Fixed::new(n, &ones, None)],
        vec![codes(150), codes(37)],
        vec![term(0, vec![Column::One, Column::new(&slope)]), term(1, vec![Column::One])],
    );
    let data = Arc::new(Data {
        y: wave(1.3).iter().map(|v| (3.0 * v + 1.0).max(0.0).floor()).collect(),
        trials: None,
        weights: None,
        family: family::build("nbinom2", None, true).expect("in the catalogue").into(),
        design: Arc::new(design),
    });
    let at = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mut laplace = Laplace::new(data.clone(), Method::Ml);
            let x: Vec<f64> = (0..laplace.layout().dim).map(|m| 0.3 + 0.05 * m as f64).collect();
            let mut gradient = vec![0.0; x.len()];
            let first = laplace.value_gradient(&x, &mut gradient);
            laplace.accept();
            let metric = laplace.metric(&x);
            let moved: Vec<f64> = x.iter().map(|x| x + 1e-3).collect();
            let nearby = laplace.gradients_nearby(&x, &[moved.clone(), x.clone()]).expect("finite").concat();
            let second = laplace.value_gradient(&moved, &mut gradient);
            assert!(first.is_finite() && second.is_finite());
            [vec![first, second], gradient, metric, nearby, laplace.mode().to_vec()]
        })
    };
    assert_eq!(at(1), at(2));
}

/// Of effects whose conditional variance has a closed form: 1 / (1 + n_l lambda^2 / sigma^2), largest in the smallest group.
#[test]
fn the_state_at_the_mode_is_what_it_says() {
    let codes: Vec<u32> = (0..N).map(|i| if i < 3 { 0 } else { 1 + (i % 5) as u32 }).collect();
    let term = TermSpec {
        predictor: 0,
        grouping: 0,
        columns: vec![Column::One],
        covariance: covariance::build("us", 1).expect("in the catalogue"),
    };
    let one = vec![1.0; N];
    let fixed = vec![Fixed::new(N, &one, None), Fixed::new(N, &one, None)];
    let design = Arc::new(Design::new(N, fixed, vec![(codes.clone(), 6)], vec![term]));
    let y: Vec<f64> = (0..N).map(|i| (3.7 * i as f64).sin() + f64::from(codes[i])).collect();
    let family: Arc<dyn Family> = family::build("gaussian", None, false).expect("in the catalogue").into();
    let data = Arc::new(Data { y: y.clone(), trials: None, weights: None, family, design });
    let mut laplace = Laplace::new(data, Method::Ml);
    let (mean, log_sd, lambda): (f64, f64, f64) = (2.5, -0.2, 0.3);
    let mut x = vec![0.0; 3];
    for (range, value) in laplace.layout().beta.clone().into_iter().flatten().zip([mean, log_sd]) {
        x[range.start] = value;
    }
    let theta = laplace.layout().theta.start;
    x[theta] = lambda;
    let mut gradient = vec![0.0; 3];
    assert!(laplace.value_gradient(&x, &mut gradient).is_finite());
    let share = (lambda / log_sd.exp()).powi(2);
    assert!((laplace.largest_variance() - 1.0 / (1.0 + 3.0 * share)).abs() < 1e-13);
    // A quadratic needs one step.
    let (decrement, definite) = laplace.inner_state();
    assert!(decrement < 1e-20 && definite, "{decrement}");

    // At a mode that is given there is no search: H, and with it everything that is read afterwards, is of that place.
    let mode: Vec<f64> = (0..6)
        .map(|level| {
            let of: Vec<f64> = (0..N).filter(|&i| codes[i] == level).map(|i| y[i] - mean).collect();
            of.iter().sum::<f64>() * lambda / log_sd.exp().powi(2) / (1.0 + of.len() as f64 * share)
        })
        .collect();
    assert!(laplace.mode().iter().zip(&mode).all(|(found, mode)| (found - mode).abs() < 1e-13));
    let other: Vec<f64> = mode.iter().map(|u| u + 0.5).collect();
    x[theta] = 0.1;
    assert!(laplace.place(&x, other.clone()));
    assert_eq!(laplace.mode(), other);
    assert!(!laplace.place(&x, vec![f64::NAN; 6]));
}
