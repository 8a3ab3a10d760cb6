//! The profiled likelihood: gradient, Hessian, metric and boundary against differences of its value, and its value
//! against lme4's.
#![allow(missing_docs)]
mod dense;

use dense::{Dense, KINDS, Kind, Layout, STRUCTURES, assert_close, expanded};
use proptest::prelude::*;
use rand::RngExt;
use ranef_engine::covariance::{self, Template};
use ranef_engine::design::{Column, Grouping};
use ranef_engine::likelihood::profiled::{Profiled, ProfiledError};

fn profiled(layout: &mut Layout, structure: &str, weighted: bool, reml: bool) -> Profiled {
    let (y, weights, offset) = layout.response();
    let (weights, offset) = if weighted { (Some(&weights[..]), Some(&offset[..])) } else { (None, None) };
    let (x, groupings) = (layout.x(), layout.groupings());
    Profiled::new(&y, &x.values, x.columns, &groupings, layout.template(structure), weights, offset, reml).unwrap()
}

/// Fourth-order central difference; with steps of 1e-3 both truncation and rounding are near 1e-10 for values of
/// order 1e2.
fn difference(f: &mut dyn FnMut(f64) -> f64) -> f64 {
    let h = 1e-3;
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn gradient_agrees_with_differences_of_the_value(
        kind in prop::sample::select(KINDS.to_vec()),
        widths in prop::collection::vec(1usize..=3, 3),
        (p, size, zeros, seed) in (0usize..=4, 2usize..6, 0usize..3, any::<u64>()),
        (structure, reml, weighted) in (prop::sample::select(STRUCTURES.to_vec()), any::<bool>(), any::<bool>()),
    ) {
        let mut layout = Layout::new(kind, 60, size, &widths, p, seed);
        let mut profiled = profiled(&mut layout, structure, weighted, reml);
        let n_theta = profiled.template().n_theta();
        let theta: Vec<f64> = (0..n_theta)
            .map(|_| if layout.rng.random_range(0..4) < zeros { 0.0 } else { layout.rng.random_range(-1.5..1.5) })
            .collect();
        let sigma = 0.9;
        let (mut gradient, mut free) = (vec![0.0; n_theta], vec![0.0; n_theta + 1]);
        let value = profiled.value_gradient(&theta, &mut gradient);
        prop_assert_eq!(value, profiled.value(&theta));
        profiled.value_gradient_sigma(&theta, sigma, &mut free);
        let at = |m: usize, step: f64| {
            let mut moved = theta.clone();
            moved[m] += step;
            moved
        };
        let expected: Vec<f64> =
            (0..n_theta).map(|m| difference(&mut |step| profiled.value(&at(m, step)))).collect();
        assert_close("gradient", &gradient, &expected, 1e-7);

        let mut unused = vec![0.0; n_theta + 1];
        let mut expected: Vec<f64> = (0..n_theta)
            .map(|m| difference(&mut |step| profiled.value_gradient_sigma(&at(m, step), sigma, &mut unused)))
            .collect();
        let mut unused = vec![0.0; n_theta + 1];
        expected.push(difference(&mut |step| profiled.value_gradient_sigma(&theta, sigma + step, &mut unused)));
        assert_close("gradient with sigma", &free, &expected, 1e-7);
    }
}

#[test]
fn terms_on_the_same_factor_keep_their_own_parameters() {
    let mut layout = Layout::new(Kind::Crossed, 80, 5, &[3, 1], 2, 29);
    let (y, ..) = layout.response();
    let (x, groupings) = (layout.x(), layout.groupings());
    let term = |name: &str, size: usize, factor: usize| (covariance::build(name, size).unwrap(), factor);
    let template = Template::new(vec![term("us", 1, 1), term("us", 2, 0), term("diag", 1, 0)], 2);
    let mut profiled = Profiled::new(&y, &x.values, 2, &groupings, template, None, None, true).unwrap();
    let theta = [0.8, 0.5, -0.3, 0.6, 0.9];
    let mut gradient = [0.0; 5];
    profiled.value_gradient(&theta, &mut gradient);
    let differences: Vec<f64> = (0..5)
        .map(|m| {
            difference(&mut |step| {
                let mut moved = theta;
                moved[m] += step;
                profiled.value(&moved)
            })
        })
        .collect();
    assert_close("gradient", &gradient, &differences, 1e-7);
    assert_eq!(profiled.null_space_derivative(&theta), [None, None, None]);
    let singular = profiled.null_space_derivative(&[0.8, 0.5, -0.3, 0.6, 0.0]);
    assert!(singular[0].is_none() && singular[1].is_none() && singular[2].is_some());
    // d criterion / d (theta^2) at zero, from values: the boundary slope of the third term alone.
    let mut value = |last: f64| profiled.value(&[0.8, 0.5, -0.3, 0.6, last]);
    let step = 1e-2;
    let expected = 2.0 * (value(step) - value(0.0)) / (step * step);
    let scale = profiled.column_scales()[0][2];
    assert_close("slope", &[singular[2].unwrap() * scale * scale], &[expected], 2e-2);
}

#[test]
fn at_its_own_sigma_the_criterion_is_the_profiled_one() {
    let mut layout = Layout::new(Kind::Crossed, 60, 5, &[2, 1], 3, 1);
    for reml in [false, true] {
        let mut profiled = profiled(&mut layout, "us", true, reml);
        let theta = [0.7, -0.2, 0.4, 1.1];
        let sigma = profiled.solution(&theta).expect("finite").sigma;
        let (mut gradient, mut free) = ([0.0; 4], [0.0; 5]);
        let value = profiled.value_gradient(&theta, &mut gradient);
        assert_close("value", &[profiled.value_gradient_sigma(&theta, sigma, &mut free)], &[value], 1e-13);
        assert_close("gradient", &free, &[&gradient[..], &[0.0]].concat(), 1e-10);
    }
}

/// The Hessian with sigma profiled out and the one beside sigma, with fourth-order differences of their gradients.
fn hessians(profiled: &mut Profiled, theta: &[f64], sigma: f64) -> [(Vec<f64>, Vec<f64>); 2] {
    let k = theta.len();
    let found = profiled.hessian(theta).expect("square factors have a closed form");
    let found_sigma = profiled.hessian_sigma(theta, sigma);
    let mut at = theta.to_vec();
    at.push(sigma);
    let mut expected = (vec![0.0; k * k], vec![0.0; (k + 1) * (k + 1)]);
    for j in 0..=k {
        for i in 0..=k {
            let (mut gradient, mut gradient_sigma) = (vec![0.0; k], vec![0.0; k + 1]);
            let moved_by = |step: f64| {
                let mut moved = at.clone();
                moved[j] += step;
                moved
            };
            if i < k && j < k {
                expected.0[j * k + i] = difference(&mut |step| {
                    profiled.value_gradient(&moved_by(step)[..k], &mut gradient);
                    gradient[i]
                });
            }
            expected.1[j * (k + 1) + i] = difference(&mut |step| {
                let moved = moved_by(step);
                profiled.value_gradient_sigma(&moved[..k], moved[k], &mut gradient_sigma);
                gradient_sigma[i]
            });
        }
    }
    [(found, expected.0), (found_sigma, expected.1)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    // Many and few levels, wide and narrow blocks: the traces are found in either of two ways.
    #[test]
    fn hessian_agrees_with_differences_of_the_gradient(
        kind in prop::sample::select(KINDS.to_vec()),
        widths in prop::collection::vec(1usize..=3, 3),
        (p, size, zeros, seed) in (0usize..=4, 2usize..9, 0usize..3, any::<u64>()),
        (structure, reml, weighted) in (prop::sample::select(STRUCTURES.to_vec()), any::<bool>(), any::<bool>()),
    ) {
        let mut layout = Layout::new(kind, 80, size, &widths, p, seed);
        let mut profiled = profiled(&mut layout, structure, weighted, reml);
        let n_theta = profiled.template().n_theta();
        // Entries that vanish without a whole column vanishing: the differences cannot follow a singular Lambda.
        let theta: Vec<f64> = (0..n_theta)
            .map(|m| {
                let pivot = profiled.template().entry(m).is_none_or(|(_, row, column)| row == column);
                let zero = !pivot && layout.rng.random_range(0..4) < zeros;
                if zero { 0.0 } else { layout.rng.random_range(0.3..1.5) }
            })
            .collect();
        for (found, expected) in hessians(&mut profiled, &theta, 0.9) {
            assert_close("hessian", &found, &expected, 1e-6);
        }
    }
}

#[test]
fn hessian_of_the_free_parameters_stands_where_a_column_has_no_variance() {
    for (kind, reml) in [(Kind::Single, true), (Kind::Crossed, false), (Kind::Nested, true)] {
        let mut layout = Layout::new(kind, 80, 4, &[2, 1, 1], 3, 3);
        let mut profiled = profiled(&mut layout, "us", false, reml);
        let k = profiled.template().n_theta();
        let mut theta = vec![0.8; k];
        theta[2] = 0.0;
        let [(found, expected), _] = hessians(&mut profiled, &theta, 1.1);
        let free: Vec<usize> = (0..k).filter(|&m| m != 2).collect();
        let block = |h: &[f64]| -> Vec<f64> {
            free.iter().flat_map(|&j| free.iter().map(move |&i| (i, j))).map(|(i, j)| h[j * k + i]).collect()
        };
        // The variance is lifted to 1e-4, which enters squared and times the rows of a level.
        assert_close("hessian", &block(&found), &block(&expected), 1e-5);
    }
}

#[test]
fn a_new_response_gives_what_a_new_model_gives() {
    let mut layout = Layout::new(Kind::NestedAndCrossed, 60, 4, &[1, 2], 2, 5);
    let (x, groupings) = (layout.x(), layout.groupings());
    let ((first, weights, offset), (second, ..)) = (layout.response(), layout.response());
    let model = |y: &[f64]| {
        let template = layout.template("us");
        Profiled::new(y, &x.values, 2, &groupings, template, Some(&weights), Some(&offset), true).unwrap()
    };
    let mut refitted = model(&first);
    let theta = vec![0.6; refitted.template().n_theta()];
    let before = refitted.value(&theta);
    refitted.set_response(&second).unwrap();
    assert_eq!(refitted.value(&theta), model(&second).value(&theta));
    assert_ne!(refitted.value(&theta), before);
}

/// N at a singular theta, from values alone: the criterion at Sigma + h d d' for a null direction d, in scaled units.
fn one_sided_slope(profiled: &mut Profiled, sigma: &Dense, direction: &[f64]) -> f64 {
    let p = sigma.rows;
    let mut value = |h: f64| {
        let mut moved = sigma.clone();
        for j in 0..p {
            for i in 0..p {
                moved.set(i, j, sigma.at(i, j) + h * direction[i] * direction[j]);
            }
        }
        let l = moved.cholesky();
        let theta: Vec<f64> = (0..p).flat_map(|j| (j..p).map(move |i| (i, j))).map(|(i, j)| l.at(i, j)).collect();
        profiled.value(&theta)
    };
    // Second-order one-sided difference, away from zero where the Cholesky factor exists.
    let h = 1e-6;
    2.0 * (value(3.0 * h) - value(h)) / (2.0 * h)
}

#[test]
fn the_slope_at_the_boundary_tells_minima_from_saddles() {
    let mut layout = Layout::new(Kind::Single, 200, 20, &[2], 2, 7);
    // The slope column in other units: the boundary is judged in units of the columns' size.
    layout.columns[0][1].iter_mut().for_each(|value| *value *= 50.0);
    let mut profiled = profiled(&mut layout, "us", false, true);
    let scales = profiled.column_scales()[0].clone();
    assert!(scales[1] > 20.0, "{scales:?}");

    assert_eq!(profiled.null_space_derivative(&[1.0, 0.0, 0.05]), [None]);
    // Lambda = [a 0; b 0]: the null direction is orthogonal to (a, b) in scaled units.
    let (a, b) = (0.9, 0.01);
    let found = profiled.null_space_derivative(&[a, b, 0.0])[0].expect("singular");
    let (x, y) = (a * scales[0], b * scales[1]);
    let length = x.hypot(y);
    let direction = [-y / length / scales[0], x / length / scales[1]];
    let expected = one_sided_slope(&mut profiled, &Dense::from(2, 2, &[a * a, a * b, a * b, b * b]), &direction);
    assert_close("slope", &[found], &[expected], 1e-4);
    // The data have slopes that vary between groups: staying singular is not a minimum.
    assert!(found < 0.0);

    // Afterwards the state is that of theta, not of the point next to it where the slope was taken.
    profiled.null_space_derivative(&[a, b, 0.0]);
    let left = profiled.factorization().log_det();
    profiled.value(&[1.0, 0.0, 1.0]);
    profiled.value(&[a, b, 0.0]);
    assert_eq!(left, profiled.factorization().log_det());
}

/// A structure that is not linear in theta moves as a whole: from no variance at all by the mean of N's diagonal, a third of
/// the slope by the common variance of three columns.
#[test]
fn the_slope_of_a_structure_that_moves_as_a_whole_is_the_mean() {
    let layout = || Layout::new(Kind::Single, 90, 9, &[3], 1, 17);
    let found = profiled(&mut layout(), "homcs", false, true).null_space_derivative(&[0.0, 0.0])[0].expect("singular");
    let mut free = profiled(&mut layout(), "us", false, true);
    let scales = free.column_scales()[0].clone();
    let mut value = |h: f64| {
        let sd = |a: usize| h.sqrt() / scales[a];
        free.value(&[sd(0), 0.0, 0.0, sd(1), 0.0, sd(2)])
    };
    let h = 1e-6;
    let slope = 2.0 * (value(3.0 * h) - value(h)) / (2.0 * h);
    assert_close("slope", &[found], &[slope / 3.0], 1e-4);
}

#[test]
fn without_an_effect_in_the_data_zero_variance_is_a_minimum() {
    let mut layout = Layout::new(Kind::Single, 120, 12, &[2], 1, 11);
    let (x, groupings) = (layout.x(), layout.groupings());
    // Rows alternate around zero within every group: less spread between groups than chance would give.
    let mut sign = [1.0; 12];
    let y: Vec<f64> = (0..120)
        .map(|i| {
            let sign = &mut sign[layout.codes[0][i] as usize];
            *sign = -*sign;
            *sign + 0.01 * layout.normal()
        })
        .collect();
    for structure in ["us", "diag"] {
        let template = layout.template(structure);
        let n_theta = template.n_theta();
        let mut profiled = Profiled::new(&y, &x.values, 1, &groupings, template, None, None, true).unwrap();
        let slope = profiled.null_space_derivative(&vec![0.0; n_theta])[0].expect("singular");
        let diagonal = if structure == "us" { vec![0, 2] } else { vec![0, 1] };
        for m in diagonal {
            let mut theta = vec![0.0; n_theta];
            theta[m] = 1e-2;
            assert!(profiled.value(&theta) > profiled.value(&vec![0.0; n_theta]));
        }
        assert!(slope > 0.0, "{structure}: {slope}");
    }
}

/// Columns of a small comma-separated file with quoted labels; labels are numbered in order of appearance.
fn column(text: &str, name: &str) -> Vec<f64> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').map(|field| field.trim_matches('"')).collect();
    let at = header.iter().position(|field| *field == name).expect("the column is there");
    let mut labels: Vec<&str> = Vec::new();
    lines
        .map(|line| {
            let field = line.split(',').nth(at).expect("a field");
            if !field.starts_with('"') {
                return field.parse().expect("a number");
            }
            let known = labels.iter().position(|label| *label == field);
            known.unwrap_or_else(|| {
                labels.push(field);
                labels.len() - 1
            }) as f64
        })
        .collect()
}

fn grouping(codes: &[f64], columns: Vec<Column>) -> Grouping {
    let codes: Vec<u32> = codes.iter().map(|&code| code as u32).collect();
    let levels = *codes.iter().max().expect("rows") as usize + 1;
    let predictors = vec![0; columns.len()];
    Grouping { codes, levels, columns, predictors }
}

fn sleepstudy(reml: bool) -> Profiled {
    let text = include_str!("fixtures/sleepstudy.csv");
    let (y, days, subject) = (column(text, "Reaction"), column(text, "Days"), column(text, "Subject"));
    let x = [vec![1.0; y.len()], days.clone()].concat();
    let groupings = [grouping(&subject, vec![Column::One, Column::Values(days)])];
    let template = Template::new(vec![(covariance::build("us", 2).unwrap(), 0)], 1);
    Profiled::new(&y, &x, 2, &groupings, template, None, None, reml).unwrap()
}

fn penicillin(reml: bool) -> Profiled {
    let text = include_str!("fixtures/Penicillin.csv");
    let (y, plate, sample) = (column(text, "diameter"), column(text, "plate"), column(text, "sample"));
    let groupings = [grouping(&plate, vec![Column::One]), grouping(&sample, vec![Column::One])];
    let terms = (0..2).map(|f| (covariance::build("us", 1).unwrap(), f)).collect();
    Profiled::new(&y, &vec![1.0; y.len()], 1, &groupings, Template::new(terms, 2), None, None, reml).unwrap()
}

#[test]
fn values_are_those_of_lme4() {
    type Model = fn(bool) -> Profiled;
    let cases: [(&str, Model); 2] = [
        (include_str!("fixtures/obj_devfun_sleepstudy.json"), sleepstudy),
        (include_str!("fixtures/obj_devfun_penicillin.json"), penicillin),
    ];
    for (reference, model) in cases {
        let reference: serde_json::Value = serde_json::from_str(reference).expect("valid JSON");
        for (method, reml) in [("REML", true), ("ML", false)] {
            let mut profiled = model(reml);
            let points = reference["extras"]["points"][method].as_array().expect("points");
            assert_eq!(points.len(), 3);
            for point in points {
                let theta: Vec<f64> =
                    point["theta"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
                let expected = point["devfun"].as_f64().unwrap();
                // lme4's value is printed with fifteen digits; both sums have n = 180 and 144 terms.
                assert!((profiled.value(&theta) / expected - 1.0).abs() < 1e-11, "{method} at {theta:?}");
            }
        }
    }
}

/// Newton's method with the metric in place of the Hessian, undamped.
fn minimise(profiled: &mut Profiled) -> (Vec<f64>, usize) {
    let mut theta = profiled.start();
    let k = theta.len();
    for iteration in 0..30 {
        let mut gradient = vec![0.0; k];
        profiled.value_gradient(&theta, &mut gradient);
        let step = Dense::from(k, k, &profiled.metric(&theta)).solve(&Dense::from(k, 1, &gradient)).values;
        if gradient.iter().zip(&step).map(|(g, s)| g * s).sum::<f64>() < 1e-12 {
            return (theta, iteration);
        }
        theta.iter_mut().zip(step).for_each(|(theta, step)| *theta -= step);
    }
    panic!("no convergence: {theta:?}");
}

#[test]
fn the_metric_is_a_good_hessian_and_leads_to_the_optimum() {
    // -2 log likelihoods of converged lme4 1.1-31 fits.
    let cases = [
        (sleepstudy(true), 2.0 * 871.814135980),
        (sleepstudy(false), 2.0 * 875.969672244),
        (penicillin(true), 2.0 * 165.430294500),
    ];
    for (mut profiled, reference) in cases {
        let (theta, iterations) = minimise(&mut profiled);
        assert!(iterations <= 12, "{iterations} iterations");
        let value = profiled.value(&theta);
        assert!(value < reference + 1e-8 && value > reference - 1e-6, "{value} against {reference}");
        let k = theta.len();
        let metric = profiled.metric(&theta);
        for j in 0..k {
            for i in 0..k {
                let difference = difference(&mut |step| {
                    let (mut moved, mut gradient) = (theta.clone(), vec![0.0; k]);
                    moved[j] += step;
                    profiled.value_gradient(&moved, &mut gradient);
                    gradient[i]
                });
                assert_eq!(metric[j * k + i], metric[i * k + j]);
                if i == j {
                    let ratio = metric[j * k + i] / difference;
                    assert!((0.5..2.0).contains(&ratio), "curvature {j}: ratio {ratio}");
                }
            }
        }
    }
}

/// With e = P y and the working vectors q_j = V_j e the metric is q_j'P q_k / sigma^2 - q_j'e q_k'e / (r2 sigma^2) and the
/// boundary's tr(dLambda_j' N dLambda_k) + <N Lambda, d2Lambda_jk>, where N is twice the slope of the criterion along Sigma.
#[test]
fn the_metric_is_the_average_information_of_dense_matrices() {
    for (kind, structure) in [(Kind::Crossed, "us"), (Kind::Nested, "diag"), (Kind::Crossed, "cs")] {
        for (reml, weighted) in [(false, true), (true, false)] {
            let mut layout = Layout::new(kind, 40, 3, &[2, 1], 2, 17);
            let (y, weights, _) = layout.response();
            let (x, groupings, n) = (layout.x(), layout.groupings(), layout.n);
            let given = weighted.then_some(&weights[..]);
            let template = layout.template(structure);
            let mut profiled =
                Profiled::new(&y, &x.values, x.columns, &groupings, template, given, None, reml).expect("a model");
            let theta: Vec<f64> =
                (0..profiled.template().n_theta()).map(|m| 0.7 + 0.3 * (m as f64 * 1.3).sin()).collect();
            let found = profiled.metric(&theta);

            let (template, widths, levels) = (profiled.template(), layout.widths(), &layout.levels);
            let begins = |f: usize| (0..f).map(|g| levels[g] * widths[g]).sum::<usize>();
            let z = layout.z();
            let across = |factors: &[Vec<f64>]| z.times(&expanded(levels, &widths, &widths, factors));
            let factors = template.factors(&theta);
            let a = across(&factors);
            let mut v = a.times(&a.transposed());
            (0..n).for_each(|i| v.set(i, i, v.at(i, i) + if weighted { 1.0 / weights[i] } else { 1.0 }));
            let inverse = v.inverse();
            let vx = inverse.times(&x);
            let projected = vx.times(&x.transposed().times(&vx).inverse()).times(&vx.transposed());
            let p = inverse.plus(-1.0, &projected);
            let e = p.times(&Dense::from(n, 1, &y));
            let inner = |a: &Dense, b: &Dense| a.values.iter().zip(&b.values).map(|(a, b)| a * b).sum::<f64>();
            let r2 = inner(&Dense::from(n, 1, &y), &e);
            let variance = r2 / (n - if reml { x.columns } else { 0 }) as f64;
            let k = theta.len();
            let working: Vec<Dense> = (0..k)
                .map(|m| {
                    let (f, derivative) = template.derivative(&theta, m);
                    let mut moved: Vec<Vec<f64>> = factors.iter().map(|factor| vec![0.0; factor.len()]).collect();
                    moved[f] = derivative;
                    let moved = across(&moved);
                    let half = moved.times(&a.transposed().times(&e));
                    half.plus(1.0, &a.times(&moved.transposed().times(&e)))
                })
                .collect();
            let mut expected: Vec<f64> = (0..k * k)
                .map(|at| {
                    let (q, other) = (&working[at % k], &working[at / k]);
                    (inner(q, &p.times(other)) - inner(q, &e) * inner(other, &e) / r2) / variance
                })
                .collect();
            let determinant = if reml { &p } else { &inverse };
            for term in 0..template.n_terms() {
                let (f, covariance, range) =
                    (template.factor_of(term), template.covariance(term), template.theta_range(term));
                let w = widths[f];
                let slope: Vec<f64> = (0..w * w)
                    .map(|at| {
                        let along = |level: usize| {
                            let column = |a: usize| z.block(0, begins(f) + level * w + a, n, 1);
                            let (left, right) = (column(at % w), column(at / w));
                            inner(&left, &determinant.times(&right)) - inner(&left, &e) * inner(&right, &e) / variance
                        };
                        2.0 * (0..levels[f]).map(along).sum::<f64>()
                    })
                    .collect();
                let n_lambda = Dense::from(w, w, &slope).times(&Dense::from(w, w, &factors[f])).values;
                let (own, size) = (&theta[range.clone()], range.len());
                let mut block = vec![0.0; size * size];
                covariance.add_quadratic(own, &slope, &mut block);
                covariance.add_curvature(own, &n_lambda, &mut block);
                for at in 0..size * size {
                    expected[(range.start + at / size) * k + range.start + at % size] += block[at];
                }
            }
            assert_close(&format!("{kind:?} {structure} reml={reml}"), &found, &expected, 1e-9);
        }
    }
}

/// The factor of a reduced rank is not square: the block of theta is one of differences, with an error near 1e-7 of it.
#[test]
fn the_hessian_of_a_reduced_rank_and_the_slope_of_sigma_agree_with_differences() {
    let mut layout = Layout::new(Kind::Single, 80, 6, &[3], 2, 41);
    let mut profiled = profiled(&mut layout, "rr", false, true);
    let theta = [0.8, 0.3, -0.5, 0.6, 0.4];
    assert!(profiled.hessian(&theta).is_none());
    let (k, sigma) = (theta.len(), 1.1);
    let found = profiled.hessian_sigma(&theta, sigma);
    let mut at = theta.to_vec();
    at.push(sigma);
    let expected: Vec<f64> = (0..(k + 1) * (k + 1))
        .map(|place| {
            let mut gradient = vec![0.0; k + 1];
            difference(&mut |step| {
                let mut moved = at.clone();
                moved[place / (k + 1)] += step;
                profiled.value_gradient_sigma(&moved[..k], moved[k], &mut gradient);
                gradient[place % (k + 1)]
            })
        })
        .collect();
    assert_close("hessian", &found, &expected, 1e-6);
    let slopes: Vec<f64> = (0..k)
        .map(|m| {
            difference(&mut |step| {
                let mut moved = theta;
                moved[m] += step;
                profiled.solution(&moved).expect("finite").sigma
            })
        })
        .collect();
    assert_close("slope of sigma", &profiled.sigma_slope(&theta), &slopes, 1e-9);
}

#[test]
fn determinants_and_rounding_are_what_their_names_say() {
    let mut layout = Layout::new(Kind::Crossed, 40, 3, &[2, 1], 2, 17);
    let (y, ..) = layout.response();
    let (x, groupings, n) = (layout.x(), layout.groupings(), layout.n);
    let template = layout.template("us");
    let mut profiled =
        Profiled::new(&y, &x.values, x.columns, &groupings, template, None, None, true).expect("a model");
    let theta = [0.7, -0.2, 0.4, 1.1];
    let found = profiled.solution(&theta).expect("finite");
    let widths = layout.widths();
    let factors = profiled.template().factors(&theta);
    let a = layout.z().times(&expanded(&layout.levels, &widths, &widths, &factors));
    let v = a.times(&a.transposed()).plus(1.0, &Dense::identity(n));
    let information = x.transposed().times(&v.solve(&x));
    assert_close("log|V|", &[found.log_det], &[v.log_det()], 1e-12);
    assert_close("log|X'V^-1 X|", &[found.log_det_fixed], &[information.log_det()], 1e-12);
    // Half the degrees of freedom times the relative error of r2, which is what is left of the response's squares.
    let y = Dense::from(n, 1, &y);
    let fitted = x.times(&x.transposed().times(&x).solve(&x.transposed().times(&y)));
    let squares: f64 = y.plus(-1.0, &fitted).values.iter().map(|e| e * e).sum();
    let expected = 0.5 * (n - 2) as f64 * f64::EPSILON * squares / found.r2;
    assert!((profiled.rounding() / expected - 1.0).abs() < 1e-10);
}

#[test]
fn at_a_singular_point_the_metric_has_the_curvature_of_the_boundary() {
    let mut layout = Layout::new(Kind::Crossed, 150, 10, &[1, 1], 1, 13);
    let mut profiled = profiled(&mut layout, "us", false, true);
    let theta = [0.0, 0.8];
    let metric = profiled.metric(&theta);
    let curvature = difference(&mut |step| {
        let mut gradient = [0.0; 2];
        profiled.value_gradient(&[step, 0.8], &mut gradient);
        gradient[0]
    });
    // At exactly zero the boundary term is the whole second derivative.
    assert!((metric[0] / curvature - 1.0).abs() < 1e-4, "{} against {curvature}", metric[0]);
}

#[test]
fn results_do_not_depend_on_the_units_of_the_columns() {
    let mut layout = Layout::new(Kind::Crossed, 80, 6, &[2, 1], 3, 17);
    let (y, ..) = layout.response();
    let model = |layout: &Layout| {
        let (x, groupings) = (layout.x(), layout.groupings());
        Profiled::new(&y, &x.values, 3, &groupings, layout.template("us"), None, None, true).unwrap()
    };
    let mut original = model(&layout);
    layout.columns[0][1].iter_mut().for_each(|value| *value *= 1000.0);
    layout.x[2].iter_mut().for_each(|value| *value = 1e4 * *value + 3e6);
    let mut scaled = model(&layout);
    let theta = [0.7, 0.3, 0.9, 1.2];
    let moved = [0.7, 0.3e-3, 0.9e-3, 1.2];
    // REML contains log|X'X|, which changes with the units of X by a constant.
    let constant = 2.0 * 1e4f64.ln();
    assert_close("value", &[scaled.value(&moved)], &[original.value(&theta) + constant], 1e-10);
    let (found, expected) = (scaled.solution(&moved).unwrap(), original.solution(&theta).unwrap());
    assert_close("sigma", &[found.sigma], &[expected.sigma], 1e-10);
    assert_close("slope", &[found.beta[2] * 1e4], &[expected.beta[2]], 1e-9);
    let start: Vec<f64> = scaled.start().iter().zip([1.0, 1e3, 1e3, 1.0]).map(|(value, unit)| value * unit).collect();
    assert_close("start", &start, &original.start(), 1e-9);
}

#[test]
fn data_without_a_criterion_are_refused() {
    let layout = Layout::new(Kind::Single, 20, 4, &[1], 2, 19);
    let model = |y: &[f64], x: &[f64], weights: Option<&[f64]>| {
        let p = x.len() / y.len();
        Profiled::new(y, x, p, &layout.groupings(), layout.template("us"), weights, None, true).map(|_| ())
    };
    let x = layout.x().values;
    let mut y: Vec<f64> = (0..20).map(|i| f64::from(i * i % 7)).collect();
    assert_eq!(model(&y, &x, None), Ok(()));
    let mut weights = vec![1.0; 20];
    weights[3] = 0.0;
    assert_eq!(model(&y, &x, Some(&weights)), Err(ProfiledError::Weight { row: 3, value: 0.0 }));
    assert_eq!(model(&y, &[&x[..], &x[20..]].concat(), None), Err(ProfiledError::RankDeficient { column: 2 }));
    assert_eq!(model(&y[..2], &[1.0, 1.0, 0.0, 1.0], None), Err(ProfiledError::TooFewRows { rows: 2, columns: 2 }));
    assert_eq!(model(&x[20..], &x, None), Err(ProfiledError::ExactFit));
    y[5] = f64::NAN;
    assert_eq!(model(&y, &x, None), Err(ProfiledError::Response { row: 5 }));
}

#[test]
fn a_model_without_random_effects_is_least_squares() {
    let mut layout = Layout::new(Kind::Single, 30, 3, &[1], 2, 23);
    let (y, weights, _) = layout.response();
    let x = layout.x();
    let lambda = expanded(&[], &[], &[], &[]);
    (layout.codes, layout.levels, layout.columns) = (vec![], vec![], vec![]);
    for reml in [false, true] {
        let template = Template::new(vec![], 0);
        let mut profiled = Profiled::new(&y, &x.values, 2, &[], template, Some(&weights), None, reml).unwrap();
        let expected = dense::gls(&layout, &lambda, &y, Some(&weights), reml);
        assert_close("criterion", &[profiled.value(&[])], &[expected.criterion], 1e-11);
        assert_close("beta", &profiled.solution(&[]).unwrap().beta, &expected.beta, 1e-11);
    }
}

#[test]
fn the_covariance_of_fixed_effects_moves_as_its_slopes_say() {
    for (k, structure) in STRUCTURES.into_iter().enumerate() {
        for kind in KINDS {
            let mut layout = Layout::new(kind, 60, 4, &[2, 1, 3], 3, k as u64);
            let mut profiled = profiled(&mut layout, structure, k % 2 == 0, k % 3 == 0);
            let theta: Vec<f64> =
                (0..profiled.template().n_theta()).map(|_| layout.rng.random_range(0.2..1.2)).collect();
            let covariance = |profiled: &mut Profiled, theta: &[f64]| {
                let solution = profiled.solution(theta).expect("positive definite");
                let (mut out, sigma) = (solution.vcov_beta_unscaled, solution.sigma);
                out.push(sigma.ln());
                out
            };
            let value = covariance(&mut profiled, &theta);
            let found = profiled.fixed_covariance().expect("evaluated");
            let log_sigma = profiled.log_sigma_slope().expect("evaluated");
            assert_close(structure, &found.value, &value[..value.len() - 1], 1e-12);
            for (m, slope) in found.slopes.iter().enumerate() {
                let mut at = |step: f64| {
                    let mut moved = theta.clone();
                    moved[m] += step;
                    covariance(&mut profiled, &moved)
                };
                let h = 1e-3;
                let (near, far) = ((at(h), at(-h)), (at(2.0 * h), at(-2.0 * h)));
                let expected: Vec<f64> = (0..value.len())
                    .map(|i| (8.0 * (near.0[i] - near.1[i]) - (far.0[i] - far.1[i])) / (12.0 * h))
                    .collect();
                let exact: Vec<f64> = slope.iter().copied().chain([log_sigma[m]]).collect();
                assert_close(&format!("{structure} {kind:?} theta_{m}"), &exact, &expected, 1e-8);
            }
        }
    }
}

#[test]
fn moments_of_a_linear_covariance_are_those_of_dense_matrices() {
    for (k, structure) in ["us", "diag", "homdiag", "homcs", "homtoep"].into_iter().enumerate() {
        for kind in KINDS {
            let mut layout = Layout::new(kind, 50, 3, &[2, 1, 3], 3, 7 + k as u64);
            let mut profiled = profiled(&mut layout, structure, false, true);
            let mut theta: Vec<f64> =
                (0..profiled.template().n_theta()).map(|_| layout.rng.random_range(0.2..1.2)).collect();
            if k == 1 {
                // A variance of zero is an ordinary point.
                theta[0] = 0.0;
            }
            profiled.solution(&theta).expect("positive definite");
            let found = profiled.linear_moments().expect("linear");
            let (template, widths) = (layout.template(structure), layout.widths());
            let z = layout.z();
            let blown_up = |factor: usize, block: &[f64]| {
                let blocks: Vec<Vec<f64>> = (0..widths.len())
                    .map(|f| if f == factor { block.to_vec() } else { vec![0.0; widths[f] * widths[f]] })
                    .collect();
                z.times(&expanded(&layout.levels, &widths, &widths, &blocks)).times(&z.transposed())
            };
            let mut directions: Vec<Dense> = (template.linear_entries().expect("linear").iter())
                .map(|entry| blown_up(entry.factor, &entry.matrix))
                .collect();
            directions.push(Dense::identity(50));
            let lambda = expanded(&layout.levels, &widths, template.ranks(), &template.factors(&theta));
            let a = z.times(&lambda);
            let v = a.times(&a.transposed()).plus(1.0, &Dense::identity(50)).inverse();
            // On the orthonormal basis that the engine uses: X R^-1.
            let x = layout.x().times(&Dense::from(3, 3, profiled.basis_inverse()));
            let vx = v.times(&x);
            let count = directions.len();
            assert_eq!(found.first.len(), count);
            for s in 0..count {
                let first = vx.transposed().times(&directions[s]).times(&vx);
                let negative: Vec<f64> = first.values.iter().map(|value| -value).collect();
                assert_close(&format!("{structure} {kind:?} P_{s}"), &found.first[s], &negative, 1e-9);
                for r in 0..count {
                    let middle = directions[r].times(&v).times(&directions[s]);
                    let second = vx.transposed().times(&middle).times(&vx);
                    let what = format!("{structure} {kind:?} ({r}, {s})");
                    assert_close(&what, &found.second[s * count + r], &second.values, 1e-9);
                    let product = v.times(&middle);
                    let trace: f64 = (0..50).map(|i| product.at(i, i)).sum();
                    assert_close(&what, &[found.traces[s * count + r]], &[trace], 1e-9);
                }
            }
        }
    }
}
