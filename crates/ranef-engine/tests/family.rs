//! What every family must satisfy, for every entry of the catalogue, every link it offers, with and
//! without zero inflation.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ranef_engine::family::{CATALOGUE, Component, Derivatives, Family, Kind, Rows, Support, build, packed2, packed3};
use ranef_engine::link::{Domain, Link};
use ranef_engine::residuals::quantile_residual;
use ranef_engine::special::log_ndtr;
use rayon::prelude::*;
use serde_json::Value;

const KINDS: [Kind; 7] = [
    Kind::Response,
    Kind::Conditional,
    Kind::ZeroProbability,
    Kind::Dispersion,
    Kind::Variance,
    Kind::Link,
    Kind::ZeroLink,
];

/// Every family that can be built.
fn families() -> Vec<Box<dyn Family>> {
    let mut all = Vec::new();
    for entry in CATALOGUE {
        for link in entry.card.links {
            for inflated in [false, true] {
                if !inflated || entry.card.zero_inflation {
                    all.push(build(entry.card.name, Some(link.name()), inflated).unwrap());
                }
            }
        }
    }
    all
}

fn inflated(family: &dyn Family) -> bool {
    family.components().last() == Some(&Component::Zi)
}

/// Whether 0 is a value the family has without zero inflation.
fn plain_zeros(family: &dyn Family) -> bool {
    build(family.card().name, None, false).unwrap().check_response(0.0, 1.0).is_ok()
}

/// Predictors of the mean well inside the domain.
fn mean_predictors(link: Link, domain: Domain) -> &'static [f64] {
    match (link, domain) {
        (Link::Log, Domain::Unit) => &[-2.0, -0.4, -0.05],
        (Link::Identity, Domain::Real) => &[-1.3, 0.4, 2.0],
        (Link::Identity, Domain::Positive) => &[0.3, 2.0, 9.0],
        (Link::Inverse | Link::InverseSquared, _) => &[0.2, 0.7, 2.0],
        (Link::Sqrt, _) => &[0.5, 1.4, 3.0],
        _ => &[-1.5, -0.2, 0.9],
    }
}

/// Predictors at which something overflows, underflows or rounds to a boundary if done naively.
fn extreme_mean_predictors(link: Link, domain: Domain) -> &'static [f64] {
    match (link, domain) {
        (Link::Identity, Domain::Real) => &[-1e8, 700.0],
        (Link::Identity | Link::Inverse | Link::InverseSquared, _) => &[1e-6, 700.0],
        (Link::Sqrt, _) => &[1e-3, 700.0],
        (Link::Log, Domain::Unit) => &[-700.0, -30.0, -0.01],
        _ => &[-700.0, -30.0, 30.0, 700.0],
    }
}

/// Responses and trials the family can produce.
fn responses(family: &dyn Family) -> Vec<(f64, f64)> {
    let mut all: Vec<(f64, f64)> = match family.card().support {
        Support::Real => vec![(-2.0, 1.0), (0.3, 1.0), (5.0, 1.0)],
        Support::Positive => vec![(0.02, 1.0), (1.3, 1.0), (9.0, 1.0)],
        Support::NonNegative => vec![(0.0, 1.0), (0.02, 1.0), (1.3, 1.0), (9.0, 1.0)],
        Support::Unit => vec![(0.02, 1.0), (0.4, 1.0), (0.97, 1.0)],
        Support::Counts => [0.0, 1.0, 2.0, 9.0, 30.0].map(|y| (y, 1.0)).to_vec(),
        Support::PositiveCounts => [1.0, 2.0, 9.0, 30.0].map(|y| (y, 1.0)).to_vec(),
        Support::Trials => vec![(0.0, 1.0), (1.0, 1.0), (0.0, 7.0), (3.0, 7.0), (7.0, 7.0)],
        Support::Ordered => [1.0, 2.0, 3.0, 4.0].map(|y| (y, 1.0)).to_vec(),
        Support::ClosedUnit => [0.0, 0.02, 0.4, 0.97, 1.0].map(|y| (y, 1.0)).to_vec(),
    };
    if inflated(family) && !all.iter().any(|&(y, _)| y == 0.0) {
        all.push((0.0, 1.0));
    }
    all.retain(|&(y, trials)| family.check_response(y, trials).is_ok());
    all
}

/// The product of the given mean predictors with a few values of the others.
fn predictors(family: &dyn Family, means: &[f64], extreme: bool) -> Vec<Vec<f64>> {
    let mut all: Vec<Vec<f64>> = means.iter().map(|&eta| vec![eta]).collect();
    for component in family.components()[1..].iter().filter(|c| **c != Component::Threshold) {
        let values: &[f64] = match (component, extreme) {
            (Component::Zi, false) => &[-1.5, 0.4],
            (Component::Zi, true) => &[-700.0, 0.4, 700.0],
            // Below φ = 1 the probabilities of a generalised Poisson do not add up to 1.
            (Component::Disp, false) if family.card().name.ends_with("genpois") => &[0.1, 0.9, 2.0],
            (_, false) => &[-1.2, 0.3, 2.0],
            (_, true) => &[-300.0, -20.0, 0.3, 12.0, 40.0, 300.0],
        };
        all = all.iter().flat_map(|eta| values.iter().map(|&v| [eta.as_slice(), &[v]].concat())).collect();
    }
    // Thresholds go together: they have an order. No family has anything behind them.
    let count = family.components().iter().filter(|c| **c == Component::Threshold).count();
    if count > 0 {
        let sets: &[[f64; 3]] = if extreme {
            &[[-300.0, -20.0, 0.3], [0.3, 12.0, 40.0], [39.0, 40.0, 300.0], [-20.0, -19.99, 300.0]]
        } else {
            &[[-1.2, 0.3, 2.0], [-0.4, 0.1, 0.9], [0.5, 1.1, 1.3]]
        };
        all = all.iter().flat_map(|eta| sets.iter().map(|set| [eta.as_slice(), &set[..count]].concat())).collect();
    }
    all
}

/// Every (y, trials, η) of the ordinary or extreme grid.
fn grid(family: &dyn Family, extreme: bool) -> Vec<(f64, f64, Vec<f64>)> {
    let (link, domain) = (family.links()[0], family.card().support.domain());
    let means = if extreme { extreme_mean_predictors(link, domain) } else { mean_predictors(link, domain) };
    let etas = predictors(family, means, extreme);
    responses(family).iter().flat_map(|&(y, n)| etas.iter().map(move |eta| (y, n, eta.clone()))).collect()
}

/// Value and derivatives of one row: `[order][packed index]`.
fn at(family: &dyn Family, y: f64, trials: f64, eta: &[f64], jets: bool) -> [Vec<f64>; 4] {
    let columns: Vec<&[f64]> = eta.iter().map(std::slice::from_ref).collect();
    let rows = Rows { y: &[y], trials: Some(&[trials]), eta: &columns };
    let mut out = Derivatives::default();
    if jets {
        out.resize(eta.len(), 1, 3);
        family.fill_by_jets(rows, 3, &mut out);
    } else {
        family.derivatives(rows, 3, &mut out);
    }
    let flat = |blocks: &Vec<Vec<f64>>| blocks.iter().map(|block| block[0]).collect();
    [out.value.clone(), flat(&out.first), flat(&out.second), flat(&out.third)]
}

/// Five-point central difference, error of order h⁴.
fn difference(f: impl Fn(f64) -> Vec<f64>, h: f64) -> (Vec<f64>, f64) {
    let points = [f(-2.0 * h), f(-h), f(h), f(2.0 * h)];
    let slope = (0..points[0].len())
        .map(|j| (points[0][j] - 8.0 * points[1][j] + 8.0 * points[2][j] - points[3][j]) / (12.0 * h))
        .collect();
    let size = points.iter().flatten().fold(0.0, |a: f64, b| a.max(b.abs()));
    (slope, size)
}

#[test]
fn derivatives_are_those_of_the_order_below() {
    for family in families() {
        for extreme in [false, true] {
            for (y, n, eta) in grid(&*family, extreme) {
                let exact = at(&*family, y, n, &eta, false);
                if exact[0][0] == f64::NEG_INFINITY {
                    continue;
                }
                for m in 0..eta.len() {
                    // Near a boundary of the domain the step must stay inside it.
                    let step = if extreme { 1e-5 } else { 1e-4 };
                    let h = if m == 0 { step * eta[0].abs().min(1.0) } else { step };
                    for order in 0..3 {
                        let (slope, size) = difference(
                            |step| {
                                let mut moved = eta.clone();
                                moved[m] += step;
                                at(&*family, y, n, &moved, false)[order].clone()
                            },
                            h,
                        );
                        // Truncation, on the scale of the derivatives around, and the rounding of
                        // the order below over the step.
                        let largest = |order: usize| {
                            exact.get(order).map_or(0.0, |all| all.iter().fold(0.0, |a: f64, b| a.max(b.abs())))
                        };
                        if size > 1e300 {
                            continue;
                        }
                        let scale = largest(order + 1) + h * largest(order + 2);
                        for (j, slope) in slope.iter().enumerate() {
                            let got = exact[order + 1][raised(eta.len(), order, j, m)];
                            // e^η carries the rounding of its exponent, |η| units of it.
                            let steepest = eta.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
                            let rounding = 1e-14 + f64::EPSILON * steepest;
                            // In log parameters the derivatives of all orders are sums of the same terms, of which one
                            // order may be left with a difference: its rounding is that of the first.
                            let terms = if order > 0 { largest(1) } else { 0.0 };
                            let tolerance = 2e-8 * scale + (rounding * size + 4e-15 * terms) / h;
                            assert!(
                                (got - slope).abs() <= tolerance.max(1e-290),
                                "{family:?} y {y} of {n} eta {eta:?}: derivative {m} of \
                                 order-{order} entry {j} is {got:e}, differences say {slope:e}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// Place, one order up, of the derivative in predictor `m` of packed entry `j` of `order`.
fn raised(k: usize, order: usize, j: usize, m: usize) -> usize {
    match order {
        0 => m,
        1 => packed2(j, m),
        _ => {
            for l in 0..k {
                for i in 0..=l {
                    if packed2(i, l) == j {
                        return packed3(i, l, m);
                    }
                }
            }
            unreachable!("{j} is not a second derivative of {k} predictors")
        }
    }
}

#[test]
fn closed_forms_agree_with_jets() {
    let mut closed = 0;
    for family in families().iter().filter(|family| family.closed_form()) {
        closed += 1;
        for extreme in [false, true] {
            for (y, n, eta) in grid(&**family, extreme) {
                let by_hand = at(&**family, y, n, &eta, false);
                let by_jets = at(&**family, y, n, &eta, true);
                // A score is a difference of terms of the size of its curvature: that is the scale
                // on which both agree.
                let size = by_jets[1..].iter().flatten().fold(0.0, |a: f64, b| a.max(b.abs()));
                for order in 0..4 {
                    for (a, b) in by_hand[order].iter().zip(&by_jets[order]) {
                        let scale = if order == 0 { b.abs().max(1.0) } else { size };
                        assert!(
                            // Below 1e-300 numbers lose their digits to underflow.
                            a == b || (a - b).abs() <= (1e-12 * scale).max(1e-300),
                            "{family:?} y {y} of {n} eta {eta:?} order {order}: {a:e} by hand, {b:e} by jets"
                        );
                    }
                }
            }
        }
    }
    assert!(closed >= 9, "gaussian, poisson, binomial, nbinom2, gamma and four inflated: {closed}");
}

#[test]
fn lower_orders_and_constant_dispersion_change_nothing() {
    for family in families() {
        let grid = grid(&*family, false);
        let y: Vec<f64> = grid.iter().map(|row| row.0).collect();
        let n: Vec<f64> = grid.iter().map(|row| row.1).collect();
        let k = family.components().len();
        for constant in [false, true] {
            let columns: Vec<Vec<f64>> = (0..k)
                .map(|c| {
                    let pick = |row: &(f64, f64, Vec<f64>)| {
                        if constant && c > 0 { grid[0].2[c] } else { row.2[c] }
                    };
                    grid.iter().map(pick).collect()
                })
                .collect();
            let eta: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let rows = Rows { y: &y, trials: Some(&n), eta: &eta };
            let mut out = Derivatives::default();
            for order in (0..4).rev() {
                family.derivatives(rows, order, &mut out);
                for i in 0..y.len() {
                    let row: Vec<f64> = columns.iter().map(|column| column[i]).collect();
                    let alone = at(&*family, y[i], n[i], &row, false);
                    let close = |a: f64, b: f64| (a - b).abs() <= 1e-13 * (1.0 + b.abs());
                    assert!(close(out.value[i], alone[0][0]), "{family:?} order {order} row {i}");
                    assert!(close(family.log_density(y[i], n[i], &row), alone[0][0]));
                    let blocks = [&out.first, &out.second, &out.third];
                    for (block, alone) in blocks.iter().zip(&alone[1..]).take(order) {
                        for (column, alone) in block.iter().zip(alone) {
                            assert!(close(column[i], *alone), "{family:?} order {order} row {i}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_is_ever_nan() {
    for family in families() {
        for (y, n, eta) in grid(&*family, true) {
            let all = at(&*family, y, n, &eta, false);
            let value = all[0][0];
            assert!(value.is_finite() || value == f64::NEG_INFINITY, "{family:?} {y} {eta:?}");
            for entry in all[1..].iter().flatten() {
                assert!(entry.is_finite(), "{family:?} y {y} eta {eta:?}: {all:?}");
                assert!(value.is_finite() || *entry == 0.0, "{family:?} y {y} eta {eta:?}");
            }
            if family.card().support.discrete() {
                assert!(value <= 1e-10, "{family:?} y {y} eta {eta:?}: log probability {value}");
            }
        }
    }
}

#[test]
fn infeasible_predictors_have_no_density_and_no_slope() {
    let cases = [
        ("poisson", "identity", 3.0, -0.5),
        ("poisson", "identity", 0.0, -0.5),
        ("nbinom2", "identity", 3.0, -0.5),
        ("nbinom1", "identity", 0.0, 0.0),
        ("gamma", "inverse", 1.5, -0.2),
        ("gamma", "identity", 1.5, 0.0),
        ("binomial", "log", 0.0, 0.2),
        ("gaussian", "inverse", 1.0, 0.0),
        ("poisson", "log", 3.0, f64::NAN),
    ];
    for (name, link, y, mean) in cases {
        for zi in [false, true] {
            if zi && name == "gaussian" {
                continue;
            }
            let family = build(name, Some(link), zi).unwrap();
            let mut eta = vec![0.3; family.components().len()];
            eta[0] = mean;
            assert!(!family.feasible(&eta));
            let all = at(&*family, y, 1.0, &eta, false);
            assert_eq!(all[0][0], f64::NEG_INFINITY, "{family:?}");
            assert!(all[1..].iter().flatten().all(|&d| d == 0.0), "{family:?}: {all:?}");
            assert_eq!(family.log_density(y, 1.0, &eta), f64::NEG_INFINITY);
            assert_eq!(family.unit_deviance(y, 1.0, &eta), None);
        }
    }
}

/// Σ yᵏ f, k = 0..4, over the support, by summation or quadrature.
fn moments(family: &dyn Family, trials: f64, eta: &[f64]) -> [f64; 5] {
    let density = |y: f64| family.log_density(y, trials, eta).exp();
    let mut sums = [0.0; 5];
    let mut add = |y: f64, mass: f64| {
        let mut term = mass;
        for sum in &mut sums {
            *sum += term;
            term *= y;
        }
    };
    match family.card().support {
        Support::Counts | Support::PositiveCounts => {
            let mean = family.predict(Kind::Response, eta, &mut vec![0.0; eta.len()]);
            for y in (0..200_000).map(f64::from) {
                let mass = density(y);
                add(y, mass);
                // Far beyond the mean the terms fall geometrically.
                if y > 100.0 + 10.0 * mean && mass * y * y < 1e-25 {
                    break;
                }
            }
        }
        Support::Trials => (0..=trials as usize).for_each(|y| add(y as f64, density(y as f64))),
        Support::Ordered => (1..=4).map(f64::from).for_each(|y| add(y, density(y))),
        Support::ClosedUnit => {
            // Much of a beta may lie closer to 1 than a double can: E Yᵏ = ∫ k yᵏ⁻¹ P(Y > y) dy,
            // by the trapezoidal rule in logit y, need no density there.
            add(0.0, density(0.0) + family.tails(0.0, trials, eta)[1]);
            let h = 0.05;
            for t in (-800..=800).map(|i| h * f64::from(i)) {
                let (y, rest) = (1.0 / (1.0 + f64::exp(-t)), 1.0 / (1.0 + f64::exp(t)));
                let above = h * y * rest * if y < 1.0 { family.tails(y, trials, eta)[1] } else { density(1.0) };
                for k in 1..5 {
                    sums[k] += k as f64 * y.powi(k as i32 - 1) * above;
                }
            }
        }
        Support::Real => {
            // The trapezoidal rule converges geometrically for a smooth density on the line; in the argument of a sinh
            // of a sinh, tails that fall like a power are as short as any others (Takahasi & Mori 1974).
            let centre = family.predict(Kind::Response, eta, &mut vec![0.0; eta.len()]);
            let (scale, h) = (family.sigma(eta), 1.0 / 128.0);
            for u in (-700..=700).map(|i| h * f64::from(i)) {
                let inner = 1.5 * u.sinh();
                let y = centre + scale * inner.sinh();
                add(y, h * scale * inner.cosh() * 1.5 * u.cosh() * density(y));
            }
        }
        Support::Unit => {
            // In the logit of y. Above a half, where doubles cannot tell y from 1, the proportion is measured from the
            // other end, at the mirrored mean.
            let mirrored = build(family.card().name, Some("logit"), inflated(family)).unwrap();
            let mut far = eta.to_vec();
            let link = family.links()[0];
            far[0] = link.complement(eta[0]).ln() - link.log_mean_value(eta[0]);
            let h = 0.05;
            for x in (-14_000..=14_000).map(|i| h * f64::from(i)) {
                let near = 1.0 / (1.0 + x.abs().exp());
                // Gregory's weights where the range ends before the mass does.
                let end = match ((700.0 - x.abs()) / h).round() {
                    0.0 => 3.0 / 8.0,
                    1.0 => 7.0 / 6.0,
                    2.0 => 23.0 / 24.0,
                    _ => 1.0,
                };
                let step = end * h * near * (1.0 - near);
                if x < 0.0 {
                    add(near, step * density(near));
                } else {
                    add(1.0 - near, step * mirrored.log_density(near, trials, &far).exp());
                }
            }
            // Some of the mass may lie closer to an end than any double does.
            let rim = (-700.0_f64).exp();
            for (y, family, eta) in [(0.0, family, eta), (1.0, &*mirrored, far.as_slice())] {
                let zeros = if inflated(family) { family.log_density(0.0, trials, eta).exp() } else { 0.0 };
                add(y, family.tails(rim, trials, eta)[0] - zeros);
            }
            if inflated(family) {
                add(0.0, density(0.0));
            }
        }
        Support::Positive | Support::NonNegative => {
            // The same in log y, where the left tail decays like y^shape.
            let h = 0.02;
            (-10_000..=2500).map(|i| (h * f64::from(i)).exp()).for_each(|y| add(y, h * y * density(y)));
            if point_mass(family, 0.0) {
                add(0.0, density(0.0));
            }
        }
    }
    sums
}

#[test]
fn densities_sum_to_one_with_the_stated_moments() {
    for family in families() {
        let trials: &[f64] = if family.card().support == Support::Trials { &[1.0, 7.0] } else { &[1.0] };
        let (link, domain) = (family.links()[0], family.card().support.domain());
        for eta in predictors(&*family, mean_predictors(link, domain), false) {
            for &n in trials {
                let [mass, first, second, ..] = moments(&*family, n, &eta);
                let mean = n * family.predict(Kind::Response, &eta, &mut vec![0.0; eta.len()]);
                let variance = n * n * family.variance(&eta, n);
                let context = format!("{family:?} eta {eta:?} trials {n}");
                // Rounding of 2e5 terms of a sum; quadrature errors are smaller.
                assert!((mass - 1.0).abs() < 1e-10, "{context}: mass {mass}");
                if variance == f64::INFINITY {
                    continue;
                }
                assert!((first - mean).abs() < 1e-9 * (1.0 + mean.abs()), "{context}: mean {first} {mean}");
                let spread = second - first * first;
                assert!((spread - variance).abs() < 1e-8 * (1.0 + second), "{context}: variance {spread} {variance}");
            }
        }
    }
}

/// Whether `y` has a probability of its own: a count, or a zero (a bound) that a continuous family is mixed with.
fn point_mass(family: &dyn Family, y: f64) -> bool {
    let support = family.card().support;
    let bound = support == Support::ClosedUnit && (y == 0.0 || y == 1.0);
    support.discrete() || bound || (y == 0.0 && (inflated(family) || support == Support::NonNegative))
}

#[test]
fn tails_and_density_make_one() {
    for family in families() {
        for extreme in [false, true] {
            for (y, n, eta) in grid(&*family, extreme) {
                // The probabilities of a generalised Poisson below φ = 1 do not add up to 1.
                let incomplete = family.card().name.ends_with("genpois") && eta[1] < 0.0;
                if !family.feasible(&eta) || incomplete {
                    continue;
                }
                let [below, above] = family.tails(y, n, &eta);
                let context = format!("{family:?} y {y} of {n} eta {eta:?}: below {below:e}, above {above:e}");
                assert!((0.0..=1.0 + 1e-12).contains(&below) && (0.0..=1.0 + 1e-12).contains(&above), "{context}");
                let here = if point_mass(&*family, y) { family.log_density(y, n, &eta).exp() } else { 0.0 };
                // Where the density is that of parameters of size e^|η|, its exponent is rounded on that scale.
                let conditioning = if extreme { 1e-11 } else { 1e-13 };
                assert!((below + here + above - 1.0).abs() < conditioning, "{context}, here {here:e}");
            }
        }
    }
}

#[test]
fn tails_move_by_the_density() {
    for family in families() {
        for (y, n, eta) in grid(&*family, false) {
            let [below, above] = family.tails(y, n, &eta);
            let density = |y: f64| family.log_density(y, n, &eta).exp();
            let context = format!("{family:?} y {y} of {n} eta {eta:?}");
            if family.card().support.discrete() {
                if family.check_response(y + 1.0, n).is_err() {
                    assert_eq!(above, 0.0, "{context}");
                    continue;
                }
                // Both tails one step on, each on its own scale: neither is one less the other.
                let [next_below, next_above] = family.tails(y + 1.0, n, &eta);
                let (here, next) = (density(y), density(y + 1.0));
                assert!((next_below - (below + here)).abs() < 1e-12 * next_below, "{context}");
                assert!((above - (next_above + next)).abs() < 1e-12 * above, "{context}");
                if y == 0.0 {
                    assert_eq!(below, 0.0, "{context}");
                }
            } else if !point_mass(&*family, y) {
                // A step over which neither y nor the density changes by more than a hundredth.
                let d = 1e-4 * y.abs();
                let around = [-d, 0.0, d].map(|d| family.log_density(y + d, n, &eta));
                let score = (around[2] - around[0]) / (2.0 * d);
                let curvature = (around[2] - 2.0 * around[1] + around[0]) / (d * d);
                let h = 0.01 / (1.0 / y.abs() + score.abs() + curvature.abs().sqrt());
                let (slope, _) = difference(|step| family.tails(y + step, n, &eta).to_vec(), h);
                // Truncation of the order 0.01⁴ and the rounding of the tails over the step.
                let tolerance = 1e-7 * density(y) + 1e-15 * below.max(above) / h;
                assert!((slope[0] - density(y)).abs() < tolerance, "{context}: {} {}", slope[0], density(y));
                let tolerance = 1e-7 * density(y) + 1e-15 * above / h;
                assert!((slope[1] + density(y)).abs() < tolerance, "{context}: {} {}", slope[1], density(y));
            }
        }
    }
}

#[test]
fn tails_keep_their_digits() {
    // P(Y > y) is the sum of the densities above, however small.
    for (name, y, n, eta) in [
        ("poisson", 60.0, 1.0, vec![1.0]),
        ("binomial", 60.0, 80.0, vec![-2.0]),
        ("nbinom2", 300.0, 1.0, vec![1.0, 2.0]),
        ("nbinom1", 200.0, 1.0, vec![1.0, -0.5]),
    ] {
        let family = build(name, None, false).unwrap();
        let (link, top) = (family.links()[0], if n > 1.0 { n as usize } else { 3000 });
        let mut eta = eta;
        eta[0] = link.eta(link.mean(eta[0]));
        let direct: f64 = (y as usize + 1..=top).map(|k| family.log_density(k as f64, n, &eta).exp()).sum();
        let [_, above] = family.tails(y, n, &eta);
        assert!(direct < 1e-20, "{name}: {direct:e} is no test");
        assert!((above - direct).abs() < 1e-12 * direct, "{name}: {above:e} {direct:e}");
    }
}

#[test]
fn samples_have_the_stated_moments() {
    const DRAWS: usize = 20_000;
    // The longest of these tests: one family beside another.
    families().par_iter().enumerate().for_each(|(seed, family)| {
        let n = if family.card().support == Support::Trials { 7.0 } else { 1.0 };
        let (link, domain) = (family.links()[0], family.card().support.domain());
        let mut rng = ChaCha8Rng::seed_from_u64(seed as u64);
        for eta in predictors(&**family, mean_predictors(link, domain), false) {
            let draws: Vec<f64> = (0..DRAWS).map(|_| family.sample(&eta, n, &mut rng)).collect();
            for &y in &draws {
                assert_eq!(family.check_response(y, n), Ok(()), "{family:?} drew {y}");
            }
            let mean = n * family.predict(Kind::Response, &eta, &mut vec![0.0; eta.len()]);
            let variance = n * n * family.variance(&eta, n);
            if variance == f64::INFINITY {
                continue;
            }
            let average = |f: &dyn Fn(f64) -> f64| draws.iter().map(|&y| f(y)).sum::<f64>() / DRAWS as f64;
            let got = average(&|y| y);
            let spread = average(&|y| (y - mean).powi(2));
            // The fourth moment of a skewed law is beyond what a sample shows of it.
            let fourth = if family.card().support.discrete() {
                average(&|y| (y - mean).powi(4))
            } else {
                let [_, _, second, third, fourth] = moments(&**family, n, &eta);
                fourth + mean * (-4.0 * third + mean * (6.0 * second - 3.0 * mean * mean))
            };
            let error = (variance / DRAWS as f64).sqrt();
            let spread_error = ((fourth - variance * variance) / DRAWS as f64).sqrt();
            let context = format!("{family:?} eta {eta:?}");
            assert!((got - mean).abs() < 5.0 * error, "{context}: mean {got}, should be {mean}");
            assert!(
                (spread - variance).abs() < 5.0 * spread_error,
                "{context}: variance {spread}, should be {variance}"
            );
        }
    });
}

#[test]
fn quantile_residuals_of_samples_are_standard_normal() {
    const DRAWS: usize = 4000;
    // The longest of these tests: one family beside another.
    families().par_iter().enumerate().for_each(|(seed, family)| {
        let n = if family.card().support == Support::Trials { 7.0 } else { 1.0 };
        let (link, domain) = (family.links()[0], family.card().support.domain());
        let mut rng = ChaCha8Rng::seed_from_u64(200 + seed as u64);
        for eta in predictors(&**family, mean_predictors(link, domain), false) {
            // Where doubles next to 0 or 1 are too far apart for the law, its draws are ties at the last of them.
            let beyond = family.tails(1.0 - f64::EPSILON / 2.0, n, &eta)[1];
            let zeros = if inflated(&**family) { family.log_density(0.0, n, &eta).exp() } else { 0.0 };
            let below = family.tails(f64::MIN_POSITIVE, n, &eta)[0] - zeros;
            if family.card().support == Support::Unit && beyond.max(below) > 1e-3 {
                continue;
            }
            let mut places: Vec<f64> = (0..DRAWS)
                .map(|_| {
                    let y = family.sample(&eta, n, &mut rng);
                    let residual = quantile_residual(&**family, y, n, &eta, rng.random());
                    log_ndtr(residual).exp()
                })
                .collect();
            places.sort_by(f64::total_cmp);
            let distance = places.iter().enumerate().fold(0.0_f64, |worst, (i, place)| {
                let step = |i: usize| i as f64 / DRAWS as f64;
                worst.max(place - step(i)).max(step(i + 1) - place)
            });
            // Kolmogorov's distance exceeds 2.5/√n once in 10⁵ times.
            assert!(distance < 2.5 / (DRAWS as f64).sqrt(), "{family:?} eta {eta:?}: distance {distance}");
        }
    });
}

#[test]
fn extreme_parameters_can_be_sampled() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for family in families() {
        let (link, domain) = (family.links()[0], family.card().support.domain());
        for eta in predictors(&*family, extreme_mean_predictors(link, domain), true) {
            for _ in 0..if family.feasible(&eta) { 3 } else { 0 } {
                let y = family.sample(&eta, 1.0, &mut rng);
                assert!(!y.is_nan(), "{family:?} eta {eta:?} drew NaN");
            }
        }
    }
}

/// 2(l_sat − l) times this is the unit deviance, where there is one.
fn deviance_scale(family: &dyn Family, eta: &[f64]) -> f64 {
    match family.card().name {
        "gaussian" | "gamma" | "inverse_gaussian" => family.sigma(eta).powi(2),
        "tweedie" => family.sigma(eta),
        _ => 1.0,
    }
}

#[test]
fn unit_deviances_measure_the_distance_to_saturation() {
    let mut with_deviance = Vec::new();
    for family in families() {
        for (y, n, eta) in grid(&*family, false) {
            let Some(deviance) = family.unit_deviance(y, n, &eta) else {
                continue;
            };
            with_deviance.push(family.card().name);
            assert!(!inflated(&*family), "{family:?}: the saturated model is not defined");
            assert!(deviance >= 0.0);
            let (link, mean) = (family.links()[0], y / n);
            let mut saturated = eta.clone();
            saturated[0] = link.eta(mean);
            let interior = link.valid_mean(mean) && family.feasible(&saturated);
            let saturated = if interior {
                let at_best = family.unit_deviance(y, n, &saturated).unwrap();
                assert!(at_best < 1e-12, "{family:?} y {y}: {at_best} at its own mean");
                family.log_density(y, n, &saturated)
            } else if family.card().support.discrete() {
                // All the mass can sit on a boundary count.
                0.0
            } else {
                continue;
            };
            let twice = 2.0 * (saturated - family.log_density(y, n, &eta)) * deviance_scale(&*family, &eta);
            assert!(
                (deviance - twice).abs() < 1e-11 * (1.0 + twice),
                "{family:?} y {y} of {n} eta {eta:?}: {deviance}, should be {twice}"
            );
        }
    }
    for name in ["gaussian", "binomial", "poisson", "nbinom2", "gamma", "inverse_gaussian", "tweedie"] {
        assert!(with_deviance.contains(&name), "{name} has lost its deviance");
    }
}

#[test]
fn starting_values_are_finite_and_feasible() {
    for family in families() {
        let card = family.card();
        let zero = match family.check_response(0.0, 1.0) {
            Ok(()) => 0.0,
            Err(_) if card.support.discrete() => 2.0,
            Err(_) => 0.4,
        };
        let one = if card.support == Support::Unit { 0.9 } else { 1.0 };
        let sets: [Vec<f64>; 5] = [
            vec![zero; 12],
            vec![one; 12],
            (0..12).map(|i| if i % 3 == 0 { one } else { zero }).collect(),
            vec![one],
            (0..12).map(|i| if i == 7 { one } else { zero }).collect(),
        ];
        for y in &sets {
            let weights: Vec<f64> = (0..y.len()).map(|i| i as f64 % 4.0).collect();
            let small: Vec<f64> = (0..y.len()).map(|i| 0.05 * i as f64).collect();
            let large: Vec<f64> = (0..y.len()).map(|i| 3.0 * i as f64 - 9.0).collect();
            for weights in [None, Some(weights.as_slice())] {
                for offset in [None, Some(small.as_slice()), Some(large.as_slice())] {
                    let start = family.start(y, None, weights, offset);
                    assert_eq!(start.len(), family.components().len());
                    assert!(start.iter().all(|eta| eta.is_finite()), "{family:?} {y:?}: {start:?}");
                    for i in 0..y.len() {
                        let mut eta = start.clone();
                        eta[0] += offset.map_or(0.0, |offset| offset[i]);
                        assert!(family.feasible(&eta), "{family:?} {y:?}: {start:?}");
                    }
                }
            }
            for &y in y {
                assert!(family.start_mean(y, 1.0).is_finite(), "{family:?} y {y}");
            }
        }
    }
}

#[test]
fn starting_values_approach_the_truth() {
    for (seed, family) in families().iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(100 + seed as u64);
        let link = family.links()[0];
        let domain = family.card().support.domain();
        let n = if family.card().support == Support::Trials { 7.0 } else { 1.0 };
        let mut eta = vec![*mean_predictors(link, domain).last().unwrap()];
        let mut threshold = -0.6;
        eta.extend(family.components()[1..].iter().map(|component| match component {
            Component::Threshold => {
                threshold += 0.9;
                threshold
            }
            // Shapes at which asymmetry and heavy tails can be told from their absence.
            Component::Shape if !family.card().support.discrete() => 2.0,
            _ => -0.3,
        }));
        // The thresholds of categories take the intercept in.
        if family.card().support == Support::Ordered {
            let location = std::mem::take(&mut eta[0]);
            eta[1..].iter_mut().for_each(|threshold| *threshold -= location);
        }
        let offset: Vec<f64> = (0..4000).map(|i| f64::from(i % 5) * 0.01).collect();
        let y: Vec<f64> = offset
            .iter()
            .map(|offset| {
                let mut row = eta.clone();
                row[0] += offset;
                family.sample(&row, n, &mut rng)
            })
            .collect();
        let trials = vec![n; y.len()];
        let start = family.start(&y, Some(&trials), None, Some(&offset));
        // Zeros of the plain family and structural ones cannot be told apart by moments, where it has a dispersion:
        // there only the mean is asked for.
        let told_apart = !inflated(&**family) || eta.len() == 2 || !plain_zeros(&**family);
        // Nor can two excesses of variance at one mean, as a count's or a Tweedie's that is never 0.
        let support = family.card().support;
        let alike =
            (support.discrete() || support == Support::NonNegative) && family.components().contains(&Component::Shape);
        // A U-shaped beta-binomial has as many zeros of its own as it is given: not even the mean is known.
        let u_shaped = family.card().name == "betabinomial" && inflated(&**family);
        let asked = if u_shaped {
            0
        } else if told_apart && !alike {
            eta.len()
        } else {
            1
        };
        for (k, (got, want)) in start.iter().zip(&eta).take(asked).enumerate() {
            // One EM step from the plain family is a start, not an estimate.
            let tolerance = if inflated(&**family) { 0.9 } else { 0.25 };
            assert!(
                (got - want).abs() < tolerance * want.abs().max(1.0),
                "{family:?} predictor {k}: {got}, truth {want}"
            );
        }
    }
}

#[test]
fn gradients_of_predictions_are_exact() {
    for family in families() {
        let k = family.components().len();
        let (link, domain) = (family.links()[0], family.card().support.domain());
        for eta in predictors(&*family, mean_predictors(link, domain), false) {
            for kind in KINDS {
                let mut gradient = vec![f64::NAN; k];
                let value = family.predict(kind, &eta, &mut gradient);
                if value == f64::NEG_INFINITY {
                    assert_eq!(kind, Kind::ZeroLink);
                    continue;
                }
                if value == f64::INFINITY {
                    assert_eq!(kind, Kind::Variance);
                    assert!(gradient.iter().all(|&slope| slope == 0.0));
                    continue;
                }
                for m in 0..k {
                    let moved = |step: f64| {
                        let mut moved = eta.clone();
                        moved[m] += step;
                        vec![family.predict(kind, &moved, &mut vec![0.0; k])]
                    };
                    let (slope, size) = difference(moved, 1e-3);
                    assert!(
                        (gradient[m] - slope[0]).abs() < 1e-7 * gradient[m].abs() + 1e-11 * (1.0 + size),
                        "{family:?} {kind:?} eta {eta:?} predictor {m}: {} {}",
                        gradient[m],
                        slope[0]
                    );
                }
            }
            let mut gradient = vec![0.0; k];
            let sigma = family.predict(Kind::Dispersion, &eta, &mut gradient);
            assert_eq!(sigma, family.sigma(&eta));
            let variance = family.predict(Kind::Variance, &eta, &mut gradient);
            let direct = family.variance(&eta, 1.0);
            // The same formula on two kinds of number; what it may subtract is of the size of the squared mean.
            let mean = family.predict(Kind::Response, &eta, &mut gradient);
            assert!(
                variance == direct || (variance - direct).abs() <= 1e-14 * variance.max(mean * mean),
                "{family:?} eta {eta:?}: variance {variance} or {direct}"
            );
        }
    }
}

#[test]
fn zero_inflation_mixes_means_and_vanishes_smoothly() {
    for entry in CATALOGUE.iter().filter(|entry| entry.card.zero_inflation) {
        let plain = build(entry.card.name, None, false).unwrap();
        let mixed = build(entry.card.name, None, true).unwrap();
        for (y, n, eta) in grid(&*plain, false) {
            let with = |zeta: f64| [eta.as_slice(), &[zeta]].concat();
            let k = eta.len();
            let mut gradient = vec![0.0; k + 1];
            let mu = plain.predict(Kind::Response, &eta, &mut gradient[..k]);
            let response = mixed.predict(Kind::Response, &with(0.4), &mut gradient);
            let pi = mixed.predict(Kind::ZeroProbability, &with(0.4), &mut gradient);
            assert!((response - (1.0 - pi) * mu).abs() < 1e-14 * mu);
            assert_eq!(mixed.predict(Kind::Conditional, &with(0.4), &mut gradient), mu);
            if plain.check_response(y, n).is_ok() && plain.log_density(y, n, &eta).is_finite() {
                let none = at(&*mixed, y, n, &with(-700.0), false);
                let without = at(&*plain, y, n, &eta, false);
                assert!((none[0][0] - without[0][0]).abs() <= 4e-16 * without[0][0].abs());
                assert_eq!(none[1][..k], without[1]);
                assert_eq!(none[3][..without[3].len()], without[3]);
            }
        }
    }
}

#[test]
fn negative_binomials_become_poisson() {
    let poisson = build("poisson", None, false).unwrap();
    for (name, sign) in [("nbinom2", 1.0), ("nbinom1", -1.0)] {
        let family = build(name, None, false).unwrap();
        for y in [0.0, 1.0, 5.0, 21.0, 400.0] {
            for eta in [-30.0, -1.0, 2.0, 5.0] {
                let limit = at(&*poisson, y, 1.0, &[eta], false);
                for log_phi in [30.0, 50.0, 100.0, 300.0, 700.0, 800.0] {
                    let near = at(&*family, y, 1.0, &[eta, sign * log_phi], false);
                    // The excess of the variance over the mean, relative to it, times the squared
                    // response: the leading term of the difference, up to the small integers that
                    // its derivatives bring.
                    let log_size = if name == "nbinom2" { log_phi } else { eta + log_phi };
                    let mu = f64::exp(eta);
                    let leading = (y * y + mu * mu + mu) * (-log_size).exp();
                    for order in 0..4 {
                        let (a, b) = (near[order][0], limit[order][0]);
                        assert!(
                            (a - b).abs() <= 1e-12 * b.abs() + 10.0 * leading,
                            "{name} y {y} eta {eta} log phi {log_phi} order {order}: {a} {b}"
                        );
                    }
                    for slope in [near[1][1], near[2][2], near[3][3]] {
                        assert!(
                            slope.abs() <= 10.0 * leading,
                            "{name} y {y} eta {eta} log phi {log_phi}: {slope:e} over {leading:e}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn densities_agree_with_mpmath() {
    let fixtures = [
        include_str!("fixtures/densities.json"),
        include_str!("fixtures/continuous.json"),
        include_str!("fixtures/ordinal.json"),
    ]
    .map(|text| serde_json::from_str::<Value>(text).unwrap());
    let numbers =
        |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
    let mut seen = Vec::new();
    for case in fixtures.iter().flat_map(|fixture| fixture["cases"].as_array().unwrap()) {
        let name = case["family"].as_str().unwrap();
        let link = case["link"].as_str().unwrap();
        seen.push((name, link));
        let family = build(name, Some(link), case["zero_inflated"].as_bool().unwrap()).unwrap();
        let (y, n) = (case["y"].as_f64().unwrap(), case["trials"].as_f64().unwrap());
        let eta = numbers(&case["eta"]);
        let want = [
            vec![case["value"].as_f64().unwrap()],
            numbers(&case["first"]),
            numbers(&case["second"]),
            numbers(&case["third"]),
        ];
        let mixture = inflated(&*family);
        let plain = build(name, Some(link), false).unwrap();
        let largest = |all: &[f64]| all.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        for jets in [false, true] {
            let got = at(&*family, y, n, &eta, jets);
            for (order, all) in want.iter().enumerate() {
                for (j, (got, want)) in got[order].iter().zip(all).enumerate() {
                    // A log density is a sum of terms like y log y that cancel by up to their own
                    // size; derivatives have no such excuse.
                    let terms = if mixture && y == 0.0 && order > 0 {
                        // Those of a mixture are sums over both parts, up to ℓ′ᵐ, which may cancel.
                        let parts = &at(&*plain, y, n, &eta[..eta.len() - 1], jets);
                        let score = largest(&parts[1]).powi(order as i32);
                        1e-14 * score.max(largest(&parts[order])) + 1e-12 * largest(all)
                    } else if order == 0 {
                        1e-15 * y.abs() * y.abs().ln_1p()
                    } else {
                        // Accidental cancellation at ordinary points; in the limits every
                        // derivative is small by itself and has its own digits.
                        if eta.iter().all(|eta| eta.abs() < 10.0) { 1e-14 * largest(all) } else { 0.0 }
                    };
                    // What numerical differentiation leaves where the true value is 0.
                    let dust = *got == 0.0 && want.abs() < 1e-60;
                    assert!(
                        (got - want).abs() <= 1e-12 * want.abs() + terms || dust,
                        "{family:?} y {y} of {n} eta {eta:?} order {order} entry {j}{}: {got:e}, should be {want:e}",
                        if jets { " by jets" } else { "" }
                    );
                }
            }
        }
    }
    for entry in CATALOGUE {
        for link in entry.card.links {
            assert!(
                seen.contains(&(entry.card.name, link.name())),
                "{} with {link} is not in the fixture",
                entry.card.name
            );
        }
    }
}

#[test]
fn responses_are_checked() {
    let cases = [
        ("poisson", 2.5, 1.0, Err("a whole number, 0 or more")),
        ("poisson", -1.0, 1.0, Err("a whole number, 0 or more")),
        ("poisson", f64::INFINITY, 1.0, Err("a whole number, 0 or more")),
        ("nbinom1", 0.0, 1.0, Ok(())),
        ("gamma", 0.0, 1.0, Err("a number above 0")),
        ("gaussian", f64::NAN, 1.0, Err("a finite number")),
        ("binomial", 2.0, 1.0, Err("0 or 1")),
        ("binomial", 8.0, 7.0, Err("a whole number of successes between 0 and the number of trials")),
        ("binomial", 1.0, 1.5, Err("a whole number of trials, 0 or more")),
    ];
    for (name, y, trials, verdict) in cases {
        assert_eq!(build(name, None, false).unwrap().check_response(y, trials), verdict, "{name} {y}");
    }
    let hurdle = build("truncated_nbinom2", None, true).unwrap();
    assert_eq!(hurdle.check_response(0.0, 1.0), Ok(()));
    assert_eq!(hurdle.check_response(1.5, 1.0), Err("a whole number, 0 or more"));
    let plain = build("truncated_nbinom2", None, false).unwrap();
    assert_eq!(plain.check_response(0.0, 1.0), Err("a whole number, 1 or more"));
    let hurdle = build("gamma", None, true).unwrap();
    assert_eq!(hurdle.check_response(0.0, 1.0), Ok(()));
    assert_eq!(hurdle.check_response(-1.0, 1.0), Err("a number, 0 or more"));
}

#[test]
fn refusals_name_what_there_is() {
    let message = |name, link, zi| build(name, link, zi).unwrap_err().to_string();
    assert_eq!(
        message("nbinom3", None, false),
        "there is no family 'nbinom3'; did you mean 'nbinom1'? Families: gaussian, binomial, \
         poisson, nbinom2, nbinom1, nbinom12, betabinomial, genpois, compois, bell, truncated_poisson, \
         truncated_genpois, truncated_compois, truncated_nbinom1, truncated_nbinom2, gamma, lognormal, \
         inverse_gaussian, student_t, beta, skewnormal, tweedie, cumulative, ordbeta"
    );
    assert_eq!(
        message("poisson", Some("logit"), false),
        "family poisson has no link 'logit'; did you mean 'log'? Links: log, sqrt, identity"
    );
    assert!(message("gaussian", None, true).contains("takes no zero-inflation formula"));
}

#[test]
fn cards_are_complete_and_files_are_listed() {
    for (i, entry) in CATALOGUE.iter().enumerate() {
        let card = entry.card;
        assert!(CATALOGUE[..i].iter().all(|other| other.card.name != card.name));
        assert_eq!(card.parameters[0].component, Component::Cond, "{}", card.name);
        assert_eq!(card.parameters[0].link, card.links[0], "{}", card.name);
        let family = build(card.name, None, false).unwrap();
        let components: Vec<_> = card.parameters.iter().map(|p| p.component).collect();
        // The thresholds between categories are one parameter on the card, and several predictors.
        let mut shown = family.components().to_vec();
        if card.support == Support::Ordered {
            shown.dedup();
        }
        assert_eq!(shown, components);
        assert_eq!(family.links().len(), family.components().len());
        assert!(!card.reference.is_empty() && !card.variance.is_empty());
    }
    // The interface and the wrappers; every other file holds families.
    let others = [
        "mod.rs",
        "alternatives.rs",
        "card.rs",
        "counted_tails.rs",
        "density.rs",
        "derivatives.rs",
        "error.rs",
        "start.rs",
        "zero_inflated.rs",
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/family");
    let catalogue = std::fs::read_to_string(format!("{folder}/mod.rs")).unwrap();
    let catalogue = &catalogue[catalogue.find("CATALOGUE: &[Entry]").unwrap()..];
    let catalogue = &catalogue[..catalogue.find("];").unwrap()];
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if others.contains(&name.as_str()) {
            continue;
        }
        let module = name.strip_suffix(".rs").unwrap();
        assert!(catalogue.contains(&format!("&{module}::")), "{name} is not in the catalogue");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_predictor_gives_a_number(
        which in 0_usize..100,
        y in prop_oneof![Just(0.0), Just(1.0), (2_u32..2000).prop_map(f64::from), Just(1e6)],
        eta in prop::collection::vec(prop_oneof![-5.0..5.0_f64, -700.0..700.0_f64], 5),
    ) {
        let families = families();
        let family = &families[which % families.len()];
        let eta = &eta[..family.components().len()];
        let trials = if family.card().support == Support::Trials { y.max(1.0) + 3.0 } else { 1.0 };
        let y = if family.card().support == Support::Unit { y / (y + 1.0) } else { y };
        prop_assume!(family.check_response(y, trials).is_ok());
        let by_hand = at(&**family, y, trials, eta, false);
        let by_jets = at(&**family, y, trials, eta, true);
        let value = by_hand[0][0];
        prop_assert!(value.is_finite() || value == f64::NEG_INFINITY);
        for entry in by_hand[1..].iter().chain(&by_jets[1..]).flatten() {
            prop_assert!(entry.is_finite());
        }
        if value.is_finite() && by_jets[0][0].is_finite() {
            let scale = value.abs().max(y * (y + 1.0).ln()).max(1.0);
            prop_assert!((value - by_jets[0][0]).abs() <= 1e-12 * scale);
        }
    }
}
