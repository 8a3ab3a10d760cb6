//! What one step of a fit costs: the loops that a fit spends its time in, on data as large as the first caches.
//!
//! `cargo bench -p ranef-kernels` runs all of them, `cargo bench -p ranef-kernels -- families` one group.

use criterion::{BatchSize, Criterion, Throughput};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use ranef_engine::covariance;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family::{self, Derivatives, Family, Rows};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::Laplace;
use ranef_engine::linalg::{BlockMatrix, Factorization, Pattern};
use ranef_engine::objective::Objective;
use ranef_engine::special::{exp_each, logistic_tails_each};
use std::hint::black_box;
use std::sync::Arc;

/// Rows of the family benchmarks: as many as go through a family together in a fit.
const ROWS: usize = 2048;

fn normals(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

fn special(criterion: &mut Criterion) {
    let x = normals(ROWS, 1);
    let (mut a, mut b) = (vec![0.0; ROWS], vec![0.0; ROWS]);
    let mut group = criterion.benchmark_group("special");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("exp_each", |bench| bench.iter(|| exp_each(black_box(&x), &mut a)));
    group.bench_function("exp of the standard library", |bench| {
        bench.iter(|| a.iter_mut().zip(black_box(&x)).for_each(|(a, x)| *a = x.exp()));
    });
    group.bench_function("logistic_tails_each", |bench| {
        bench.iter(|| logistic_tails_each(black_box(&x), &mut a, &mut b));
    });
    group.finish();
}

/// Log densities with two derivatives (a step towards the mode) and with three (a gradient).
fn families(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("families");
    group.throughput(Throughput::Elements(ROWS as u64));
    let models = [
        ("binomial", None),
        ("binomial", Some("probit")),
        ("poisson", None),
        ("nbinom2", None),
        ("gamma", None),
        ("gaussian", None),
    ];
    for (name, link) in models {
        let family = family::build(name, link, false).expect("in the catalogue");
        let k = family.components().len();
        let mean: Vec<f64> = normals(ROWS, 2).iter().map(|z| 0.5 + 0.7 * z).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let eta: Vec<Vec<f64>> = (0..k).map(|j| if j == 0 { mean.clone() } else { vec![0.4; ROWS] }).collect();
        let y: Vec<f64> = (0..ROWS)
            .map(|i| family.sample(&eta.iter().map(|eta| eta[i]).collect::<Vec<_>>(), 1.0, &mut rng))
            .collect();
        let columns: Vec<&[f64]> = eta.iter().map(Vec::as_slice).collect();
        let mut out = Derivatives::default();
        for order in [2, 3] {
            group.bench_function(format!("{name} {} order {order}", family.links()[0].name()), |bench| {
                let rows = Rows { y: &y, trials: None, eta: &columns };
                bench.iter(|| family.derivatives(black_box(rows), order, &mut out));
            });
        }
    }
    group.finish();
}

/// Binary answers of 316 persons to 24 items, a thing of the size of lme4's VerbAgg.
fn answers() -> Arc<Data> {
    let (persons, items) = (316, 24);
    let n = persons * items;
    let person: Vec<u32> = (0..n).map(|i| (i % persons) as u32).collect();
    let item: Vec<u32> = (0..n).map(|i| (i / persons) as u32).collect();
    let (ability, ease, x) = (normals(persons, 4), normals(items, 5), normals(n, 6));
    let intercept = |grouping| TermSpec {
        predictor: 0,
        grouping,
        columns: vec![Column::One],
        covariance: covariance::build("us", 1).expect("in the catalogue"),
    };
    let fixed = vec![Fixed::new(n, &[vec![1.0; n], x.clone()].concat(), None)];
    let groups = vec![(person, persons), (item, items)];
    let design = Design::new(n, fixed, groups, vec![intercept(0), intercept(1)]);
    let family: Arc<dyn Family> = family::build("binomial", None, false).expect("in the catalogue").into();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let y = (0..n)
        .map(|i| family.sample(&[ability[i % persons] + ease[i / persons] + 0.3 * x[i]], 1.0, &mut rng))
        .collect();
    Arc::new(Data { y, trials: None, weights: None, family, design: Arc::new(design) })
}

/// A value with gradient after a move of a tenth of a standard error, and the gradients of a Hessian.
fn laplace(criterion: &mut Criterion) {
    let mut laplace = Laplace::new(answers(), Method::Ml);
    let x = [0.0, 0.3, 1.0, 1.0];
    let mut gradient = vec![0.0; x.len()];
    assert!(laplace.value_gradient(&x, &mut gradient).is_finite());
    laplace.accept();
    laplace.metric(&x);
    let moved: Vec<f64> = x.iter().map(|x| x + 5e-3).collect();
    let mut group = criterion.benchmark_group("laplace");
    group.bench_function("value and gradient", |bench| {
        bench.iter_batched_ref(
            || laplace.clone(),
            |laplace| laplace.value_gradient(black_box(&moved), &mut gradient),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a gradient nearby", |bench| {
        bench.iter(|| laplace.gradients_nearby(&x, black_box(std::slice::from_ref(&moved))));
    });
    group.bench_function("average information", |bench| {
        bench.iter_batched_ref(|| laplace.clone(), |laplace| laplace.metric(&x), BatchSize::SmallInput);
    });
    group.finish();
}

/// Cholesky factor and selected inverse of 2000 x 200 levels that meet in 20000 rows.
fn linalg(criterion: &mut Criterion) {
    let (n, levels) = (20_000, [2000, 200]);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let codes = levels.map(|levels| {
        let uniform = Uniform::new(0, levels as u32).expect("a valid range");
        (0..n).map(|_| uniform.sample(&mut rng)).collect::<Vec<u32>>()
    });
    let pattern = Arc::new(Pattern::new(&[(&codes[0], levels[0]), (&codes[1], levels[1])], 0));
    let mut h = BlockMatrix::zeros(&pattern, &[1, 1]);
    for row in 0..n {
        h.diag[0][codes[0][row] as usize] += 1.0;
        h.diag[1][codes[1][row] as usize] += 1.0;
        h.off[0][pattern.pairs()[0].slot_of_row[row] as usize] += 1.0;
    }
    let mut factorization = Factorization::new(pattern.clone(), &[1, 1]);
    let mut inverse = BlockMatrix::zeros(&pattern, &[1, 1]);
    let mut group = criterion.benchmark_group("linalg");
    group.bench_function("factor", |bench| bench.iter(|| factorization.factor(black_box(&h)).expect("definite")));
    group.bench_function("selected inverse", |bench| {
        bench.iter(|| factorization.selected_inverse_into(&mut inverse));
    });
    let rhs = normals(levels[0] + levels[1], 9);
    group.bench_function("solve", |bench| {
        bench.iter_batched_ref(|| rhs.clone(), |rhs| factorization.solve_in_place(rhs, 1), BatchSize::SmallInput);
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    special(&mut criterion);
    families(&mut criterion);
    laplace(&mut criterion);
    linalg(&mut criterion);
    criterion.final_summary();
}
