//! Prior densities, held values and equal parameters: exact gradients, and optima that obey them.

use ranef_engine::covariance;
use ranef_engine::design::{
    Assumptions, Column, Constraint, Density, Design, Fixed, Penalty, Quantity, Scale, TermSpec,
};
use ranef_engine::family;
use ranef_engine::fitting::{Control, Fit, Likelihood, fit};
use ranef_engine::likelihood::assumed::Assumed;
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::{Laplace, Layout};
use ranef_engine::special::ln_gamma;
use std::f64::consts::{LN_2, PI};
use std::sync::Arc;

const GROUPS: usize = 12;
const N: usize = 8 * GROUPS;

/// Counts or measurements with intercepts and slopes that vary between groups, and intercepts between batches.
fn data(name: &str, structure: &str, assumptions: Assumptions) -> Arc<Data> {
    let noise = |i: usize, k: f64| (k * (i as f64 + 1.0)).sin() + 0.6 * (1.7 * k * (i as f64 + 0.3)).cos();
    let x: Vec<f64> = (0..N).map(|i| noise(i, 12.9898)).collect();
    let eta: Vec<f64> = (0..N)
        .map(|i| 0.8 + 0.3 * x[i] + 0.5 * noise(i % GROUPS, 78.233) + 0.3 * x[i] * noise(i % GROUPS, 3.77))
        .collect();
    let family = family::build(name, None, false).expect("in the catalogue");
    let y = (0..N)
        .map(|i| {
            let value = eta[i] + 0.3 * noise(i / 6, 5.1) + 0.7 * noise(i, 43.7);
            if name == "gaussian" { value } else { value.exp().round() }
        })
        .collect();
    let one = vec![1.0; N];
    let mut fixed = vec![Fixed::new(N, &[one.clone(), x.iter().map(|x| 5.0 + 2.0 * x).collect()].concat(), None)];
    fixed.extend((1..family.components().len()).map(|_| Fixed::new(N, &one, None)));
    let build = |name: &str, p: usize| covariance::build(name, p).expect("in the catalogue");
    let terms = vec![
        TermSpec {
            predictor: 0,
            grouping: 0,
            columns: vec![Column::One, Column::new(&x.iter().map(|x| 3.0 * x).collect::<Vec<_>>())],
            covariance: build(structure, 2),
        },
        TermSpec { predictor: 0, grouping: 1, columns: vec![Column::One], covariance: build("us", 1) },
    ];
    let groups = vec![
        ((0..N).map(|i| (i % GROUPS) as u32).collect(), GROUPS),
        ((0..N).map(|i| (i / 6) as u32).collect(), N / 6),
    ];
    let design = Arc::new(Design::new(N, fixed, groups, terms).assuming(assumptions));
    Arc::new(Data { y, trials: None, weights: None, family: family.into(), design })
}

const SLOPE: Quantity = Quantity::Coefficient { predictor: 0, column: 1 };
const SD: Quantity = Quantity::Sd { term: 0, column: 0 };
const SLOPE_SD: Quantity = Quantity::Sd { term: 0, column: 1 };
const BATCH: Quantity = Quantity::Sd { term: 1, column: 0 };

fn priors() -> Vec<Penalty> {
    let penalty = |quantity, scale, density| Penalty { quantity, scale, density };
    vec![
        penalty(SLOPE, Scale::Identity, Density::Normal { mean: 0.1, sd: 0.2 }),
        penalty(SLOPE, Scale::Identity, Density::StudentT { df: 4.0, location: 0.0, scale: 0.3 }),
        penalty(SLOPE, Scale::Identity, Density::StudentT { df: 1.0, location: 0.0, scale: 2.5 }),
        penalty(SD, Scale::Identity, Density::Gamma { mean: 1.0, shape: 2.5 }),
        penalty(SLOPE_SD, Scale::Identity, Density::Gamma { mean: 0.2, shape: 1.0 }),
        penalty(SLOPE_SD, Scale::Identity, Density::HalfNormal { scale: 0.4 }),
        penalty(BATCH, Scale::Identity, Density::HalfStudentT { df: 3.0, scale: 0.5 }),
        penalty(BATCH, Scale::Log, Density::Normal { mean: -1.0, sd: 0.5 }),
        penalty(Quantity::Correlations { term: 0 }, Scale::Identity, Density::Lkj { shape: 2.0 }),
    ]
}

fn fitted(data: Arc<Data>, method: Method) -> Fit {
    fit(data, Likelihood::Laplace(method), &Control::default()).expect("a model")
}

fn check_gradient(data: &Arc<Data>, method: Method, what: &str) {
    let layout = Layout::new(&data.design, method);
    let assumed = Assumed::new(&data.design, &layout, None).expect("consistent");
    let mut laplace = Laplace::new(data.clone(), method);
    let mut objective = assumed.objective(Box::new(&mut laplace));
    let mut x: Vec<f64> = (0..layout.dim).map(|m| 0.4 + 0.15 * (m as f64 * 1.3).sin()).collect();
    objective.complete(&mut x);
    let (mut gradient, mut ignored) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    objective.value_gradient(&x, &mut gradient);
    for m in 0..x.len() {
        let h = 1e-5;
        let (mut above, mut below) = (x.clone(), x.clone());
        above[m] += h;
        below[m] -= h;
        let up = objective.value_gradient(&above, &mut ignored);
        let difference = (up - objective.value_gradient(&below, &mut ignored)) / (2.0 * h);
        // Rounding of the value (about 1e2) over the step leaves 1e-8 of it.
        assert!((gradient[m] - difference).abs() < 2e-6, "{what}, x[{m}]: {} {difference}", gradient[m]);
    }
}

#[test]
fn gradients_are_exact_with_every_prior() {
    for (name, structure) in [("gaussian", "us"), ("poisson", "us"), ("poisson", "cs")] {
        for penalty in priors() {
            let assumptions = Assumptions { penalties: vec![penalty], constraints: Vec::new() };
            check_gradient(&data(name, structure, assumptions), Method::Ml, &format!("{name} {structure} {penalty:?}"));
        }
        let residual = Quantity::Coefficient { predictor: 1, column: 0 };
        if name == "gaussian" {
            let density = Density::Gamma { mean: 1.0, shape: 2.0 };
            let penalties = vec![Penalty { quantity: residual, scale: Scale::Exp, density }];
            check_gradient(
                &data(name, structure, Assumptions { penalties, constraints: Vec::new() }),
                Method::Ml,
                name,
            );
        }
    }
}

#[test]
fn gradients_are_exact_where_parameters_are_held_and_tied() {
    let sets: [(&str, Vec<Constraint>); 4] = [
        ("us", vec![Constraint::Held(SLOPE, 0.2), Constraint::Tied(SD, BATCH)]),
        ("diag", vec![Constraint::Held(SLOPE_SD, 0.15), Constraint::Tied(SD, BATCH)]),
        ("cs", vec![Constraint::Held(SD, 0.4), Constraint::Held(BATCH, 0.0)]),
        ("diag", vec![Constraint::Tied(SD, SLOPE_SD), Constraint::Tied(SLOPE_SD, BATCH)]),
    ];
    for (structure, constraints) in sets {
        let assumptions = Assumptions { penalties: priors()[..1].to_vec(), constraints };
        check_gradient(&data("poisson", structure, assumptions), Method::Ml, structure);
    }
}

/// The log densities at the user's coefficient, standard deviations and correlation, written out.
#[test]
fn prior_densities_are_those_of_the_users_parameters() {
    let layout = Layout::new(&data("poisson", "us", Assumptions::default()).design, Method::Ml);
    let x: Vec<f64> = (0..layout.dim).map(|m| 0.4 + 0.15 * (m as f64 * 1.3).sin()).collect();
    for penalty in priors() {
        let data = data("poisson", "us", Assumptions { penalties: vec![penalty], constraints: Vec::new() });
        let design = &data.design;
        let slope = design.fixed[0].to_original(&x[layout.beta[0].clone().expect("outer")])[1];
        let (theta, scales) = (&x[layout.theta.clone()], |term: usize, j: usize| design.places[term].scales[j]);
        // Lambda of the first term: (0,0) (1,0) (1,1); the second has one standard deviation.
        let sd = theta[0] / scales(0, 0);
        let (slope_sd, batch) = (theta[1].hypot(theta[2]) / scales(0, 1), theta[3] / scales(1, 0));
        let rho = theta[1] / theta[1].hypot(theta[2]);
        let normal = |z: f64, sd: f64| -0.5 * z * z - sd.ln() - 0.5 * (2.0 * PI).ln();
        let student = |z: f64, df: f64, scale: f64| {
            ln_gamma(0.5 * (df + 1.0))
                - ln_gamma(0.5 * df)
                - 0.5 * (df * PI).ln()
                - scale.ln()
                - 0.5 * (df + 1.0) * (1.0 + z * z / df).ln()
        };
        let gamma = |v: f64, mean: f64, shape: f64| {
            shape * (shape / mean).ln() - ln_gamma(shape) + (shape - 1.0) * v.ln() - shape * v / mean
        };
        let expected = match (penalty.quantity, penalty.density) {
            (_, Density::Normal { mean, sd }) if penalty.scale == Scale::Log => normal((batch.ln() - mean) / sd, sd),
            (_, Density::Normal { mean, sd }) => normal((slope - mean) / sd, sd),
            (_, Density::StudentT { df, location, scale }) => student((slope - location) / scale, df, scale),
            (SD, Density::Gamma { mean, shape }) => gamma(sd, mean, shape),
            (_, Density::Gamma { mean, shape }) => gamma(slope_sd, mean, shape),
            (_, Density::HalfNormal { scale }) => LN_2 + normal(slope_sd / scale, scale),
            (_, Density::HalfStudentT { df, scale }) => LN_2 + student(batch / scale, df, scale),
            // With a shape of 2 a correlation has the density 3 (1 - rho^2) / 4.
            (_, Density::Lkj { .. }) => (0.75 * (1.0 - rho * rho)).ln(),
        };
        let found = Assumed::new(design, &layout, None).expect("consistent").log_prior(&x);
        assert!((found - expected).abs() < 1e-12, "{penalty:?}: {found} not {expected}");
    }
}

/// What a prior adds to the metric: the Hessian of minus its logarithm, by differences, for densities that are log-concave
/// in the parameters; never less than nothing.
#[test]
fn log_concave_priors_add_their_curvature_to_the_metric() {
    let log_concave = |penalty: &Penalty| match penalty.density {
        Density::Normal { .. } => penalty.scale == Scale::Identity,
        Density::HalfNormal { .. } => true,
        Density::Gamma { shape, .. } => shape > 1.0,
        _ => false,
    };
    let metric = |data: &Arc<Data>, x: &[f64]| {
        let layout = Layout::new(&data.design, Method::Ml);
        let mut laplace = Laplace::new(data.clone(), Method::Ml);
        let assumed = Assumed::new(&data.design, &layout, None).expect("consistent");
        let mut objective = assumed.objective(Box::new(&mut laplace));
        objective.value_gradient(x, &mut vec![0.0; x.len()]);
        objective.accept();
        (objective.metric(x), assumed)
    };
    let plain = data("poisson", "us", Assumptions::default());
    let dim = Layout::new(&plain.design, Method::Ml).dim;
    let x: Vec<f64> = (0..dim).map(|m| 0.4 + 0.15 * (m as f64 * 1.3).sin()).collect();
    let without = metric(&plain, &x).0;
    for penalty in priors() {
        let data = data("poisson", "us", Assumptions { penalties: vec![penalty], constraints: Vec::new() });
        let (with, assumed) = metric(&data, &x);
        let added = |j: usize, k: usize| with[k * dim + j] - without[k * dim + j];
        assert!((0..dim).all(|j| added(j, j) >= -1e-9), "{penalty:?}: a curvature below zero");
        if !log_concave(&penalty) {
            continue;
        }
        for j in 0..dim {
            for k in 0..dim {
                // Differences of second order, with a step at which truncation and rounding are both near 1e-7.
                let at = |s: f64, t: f64| {
                    let mut moved = x.clone();
                    moved[j] += s;
                    moved[k] += t;
                    assumed.log_prior(&moved)
                };
                let h = 1e-4;
                let expected = -(at(h, h) - at(h, -h) - at(-h, h) + at(-h, -h)) / (4.0 * h * h);
                let error = (added(j, k) - expected).abs();
                assert!(
                    error < 1e-5 * (1.0 + expected.abs()),
                    "{penalty:?} ({j}, {k}): {} not {expected}",
                    added(j, k)
                );
            }
        }
    }
}

#[test]
fn an_optimum_under_priors_is_one() {
    for name in ["gaussian", "poisson"] {
        let plain = fitted(data(name, "us", Assumptions::default()), Method::Ml);
        let fit = fitted(data(name, "us", Assumptions { penalties: priors(), constraints: Vec::new() }), Method::Ml);
        let verdict = &fit.optimum.verdict;
        assert!(verdict.status.is_converged() && verdict.gradient_scaled < 1e-5, "{name}: {verdict:?}");
        assert!(fit.loglik < plain.loglik, "{name}: the likelihood alone is less than its maximum");
        assert!((fit.loglik + fit.log_prior + fit.optimum.value).abs() < 1e-10);
    }
}

#[test]
fn held_at_the_estimate_nothing_changes_and_elsewhere_the_profile_is_met() {
    for structure in ["us", "diag", "cs"] {
        let plain = fitted(data("poisson", structure, Assumptions::default()), Method::Ml);
        let slope = plain.data.design.fixed[0].to_original(&plain.beta[0])[1];
        let sd = plain.variance_components()[0].sds[0].0;
        let constraints = vec![Constraint::Held(SLOPE, slope), Constraint::Held(SD, sd)];
        let held = fitted(data("poisson", structure, Assumptions { penalties: Vec::new(), constraints }), Method::Ml);
        assert!(held.optimum.verdict.status.is_converged(), "{structure}: {:?}", held.optimum.verdict);
        assert_eq!(held.n_dependent, 2);
        assert!((held.loglik - plain.loglik).abs() < 1e-7, "{structure}: {} {}", held.loglik, plain.loglik);
        assert!((held.variance_components()[0].sds[0].0 - sd).abs() < 1e-12);
        assert!(held.variance_components()[0].sds[0].1.is_nan(), "a known value has no standard error");
        assert!(held.fixed_covariance(0).expect("known")[3].abs() < 1e-14);
    }
}

#[test]
fn equal_standard_deviations_are_equal_with_one_standard_error() {
    let constraints = vec![Constraint::Tied(SD, BATCH)];
    let fit = fitted(data("gaussian", "us", Assumptions { penalties: Vec::new(), constraints }), Method::Reml);
    assert!(fit.optimum.verdict.status.is_converged());
    let (one, other) = (fit.variance_components()[0].sds[0], fit.variance_components()[1].sds[0]);
    assert!((one.0 - other.0).abs() < 1e-12 && one.0 > 0.0);
    assert!((one.1 - other.1).abs() < 1e-10 && one.1 > 0.0);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let constraints = vec![Constraint::Held(SD, 0.3), Constraint::Held(BATCH, 0.4), Constraint::Tied(SD, BATCH)];
    let data = data("gaussian", "us", Assumptions { penalties: Vec::new(), constraints });
    let error = fit(data, Likelihood::Laplace(Method::Ml), &Control::default()).err().expect("a contradiction");
    assert!(error.to_string().contains("contradict"));
}
