//! Where searches begin: moments that have a closed form, other starts with the properties they are taken for.
mod dense;

use dense::{Dense, Kind, Layout, assert_close};
use ranef_engine::covariance::coupling::{Chain, Clock, Coupling};
use ranef_engine::covariance::{self, Natural, NaturalScale, Options, Template, build_with};
use ranef_engine::design::{Column, Design, Fixed, Grouping, TermSpec};
use ranef_engine::family;
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::Laplace;
use ranef_engine::likelihood::other_starts::{beyond, centred, other_shapes};
use ranef_engine::likelihood::profiled::Profiled;
use ranef_engine::likelihood::start::{neutral, spread, start};
use std::sync::Arc;

const GROUPS: usize = 8;
const N: usize = 48;

fn wave(i: usize, k: f64) -> f64 {
    (k * (i as f64 + 1.0)).sin()
}

fn group(i: usize) -> usize {
    i % GROUPS
}

/// The coefficients of a grouping factor's columns in each of its levels, by least squares, and their (Z'Z)^-1.
fn level_by_level(y: &[f64], columns: &[Vec<f64>]) -> Vec<(Vec<f64>, Dense)> {
    (0..GROUPS)
        .map(|level| {
            let rows: Vec<usize> = (0..N).filter(|&i| group(i) == level).collect();
            let z = Dense::from(
                rows.len(),
                columns.len(),
                &columns.iter().flat_map(|z| rows.iter().map(|&i| z[i])).collect::<Vec<_>>(),
            );
            let inverse = z.transposed().times(&z).inverse();
            let y = Dense::from(rows.len(), 1, &rows.iter().map(|&i| y[i]).collect::<Vec<_>>());
            (inverse.times(&z.transposed().times(&y)).values, inverse)
        })
        .collect()
}

fn grouping(columns: &[Vec<f64>]) -> Grouping {
    Grouping {
        codes: (0..N).map(|i| group(i) as u32).collect(),
        levels: GROUPS,
        columns: columns.iter().map(|z| Column::new(z)).collect(),
        predictors: vec![0; columns.len()],
    }
}

/// A response about zero, so that without fixed effects the levels' coefficients are those of the response itself.
fn response(columns: &[Vec<f64>], size: f64) -> Vec<f64> {
    let effect = |i: usize, j: usize| size * wave(group(i) + GROUPS * j, 7.7);
    (0..N).map(|i| wave(i, 43.7) + columns.iter().enumerate().map(|(j, z)| effect(i, j) * z[i]).sum::<f64>()).collect()
}

/// v / sigma^2 = max(MSB / MSW - 1, 0.05) / mean n, for each column together with the others.
#[test]
fn the_profiled_search_starts_at_moments_of_the_levels() {
    let slopes: Vec<f64> = (0..N).map(|i| 0.4 + 2.0 * wave(i, 12.9)).collect();
    for (columns, size) in
        [(vec![vec![1.0; N]], 1.5), (vec![vec![1.0; N], slopes.clone()], 1.5), (vec![vec![1.0; N]], 0.0)]
    {
        let (y, p) = (response(&columns, size), columns.len());
        let template = Template::new(vec![(covariance::build("diag", p).expect("known"), 0)], 1);
        let profiled = Profiled::new(&y, &[], 0, &[grouping(&columns)], template, None, None, false).expect("a model");
        let fits = level_by_level(&y, &columns);
        let left: f64 =
            (0..N).map(|i| (y[i] - (0..p).map(|j| columns[j][i] * fits[group(i)].0[j]).sum::<f64>()).powi(2)).sum();
        let total = y.iter().map(|y| y * y).sum::<f64>();
        let within = (left / (N - p * GROUPS) as f64).min(total / N as f64);
        let expected: Vec<f64> = (0..p)
            .map(|j| {
                let n = |level: usize| 1.0 / fits[level].1.at(j, j);
                let between = (0..GROUPS).map(|l| n(l) * fits[l].0[j].powi(2)).sum::<f64>() / GROUPS as f64;
                let rows = (0..GROUPS).map(n).sum::<f64>() / GROUPS as f64;
                ((between / within - 1.0).max(0.05) / rows).sqrt()
            })
            .collect();
        assert_close("start", &profiled.start(), &expected, 1e-10);
    }
}

/// A reduced rank starts at the components of the products of the levels' coefficients less their sampling covariance.
#[test]
fn the_profiled_search_of_a_reduced_rank_starts_at_moments_too() {
    let columns: Vec<Vec<f64>> =
        (0..3).map(|j| (0..N).map(|i| f64::from(u8::from((i / GROUPS) % 3 == j))).collect()).collect();
    let y: Vec<f64> =
        (0..N).map(|i| 0.6 * wave(i, 43.7) + 1.2 * wave(group(i), 7.7) * [1.0, 0.7, -0.4][(i / GROUPS) % 3]).collect();
    let rank_one = || build_with("rr", 3, &Options { rank: Some(1) }).expect("known");
    let template = Template::new(vec![(rank_one(), 0)], 1);
    let profiled = Profiled::new(&y, &[], 0, &[grouping(&columns)], template, None, None, false).expect("a model");
    let fits = level_by_level(&y, &columns);
    let left: f64 = (0..N).map(|i| (y[i] - fits[group(i)].0[(i / GROUPS) % 3]).powi(2)).sum();
    let within = left / (N - 3 * GROUPS) as f64;
    let levels = GROUPS as f64;
    // Two rows of each column in each level.
    let sigma: Vec<f64> = (0..9)
        .map(|at| {
            let (i, j) = (at % 3, at / 3);
            let product = fits.iter().map(|fit| fit.0[i] * fit.0[j]).sum::<f64>() / levels;
            if i == j { (2.0 * product / within - 1.0).max(0.05) / 2.0 } else { product / within }
        })
        .collect();
    assert_close("start", &profiled.start(), &rank_one().start_near(&sigma), 1e-10);
}

/// Columns that are correlated within the levels: their sampling covariance comes off, and a variance that is hardly there
/// keeps its floor.
#[test]
fn the_profiled_search_of_a_reduced_rank_takes_sampling_covariances_off() {
    let one = vec![1.0; N];
    let slopes: Vec<f64> = (0..N).map(|i| 0.8 + wave(i, 12.9)).collect();
    let idle: Vec<f64> = (0..N).map(|i| 0.5 * slopes[i] + wave(i, 5.3)).collect();
    let y = response(&[one.clone(), slopes.clone()], 1.5);
    let columns = [one, slopes, idle];
    let rank_one = || build_with("rr", 3, &Options { rank: Some(1) }).expect("known");
    let template = Template::new(vec![(rank_one(), 0)], 1);
    let profiled = Profiled::new(&y, &[], 0, &[grouping(&columns)], template, None, None, false).expect("a model");
    let fits = level_by_level(&y, &columns);
    let left: f64 =
        (0..N).map(|i| (y[i] - (0..3).map(|j| columns[j][i] * fits[group(i)].0[j]).sum::<f64>()).powi(2)).sum();
    let (within, levels) = (left / (N - 3 * GROUPS) as f64, GROUPS as f64);
    let mean = |of: &dyn Fn(usize) -> f64| (0..GROUPS).map(of).sum::<f64>() / levels;
    let excess = |j: usize| mean(&|l| fits[l].0[j].powi(2) / fits[l].1.at(j, j)) / within - 1.0;
    assert!(excess(0) > 0.05 && excess(1) > 0.05 && excess(2) < 0.05);
    let sigma: Vec<f64> = (0..9)
        .map(|at| {
            let (i, j) = (at % 3, at / 3);
            if i == j {
                excess(j).max(0.05) / mean(&|l| 1.0 / fits[l].1.at(j, j))
            } else {
                mean(&|l| fits[l].0[i] * fits[l].0[j] / within - fits[l].1.at(i, j))
            }
        })
        .collect();
    assert_close("start", &profiled.start(), &rank_one().start_near(&sigma), 1e-10);
}

/// Levels that cannot tell their columns apart, here a covariate that is constant within them, say something of each column
/// alone; nothing within levels is known then, and the variance is that of all rows.
#[test]
fn the_profiled_search_takes_columns_alone_where_levels_cannot_tell_them_apart() {
    let constant: Vec<f64> = (0..N).map(|i| 1.5 + wave(group(i), 2.3)).collect();
    let columns = [vec![1.0; N], constant];
    let y: Vec<f64> = (0..N).map(|i| wave(i, 43.7) + 1.5 * wave(group(i), 7.7)).collect();
    let template = Template::new(vec![(covariance::build("diag", 2).expect("known"), 0)], 1);
    let profiled = Profiled::new(&y, &[], 0, &[grouping(&columns)], template, None, None, false).expect("a model");
    let variance = y.iter().map(|y| y * y).sum::<f64>() / N as f64;
    let of_level = |of: &dyn Fn(usize) -> f64, level: usize| -> f64 { (level..N).step_by(GROUPS).map(of).sum() };
    let mean = |of: &dyn Fn(usize) -> f64| (0..GROUPS).map(of).sum::<f64>() / GROUPS as f64;
    let expected: Vec<f64> = columns
        .iter()
        .map(|z| {
            let rows = |level: usize| of_level(&|i| z[i] * z[i], level);
            let between = mean(&|level| of_level(&|i| z[i] * y[i], level).powi(2) / rows(level));
            ((between / variance - 1.0).max(0.05) / mean(&rows)).sqrt()
        })
        .collect();
    assert_close("start", &profiled.start(), &expected, 1e-10);
}

fn data(name: &str, y: Vec<f64>, columns: &[Vec<f64>], structure: &str) -> Arc<Data> {
    let family = family::build(name, None, false).expect("in the catalogue");
    let fixed = (0..family.components().len()).map(|_| Fixed::new(N, &[1.0; N], None)).collect();
    let term = TermSpec {
        predictor: 0,
        grouping: 0,
        columns: columns.iter().map(|z| Column::new(z)).collect(),
        covariance: covariance::build(structure, columns.len()).expect("in the catalogue"),
    };
    let design = Design::new(N, fixed, vec![((0..N).map(|i| group(i) as u32).collect(), GROUPS)], vec![term]);
    Arc::new(Data { y, trials: None, weights: None, family: family.into(), design: Arc::new(design) })
}

fn counts(size: f64) -> Vec<f64> {
    (0..N).map(|i| (1.2 + size * wave(group(i), 7.7) + 0.2 * wave(i, 43.7)).exp().round()).collect()
}

/// v = sum(S_l^2 - I_l) / sum I_l^2 with the scores S_l and the information I_l of the levels; at least a twentieth of the
/// mean conditional variance of a level's effect, and a standard deviation of 0.05.
#[test]
fn the_laplace_search_starts_at_moments_of_the_scores() {
    for size in [0.8, 0.0] {
        let data = data("poisson", counts(size), &[vec![1.0; N]], "us");
        let mut laplace = Laplace::new(data.clone(), Method::Ml);
        let x = start(&mut laplace, &data);
        let mut eta = vec![0.0; N];
        data.design.fixed[0].add_to(&x[laplace.layout().beta[0].clone().expect("outer")], &mut eta);
        // The fit without random effects stops at a hundredth of a standard error.
        let mean = data.y.iter().sum::<f64>() / N as f64;
        assert!((eta[0] - mean.ln()).abs() < 0.01 / (N as f64 * mean).sqrt());
        let (mu, rows) = (eta[0].exp(), (N / GROUPS) as f64);
        let score = |level: usize| (0..N).filter(|&i| group(i) == level).map(|i| data.y[i] - mu).sum::<f64>();
        let excess: f64 = (0..GROUPS).map(|level| score(level).powi(2) - rows * mu).sum();
        let moments = excess / (GROUPS as f64 * (rows * mu).powi(2));
        let smallest = 0.05 / (rows * mu);
        assert_eq!(moments > smallest, size > 0.0);
        assert_close("sd", laplace.theta(&x), &[moments.max(smallest).sqrt().max(0.05)], 1e-12);
        assert_eq!(laplace.mode_size(), GROUPS);
    }
}

/// For two columns that are never both different from zero, v_ij = sum S_li S_lj / sum I_li I_lj.
#[test]
fn the_laplace_search_of_a_reduced_rank_starts_at_moments_of_the_scores() {
    let kind = |i: usize| (i / GROUPS) % 3;
    let columns: Vec<Vec<f64>> = (0..3).map(|j| (0..N).map(|i| f64::from(u8::from(kind(i) == j))).collect()).collect();
    let effect = |i: usize| wave(group(i) + GROUPS * kind(i), 7.7);
    let y: Vec<f64> = (0..N).map(|i| (1.2 + 1.2 * effect(i) + 0.2 * wave(i, 43.7)).exp().round()).collect();
    let data = data("poisson", y, &columns, "rr");
    let mut laplace = Laplace::new(data.clone(), Method::Ml);
    let x = start(&mut laplace, &data);
    let mut eta = vec![0.0; N];
    data.design.fixed[0].add_to(&x[laplace.layout().beta[0].clone().expect("outer")], &mut eta);
    let mu = eta[0].exp();
    let score = |level: usize, j: usize| -> f64 {
        (0..N).filter(|&i| group(i) == level && kind(i) == j).map(|i| 3.0_f64.sqrt() * (data.y[i] - mu)).sum()
    };
    // Two rows of each column in each level; columns are in units of their root mean squares, here 1 / sqrt(3).
    let (information, levels) = (2.0 * 3.0 * mu, GROUPS as f64);
    let sigma: Vec<f64> = (0..9)
        .map(|at| {
            let (i, j) = (at % 3, at / 3);
            let product = (0..GROUPS).map(|level| score(level, i) * score(level, j)).sum::<f64>() / levels;
            let moment = (product - if i == j { information } else { 0.0 }) / information.powi(2);
            if i == j { moment.max(0.05 / information).sqrt().max(0.05).powi(2) } else { moment }
        })
        .collect();
    // Correlations within their bounds, so that each moment counts.
    assert!(
        (0..9).all(|at| at % 4 == 0 || sigma[at].powi(2) < 0.8 * sigma[at % 3 * 4] * sigma[at / 3 * 4]),
        "{sigma:?}"
    );
    let expected = data.design.template.covariance(0).start_near(&sigma);
    assert_close("start", laplace.theta(&x), &expected, 1e-10);
}

#[test]
fn effects_with_a_row_each_share_the_variance_with_the_residual() {
    let family = family::build("gaussian", None, false).expect("in the catalogue");
    let term = TermSpec {
        predictor: 0,
        grouping: 0,
        columns: vec![Column::One],
        covariance: covariance::build("us", 1).expect("in the catalogue"),
    };
    let fixed = (0..2).map(|_| Fixed::new(N, &[1.0; N], None)).collect();
    let chain: Box<dyn Coupling> = Box::new(Chain::new(Clock::Steps, (0..N).map(|i| (i > 0).then_some(1.0)).collect()));
    let codes = (0..N as u32).collect();
    let design = Design::new(N, fixed, vec![(codes, N)], vec![term]).coupled(vec![Some(chain)]);
    let y: Vec<f64> = (0..N).map(|i| 3.0 + 2.0 * wave(i, 0.9)).collect();
    let mean = y.iter().sum::<f64>() / N as f64;
    let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / N as f64;
    let data = Arc::new(Data { y, trials: None, weights: None, family: family.into(), design: Arc::new(design) });
    let mut laplace = Laplace::new(data.clone(), Method::Ml);
    let x = start(&mut laplace, &data);
    let mut log_sd = vec![0.0; N];
    data.design.fixed[1].add_to(&x[laplace.layout().beta[1].clone().expect("outer")], &mut log_sd);
    // Half of the variance each; the fit without random effects knows it to a few hundredths.
    assert_close("halves", &[log_sd[0].exp()], &[laplace.theta(&x)[0]], 1e-12);
    assert!(((2.0 * log_sd[0]).exp() / (0.5 * variance) - 1.0).abs() < 5e-2);
    // The coupling begins where it says: theta = 0.6.
    assert_eq!(laplace.theta(&x)[1], 0.6);
}

#[test]
fn a_neutral_start_has_the_mean_and_unit_sizes() {
    let slopes: Vec<f64> = (0..N).map(|i| 2.0 * wave(i, 12.9)).collect();
    let data = data("nbinom2", counts(0.8), &[vec![1.0; N], slopes], "us");
    let laplace = Laplace::new(data.clone(), Method::Ml);
    let (layout, design) = (laplace.layout(), &data.design);
    let x = neutral(&data, layout);
    let mut eta = [vec![0.0; N], vec![0.0; N]];
    for (k, eta) in eta.iter_mut().enumerate() {
        design.fixed[k].add_to(&x[layout.beta[k].clone().expect("outer")], eta);
    }
    let mean = data.y.iter().sum::<f64>() / N as f64;
    assert_close("mean", &eta[0], &vec![data.family.start_mean(mean, 1.0); N], 1e-12);
    assert_close("dispersion", &eta[1], &[0.0; N], 1e-12);
    assert_eq!(laplace.theta(&x), [1.0, 0.0, 1.0]);
}

#[test]
fn loadings_are_spread_at_their_standard_deviations() {
    let terms =
        || vec![(covariance::build("us", 2).expect("known"), 0), (covariance::build("rr", 4).expect("known"), 1)];
    let template = Template::new(terms(), 2);
    let theta: Vec<f64> = (0..template.n_theta()).map(|m| 0.5 + wave(m, 1.3)).collect();
    let found = spread(&template, &theta).expect("a reduced rank");
    assert_eq!(found[..3], theta[..3]);
    let natural = |theta: &[f64]| {
        let scale = NaturalScale::new(template.covariance(1), &theta[3..]);
        (0..4).map(|i| scale.value(Natural::Sd(i))).collect::<Vec<f64>>()
    };
    assert_close("standard deviations", &natural(&found), &natural(&theta), 1e-12);
    assert!(found[3..] != theta[3..]);
    assert!(spread(&Template::new(terms().into_iter().take(1).collect(), 1), &theta[..3]).is_none());
}

/// Other shapes leave the variance of a row in the middle what it was.
#[test]
fn other_shapes_keep_the_variance() {
    let y: Vec<f64> = (0..N).map(|i| 2.0 + wave(group(i), 7.7) + 0.8 * wave(i, 43.7)).collect();
    for (name, shape, expected) in
        [("student_t", 1.5, vec![-1.5, 4.5]), ("skewnormal", 0.3, vec![-1.0, 1.0]), ("skewnormal", 2.0, vec![-2.0])]
    {
        let data = data(name, y.clone(), &[vec![1.0; N]], "us");
        let laplace = Laplace::new(data.clone(), Method::Ml);
        let (layout, design) = (laplace.layout(), &data.design);
        let mut x = vec![0.4; layout.dim];
        let rotated = |k: usize, value: f64| design.fixed[k].project(&[value; N]);
        x[layout.beta[1].clone().expect("outer")].copy_from_slice(&rotated(1, -0.5));
        x[layout.beta[2].clone().expect("outer")].copy_from_slice(&rotated(2, shape));
        let middle = |x: &[f64]| -> Vec<f64> {
            (0..3)
                .map(|k| {
                    let mut eta = vec![0.0; N];
                    design.fixed[k].add_to(&x[layout.beta[k].clone().expect("outer")], &mut eta);
                    eta[0]
                })
                .collect()
        };
        let starts = other_shapes(&data, layout, &x);
        let found: Vec<f64> = starts.iter().map(|start| middle(start)[2]).collect();
        assert_close(name, &found, &expected, 1e-12);
        let variance = |x: &[f64]| data.family.variance(&middle(x), 1.0);
        for start in &starts {
            // Where a tail so heavy has no variance to keep, the dispersion stays.
            if variance(start).is_finite() {
                assert!((variance(start) / variance(&x) - 1.0).abs() < 1e-6, "{name}");
            } else {
                assert!((middle(start)[1] + 0.5).abs() < 1e-12, "{name}");
            }
            assert_eq!(start[layout.theta.clone()], x[layout.theta.clone()]);
            assert_eq!(middle(start)[0], middle(&x)[0]);
        }
    }
    let data = data("gaussian", y, &[vec![1.0; N]], "us");
    let laplace = Laplace::new(data.clone(), Method::Ml);
    assert!(other_shapes(&data, laplace.layout(), &vec![0.4; laplace.layout().dim]).is_empty());
}

/// Effects that are independent where the covariate is: Sigma is the inverse of the columns' mean square, times a size.
#[test]
fn a_covariate_far_from_zero_starts_centred() {
    let years: Vec<f64> = (0..N).map(|i| 2000.0 + (i / GROUPS) as f64).collect();
    let y = counts(0.5);
    let data_of =
        |structure: &str, slopes: &[f64]| data("poisson", y.clone(), &[vec![1.0; N], slopes.to_vec()], structure);
    let data = data_of("us", &years);
    let laplace = Laplace::new(data.clone(), Method::Ml);
    let mut x = vec![0.3; laplace.layout().dim];
    x[laplace.layout().theta.clone()].copy_from_slice(&[0.7, 0.0, 0.4]);
    let found = centred(&data, laplace.layout(), &x).expect("columns that are nearly one");
    let lambda = data.design.template.term_factor(0, laplace.theta(&found));
    let columns = &data.design.groupings[0].columns;
    let gram = |a: usize, b: usize| (0..N).map(|i| columns[a].at(i) * columns[b].at(i)).sum::<f64>() / N as f64;
    let sigma = |a: usize, b: usize| (0..2).map(|k| lambda[k * 2 + a] * lambda[k * 2 + b]).sum::<f64>();
    let product = |a: usize, b: usize| (0..2).map(|k| sigma(a, k) * gram(k, b)).sum::<f64>();
    // The two columns have a cosine of 1 - 4e-7, whose inverse loses six of the sixteen digits.
    let size = 0.49 * gram(0, 0);
    for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let expected = if a == b { size } else { 0.0 };
        assert!((product(a, b) - expected).abs() < 1e-7, "({a}, {b}): {}", product(a, b));
    }
    assert_eq!(found[..laplace.layout().theta.start], x[..laplace.layout().theta.start]);
    // Not where effects are uncorrelated by structure, nor where the covariate is near zero.
    assert!(centred(&data_of("diag", &years), laplace.layout(), &x).is_none());
    let near: Vec<f64> = years.iter().map(|year| year - 2000.0).collect();
    assert!(centred(&data_of("us", &near), laplace.layout(), &x).is_none());
}

#[test]
fn beyond_very_wide_effects_are_starts_with_one_kind_as_the_rule() {
    let data = data("poisson", counts(0.8), &[vec![1.0; N]], "us");
    let laplace = Laplace::new(data.clone(), Method::Ml);
    let (layout, design) = (laplace.layout(), &data.design);
    let at = |sd: f64| {
        let mut x = vec![0.0; layout.dim];
        x[layout.beta[0].clone().expect("outer")].copy_from_slice(&design.fixed[0].project(&[0.7; N]));
        x[layout.theta.start] = sd;
        x
    };
    assert!(beyond(&data, layout, &at(4.9)).is_empty());
    let starts = beyond(&data, layout, &at(6.0));
    for (start, sign) in starts.iter().zip([-1.0, 1.0]) {
        let mut eta = vec![0.0; N];
        design.fixed[0].add_to(&start[layout.beta[0].clone().expect("outer")], &mut eta);
        // Three times as wide, about three times the mean and half a standard deviation aside.
        assert_close("mean", &eta, &[3.0 * 0.7 + sign * 9.0; N], 1e-12);
        assert_close("sd", laplace.theta(start), &[18.0], 1e-12);
    }
    assert_eq!(starts.len(), 2);
}

#[test]
fn the_profiled_search_takes_the_fixed_effects_out_first() {
    // With an intercept alone they are the grand mean.
    let mut layout = Layout::new(Kind::Single, 40, 4, &[1], 1, 5);
    let (y, ..) = layout.response();
    let (x, groupings) = (layout.x(), layout.groupings());
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let about: Vec<f64> = y.iter().map(|y| y - mean).collect();
    let with = Profiled::new(&y, &x.values, 1, &groupings, layout.template("us"), None, None, false).expect("a model");
    let without = Profiled::new(&about, &[], 0, &groupings, layout.template("us"), None, None, false).expect("a model");
    assert_close("start", &with.start(), &without.start(), 1e-12);
}
