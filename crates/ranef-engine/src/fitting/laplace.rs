//! Fits by Laplace's approximation or quadrature: from one start, and from those others that data of a kind ask for.
use super::verdict::Status;
use super::{Control, Fit, Likelihood, NO_INFORMATION, Optimum, SPREAD, adopt, search, separation, settings, units_of};
use crate::design::{Constraint, Quantity};
use crate::error::ModelError;
use crate::family::Component;
use crate::likelihood::assumed::Assumed;
use crate::likelihood::data::{Data, Method};
use crate::likelihood::laplace::{Laplace, Layout};
use crate::likelihood::other_starts::{beyond, centred, even_zeros, other_shapes, present};
use crate::likelihood::restriction::Restriction;
use crate::likelihood::start::{neutral, spread, start, with_moments};
use crate::link::Link;
use crate::optimizer::Update;
use std::sync::{Arc, Mutex, OnceLock};

/// Parameters beyond the mean whose predictor is this far out on its log or logit scale, on average, and without curvature
/// (`NO_INFORMATION`) are at the edge of the family.
const FAR_OUT: f64 = 5.0;
/// A zero inflation whose predictor is this far out, on average, has hardly a row for itself, or hardly one that it leaves.
const HARDLY_A_ROW: f64 = 2.0;
/// A conditional variance of a standardised effect, whose prior variance is 1, above which a search that ends without
/// an optimum has run into the place where Laplace's approximation breaks down.
const NOT_UNIMODAL: f64 = 10.0;
/// Where a search begins that takes the effects of a term to be independent in the middle of its covariate.
const CENTRED: &str = "with effects that are independent in the middle of their covariate";
/// Where a search begins after one that ended at effects nearly of two kinds.
const BEYOND: &str = "from effects three times as wide";
/// Where a search begins after one that ended without some effects.
const PRESENT: &str = "with effects where the first search ended without";
/// Where a search begins after one that lost the zero inflation.
const EVEN_ZEROS: &str = "from the same zero inflation in every row";
/// Where a search from another maximum of the model without random effects begins.
const OTHER_SHAPE: &str = "from another shape of the distribution";
/// A log likelihood that is lower by no more than this is nearly as high, ...
const NEARLY_AS_HIGH: f64 = 6.0;
/// ... and predictors of a shape (on a log or logit scale) that differ by more are different shapes.
const APART: f64 = 0.5;
/// Where a second search begins after one that ended at the edge of a parameter's space.
const WITHIN: &str = "from within the space of the parameters that were at its edge";

/// Said where not even the first search for the conditional modes came to an end.
const NOWHERE: &str = "the likelihood is not a finite number at any point where a search began: a value that is held, a \
    prior, a known matrix or a function of a custom family is too extreme for these data; give others, or measure the \
    response in other units";

pub(super) fn fit_laplace(data: Arc<Data>, method: Method, control: &Control) -> Result<Fit, ModelError> {
    let layout = Layout::new(&data.design, method);
    let assumed = Assumed::new(&data.design, &layout, None).map_err(ModelError::Restriction)?;
    let mut laplace = Laplace::new(data.clone(), method);
    laplace.stop = control.stop.clone();
    let own = start(&mut laplace, &data);
    let from = match &control.start {
        Some(given) => {
            // Where the density of a response is not concave, rows may have modes of two kinds: those of the fit that is
            // the start are of the kind that its likelihood has.
            if control.start_mode.len() == laplace.mode_size() {
                laplace.set_start_mode(control.start_mode.clone());
            }
            given.clone()
        }
        None => {
            let mut found = own.clone();
            adopt(&data, &layout, &control.start_values, &mut found);
            found
        }
    };
    let first_mode = laplace.start_mode().to_vec();
    // The average information of a Gaussian model tells the curvature far from the optimum too.
    let gaussian = data.family.card().name == "gaussian" && data.family.links()[0] == Link::Identity;
    let refreshed = gaussian && data.design.template.is_coupled();
    let settings = settings(control, if refreshed { Update::Refresh } else { Update::RankOne });
    let design = data.design.clone();
    let units = |x: &[f64]| units_of(&data, &layout.beta, x);
    let dependents = assumed.restriction().map_or_else(Vec::new, Restriction::dependents);
    let edge = |x: &[f64], hessian: &[f64]| {
        let mut found = family_edge(&data, &layout, x, hessian);
        found.retain(|m| !dependents.contains(m));
        found
    };
    // A coefficient that is held takes its own column's part of a start and no other's.
    let values: Vec<(Quantity, f64)> = design
        .assumptions
        .constraints
        .iter()
        .filter_map(|constraint| match constraint {
            Constraint::Held(quantity @ Quantity::Coefficient { .. }, value) => Some((*quantity, *value)),
            _ => None,
        })
        .collect();
    let search_from = |from: &[f64], laplace: &mut Laplace| {
        let mut from = from.to_vec();
        adopt(&data, &layout, &values, &mut from);
        let mut objective = assumed.objective(Box::new(laplace));
        let theta = layout.theta.clone();
        let mut optimum = search::search(&mut *objective, &from, &settings, units, &design.template, theta, edge);
        if let Some(restriction) = assumed.restriction() {
            restriction.spread(&mut optimum.covariance);
            optimum.held.retain(|m| !dependents.contains(m));
            optimum.held.extend(restriction.known(&optimum.held));
        }
        optimum
    };
    let mut optimum = search_from(&from, &mut laplace);
    if !optimum.value.is_finite() && from != own {
        // Where the start that was given has no likelihood, the one that the data suggest may have.
        start(&mut laplace, &data);
        optimum = search_from(&own, &mut laplace);
    }
    if laplace.mode().len() < laplace.n_effects() {
        return Err(ModelError::Shape(NOWHERE.into()));
    }
    if control.start.is_none()
        && let Some(theta) = spread(&design.template, &from[layout.theta.clone()])
    {
        let mut other = from.clone();
        other[layout.theta.clone()].copy_from_slice(&theta);
        let other = search_from(&other, &mut laplace);
        optimum = search::better_of(&mut laplace, optimum, other, SPREAD);
    }
    let mut several = false;
    if control.start.is_none() {
        for other in other_shapes(&data, &layout, &optimum.x) {
            let other = search_from(&other, &mut laplace);
            several |= is_another(&data, &layout, &optimum, &other);
            optimum = search::better_of(&mut laplace, optimum, other, OTHER_SHAPE);
        }
        if let Some(other) = centred(&data, &layout, &from) {
            let other = search_from(&other, &mut laplace);
            optimum = search::better_of(&mut laplace, optimum, other, CENTRED);
        }
        for other in beyond(&data, &layout, &optimum.x) {
            let other = search_from(&other, &mut laplace);
            optimum = search::better_of(&mut laplace, optimum, other, BEYOND);
        }
        let terms = optimum.verdict.terms.iter().enumerate();
        let without: Vec<usize> = terms.filter(|(_, term)| term.rank == 0).map(|(t, _)| t).collect();
        if let Some(other) = present(&data, &layout, &optimum.x, &without) {
            let other = search_from(&other, &mut laplace);
            optimum = search::better_of(&mut laplace, optimum, other, PRESENT);
        }
    }
    if several && optimum.verdict.status.is_converged() {
        optimum.verdict.status = Status::SeveralMaxima;
    }
    mark_separation(&data, &layout, &mut optimum);
    if control.start.is_none() && lost_inflation(&data, &layout, &optimum) {
        for even in even_zeros(&data, &layout, &from) {
            // Modes of the effects may be several where zeros are inflated: those of another search belong to its end.
            laplace.set_start_mode(first_mode.clone());
            let mut other = search_from(&even, &mut laplace);
            mark_separation(&data, &layout, &mut other);
            optimum = search::higher_of(&mut laplace, optimum, other, EVEN_ZEROS);
        }
    }
    // The likelihood is flat out there: only a search from within tells that it is the maximum.
    let within = if !optimum.verdict.boundary.is_empty() {
        Some(with_moments(&data, &layout.beta, &optimum.verdict.boundary, &optimum.x))
    } else if design.is_random(0) && optimum.verdict.separated.iter().any(|(predictor, _)| *predictor == 0) {
        Some(neutral(&data, &layout))
    } else {
        None
    };
    if let Some(within) = within {
        let mut other = search_from(&within, &mut laplace);
        mark_separation(&data, &layout, &mut other);
        optimum = search::better_of(&mut laplace, optimum, other, WITHIN);
    }
    let (decrement, definite) = laplace.inner_state();
    optimum.verdict.inner_decrement = decrement;
    optimum.verdict.inner_definite = definite;
    if optimum.verdict.status == Status::Failed && laplace.largest_variance() > NOT_UNIMODAL {
        optimum.verdict.status = Status::Breakdown;
    }
    Ok(of_laplace(data, layout, &assumed, laplace, optimum))
}

/// A fit at an optimum whose conditional modes are the objective's.
pub(super) fn of_laplace(
    data: Arc<Data>,
    layout: Layout,
    assumed: &Assumed,
    mut laplace: Laplace,
    optimum: Optimum,
) -> Fit {
    let modes = laplace.effects(&laplace.mode()[..laplace.n_effects()]);
    let log_prior = assumed.log_prior(&optimum.x);
    Fit {
        likelihood: Likelihood::Laplace(laplace.method()),
        loglik: -optimum.value - log_prior,
        log_prior,
        n_dependent: assumed.n_dependent(),
        beta: laplace.beta(),
        theta: optimum.x[layout.theta.clone()].to_vec(),
        modes,
        eta: OnceLock::from(std::mem::take(&mut laplace.state.eta)),
        inner_iterations: laplace.inner_iterations(),
        layout,
        fixed_conditional: None,
        profiled: None,
        marginal: None,
        parameter_covariance: optimum.covariance.clone(),
        parameters: optimum.x.clone(),
        mode: laplace.mode().to_vec(),
        optimum,
        posterior: Mutex::new(None),
        data,
    }
}

/// Whether two searches ended at different maxima, nearly of the same height, of a parameter that shapes the distribution
/// and of which not all maxima can have been tried. Of one that may have either sign both have been.
fn is_another(data: &Data, layout: &Layout, first: &Optimum, second: &Optimum) -> bool {
    let inside = |optimum: &Optimum| optimum.verdict.status.is_converged() && optimum.verdict.boundary.is_empty();
    if !(inside(first) && inside(second)) || (first.value - second.value).abs() > NEARLY_AS_HIGH {
        return false;
    }
    let design = &data.design;
    layout.beta.iter().enumerate().any(|(k, range)| {
        let shape = data.family.components()[k] == Component::Shape && data.family.links()[k] != Link::Identity;
        let Some(range) = range.clone().filter(|_| shape) else { return false };
        let apart: Vec<f64> = range.map(|m| first.x[m] - second.x[m]).collect();
        let mut eta = vec![0.0; design.n];
        design.fixed[k].add_to(&apart, &mut eta);
        eta.iter().any(|eta| eta.abs() > APART)
    })
}

/// A predictor with these coefficients, without its offset.
fn predictor(data: &Data, k: usize, beta: &[f64]) -> Vec<f64> {
    let mut eta = vec![0.0; data.design.n];
    data.design.fixed[k].add_to(beta, &mut eta);
    eta
}

/// Whether a predictor is farther out than `far`, on average.
fn is_far_out(eta: &[f64], far: f64) -> bool {
    eta.iter().map(|eta| eta.abs()).sum::<f64>() > far * eta.len() as f64
}

/// Whether a search found no maximum, or one with no zero inflation but for the far end of some covariate: what overdispersion
/// had explained at the start of the search, it may explain less well than zero inflation.
fn lost_inflation(data: &Data, layout: &Layout, optimum: &Optimum) -> bool {
    let Some(k) = data.family.components().iter().position(|c| *c == Component::Zi) else { return false };
    match optimum.verdict.status {
        Status::SeveralMaxima | Status::TimeLimit => false,
        status if status.is_converged() => {
            let range = layout.beta[k].clone();
            range.is_some_and(|range| is_far_out(&predictor(data, k, &optimum.x[range]), HARDLY_A_ROW))
        }
        _ => true,
    }
}

/// Coefficients of predictors beyond the mean that have run to the edge of the family: no overdispersion is left, or no
/// zero inflation.
fn family_edge(data: &Data, layout: &Layout, x: &[f64], hessian: &[f64]) -> Vec<usize> {
    let (design, gaussian) = (&data.design, data.family.card().name == "gaussian");
    let mut found = Vec::new();
    for (k, range) in layout.beta.iter().enumerate().skip(if gaussian { 2 } else { 1 }) {
        let Some(range) = range.clone().filter(|range| !range.is_empty() && !design.is_random(k)) else { continue };
        let eta = predictor(data, k, &x[range.clone()]);
        // Out to both sides it is no edge: a zero inflation of some rows and not of others is a step of its predictor.
        let aside = eta.iter().all(|eta| *eta > 0.0) || eta.iter().all(|eta| *eta < 0.0);
        if aside
            && is_far_out(&eta, FAR_OUT)
            && range.clone().all(|m| hessian[m * layout.dim + m].abs() < NO_INFORMATION)
        {
            found.extend(range);
        }
    }
    found
}

/// Marks coefficients on non-linear scales that run to infinity.
fn mark_separation(data: &Data, layout: &Layout, optimum: &mut Optimum) {
    let (dim, links) = (layout.dim, data.family.links());
    for (k, range) in layout.beta.iter().enumerate() {
        let Some(range) = range.clone().filter(|_| links[k] != Link::Identity) else { continue };
        let block: Vec<f64> = range
            .clone()
            .flat_map(|j| range.clone().map(move |i| j * dim + i))
            .map(|at| optimum.covariance[at])
            .collect();
        let found = separation::separated(&data.design.fixed[k], &optimum.x[range], &block);
        // A prior density gives a coefficient its maximum, however wide.
        let free = |column: &usize| {
            let quantity = Quantity::Coefficient { predictor: k, column: *column };
            data.design.assumptions.penalties.iter().all(|penalty| penalty.quantity != quantity)
        };
        optimum.verdict.separated.extend(found.into_iter().filter(free).map(|column| (k, column)));
    }
    let verdict = &mut optimum.verdict;
    if !verdict.separated.is_empty() && (verdict.status.is_converged() || verdict.status == Status::Flat) {
        verdict.status = Status::Separated;
    }
}
