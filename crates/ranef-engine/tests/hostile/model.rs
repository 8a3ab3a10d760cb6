//! A whole model: its fit, and what is asked of a fit.

use super::bytes::Bytes;
use super::density::{any_family, any_response};
use super::structure::any_structure;
use ranef_engine::design::{Column, Design, Fixed, TermSpec};
use ranef_engine::family::{self, Family, Kind};
use ranef_engine::fitting::{Control, Fit, Likelihood, fit};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::simulation::Effects;
use ranef_engine::stop::Stop;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Beyond it squares of the data are no numbers; such data are refused before they come to the engine.
const LARGEST: f64 = 1e100;

/// A column of any kind: ordinary, constant, of two values, or with awkward numbers.
fn any_column(bytes: &mut Bytes, n: usize) -> Vec<f64> {
    match bytes.below(8) {
        0 => vec![bytes.ordinary(); n],
        1 => (0..n).map(|_| f64::from(bytes.byte() & 1)).collect(),
        2 => (0..n).map(|_| bytes.real()).map(|x| if x.abs() > LARGEST { x.signum() } else { x }).collect(),
        _ => (0..n).map(|_| bytes.ordinary()).collect(),
    }
}

/// The rows that a family can produce, the first such in the place of the others.
fn any_responses(bytes: &mut Bytes, family: &dyn Family, n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let rows: Vec<(f64, f64)> = (0..n).map(|_| any_response(bytes, family.card().support)).collect();
    let right = |&(y, trials): &(f64, f64)| {
        (1.0..LARGEST).contains(&trials)
            && trials.fract() == 0.0
            && y.abs() < LARGEST
            && family.check_response(y, trials).is_ok()
    };
    let first = *rows.iter().find(|row| right(row))?;
    Some(rows.into_iter().map(|row| if right(&row) { row } else { first }).unzip())
}

fn any_model(bytes: &mut Bytes) -> Option<(Arc<Data>, Likelihood)> {
    let n = 2 + bytes.below(30);
    let linear = bytes.below(3) == 0;
    let family: Arc<dyn Family> =
        if linear { family::build("gaussian", None, false).expect("in the catalogue") } else { any_family(bytes) }
            .into();
    let (y, trials) = any_responses(bytes, &*family, n)?;
    let k = family.components().len();
    let fixed = (0..k)
        .map(|predictor| {
            let offset = bytes.flag().then(|| (0..n).map(|_| bytes.ordinary()).collect());
            if predictor > 0 && (linear || bytes.flag()) {
                return Fixed::intercept(n, None);
            }
            let columns = bytes.below(4);
            let mut x = if bytes.flag() { vec![1.0; n] } else { Vec::new() };
            (0..columns).for_each(|_| x.extend(any_column(bytes, n)));
            Fixed::new(n, &x, offset)
        })
        .collect();
    let groups: Vec<(Vec<u32>, usize)> = (0..1 + bytes.below(2))
        .map(|_| {
            let levels = 1 + bytes.below(9);
            ((0..n).map(|_| bytes.below(levels) as u32).collect(), levels)
        })
        .collect();
    let terms = (0..bytes.below(4))
        .map(|_| {
            let predictor = if linear || bytes.flag() { 0 } else { bytes.below(k) };
            let width = 1 + bytes.below(3);
            let columns = (0..width)
                .map(|_| if bytes.flag() { Column::One } else { Column::new(&any_column(bytes, n)) })
                .collect();
            TermSpec {
                predictor,
                grouping: bytes.below(groups.len()),
                columns,
                covariance: any_structure(bytes, width),
            }
        })
        .collect::<Vec<_>>();
    let weights = bytes.flag().then(|| (0..n).map(|_| 0.25 + f64::from(bytes.byte()) / 64.0).collect());
    let profiled = linear && bytes.flag();
    let one_factor = terms.iter().all(|term| term.grouping == terms[0].grouping) && !terms.is_empty();
    let likelihood = if profiled {
        Likelihood::Profiled { reml: bytes.flag(), weights: None }
    } else {
        Likelihood::Laplace(match bytes.below(6) {
            0 if linear => Method::Reml,
            1 => Method::Profile,
            2 if one_factor => Method::Quadrature(3),
            _ => Method::Ml,
        })
    };
    let design = Arc::new(Design::new(n, fixed, groups, terms));
    let weights = if profiled { None } else { weights };
    Some((Arc::new(Data { y, trials: Some(trials), weights, family, design }), likelihood))
}

/// A model is refused, or its fit answers all questions, with numbers where it says that it converged.
pub fn check(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let Some((data, likelihood)) = any_model(&mut bytes) else { return };
    // A sum of a million terms for each row is no fault; the time it takes is not what is looked for.
    let deadline = Instant::now() + Duration::from_millis(500);
    let stop = Stop::new(None, move || Instant::now() > deadline);
    let control = Control { max_iterations: 25, stop: stop.clone(), ..Control::default() };
    let Ok(fitted) = fit(data, likelihood, &control) else { return };
    if !stop.is_interrupted() {
        ask(&fitted);
    }
}

fn ask(fitted: &Fit) {
    let data = &fitted.data;
    let at = format!(
        "{} by {:?}, {:?}: loglik {}",
        data.family.card().name,
        fitted.likelihood,
        fitted.optimum.verdict.status,
        fitted.loglik
    );
    let converged = fitted.optimum.verdict.status.is_converged();
    let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
    if converged {
        assert!(fitted.loglik.is_finite(), "{at}");
        assert!(fitted.beta.iter().all(|beta| finite(beta)), "coefficients {:?}: {at}", fitted.beta);
        assert!(finite(&fitted.theta) && finite(&fitted.modes), "theta {:?}: {at}", fitted.theta);
        assert!(fitted.eta().iter().all(|eta| finite(eta)), "predictors: {at}");
    }
    for k in 0..data.family.components().len() {
        if let Some(covariance) = fitted.fixed_covariance(k) {
            let p = data.design.fixed[k].p();
            let variances: Vec<f64> = (0..p).map(|j| covariance[j * p + j]).collect();
            assert!(!converged || variances.iter().all(|v| v.is_nan() || *v >= 0.0), "variances {variances:?}: {at}");
        }
    }
    fitted.parameter_covariance();
    fitted.leverage();
    let keep = vec![true; data.design.places.len()];
    let residuals = fitted.quantile_residuals(&keep, 1);
    assert!(!converged || residuals.iter().all(|r| !r.is_nan()), "quantile residuals {residuals:?}: {at}");
    let own = fitted.own_design();
    for kind in [Kind::Response, Kind::Link, Kind::Variance] {
        let prediction = fitted.predict(&own, kind, true);
        assert_eq!(prediction.estimate.len(), data.y.len(), "{at}");
        if kind == Kind::Link && converged {
            assert!(finite(&prediction.estimate), "predictions: {at}");
        }
    }
    let drawn = fitted.simulate(2, 3, &vec![Effects::New; keep.len()], None, data.trials.as_deref());
    assert_eq!(drawn.len(), 2 * data.y.len(), "{at}");
}
