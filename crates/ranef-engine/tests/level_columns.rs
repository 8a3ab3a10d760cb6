//! Fixed effects by level against the same columns as a dense matrix.
#![allow(missing_docs)]

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, LevelColumns, TermSpec};
use ranef_engine::likelihood::profiled::{Profiled, Solution};

const N: usize = 120;

/// X = [1, x, columns of levels, covariate of the levels] as a matrix and by level; some columns depend on others.
struct Case {
    whole: Fixed,
    short: Fixed,
    rng: ChaCha8Rng,
}

fn case(levels: usize, slopes: bool, covariate_first: bool, base: bool, seed: u64) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let codes: Vec<u32> = (0..N).map(|_| rng.random_range(0..levels as u32)).collect();
    let x: Vec<f64> = (0..N).map(|_| rng.random_range(-1.0..3.0)).collect();
    let size: Vec<f64> = (0..levels).map(|_| rng.random_range(0.0..100.0)).collect();
    let covariate: Vec<f64> = codes.iter().map(|&code| size[code as usize]).collect();
    let mut columns = vec![vec![1.0; N], x.clone()];
    let mut dense = vec![0, 1];
    if covariate_first {
        dense.push(columns.len());
        columns.push(covariate.clone());
    }
    let mut places = Vec::new();
    for kind in 0..1 + usize::from(slopes) {
        let mut row = vec![None; levels];
        for (level, place) in row.iter_mut().enumerate().skip(usize::from(base)) {
            *place = Some(columns.len());
            let value = |i: usize| if kind == 0 { 1.0 } else { x[i] };
            let here = |i: usize| if codes[i] as usize == level { value(i) } else { 0.0 };
            columns.push((0..N).map(here).collect());
        }
        places.push(row);
    }
    if !covariate_first {
        dense.push(columns.len());
        columns.push(covariate);
    }
    let values = if slopes { vec![None, Some(x)] } else { vec![None] };
    let own = LevelColumns { codes, levels, values, places };
    let others: Vec<f64> = dense.iter().flat_map(|&j| columns[j].clone()).collect();
    let offset: Vec<f64> = (0..N).map(|_| rng.random_range(-1.0..1.0)).collect();
    Case {
        whole: Fixed::new(N, &columns.concat(), Some(offset.clone())),
        short: Fixed::by_level(N, others, &dense, &own, Some(offset)),
        rng,
    }
}

fn close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    let size = b.iter().fold(1e-300_f64, |m, v| m.max(v.abs()));
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance * size, "{what}: {a} {b}");
    }
}

fn design(fixed: Fixed, codes: &[u32], z: &[f64]) -> Design {
    let term = TermSpec {
        predictor: 0,
        grouping: 0,
        columns: vec![Column::One, Column::new(z)],
        covariance: covariance::build("us", 2).expect("in the catalogue"),
    };
    Design::new(N, vec![fixed], vec![(codes.to_vec(), 15)], vec![term])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_same_columns_are_kept_and_the_same_numbers_come_back(
        (levels, seed) in (2usize..30, any::<u64>()),
        (slopes, covariate_first, base) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let Case { whole, short, mut rng } = case(levels, slopes, covariate_first, base, seed);
        prop_assert_eq!(short.kept(), whole.kept());
        prop_assert_eq!(short.aliased(), whole.aliased());
        // |det R| is the volume of the columns, whatever the coordinates.
        close("volume", &[short.log_det()], &[whole.log_det()], 1e-9);
        let p = whole.p();
        let beta: Vec<f64> = (0..p).map(|_| rng.random_range(-1.0..1.0)).collect();
        let r: Vec<f64> = (0..N).map(|_| rng.random_range(-1.0..1.0)).collect();
        let answers = |fixed: &Fixed| {
            let mut eta = vec![0.0; N];
            fixed.add_to(&fixed.to_rotated(&beta), &mut eta);
            let ranges: Vec<f64> = (0..p).map(|j| fixed.range(j)).collect();
            let row = fixed.rotate_row(&beta);
            [eta, fixed.gradient_to_original(&fixed.gather(&r)), ranges, vec![row.iter().map(|x| x * x).sum()]]
        };
        // Covariates of up to 100 beside indicators, and levels of one row: about 1e5 in condition.
        for (name, (a, b)) in ["X beta", "X'r", "ranges", "length"].iter().zip(answers(&short).iter().zip(&answers(&whole))) {
            close(name, a, b, 1e-9);
        }
        close("round trip", &short.to_original(&short.to_rotated(&beta)), &beta, 1e-9);
        for j in 0..p {
            close("row of the inverse", &[short.coefficient_row(j).iter().zip(short.to_rotated(&beta)).map(|(a, b)| a * b).sum()], &[beta[j]], 1e-7);
        }
    }

    #[test]
    fn the_profiled_likelihood_does_not_know_the_difference(
        (levels, seed) in (2usize..30, any::<u64>()),
        (slopes, covariate_first, base) in (any::<bool>(), any::<bool>(), any::<bool>()),
        (reml, weighted) in (any::<bool>(), any::<bool>()),
    ) {
        let Case { whole, short, mut rng } = case(levels, slopes, covariate_first, base, seed);
        let codes: Vec<u32> = (0..N).map(|_| rng.random_range(0..15)).collect();
        let z: Vec<f64> = (0..N).map(|_| rng.random_range(-1.0..1.0)).collect();
        let y: Vec<f64> = (0..N).map(|_| rng.random_range(-3.0..5.0)).collect();
        let w: Vec<f64> = (0..N).map(|_| rng.random_range(0.1..4.0)).collect();
        let weights = weighted.then_some(&w[..]);
        let theta = [rng.random_range(0.1..1.5), rng.random_range(-0.5..0.5), rng.random_range(0.1..1.5)];
        let constant = |fixed: &Fixed| if reml { 2.0 * fixed.log_det() } else { 0.0 };
        let (a, b) = (design(short.clone(), &codes, &z), design(whole.clone(), &codes, &z));
        let mut a = Profiled::shared(&y, &a, weights, reml).expect("determined");
        let mut b = Profiled::shared(&y, &b, weights, reml).expect("determined");
        let (mut slope_a, mut slope_b) = ([0.0; 3], [0.0; 3]);
        let value_a = a.value_gradient(&theta, &mut slope_a) + constant(&short);
        let value_b = b.value_gradient(&theta, &mut slope_b) + constant(&whole);
        close("value", &[value_a], &[value_b], 1e-10);
        close("gradient", &slope_a, &slope_b, 1e-8);
        close("metric", &a.metric(&theta), &b.metric(&theta), 1e-7);
        let (one, other) = (a.solution(&theta).expect("finite"), b.solution(&theta).expect("finite"));
        close("beta", &short.to_original(&one.beta), &whole.to_original(&other.beta), 1e-7);
        let sums = |s: &Solution| [s.r2, s.penalty, s.log_det];
        close("sums", &sums(&one), &sums(&other), 1e-8);
        close("effects", &one.b.concat(), &other.b.concat(), 1e-8);
        let variance = |fixed: &Fixed, v: &[f64]| -> Vec<f64> {
            let p = fixed.p();
            let half: Vec<f64> = (0..p).flat_map(|j| fixed.to_original(&v[j * p..(j + 1) * p])).collect();
            let row = |i: usize| (0..p).map(|j| half[j * p + i]).collect::<Vec<f64>>();
            (0..p).flat_map(|i| fixed.to_original(&row(i))).collect()
        };
        close("covariance", &variance(&short, &a.unscaled_covariance()), &variance(&whole, &other.vcov_beta_unscaled), 1e-7);
    }
}

/// Blocks between three grouping factors, which lie among those with the columns by level.
#[test]
fn several_grouping_factors_stand_beside_columns_by_level() {
    let Case { whole, short, mut rng } = case(7, true, false, true, 3);
    let groupings: Vec<(Vec<u32>, usize)> =
        [9, 5, 4].map(|levels| ((0..N).map(|_| rng.random_range(0..levels as u32)).collect(), levels)).into();
    let y: Vec<f64> = (0..N).map(|_| rng.random_range(-3.0..5.0)).collect();
    let theta = [0.8, 0.5, 1.1];
    let model = |fixed: &Fixed| {
        let term = |grouping| TermSpec {
            predictor: 0,
            grouping,
            columns: vec![Column::One],
            covariance: covariance::build("us", 1).expect("in the catalogue"),
        };
        let design = Design::new(N, vec![fixed.clone()], groupings.clone(), (0..3).map(term).collect());
        Profiled::shared(&y, &design, None, true).expect("determined")
    };
    let (mut a, mut b) = (model(&short), model(&whole));
    let (mut slope_a, mut slope_b) = ([0.0; 3], [0.0; 3]);
    let value_a = a.value_gradient(&theta, &mut slope_a) + 2.0 * short.log_det();
    let value_b = b.value_gradient(&theta, &mut slope_b) + 2.0 * whole.log_det();
    close("value", &[value_a], &[value_b], 1e-10);
    close("gradient", &slope_a, &slope_b, 1e-8);
    close("metric", &a.metric(&theta), &b.metric(&theta), 1e-7);
    let (one, other) = (a.solution(&theta).expect("finite"), b.solution(&theta).expect("finite"));
    close("effects", &one.b.concat(), &other.b.concat(), 1e-8);
}
