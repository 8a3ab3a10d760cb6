//! Couplings: the precision or correlation each gives, the likelihood of models that have them, and its gradient.
use faer::Mat;
use faer::linalg::solvers::{DenseSolveCore, Solve};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use ranef_engine::covariance::{
    self,
    coupling::{
        Adjacency, Chain, Clock, Correlation, Coupling, Distance, Form, Kernel, KnownCorrelation, KnownPrecision,
    },
};
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family;
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::Laplace;
use ranef_engine::objective::{Objective, each_gradient};
use std::sync::Arc;

/// Two series of times; 9 levels.
fn gaps(whole: bool) -> Vec<Option<f64>> {
    let steps = if whole { [1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 2.0] } else { [0.3, 1.1, 0.02, 2.0, 0.7, 0.5, 1.9] };
    let mut out = vec![None];
    out.extend(steps[..4].iter().copied().map(Some));
    out.push(None);
    out.extend(steps[4..].iter().copied().map(Some));
    out
}

/// A ring of nine regions with a chord.
fn ring() -> Vec<(usize, usize, f64)> {
    let mut pairs: Vec<(usize, usize)> = (0..9).map(|i| (i, (i + 1) % 9)).collect();
    pairs.push((2, 6));
    pairs.iter().flat_map(|&(i, j)| [(i, j, 1.0), (j, i, 1.0)]).collect()
}

fn eigenvalues(entries: &[(usize, usize, f64)], n: usize) -> Vec<f64> {
    let mut matrix = Mat::<f64>::zeros(n, n);
    entries.iter().for_each(|&(i, j, value)| matrix[(i, j)] = value);
    matrix.self_adjoint_eigenvalues(faer::Side::Lower).expect("symmetric")
}

/// A known covariance of nine levels: that of a tree.
fn tree() -> Vec<f64> {
    (0..81)
        .map(|k| {
            let (i, j) = (k % 9, k / 9);
            if i == j {
                1.0 + 0.1 * i as f64
            } else if i / 3 == j / 3 {
                0.6
            } else {
                0.2
            }
        })
        .collect()
}

const LEVELS: usize = 9;

fn all() -> Vec<(&'static str, Box<dyn Coupling>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut places =
        || -> Vec<Vec<f64>> { (0..2).map(|_| (0..LEVELS).map(|_| rng.random_range(0.0..2.0)).collect()).collect() };
    let blocks = vec![0, 5, LEVELS];
    let inverse = {
        let dense = Mat::from_fn(LEVELS, LEVELS, |i, j| tree()[j * LEVELS + i]).partial_piv_lu().inverse();
        let entries: Vec<(usize, usize, f64)> =
            (0..LEVELS).flat_map(|i| (0..LEVELS).map(move |j| (i, j))).map(|(i, j)| (i, j, dense[(i, j)])).collect();
        entries
    };
    vec![
        ("ar1", Box::new(Chain::new(Clock::Steps, gaps(true)))),
        ("ou", Box::new(Chain::new(Clock::Continuous, gaps(false)))),
        ("exp", Box::new(Distance::new(Kernel::Exponential, blocks.clone(), &places()))),
        ("gau", Box::new(Distance::new(Kernel::Gaussian, blocks.clone(), &places()))),
        ("mat", Box::new(Distance::new(Kernel::Matern, blocks, &places()))),
        ("propto", Box::new(KnownCorrelation::new(vec![0, LEVELS], vec![Arc::new(tree())]))),
        ("precision", Box::new(KnownPrecision::new(LEVELS, inverse.into_iter()).expect("positive definite"))),
        ("car", Box::new(Adjacency::new(LEVELS, ring().into_iter(), eigenvalues(&ring(), LEVELS)))),
    ]
}

/// theta away from the start.
fn theta(coupling: &dyn Coupling) -> Vec<f64> {
    coupling.start().iter().enumerate().map(|(m, start)| start + 0.3 - 0.5 * m as f64).collect()
}

/// The dense covariance of the levels.
fn covariance_of(coupling: &dyn Coupling, theta: &[f64]) -> Mat<f64> {
    let n = coupling.levels();
    match coupling.form() {
        Form::Correlation(correlation) => {
            let mut out = Mat::zeros(n, n);
            for (block, ends) in correlation.blocks().windows(2).enumerate() {
                let s = ends[1] - ends[0];
                let mut values = vec![0.0; s * s];
                correlation.values_into(theta, block, &mut values);
                for j in 0..s {
                    for i in j..s {
                        out[(ends[0] + i, ends[0] + j)] = values[j * s + i];
                        out[(ends[0] + j, ends[0] + i)] = values[j * s + i];
                    }
                }
            }
            out
        }
        Form::Precision(precision) => {
            let neighbours = precision.neighbours();
            let (mut diagonal, mut off) = (vec![0.0; n], vec![0.0; neighbours.lower.len()]);
            precision.values_into(theta, &mut diagonal, &mut off);
            let mut p = Mat::zeros(n, n);
            for i in 0..n {
                p[(i, i)] = diagonal[i];
                for e in neighbours.ptr[i]..neighbours.ptr[i + 1] {
                    let j = neighbours.lower[e] as usize;
                    (p[(i, j)], p[(j, i)]) = (off[e], off[e]);
                }
            }
            p.partial_piv_lu().inverse()
        }
    }
}

#[test]
fn chains_have_the_correlations_they_are_named_for() {
    for (clock, whole) in [(Clock::Steps, true), (Clock::Continuous, false)] {
        for value in [-0.8, 0.0, 0.4, 1.7] {
            let chain = Chain::new(clock, gaps(whole));
            let r = covariance_of(&chain, &[value]);
            let times: Vec<f64> = gaps(whole)
                .iter()
                .scan(0.0, |t, gap| {
                    *t = gap.map_or(0.0, |gap| *t + gap);
                    Some(*t)
                })
                .collect();
            let natural = chain.natural(&[value], 0).0;
            for i in 0..LEVELS {
                for j in 0..LEVELS {
                    let apart = (times[i] - times[j]).abs();
                    let expected = match (i < 5) == (j < 5) {
                        false => 0.0,
                        true if clock == Clock::Steps => natural.powi(apart.round() as i32),
                        true => (-natural * apart).exp(),
                    };
                    assert!((r[(i, j)] - expected).abs() < 1e-12, "{clock:?} {i} {j}: {} not {expected}", r[(i, j)]);
                }
            }
        }
    }
}

#[test]
fn distances_have_the_correlations_they_are_named_for() {
    let places: [Vec<f64>; 2] = [vec![0.0, 0.3, 1.1, 0.3, 2.0], vec![0.0, 0.4, -0.7, 0.4, 1.0]];
    let (blocks, range) = ([0, 2, 5], 0.8_f64);
    let between = |i: usize, j: usize| (places[0][i] - places[0][j]).hypot(places[1][i] - places[1][j]);
    // Matern's closed forms: nu = 1/2 and 3/2.
    type Plain = fn(f64) -> f64;
    let plain: [(Kernel, &[f64], Plain); 4] = [
        (Kernel::Exponential, &[], |x| (-x).exp()),
        (Kernel::Gaussian, &[], |x| (-x * x).exp()),
        (Kernel::Matern, &[0.5], |x| (-x).exp()),
        (Kernel::Matern, &[1.5], |x| (1.0 + x) * (-x).exp()),
    ];
    for (kernel, smoothness, plain) in plain {
        let distance = Distance::new(kernel, blocks.to_vec(), &places);
        let theta: Vec<f64> = [range].iter().chain(smoothness).map(|value| value.ln()).collect();
        let r = covariance_of(&distance, &theta);
        for i in 0..5 {
            for j in 0..5 {
                let apart = if i == j { 0.0 } else { between(i, j) };
                let expected = if (i < 2) == (j < 2) { plain(apart / range) } else { 0.0 };
                // The Gaussian kernel has 1e-10 on its diagonal, which keeps it positive definite.
                let error = (r[(i, j)] - expected).abs();
                let allowed = if i == j && kernel == Kernel::Gaussian { 1.1e-10 } else { 1e-13 };
                assert!(error < allowed, "{kernel:?} {smoothness:?} {i} {j}: {} not {expected}", r[(i, j)]);
                assert!(i != j || kernel != Kernel::Gaussian || error > 0.9e-10, "{kernel:?}: nothing on the diagonal");
            }
        }
    }
}

/// Of so many places that Matern's correlations are looked up in a table.
#[test]
fn many_places_have_the_correlations_of_few() {
    // Two in one place; nu = 3/2, whose correlation (1 + x) exp(-x) has the slope x^2 exp(-x) along log range.
    let line: Vec<f64> = (0..60).map(|i| f64::from(59.min(i + 1))).collect();
    let (n, range) = (line.len(), 7.0_f64);
    let distance = Distance::new(Kernel::Matern, vec![0, n], std::slice::from_ref(&line));
    let theta = [range.ln(), 1.5_f64.ln()];
    let (mut values, mut slopes) = (vec![0.0; n * n], vec![vec![f64::NAN; n * n]; 2]);
    distance.values_into(&theta, 0, &mut values);
    distance.derivatives_into(&theta, 0, &mut slopes);
    for j in 0..n {
        for i in j..n {
            let x = (line[i] - line[j]).abs() / range;
            assert!((values[j * n + i] - (1.0 + x) * (-x).exp()).abs() < 1e-12, "({i}, {j})");
            for at in [j * n + i, i * n + j] {
                assert!((slopes[0][at] - x * x * (-x).exp()).abs() < 1e-11, "({i}, {j})");
            }
            if x == 0.0 {
                assert_eq!((slopes[0][j * n + i], slopes[1][j * n + i]), (0.0, 0.0), "({i}, {j})");
            }
        }
    }
}

#[test]
fn a_map_has_the_precision_it_is_named_for() {
    let eigenvalues = eigenvalues(&ring(), LEVELS);
    let extreme = |pick: fn(f64, f64) -> f64| 1.0 / eigenvalues.iter().copied().fold(0.0, pick);
    let (low, high) = (extreme(f64::min), extreme(f64::max));
    let map = Adjacency::new(LEVELS, ring().into_iter(), eigenvalues);
    // rho lies between the reciprocals of the extreme eigenvalues, and half of the largest is the start.
    assert!((map.natural(&[-40.0], 0).0 - low).abs() < 1e-15 && (map.natural(&[40.0], 0).0 - high).abs() < 1e-15);
    assert!((map.natural(&map.start(), 0).0 - 0.5 * high).abs() < 1e-15);
    let rho = map.natural(&[0.7], 0).0;
    let mut precision = Mat::<f64>::identity(LEVELS, LEVELS);
    ring().iter().for_each(|&(i, j, weight)| precision[(i, j)] -= rho * weight);
    let r = covariance_of(&map, &[0.7]);
    assert!((&r * &precision - Mat::<f64>::identity(LEVELS, LEVELS)).norm_max() < 1e-12);
}

#[test]
fn searches_start_at_a_middling_dependence() {
    // A correlation of one half over the median gap, here the fourth of seven.
    let chain = Chain::new(Clock::Continuous, gaps(false));
    assert!((chain.natural(&chain.start(), 0).0 * 0.7 - 0.7).abs() < 1e-15);
    // Times that coincide tell nothing of a rate.
    let still = Chain::new(Clock::Continuous, vec![None, Some(0.0), Some(0.0), Some(3.0)]);
    assert!((still.start()[0] - 0.7_f64.ln()).abs() < 1e-15);
    assert_eq!(Chain::new(Clock::Steps, gaps(true)).start(), [0.6]);
    // A third of the mean distance between two different places of a block; a block of one has none.
    let places = [vec![0.0, 1.0, 3.0, 9.0]];
    for (kernel, more) in [(Kernel::Exponential, vec![]), (Kernel::Matern, vec![0.0])] {
        let start = Distance::new(kernel, vec![0, 3, 4], &places).start();
        assert!((start[0] - (2.0_f64 / 3.0).ln()).abs() < 1e-15, "{kernel:?}: {start:?}");
        assert_eq!(start[1..], more);
    }
    assert_eq!(Distance::new(Kernel::Gaussian, vec![0, 2], &[vec![1.0, 1.0]]).start(), [(1.0_f64 / 3.0).ln()]);
}

#[test]
fn values_derivatives_solutions_and_natural_parameters_agree() {
    for (name, coupling) in all() {
        let (theta, n) = (theta(&*coupling), coupling.levels());
        for m in 0..theta.len() {
            let h = 1e-5;
            let moved = |t: f64| {
                let mut x = theta.clone();
                x[m] += t;
                x
            };
            let (value, slope) = coupling.natural(&theta, m);
            let difference = (coupling.natural(&moved(h), m).0 - coupling.natural(&moved(-h), m).0) / (2.0 * h);
            assert!((slope - difference).abs() < 1e-8, "{name}: slope of natural parameter {m}");
            assert!((coupling.theta_of(value, m) - theta[m]).abs() < 1e-10, "{name}: theta of its natural parameter");
            match coupling.form() {
                Form::Precision(precision) => {
                    let entries = precision.neighbours().lower.len();
                    let at = |x: &[f64]| {
                        let (mut d, mut o) = (vec![0.0; n], vec![0.0; entries]);
                        let log_det = precision.values_into(x, &mut d, &mut o);
                        d.extend(o);
                        d.push(log_det);
                        d
                    };
                    let (mut d, mut o) = (vec![0.0; n], vec![0.0; entries]);
                    let log_det = precision.derivative_into(&theta, m, &mut d, &mut o);
                    d.extend(o);
                    d.push(log_det);
                    for ((exact, above), below) in d.iter().zip(at(&moved(h))).zip(at(&moved(-h))) {
                        let difference = (above - below) / (2.0 * h);
                        assert!(
                            (exact - difference).abs() < 1e-7 * (1.0 + exact.abs()),
                            "{name}: {exact} not {difference}"
                        );
                    }
                }
                Form::Correlation(correlation) => {
                    for (block, ends) in correlation.blocks().windows(2).enumerate() {
                        let s = ends[1] - ends[0];
                        let at = |x: &[f64]| {
                            let mut v = vec![0.0; s * s];
                            correlation.values_into(x, block, &mut v);
                            v
                        };
                        let mut exact = vec![vec![0.0; s * s]; theta.len()];
                        correlation.derivatives_into(&theta, block, &mut exact);
                        let (above, below) = (at(&moved(h)), at(&moved(-h)));
                        for j in 0..s {
                            for i in j..s {
                                let difference = (above[j * s + i] - below[j * s + i]) / (2.0 * h);
                                assert!((exact[m][j * s + i] - difference).abs() < 1e-8, "{name} parameter {m}");
                                assert_eq!(exact[m][j * s + i], exact[m][i * s + j], "{name}: both triangles");
                            }
                        }
                    }
                }
            }
        }
        if let Form::Precision(precision) = coupling.form() {
            let r = covariance_of(&*coupling, &theta);
            let entries = precision.neighbours().lower.len();
            let log_det = precision.values_into(&theta, &mut vec![0.0; n], &mut vec![0.0; entries]);
            let dense = r.determinant().ln();
            assert!((log_det + dense).abs() < 1e-10, "{name}: log|P| {log_det} not {}", -dense);
            // Both maps are linear: columns of P^{-1}, and a root of it.
            let columns = |apply: &dyn Fn(&mut [f64])| {
                Mat::from_fn(n, n, |i, j| {
                    let mut e = vec![0.0; n];
                    e[j] = 1.0;
                    apply(&mut e);
                    e[i]
                })
            };
            let solved = columns(&|x| precision.solve_in_place(&theta, x));
            let root = columns(&|x| precision.draw_in_place(&theta, x));
            assert!((&solved - &r).norm_max() < 1e-12, "{name}: solutions");
            assert!((&root * root.transpose() - &r).norm_max() < 1e-12, "{name}: draws");
        }
    }
}

const N: usize = 60;

/// Rows that meet some levels never, with an uncoupled factor crossed with the coupled one.
fn model(name: &str, coupling: Box<dyn Coupling>, slopes: bool, crossed: bool) -> Arc<Data> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let x: Vec<f64> = (0..N).map(|_| StandardNormal.sample(&mut rng)).collect();
    let family = family::build(name, None, false).expect("in the catalogue");
    let k_all = family.components().len();
    let one = vec![1.0; N];
    let mut fixed = vec![Fixed::new(N, &[one.clone(), x.clone()].concat(), None)];
    fixed.extend((1..k_all).map(|_| Fixed::new(N, &one, None)));
    let columns = if slopes { vec![Column::One, Column::new(&x)] } else { vec![Column::One] };
    let term = |grouping: usize, columns: Vec<Column>| TermSpec {
        predictor: 0,
        grouping,
        covariance: covariance::build("us", columns.len()).expect("in the catalogue"),
        columns,
    };
    // Level 4 has no row.
    let coupled: Vec<u32> = (0..N)
        .map(|i| {
            let l = (i * 7 % 8) as u32;
            if l >= 4 { l + 1 } else { l }
        })
        .collect();
    let mut groups = vec![(coupled, LEVELS)];
    let mut terms = vec![term(0, columns)];
    let mut couplings = vec![Some(coupling)];
    if crossed {
        groups.push(((0..N).map(|i| (i / 5) as u32).collect(), 12));
        terms.push(term(1, vec![Column::One]));
        couplings.push(None);
    }
    let design = Design::new(N, fixed, groups, terms).coupled(couplings);
    let y = (0..N)
        .map(|i| {
            let noise: f64 = StandardNormal.sample(&mut rng);
            if name == "gaussian" { 0.5 + 0.3 * x[i] + noise } else { (1.5 + noise).exp().floor() }
        })
        .collect();
    Arc::new(Data { y, trials: None, weights: None, family: family.into(), design: Arc::new(design) })
}

fn point(laplace: &Laplace, data: &Data) -> Vec<f64> {
    let mut x = vec![0.2; laplace.layout().dim];
    let template = &data.design.template;
    let first = laplace.layout().theta.start;
    x[first..first + template.n_factor()].copy_from_slice(&[0.7, 0.15, 0.4, 0.5][..template.n_factor()]);
    let own = theta(template.coupling(0).expect("the first factor is coupled"));
    for (m, value) in template.coupling_range(0).zip(own) {
        x[first + m] = value;
    }
    x
}

fn ready(data: &Arc<Data>, method: Method) -> Laplace {
    let mut laplace = Laplace::new(data.clone(), method);
    if method != Method::Ml {
        laplace.set_start_mode(vec![0.0; laplace.n_effects() + data.design.fixed[0].p()]);
    }
    laplace
}

#[test]
fn a_gaussian_model_has_the_likelihood_of_its_dense_covariance() {
    for crossed in [false, true] {
        for (name, coupling) in all() {
            let data = model("gaussian", coupling, false, crossed);
            let mut laplace = ready(&data, Method::Ml);
            let x = point(&laplace, &data);
            let value = laplace.value_gradient(&x, &mut vec![0.0; x.len()]);
            let design = &data.design;
            let sd = {
                let mut eta = vec![0.0; N];
                design.fixed[1].add_to(&x[laplace.layout().beta[1].clone().expect("outer")], &mut eta);
                eta[0].exp()
            };
            let mut mean = vec![0.0; N];
            design.fixed[0].add_to(&x[laplace.layout().beta[0].clone().expect("outer")], &mut mean);
            let v = dense_covariance(&data, laplace.theta(&x), sd.ln());
            let e = Mat::from_fn(N, 1, |i, _| data.y[i] - mean[i]);
            let solved = v.partial_piv_lu().solve(&e);
            let form = (e.transpose() * &solved)[(0, 0)];
            let dense = 0.5 * (form + v.determinant().ln() + N as f64 * (2.0 * std::f64::consts::PI).ln());
            assert!((value - dense).abs() < 1e-9, "{name} crossed={crossed}: {value} not {dense}");
        }
    }
}

/// z_a R z_b' over the rows, for two columns of a grouping factor whose levels have the correlation R.
fn outer_product(data: &Data, factor: usize, r: &Mat<f64>, a: usize, b: usize) -> Mat<f64> {
    let grouping = &data.design.groupings[factor];
    let (code, z) = (|i: usize| grouping.codes[i] as usize, |a: usize, i: usize| grouping.columns[a].at(i));
    Mat::from_fn(N, N, |i, j| z(a, i) * r[(code(i), code(j))] * z(b, j))
}

/// R of the levels of a grouping factor.
fn correlation_of(data: &Data, factor: usize, theta: &[f64]) -> Mat<f64> {
    let template = &data.design.template;
    match template.coupling(factor) {
        Some(coupling) => covariance_of(coupling, &theta[template.coupling_range(factor)]),
        None => Mat::identity(data.design.groupings[factor].levels, data.design.groupings[factor].levels),
    }
}

/// V of a Gaussian model whose residuals have the logarithm `log_sd` of a standard deviation.
fn dense_covariance(data: &Data, theta: &[f64], log_sd: f64) -> Mat<f64> {
    let mut v = Mat::from_fn(N, N, |i, j| if i == j { (2.0 * log_sd).exp() } else { 0.0 });
    for (f, lambda) in data.design.template.factors(theta).iter().enumerate() {
        let (r, p) = (correlation_of(data, f, theta), data.design.groupings[f].columns.len());
        for at in 0..p * p {
            let sigma: f64 = (0..p).map(|k| lambda[k * p + at % p] * lambda[k * p + at / p]).sum();
            v += faer::Scale(sigma) * outer_product(data, f, &r, at % p, at / p);
        }
    }
    v
}

/// The metric is X'V^-1 X for coefficients and e'V^-1 V_j V^-1 V_k V^-1 e / 2 for parameters of the covariance (Gilmour
/// et al. 1995); for those of Lambda with the boundary's tr(dLambda_j' N dLambda_k), N = 2 df/dSigma.
#[test]
fn the_metric_of_a_gaussian_model_is_the_average_information_of_its_dense_covariance() {
    for (slopes, crossed) in [(false, false), (false, true), (true, true)] {
        for (name, coupling) in all() {
            if slopes && matches!(coupling.form(), Form::Correlation(_)) {
                continue;
            }
            let data = model("gaussian", coupling, slopes, crossed);
            let (design, template) = (&data.design, &data.design.template);
            let mut laplace = ready(&data, Method::Ml);
            let x = point(&laplace, &data);
            let (layout, dim) = (laplace.layout().clone(), x.len());
            laplace.value_gradient(&x, &mut vec![0.0; dim]);
            laplace.accept();
            let found = laplace.metric(&x);

            let (mean, spread) = (layout.beta[0].clone().expect("outer"), layout.beta[1].clone().expect("outer"));
            let v = |x: &[f64]| {
                let mut eta = vec![0.0; N];
                design.fixed[1].add_to(&x[spread.clone()], &mut eta);
                dense_covariance(&data, &x[layout.theta.clone()], eta[0])
            };
            let inverse = v(&x).partial_piv_lu().inverse();
            let column = |m: usize| {
                let (mut unit, mut eta) = (vec![0.0; mean.len()], vec![0.0; N]);
                unit[m - mean.start] = 1.0;
                design.fixed[0].add_to(&unit, &mut eta);
                Mat::from_fn(N, 1, |i, _| eta[i])
            };
            let mut eta = vec![0.0; N];
            design.fixed[0].add_to(&x[mean.clone()], &mut eta);
            let weighted = &inverse * Mat::from_fn(N, 1, |i, _| data.y[i] - eta[i]);
            // Of each parameter its working vector: central differences, with an error of 1e-10.
            let working: Vec<Mat<f64>> = (0..dim)
                .map(|m| {
                    if mean.contains(&m) {
                        return column(m);
                    }
                    let (mut above, mut below) = (x.clone(), x.clone());
                    above[m] += 1e-5;
                    below[m] -= 1e-5;
                    (v(&above) - v(&below)) * &weighted * faer::Scale(0.5e5)
                })
                .collect();
            let theta = &x[layout.theta.clone()];
            let boundary = |j: usize, k: usize| {
                let Some(((f, a, c), (g, b, d))) = template.entry(j).zip(template.entry(k)) else { return 0.0 };
                if f != g || c != d {
                    return 0.0;
                }
                let part = outer_product(&data, f, &correlation_of(&data, f, theta), a, b);
                let trace: f64 = (0..N).map(|i| inverse.row(i) * part.col(i)).sum();
                trace - (weighted.transpose() * &part * &weighted)[(0, 0)]
            };
            for k in 0..dim {
                for j in 0..dim {
                    let form = (working[j].transpose() * &inverse * &working[k])[(0, 0)];
                    let expected = match (mean.contains(&j), mean.contains(&k)) {
                        (true, true) => form,
                        (false, false) if j >= layout.theta.start && k >= layout.theta.start => {
                            0.5 * form + boundary(j - layout.theta.start, k - layout.theta.start)
                        }
                        (false, false) => 0.5 * form,
                        _ => 0.0,
                    };
                    let error = (found[k * dim + j] - expected).abs();
                    let scale = 1.0 + expected.abs();
                    assert!(
                        error < 1e-7 * scale,
                        "{name} slopes={slopes} crossed={crossed} ({j}, {k}): {} not {expected}",
                        found[k * dim + j]
                    );
                }
            }
        }
    }
}

/// Differences of fourth order with a step of 1e-3 are good to about 1e-9.
#[test]
fn every_coupling_has_the_exact_gradient() {
    for family in ["gaussian", "poisson", "nbinom2"] {
        for method in [Method::Ml, Method::Reml, Method::Profile] {
            for (slopes, crossed) in [(false, false), (false, true), (true, true)] {
                for (name, coupling) in all() {
                    if slopes && matches!(coupling.form(), Form::Correlation(_)) {
                        continue;
                    }
                    let data = model(family, coupling, slopes, crossed);
                    let mut laplace = ready(&data, method);
                    let x = point(&laplace, &data);
                    let mut gradient = vec![0.0; x.len()];
                    let value = laplace.value_gradient(&x, &mut gradient);
                    assert!(value.is_finite(), "{name} {family} {method:?}");
                    laplace.accept();
                    for m in 0..x.len() {
                        let h = 1e-3 * (1.0 + x[m].abs());
                        let mut at = |t: f64| {
                            let mut moved = x.clone();
                            moved[m] += t;
                            laplace.value_gradient(&moved, &mut vec![0.0; x.len()])
                        };
                        let difference = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                        let error = (difference - gradient[m]).abs() / gradient[m].abs().max(1.0);
                        assert!(
                            error < 1e-7,
                            "{name} {family} {method:?} slopes={slopes} crossed={crossed} {m}: {error:e}"
                        );
                    }
                }
            }
        }
    }
}

/// Gradients at the modes that an expansion expects err by the second order of the step: a tenth of it, a hundredth of the
/// error.
#[test]
fn modes_move_with_the_parameters_of_a_coupling() {
    for method in [Method::Ml, Method::Reml] {
        for (name, coupling) in all() {
            let data = model("poisson", coupling, false, true);
            let mut laplace = ready(&data, method);
            let x = point(&laplace, &data);
            let dim = x.len();
            let mut error = |step: f64| {
                let points: Vec<Vec<f64>> = (0..2 * dim)
                    .map(|k| {
                        let mut moved = x.clone();
                        moved[k / 2] += if k % 2 == 0 { step } else { -step };
                        moved
                    })
                    .collect();
                laplace.value_gradient(&x, &mut vec![0.0; dim]);
                laplace.accept();
                laplace.metric(&x);
                let before = laplace.inner_iterations();
                let fast = laplace.gradients_nearby(&x, &points).expect("finite").concat();
                assert_eq!(laplace.inner_iterations(), before, "{name}: no search is needed nearby");
                let slow = each_gradient(&mut laplace, &points).expect("finite").concat();
                fast.iter().zip(&slow).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
            };
            let (coarse, fine) = (error(3e-3), error(3e-4));
            assert!(fine < 0.02 * coarse && coarse < 0.05, "{name} {method:?}: {coarse:e}, {fine:e}");
        }
    }
}

#[test]
fn the_covariance_of_fixed_effects_moves_as_its_slopes_say() {
    for (name, coupling) in all() {
        // Levels with a dense correlation have one effect each.
        let slopes = matches!(coupling.form(), Form::Precision(_));
        let data = model("gaussian", coupling, slopes, true);
        for method in [Method::Ml, Method::Reml] {
            let mut laplace = ready(&data, method);
            let x = point(&laplace, &data);
            let mut ignored = vec![0.0; x.len()];
            let mut at = |x: &[f64]| {
                assert!(laplace.value_gradient(x, &mut ignored).is_finite());
                laplace.fixed_covariance().expect("positive definite")
            };
            let found = at(&x);
            for (m, slope) in found.slopes.iter().enumerate() {
                // Richardson's extrapolation of two central differences.
                let mut difference = |h: f64| -> Vec<f64> {
                    let (mut above, mut below) = (x.clone(), x.clone());
                    above[m] += h;
                    below[m] -= h;
                    at(&above).value.iter().zip(&at(&below).value).map(|(a, b)| (a - b) / (2.0 * h)).collect()
                };
                let (near, far) = (difference(1e-3), difference(2e-3));
                for ((slope, near), far) in slope.iter().zip(&near).zip(&far) {
                    let expected = (4.0 * near - far) / 3.0;
                    assert!((slope - expected).abs() < 1e-9, "{name} {method:?} {m}: {slope} not {expected}");
                }
            }
        }
    }
}
