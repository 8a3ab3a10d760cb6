//! The exact marginal likelihood: value, effects and their covariances against one dense matrix over all rows, the
//! gradient against differences, the metric against the information, for every correlation structure and variance
//! function, with nested random effects and without.

mod dense;

use dense::{Dense, assert_close};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family;
use ranef_engine::fitting::{Control, Likelihood, fit};
use ranef_engine::likelihood::data::Data;
use ranef_engine::likelihood::marginal::{Correlation, Covariate, Marginal, Residual, Spread};
use ranef_engine::objective::Objective;
use ranef_engine::residual_correlation::{self, Shape};
use ranef_engine::variance_function;
use std::sync::Arc;

const N: usize = 54;

/// Rows of three outer groups, each of two inner ones with eight to ten rows in turn.
struct Rows {
    outer: Vec<u32>,
    inner: Vec<u32>,
    /// Whole numbers, distinct within an inner group.
    occasion: Vec<f64>,
    x: Vec<f64>,
    z: Vec<f64>,
    v: Vec<f64>,
    y: Vec<f64>,
}

fn rows(seed: u64) -> Rows {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = |_| -> f64 { StandardNormal.sample(&mut rng) };
    let (x, z): (Vec<f64>, Vec<f64>) = ((0..N).map(&mut normal).collect(), (0..N).map(&mut normal).collect());
    // Rows of a group are not neighbours.
    let outer: Vec<u32> = (0..N).map(|i| (i % 3) as u32).collect();
    let inner: Vec<u32> = (0..N).map(|i| (i % 3 * 2 + (i / 3) % 2) as u32).collect();
    // With a gap, and not in order.
    let occasion = (0..N).map(|i| [3, 1, 2, 7, 9, 8, 4, 5, 12][i / 6] as f64).collect();
    let v = (0..N).map(|i| 0.5 + ((i * 5) % 11) as f64).collect();
    let y = (0..N).map(|i| 1.0 + 0.8 * x[i] + f64::from(outer[i]) + normal(i)).collect();
    Rows { outer, inner, occasion, x, z, v, y }
}

fn design(rows: &Rows, random: bool) -> Arc<Design> {
    let one = vec![1.0; N];
    let fixed = vec![
        Fixed::new(N, &[one.clone(), rows.x.clone()].concat(), Some(rows.z.iter().map(|z| 0.1 * z).collect())),
        Fixed::new(N, &[one, rows.z.clone()].concat(), Some(rows.x.iter().map(|x| 0.05 * x).collect())),
    ];
    let terms = if random {
        vec![
            TermSpec {
                predictor: 0,
                grouping: 0,
                columns: vec![Column::One, Column::new(&rows.x)],
                covariance: covariance::build("us", 2).expect("in the catalogue"),
            },
            TermSpec {
                predictor: 0,
                grouping: 1,
                columns: vec![Column::One],
                covariance: covariance::build("diag", 1).expect("in the catalogue"),
            },
        ]
    } else {
        Vec::new()
    };
    Arc::new(Design::new(N, fixed, vec![(rows.outer.clone(), 3), (rows.inner.clone(), 6)], terms))
}

/// Residuals with a correlation of that name within inner groups, and variance functions of those names.
fn residual(rows: &Rows, name: Option<&str>, spreads: &[(&str, bool)]) -> Arc<Residual> {
    let correlation = name.map(|name| {
        let shape = Shape { orders: (2, 1), nugget: true, occasions: 9, largest: 9, distance: 4.0 };
        let structure = residual_correlation::build(name, &shape).expect("in the catalogue");
        let (width, places): (usize, Vec<f64>) = match structure.card().places {
            "none" => (0, Vec::new()),
            "occasion" => (1, (0..N).map(|i| ((i / 6) % 9) as f64).collect()),
            "coordinates" => (2, (0..N).flat_map(|i| [rows.occasion[i], rows.z[i]]).collect()),
            "number" => (1, rows.occasion.iter().map(|t| 0.37 * t).collect()),
            _ => (1, rows.occasion.clone()),
        };
        Correlation { structure, groups: rows.inner.clone(), places, width }
    });
    let spreads = spreads
        .iter()
        .map(|&(name, fitted)| Spread {
            function: variance_function::build(name).expect("in the catalogue"),
            covariate: if fitted { Covariate::Fitted } else { Covariate::Values(rows.v.clone()) },
        })
        .collect();
    Arc::new(Residual { blocks: rows.outer.clone(), correlation, spreads })
}

/// Every structure and every function at least once, REML and ML, with random effects and without.
fn examples() -> Vec<(String, Marginal)> {
    let mut found = Vec::new();
    let names = residual_correlation::CATALOGUE.iter().map(|entry| Some(entry.card.name)).chain([None]);
    let functions = variance_function::CATALOGUE;
    for (k, name) in names.enumerate() {
        let rows = rows(k as u64);
        let (random, reml) = (k % 3 != 2, k % 2 == 0);
        let function = functions[k % functions.len()].card.name;
        let residual = residual(&rows, name, &[(function, k % 2 == 1)]);
        let mut marginal = Marginal::new(&rows.y, design(&rows, random), residual, reml);
        marginal.set_fitted(rows.v.iter().map(|v| 3.0 - 0.5 * v).map(|v| if v == 0.0 { 0.1 } else { v }).collect());
        found.push((format!("{name:?} {function} random={random} reml={reml}"), marginal));
    }
    found
}

fn somewhere(marginal: &Marginal, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let theta = [0.7, 0.2, 0.4, 0.5];
    let x = marginal.start(&theta[..marginal.places().theta.len()]);
    x.into_iter().map(|x| x + 0.2 * rng.random_range(-1.0..1.0)).collect()
}

#[test]
fn gradient_is_that_of_differences() {
    for (what, mut marginal) in examples() {
        let x = somewhere(&marginal, 1);
        let mut exact = vec![0.0; x.len()];
        assert!(marginal.value_gradient(&x, &mut exact).is_finite(), "{what}");
        let mut ignored = exact.clone();
        for k in 0..x.len() {
            // Richardson's extrapolation of two central differences: rounding 1e-13 / 1e-4, truncation (1e-3)^4.
            let mut difference = |h: f64| {
                let mut at = |shift: f64| {
                    let mut moved = x.clone();
                    moved[k] += shift;
                    marginal.value_gradient(&moved, &mut ignored)
                };
                (at(h) - at(-h)) / (2.0 * h)
            };
            let found = (4.0 * difference(1e-3) - difference(2e-3)) / 3.0;
            assert!((found - exact[k]).abs() < 1e-7 * (1.0 + exact[k].abs()), "{what}: x_{k} {found} {}", exact[k]);
        }
    }
}

/// The design of all rows as dense matrices, and V / sigma^2 for an autoregression with random effects.
struct Whole {
    x: Dense,
    z: Dense,
    /// Covariance of all effects over sigma^2.
    d: Dense,
    v: Dense,
    y: Dense,
}

fn whole(rows: &Rows, x: &[f64], marginal: &Marginal, power: f64, phi: f64) -> Whole {
    let design = design(rows, true);
    let places = marginal.places();
    let theta = &x[places.theta.clone()];
    let scale = (rows.x.iter().map(|x| x * x).sum::<f64>() / N as f64).sqrt();
    // Columns: (1, x / scale) of three outer levels, then 1 of six inner levels.
    let mut z = Dense::zeros(N, 12);
    for i in 0..N {
        z.set(i, 2 * rows.outer[i] as usize, 1.0);
        z.set(i, 2 * rows.outer[i] as usize + 1, rows.x[i] / scale);
        z.set(i, 6 + rows.inner[i] as usize, 1.0);
    }
    let lambda = Dense::from(2, 2, &[theta[0], theta[1], 0.0, theta[2]]);
    let outer = lambda.times(&lambda.transposed());
    let mut d = Dense::zeros(12, 12);
    for level in 0..3 {
        for j in 0..2 {
            for i in 0..2 {
                d.set(2 * level + i, 2 * level + j, outer.at(i, j));
            }
        }
    }
    (6..12).for_each(|k| d.set(k, k, theta[3] * theta[3]));
    let mut log_s = design.fixed[1].offset().expect("one was given").to_vec();
    design.fixed[1].add_to(&[0.0, x[0]], &mut log_s);
    let typical = rows.v.iter().map(|v| v.ln()).sum::<f64>() / N as f64;
    let s = |i: usize| (log_s[i] + power * (rows.v[i].ln() - typical)).exp();
    let mut v = z.times(&d).times(&z.transposed());
    for j in 0..N {
        for i in 0..N {
            if rows.inner[i] == rows.inner[j] {
                let lag = (rows.occasion[i] - rows.occasion[j]).abs();
                v.set(i, j, v.at(i, j) + s(i) * s(j) * phi.powf(lag));
            }
        }
    }
    let fixed = Dense::from(N, 2, &[vec![1.0; N], rows.x.clone()].concat());
    let y: Vec<f64> = (0..N).map(|i| rows.y[i] - 0.1 * rows.z[i]).collect();
    Whole { x: fixed, z, d, v, y: Dense::from(N, 1, &y) }
}

#[test]
fn value_and_solution_are_those_of_one_dense_matrix() {
    let rows = rows(3);
    for reml in [false, true] {
        let residual = residual(&rows, Some("ar1"), &[("power", false)]);
        let mut marginal = Marginal::new(&rows.y, design(&rows, true), residual, reml);
        let mut x = marginal.start(&[0.7, 0.2, 0.4, 0.5]);
        let (power, phi): (f64, f64) = (0.3, 0.6);
        x[0] = 0.15;
        x[marginal.places().spreads[0].start] = power;
        x[marginal.places().correlation.start] = phi.atanh();
        let whole = whole(&rows, &x, &marginal, power, phi);
        let weighted = whole.v.solve(&whole.x);
        let m = whole.x.transposed().times(&weighted);
        let beta = m.solve(&weighted.transposed().times(&whole.y));
        let r = whole.y.plus(-1.0, &whole.x.times(&beta));
        let a = whole.v.solve(&r);
        let freedom = (N - if reml { 2 } else { 0 }) as f64;
        let variance = r.transposed().times(&a).at(0, 0) / freedom;
        let restricted = if reml { m.log_det() } else { 0.0 };
        let expected =
            0.5 * (whole.v.log_det() + restricted + freedom * (1.0 + (2.0 * std::f64::consts::PI * variance).ln()));
        let mut gradient = vec![0.0; x.len()];
        let found = marginal.value_gradient(&x, &mut gradient);
        // Condition numbers of some hundreds.
        assert!((found - expected).abs() < 1e-10 * expected.abs(), "{found} {expected}");

        let solution = marginal.solution(&x).expect("defined");
        let own = design(&rows, true);
        assert_close("beta", &own.fixed[0].to_original(&solution.beta), &beta.values, 1e-10);
        assert!((solution.sigma - variance.sqrt()).abs() < 1e-11);
        let modes = whole.d.times(&whole.z.transposed()).times(&a);
        assert_close("modes", &solution.modes, &modes.values, 1e-10);

        // Covariance of b^ - b given the parameters and beta, block by block.
        let dz = whole.d.times(&whole.z.transposed());
        let given = whole.d.plus(-1.0, &dz.times(&whole.v.solve(&dz.transposed())));
        for block in marginal.effects(&x).expect("defined") {
            let columns: Vec<usize> = block
                .levels
                .iter()
                .flat_map(|&(f, level)| if f == 0 { vec![2 * level, 2 * level + 1] } else { vec![6 + level] })
                .collect();
            let expected: Vec<f64> = columns
                .iter()
                .flat_map(|&j| columns.iter().map(move |&i| (i, j)))
                .map(|(i, j)| given.at(i, j))
                .collect();
            assert_close("effects", &block.given, &expected, 1e-10);
        }
    }
}

#[test]
fn leverage_is_the_slope_of_the_fitted_values() {
    let rows = rows(5);
    let residual = residual(&rows, Some("exp"), &[("power", false)]);
    let marginal = Marginal::new(&rows.y, design(&rows, true), residual.clone(), true);
    let x = somewhere(&marginal, 2);
    let leverage = marginal.leverage(&x).expect("defined");
    let own = design(&rows, true);
    let fitted = |y: &[f64]| {
        let solution = Marginal::new(y, own.clone(), residual.clone(), true).solution(&x).expect("defined");
        let mut eta = vec![vec![0.0; N]; 2];
        own.fixed[0].add_to(&solution.beta, &mut eta[0]);
        own.add_random(&solution.modes, &mut eta);
        eta.swap_remove(0)
    };
    let base = fitted(&rows.y);
    for i in [0, 7, 20, 53] {
        let mut y = rows.y.clone();
        y[i] += 1.0;
        // Fitted values are linear in the response.
        let slope = fitted(&y)[i] - base[i];
        assert!((slope - leverage[i]).abs() < 1e-10, "row {i}: {slope} {}", leverage[i]);
    }
}

#[test]
fn correlating_undoes_decorrelating() {
    let rows = rows(6);
    for entry in residual_correlation::CATALOGUE {
        let marginal = Marginal::new(&rows.y, design(&rows, false), residual(&rows, Some(entry.card.name), &[]), true);
        let x = somewhere(&marginal, 4);
        let mut values = rows.y.clone();
        marginal.correlate(&x, &mut values, true);
        assert!(values.iter().zip(&rows.y).any(|(a, b)| (a - b).abs() > 1e-3), "{}", entry.card.name);
        marginal.correlate(&x, &mut values, false);
        assert_close(entry.card.name, &values, &rows.y, 1e-9);
    }
}

#[test]
fn a_fit_does_not_depend_on_the_number_of_threads_or_the_order_of_rows() {
    let rows = rows(8);
    let fitted = |permutation: &[usize]| {
        let pick = |values: &[f64]| -> Vec<f64> { permutation.iter().map(|&i| values[i]).collect() };
        let codes = |values: &[u32]| -> Vec<u32> { permutation.iter().map(|&i| values[i]).collect() };
        let moved = Rows {
            outer: codes(&rows.outer),
            inner: codes(&rows.inner),
            occasion: pick(&rows.occasion),
            x: pick(&rows.x),
            z: pick(&rows.z),
            v: pick(&rows.v),
            y: pick(&rows.y),
        };
        let residual = residual(&moved, Some("car1"), &[]);
        let family = family::build("gaussian", None, false).expect("in the catalogue").into();
        let data = Data { y: moved.y.clone(), trials: None, weights: None, family, design: design(&moved, true) };
        let likelihood = Likelihood::Marginal { reml: true, weights: None, residual };
        fit(Arc::new(data), likelihood, &Control::default()).expect("determined")
    };
    let straight: Vec<usize> = (0..N).collect();
    let back: Vec<usize> = (0..N).rev().collect();
    let (one, two) = (fitted(&straight), fitted(&back));
    assert!(one.optimum.verdict.status.is_converged());
    assert!((one.loglik - two.loglik).abs() < 1e-9, "{} {}", one.loglik, two.loglik);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
    let many = pool.install(|| fitted(&straight));
    assert_eq!(one.loglik.to_bits(), many.loglik.to_bits());
    assert_eq!(one.beta, many.beta);
}

#[test]
fn the_covariance_of_fixed_effects_and_sigma_move_as_their_slopes_say() {
    for (what, marginal) in examples() {
        let x = somewhere(&marginal, 4);
        let (found, log_sigma) = marginal.fixed_covariance(&x).expect("positive definite");
        let solution = marginal.solution(&x).expect("positive definite");
        assert_close(&what, &found.value, &solution.unscaled, 1e-12);
        for (k, slope) in found.slopes.iter().enumerate() {
            let at = |shift: f64| {
                let mut moved = x.clone();
                moved[k] += shift;
                let solution = marginal.solution(&moved).expect("positive definite");
                solution.unscaled.into_iter().chain([solution.sigma.ln()]).collect::<Vec<f64>>()
            };
            // Richardson's extrapolation of two central differences.
            let difference = |h: f64| -> Vec<f64> {
                at(h).iter().zip(at(-h)).map(|(above, below)| (above - below) / (2.0 * h)).collect()
            };
            let (near, far) = (difference(1e-3), difference(2e-3));
            let expected: Vec<f64> = near.iter().zip(&far).map(|(near, far)| (4.0 * near - far) / 3.0).collect();
            let exact: Vec<f64> = slope.iter().copied().chain([log_sigma[k]]).collect();
            assert_close(&format!("{what}: x_{k}"), &exact, &expected, 1e-8);
        }
    }
}

/// The mean of the log standard deviations is not in sigma: with |v|^x that of x log|v|.
#[test]
fn the_centre_of_a_power_is_the_mean_logarithm() {
    let rows = rows(2);
    let marginal = Marginal::new(&rows.y, design(&rows, false), residual(&rows, None, &[("power", false)]), true);
    let mean = rows.v.iter().map(|v| v.ln()).sum::<f64>() / N as f64;
    let mut x = marginal.start(&[]);
    let place = marginal.places().spreads[0].start;
    x[place] = 0.7;
    let (centre, slopes) = marginal.centre(&x);
    assert_close("centre", &[centre], &[0.7 * mean], 1e-14);
    assert_close("slope", &slopes, &[mean], 1e-14);
}

/// Searches of a correlation with a leading parameter begin on either side of its own start, from the best value on.
#[test]
fn starts_lie_on_either_side_of_the_correlations_own() {
    let rows = rows(3);
    for (name, count) in [("ar1", 4), ("us", 1)] {
        let mut marginal = Marginal::new(&rows.y, design(&rows, true), residual(&rows, Some(name), &[]), true);
        let theta = [0.7, 0.2, 0.4, 0.5];
        let (own, starts) = (marginal.start(&theta), marginal.starts(&theta));
        assert_eq!(starts.len(), count, "{name}");
        let first = marginal.places().correlation.start;
        let mut shifts: Vec<f64> = starts.iter().map(|x| x[first] - own[first]).collect();
        shifts.sort_by(f64::total_cmp);
        assert_close(name, &shifts, if count == 1 { &[0.0] } else { &[-1.0, 0.0, 1.0, 2.0] }, 1e-15);
        let mut ignored = vec![0.0; own.len()];
        let values: Vec<f64> = starts.iter().map(|x| marginal.value_gradient(x, &mut ignored)).collect();
        assert!(values.is_sorted(), "{name}: {values:?}");
        for x in &starts {
            assert!(x.iter().zip(&own).enumerate().all(|(k, (x, own))| k == first || x == own), "{name}");
        }
    }
}

/// Where standard deviations are zero the information says nothing of them: a millionth of its mean stands there.
#[test]
fn the_metric_has_a_floor_at_no_variance() {
    let rows = rows(4);
    let mut marginal = Marginal::new(&rows.y, design(&rows, true), residual(&rows, Some("ar1"), &[]), true);
    let x = marginal.start(&[0.0; 4]);
    let (metric, dim) = (marginal.metric(&x), x.len());
    let diagonal: Vec<f64> = (0..dim).map(|k| metric[k * dim + k]).collect();
    let floor = 1e-6 * diagonal.iter().sum::<f64>() / dim as f64;
    for k in marginal.places().theta.clone() {
        // The floor is of the mean before it is added.
        assert_close("floor", &[diagonal[k] / floor], &[1.0], 1e-5);
    }
}
