//! Adaptive quadrature against integrals computed by brute force, against Laplace's approximation, and its gradient against
//! finite differences.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family::{self, Component, Family};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::Laplace;
use ranef_engine::link::Link;
use ranef_engine::objective::Objective;
use std::sync::Arc;

const N: usize = 40;
const LEVELS: usize = 8;

/// One grouping factor; an intercept and perhaps a slope in the mean, an intercept in the last predictor if it is another.
fn model(family: Arc<dyn Family>, slope: bool, second: bool, seed: u64) -> Arc<Data> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x: Vec<f64> = (0..N).map(|_| StandardNormal.sample(&mut rng)).collect();
    let codes: Vec<u32> = (0..N).map(|i| (i % LEVELS) as u32).collect();
    let k_all = family.components().len();
    let mut columns = vec![Column::One];
    if slope {
        columns.push(Column::new(&x));
    }
    let term = |predictor: usize, columns: Vec<Column>| TermSpec {
        predictor,
        grouping: 0,
        covariance: covariance::build("us", columns.len()).expect("in the catalogue"),
        columns,
    };
    let mut terms = vec![term(0, columns)];
    if second {
        terms.push(term(k_all - 1, vec![Column::One]));
    }
    let ones = vec![1.0; N];
    let fixed =
        (0..k_all)
            .map(|k| {
                if k == 0 {
                    Fixed::new(N, &[ones.clone(), x.clone()].concat(), None)
                } else {
                    Fixed::new(N, &ones, None)
                }
            })
            .collect();
    let design = Design::new(N, fixed, vec![(codes, LEVELS)], terms);
    // Thresholds stand in order.
    let further = |(k, component): (usize, &Component)| if *component == Component::Threshold { k as f64 } else { 0.3 };
    let mut eta: Vec<f64> = family.components().iter().enumerate().map(further).collect();
    eta[0] = family.start_mean(1.0, 3.0);
    let trials: Option<Vec<f64>> =
        (family.card().name == "binomial").then(|| (0..N).map(|i| 1.0 + (i % 3) as f64).collect());
    let y = (0..N).map(|i| family.sample(&eta, trials.as_ref().map_or(1.0, |t| t[i]), &mut rng)).collect();
    let weights = Some((0..N).map(|i| 0.5 + (i % 4) as f64 * 0.4).collect());
    Arc::new(Data { y, trials, weights, family, design: Arc::new(design) })
}

/// Beta small, the factor far from zero so that the integrands are far from normal.
fn point(laplace: &Laplace) -> Vec<f64> {
    let (layout, mut x) = (laplace.layout(), vec![0.0; laplace.layout().dim]);
    x[..layout.theta.start].iter_mut().enumerate().for_each(|(m, x)| *x = [0.9, -0.4, 0.5, 0.3][m % 4]);
    x[layout.theta.clone()].iter_mut().enumerate().for_each(|(m, x)| *x = [1.1, 0.3, 0.8, 0.7][m % 4]);
    x
}

fn build(name: &str, zero_inflated: bool) -> Arc<dyn Family> {
    family::build(name, None, zero_inflated).expect("in the catalogue").into()
}

#[test]
fn one_point_is_laplace() {
    for (name, slope) in [("poisson", false), ("binomial", true), ("nbinom2", true)] {
        let data = model(build(name, false), slope, false, 3);
        let mut laplace = Laplace::new(data.clone(), Method::Ml);
        let mut quadrature = Laplace::new(data, Method::Quadrature(1));
        let x = point(&laplace);
        let mut gradients = [vec![0.0; x.len()], vec![0.0; x.len()]];
        let one = laplace.value_gradient(&x, &mut gradients[0]);
        let other = quadrature.value_gradient(&x, &mut gradients[1]);
        assert!((one - other).abs() < 1e-11 * one.abs(), "{name}: {one} {other}");
        for (a, b) in gradients[0].iter().zip(&gradients[1]) {
            assert!((a - b).abs() < 1e-9 * (1.0 + a.abs()), "{name}: {:?}", gradients);
        }
    }
}

/// The integral over each level's effects by the trapezoidal rule over +-12 standard deviations of the prior, which
/// converges geometrically for these smooth integrands.
fn by_brute_force(data: &Data, laplace: &Laplace, x: &[f64], rank: usize) -> f64 {
    let design = &data.design;
    let layout = laplace.layout();
    let lambda = &design.template.factors(&x[layout.theta.clone()])[0];
    let width = design.groupings[0].width();
    let mut outer = vec![vec![0.0; N]; design.n_predictors()];
    for (k, range) in layout.beta.iter().enumerate() {
        design.fixed[k].add_to(&x[range.clone().expect("maximum likelihood")], &mut outer[k]);
    }
    let (steps, h) = (241, 0.1);
    let count = |level: usize| -> f64 {
        let rows: Vec<usize> = (0..N).filter(|i| i % LEVELS == level).collect();
        let mut sum = 0.0;
        for node in 0..usize::pow(steps, rank as u32) {
            let u: Vec<f64> =
                (0..rank).map(|a| h * ((node / usize::pow(steps, a as u32) % steps) as f64 - 120.0)).collect();
            let b: Vec<f64> = (0..width).map(|i| (0..rank).map(|a| lambda[a * width + i] * u[a]).sum()).collect();
            let mut log = -0.5 * u.iter().map(|u| u * u).sum::<f64>();
            for &i in &rows {
                let mut eta: Vec<f64> = outer.iter().map(|eta| eta[i]).collect();
                for ((column, &k), b) in design.groupings[0].columns.iter().zip(&design.groupings[0].predictors).zip(&b)
                {
                    eta[k] += column.at(i) * b;
                }
                log += data.weight_at(i) * data.family.log_density(data.y[i], data.trials_at(i), &eta);
            }
            sum += log.exp();
        }
        (sum * (h / (2.0 * std::f64::consts::PI).sqrt()).powi(rank as i32)).ln()
    };
    -(0..LEVELS).map(count).sum::<f64>()
}

#[test]
fn many_points_give_the_integral() {
    for (name, zi, slope, second, points) in [
        ("poisson", false, false, false, 30),
        ("binomial", false, false, false, 30),
        ("nbinom2", true, false, true, 40),
        ("binomial", false, true, false, 40),
    ] {
        let data = model(build(name, zi), slope, second, 5);
        let mut quadrature = Laplace::new(data.clone(), Method::Quadrature(points));
        let x = point(&quadrature);
        let value = quadrature.value_gradient(&x, &mut vec![0.0; x.len()]);
        let exact = by_brute_force(&data, &quadrature, &x, 1 + usize::from(slope) + usize::from(second));
        let mut laplace = Laplace::new(data, Method::Ml);
        let approximate = laplace.value_gradient(&x, &mut vec![0.0; x.len()]);
        // The mixture's integrand has two humps, to which the rule converges more slowly.
        let tolerance = if zi { 1e-5 } else { 1e-7 };
        assert!((value - exact).abs() < tolerance, "{name} zi={zi} slope={slope}: {value} not {exact}");
        assert!((approximate - exact).abs() > 1e-3, "{name}: a case that Laplace's approximation solves tests nothing");
    }
}

#[test]
fn the_gradient_is_exact_for_every_family() {
    for entry in family::CATALOGUE {
        for (zi, slope, second, points) in
            [(false, false, false, 9), (false, true, false, 4), (true, true, true, 3), (true, false, true, 7)]
        {
            if zi && !entry.card.zero_inflation {
                continue;
            }
            let family = build(entry.card.name, zi);
            let second = second && family.components().len() > 1;
            let data = model(family, slope, second, 11);
            let mut quadrature = Laplace::new(data.clone(), Method::Quadrature(points));
            let mut x = point(&quadrature);
            let constants = data.family.start(&data.y, data.trials.as_deref(), None, None);
            for (k, range) in quadrature.layout().beta.clone().iter().enumerate() {
                let range = range.clone().expect("maximum likelihood");
                x[range.start] = constants[k];
                x[range.start + 1..range.end].fill(0.1);
            }
            let theta = quadrature.layout().theta.clone();
            // A link that is not surjective leaves less room around the mode.
            let bounded = matches!(data.family.links()[0], Link::Inverse | Link::InverseSquared);
            let size = if bounded { 0.03 } else { 0.3 };
            x[theta].iter_mut().for_each(|x| *x *= size);
            let mut gradient = vec![0.0; x.len()];
            let value = quadrature.value_gradient(&x, &mut gradient);
            assert!(value.is_finite(), "{} zi={zi} slope={slope}", entry.card.name);
            quadrature.accept();
            let size = gradient.iter().fold(1.0_f64, |m, g| m.max(g.abs()));
            let mut ignored = vec![0.0; x.len()];
            for m in 0..x.len() {
                let h = 1e-3 * (1.0 + x[m].abs());
                let mut at = |t: f64| {
                    let mut moved = x.clone();
                    moved[m] += t;
                    quadrature.value_gradient(&moved, &mut ignored)
                };
                let difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                // Differences of fourth order with step 1e-3 are good to some 1e-9 of the gradient.
                assert!(
                    (difference - gradient[m]).abs() < 1e-7 * size,
                    "{} zi={zi} slope={slope} {points} points, parameter {m}: {} not {difference}",
                    entry.card.name,
                    gradient[m]
                );
            }
        }
    }
}
