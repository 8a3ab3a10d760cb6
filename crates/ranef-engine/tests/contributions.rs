//! What sets of rows contribute to a likelihood: they add up to the whole, and are its slopes.
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family;
use ranef_engine::fitting::{Control, Fit, Likelihood, fit};
use ranef_engine::likelihood::data::{Data, Method};
use std::sync::Arc;

const EACH: usize = 8;
const LEVELS: usize = 12;

fn noise(i: usize) -> f64 {
    let x = ((i as f64 + 1.0) * 12.9898).sin() * 43758.5453;
    2.0 * (x - x.floor()) - 1.0
}

/// Counts with correlated intercept and slope and a dispersion, of columns that scaling and rotation change.
fn counts(method: Method) -> Fit {
    let n = LEVELS * EACH;
    let x: Vec<f64> = (0..n).map(|i| 30.0 + 4.0 * noise(i + 77)).collect();
    let effect = |i: usize| 0.7 * noise(300 + i / EACH) + 0.4 * noise(600 + i / EACH) * (x[i] - 30.0);
    let y = (0..n).map(|i| (1.5 + 0.1 * (x[i] - 30.0) + effect(i) + 2.0 * noise(i)).exp().floor()).collect();
    let one = vec![1.0; n];
    let fixed = vec![Fixed::new(n, &[one.clone(), x.clone()].concat(), None), Fixed::new(n, &one, None)];
    let centred: Vec<f64> = x.iter().map(|x| x - 30.0).collect();
    let covariance = covariance::build("us", 2).expect("in the catalogue");
    let columns = vec![Column::One, Column::new(&centred)];
    let terms = vec![TermSpec { predictor: 0, grouping: 0, columns, covariance }];
    let groups = vec![((0..n).map(|i| (i / EACH) as u32).collect(), LEVELS)];
    let design = Arc::new(Design::new(n, fixed, groups, terms));
    let family = family::build("nbinom2", None, false).expect("in the catalogue").into();
    let data = Arc::new(Data { y, trials: None, weights: None, family, design });
    fit(data, Likelihood::Laplace(method), &Control::default()).expect("determined")
}

fn groups() -> Vec<Vec<usize>> {
    (0..LEVELS).map(|g| (g * EACH..(g + 1) * EACH).collect()).collect()
}

#[test]
fn groups_add_up_to_the_whole() {
    for method in [Method::Ml, Method::Quadrature(5)] {
        let fit = counts(method);
        let parts = fit.contributions(&groups(), true).expect("evaluated");
        let whole = &fit.contributions(&[(0..LEVELS * EACH).collect()], true).expect("evaluated")[0];
        let sum: f64 = parts.iter().map(|part| part.loglik).sum();
        assert!((sum - fit.loglik).abs() < 1e-8 && (whole.loglik - fit.loglik).abs() < 1e-8, "{sum} {}", fit.loglik);
        let dim = whole.gradient.len();
        for m in 0..dim {
            let sum: f64 = parts.iter().map(|part| part.gradient[m]).sum();
            let size: f64 = parts.iter().map(|part| part.gradient[m].abs()).sum();
            assert!((sum - whole.gradient[m]).abs() < 1e-7 * size, "{m}: {sum} {}", whole.gradient[m]);
            // The search ends within 1e-4 standard errors of the maximum.
            assert!(sum.abs() < 1e-3 * size, "{m}: {sum} of {size}");
        }
        for at in 0..dim * dim {
            let sum: f64 = parts.iter().map(|part| part.information[at]).sum();
            let (i, j) = (at % dim, at / dim);
            let unit = (whole.information[i * dim + i] * whole.information[j * dim + j]).sqrt();
            // Both are differences of gradients, good to 1e-5 or better.
            assert!((sum - whole.information[at]).abs() < 1e-5 * unit, "{at}: {sum} {}", whole.information[at]);
        }
    }
}

#[test]
fn order_of_sets_and_threads_do_not_matter() {
    let fit = counts(Method::Ml);
    let mut sets = groups();
    let on = |threads: usize, sets: &[Vec<usize>]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| fit.contributions(sets, true).expect("evaluated"))
    };
    let (one, two) = (on(1, &sets), on(2, &sets));
    sets.reverse();
    for ((a, b), c) in one.iter().zip(&two).zip(on(2, &sets).iter().rev()) {
        assert_eq!((&a.gradient, &a.information), (&b.gradient, &b.information));
        assert_eq!((&a.gradient, &a.information), (&c.gradient, &c.information));
    }
}

#[test]
fn rows_of_a_group_left_out_change_its_term_only() {
    let fit = counts(Method::Ml);
    let all: Vec<usize> = (0..LEVELS * EACH).collect();
    let (without, group, rest) = (all[1..].to_vec(), all[..EACH].to_vec(), all[1..EACH].to_vec());
    let found = fit.contributions(&[all, without, group, rest], false).expect("evaluated");
    for m in 0..found[0].gradient.len() {
        let (whole, part) = (found[0].gradient[m] - found[1].gradient[m], found[2].gradient[m] - found[3].gradient[m]);
        assert!((whole - part).abs() < 1e-7 * (1.0 + part.abs()), "{m}: {whole} {part}");
    }
}
