//! Where the outer search of a Laplace objective begins.
//!
//! beta: the fit without random effects. theta: one-way moments of that fit's scores. For a column z on a factor with
//! levels l, the score S_l = sum z (dl/deta) has E S_l^2 = I_l + v I_l^2 with information I_l = sum z^2 W, so that
//! v = sum(S_l^2 - I_l) / sum I_l^2 estimates the variance.
use super::data::Data;
use super::independent::Independent;
use super::laplace::{Laplace, Layout};
use crate::covariance::{Natural, NaturalScale, Template};
use crate::family::{Component, packed2};
use crate::link::Link;
use crate::objective::Objective;
use crate::optimizer::{Settings, Update, minimise};
use std::sync::Arc;

/// The smallest starting variance, in units of the mean conditional variance of a level's effect.
const SMALLEST_SHARE: f64 = 0.05;
/// Starting standard deviations stay in this range (links are logarithmic or alike, columns have unit size).
const LARGEST_SD: f64 = 3.0;

/// A predictor beyond the mean's of this mean size, or the mean's so far from where moments put it, is near the edge of its
/// parameter's space.
const FAR_OUT: f64 = 5.0;

/// A point with the moment estimates of a family's constants in the place of some outer coefficients of `x`.
pub fn with_moments(data: &Arc<Data>, beta: &[Option<std::ops::Range<usize>>], which: &[usize], x: &[f64]) -> Vec<f64> {
    let constants = Independent::new(data.clone()).start();
    let (mut out, mut first) = (x.to_vec(), 0);
    for (fixed, range) in data.design.fixed.iter().zip(beta) {
        for (j, m) in range.clone().into_iter().flatten().enumerate().filter(|(_, m)| which.contains(m)) {
            out[m] = constants[first + j];
        }
        first += fixed.p();
    }
    out
}

/// A start far from every edge, for a search that ended at one: the mean of the responses, unit dispersion and shape, even
/// zero inflation, and standard deviations of 1 on the scale of the predictor.
pub fn neutral(data: &Arc<Data>, layout: &Layout) -> Vec<f64> {
    let (design, family) = (&data.design, &data.family);
    let trials: f64 = (0..design.n).map(|i| data.trials_at(i)).sum();
    let mean = family.start_mean(data.y.iter().sum::<f64>() / trials, 1.0);
    let thresholds = family.start(&data.y, data.trials.as_deref(), data.weights.as_deref(), design.fixed[0].offset());
    let mut x = vec![0.0; layout.dim];
    for (k, (fixed, range)) in design.fixed.iter().zip(&layout.beta).enumerate() {
        let Some(range) = range else { continue };
        let constant = match family.components()[k] {
            Component::Cond => mean,
            Component::Threshold => thresholds[k],
            _ => 0.0,
        };
        x[range.clone()].copy_from_slice(&fixed.project(&vec![constant; design.n]));
    }
    let template = &data.design.template;
    for (term, place) in data.design.places.iter().enumerate() {
        let range = template.theta_range(term);
        x[layout.theta.clone()][range].copy_from_slice(&template.covariance(term).start(&vec![1.0; place.width]));
    }
    start_couplings(template, &mut x[layout.theta.clone()]);
    x
}

/// Another start for terms of reduced rank, whose likelihood may have several maxima: with the standard deviations of a
/// start, but the loadings spread out. `None` where there is no such term.
pub fn spread(template: &Template, theta: &[f64]) -> Option<Vec<f64>> {
    let mut out = theta.to_vec();
    let mut found = false;
    for term in 0..template.n_terms() {
        let (covariance, range) = (template.covariance(term), template.theta_range(term));
        if covariance.rank() < covariance.size() {
            let natural = NaturalScale::new(covariance, &theta[range.clone()]);
            let sds: Vec<f64> = (0..covariance.size()).map(|i| natural.value(Natural::Sd(i))).collect();
            out[range].copy_from_slice(&covariance.start(&sds));
            found = true;
        }
    }
    found.then_some(out)
}

/// The start of `laplace`; also sets where its first search for the mode begins.
pub fn start(laplace: &mut Laplace, data: &Arc<Data>) -> Vec<f64> {
    let (design, layout) = (&data.design, laplace.layout().clone());
    let mut independent = Independent::new(data.clone());
    let from = independent.start();
    let stop = laplace.stop.clone();
    let settings = Settings { max_iterations: 50, gradient_tolerance: 1e-2, update: Update::Refresh, stop };
    let outcome = minimise(&mut independent, &from, &settings);
    let mut beta = if outcome.value.is_finite() { outcome.x } else { from.clone() };
    // What random effects will explain may have driven a parameter to the edge of its space, where the likelihood is flat:
    // there the search would stay. Moments are no worse a start.
    let (found, moments) = (independent.eta(&beta), independent.eta(&from));
    let size = |eta: &mut dyn Iterator<Item = f64>| eta.map(f64::abs).sum::<f64>() / design.n as f64;
    let away = size(&mut found[0].iter().zip(&moments[0]).map(|(found, moments)| found - moments));
    if data.family.links()[0] != Link::Identity && away > FAR_OUT {
        beta.clone_from(&from);
    }
    let mut at = 0;
    for (k, fixed) in design.fixed.iter().enumerate() {
        let range = at..at + fixed.p();
        at = range.end;
        let flat = matches!(data.family.components()[k], Component::Disp | Component::Shape);
        let size = |eta: &[f64]| size(&mut eta.iter().copied());
        if flat && size(&found[k]) > FAR_OUT.max(size(&moments[k])) {
            beta[range.clone()].copy_from_slice(&from[range]);
        }
    }
    let mut ignored = vec![0.0; beta.len()];
    independent.value_gradient(&beta, &mut ignored);
    let mut x = vec![0.0; layout.dim];
    let (mut first, mut mode) = (0, vec![0.0; laplace.n_effects()]);
    for (fixed, range) in design.fixed.iter().zip(&layout.beta) {
        let own = &beta[first..first + fixed.p()];
        match range {
            Some(range) => x[range.clone()].copy_from_slice(own),
            None => mode.extend_from_slice(own),
        }
        first += fixed.p();
    }
    debug_assert!(laplace.inside().is_none() || mode.len() >= laplace.n_effects());
    laplace.set_start_mode(mode);
    x[layout.theta.clone()].copy_from_slice(&start_theta(data, &independent));
    share_variance(data, &layout, &mut x);
    x
}

fn start_theta(data: &Data, independent: &Independent) -> Vec<f64> {
    let design = &data.design;
    let rows = independent.rows();
    // Where the density could not be evaluated, nothing tells of sizes.
    let told = rows.first.first().is_some_and(|score| score.len() == design.n);
    let mut theta = vec![0.0; design.template.n_theta()];
    for (term, place) in design.places.iter().enumerate() {
        let grouping = &design.groupings[place.grouping];
        let (score, curvature): (&[f64], &[f64]) = if told {
            (&rows.first[place.predictor], &rows.second[packed2(place.predictor, place.predictor)])
        } else {
            (&[], &[])
        };
        let columns: Vec<(Vec<f64>, Vec<f64>)> = (place.first..place.first + place.width)
            .map(|j| {
                let (mut s, mut information) = (vec![0.0; grouping.levels], vec![0.0; grouping.levels]);
                for (i, &code) in grouping.codes.iter().enumerate().take(score.len()) {
                    let z = grouping.columns[j].at(i);
                    s[code as usize] += z * score[i];
                    information[code as usize] += z * z * curvature[i].max(0.0);
                }
                (s, information)
            })
            .collect();
        let bounded = data.family.links()[place.predictor] != Link::Identity;
        let sds: Vec<f64> = columns
            .iter()
            .map(|(s, information)| {
                let total: f64 = information.iter().sum();
                let squares: f64 = information.iter().map(|v| v * v).sum();
                if !(total > 0.0 && squares.is_finite()) {
                    return 0.5;
                }
                let excess: f64 = s.iter().zip(information).map(|(s, i)| s * s - i).sum();
                let smallest = SMALLEST_SHARE * grouping.levels as f64 / total;
                (excess / squares).max(smallest).sqrt()
            })
            .map(|sd| if bounded { sd.clamp(0.05, LARGEST_SD) } else { sd })
            .collect();
        let covariance = design.template.covariance(term);
        let range = design.template.theta_range(term);
        if covariance.rank() < covariance.size() {
            // Likewise E S_li S_lj = v_ij I_li I_lj for two columns that are never both different from zero in a row.
            let p = place.width;
            let moment = |i: usize, j: usize| {
                let ((s, a), (t, b)) = (&columns[i], &columns[j]);
                let weight: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                if weight > 0.0 { s.iter().zip(t).map(|(s, t)| s * t).sum::<f64>() / weight } else { 0.0 }
            };
            let sigma: Vec<f64> = (0..p * p)
                .map(|at| (at % p, at / p))
                .map(|(i, j)| if i == j { sds[i] * sds[i] } else { moment(i, j) })
                .collect();
            theta[range].copy_from_slice(&covariance.start_near(&sigma));
            continue;
        }
        theta[range].copy_from_slice(&covariance.start(&sds));
    }
    start_couplings(&design.template, &mut theta);
    theta
}

/// Coupled effects with a row each have no moments that tell them from a Gaussian residual, whose start has all the
/// variance: they take their share of it, half where they seem to have less than a tenth.
fn share_variance(data: &Data, layout: &Layout, x: &mut [f64]) {
    let (design, template) = (&data.design, &data.design.template);
    let gaussian = data.family.card().name == "gaussian" && data.family.links()[0] == Link::Identity;
    let Some(Some(dispersion)) = layout.beta.get(1).filter(|_| gaussian && template.is_coupled()) else { return };
    if dispersion.is_empty() {
        return;
    }
    let mut eta = design.fixed[1].offset().map_or_else(|| vec![0.0; design.n], <[f64]>::to_vec);
    design.fixed[1].add_to(&x[dispersion.clone()], &mut eta);
    let total = eta.iter().map(|log_sd| (2.0 * log_sd).exp()).sum::<f64>() / design.n as f64;
    let mut rest = total;
    for (term, place) in design.places.iter().enumerate() {
        let range = template.theta_range(term);
        if place.predictor != 0 || place.width != 1 || range.len() != 1 {
            continue;
        }
        let at = layout.theta.start + range.start;
        if template.coupling(place.grouping).is_some() && x[at] * x[at] < 0.1 * total {
            x[at] = (0.5 * total).sqrt();
        }
        rest -= x[at] * x[at];
    }
    let shift = 0.5 * (rest.max(0.2 * total) / total).ln();
    let moved = design.fixed[1].project(&vec![shift; design.n]);
    x[dispersion.clone()].iter_mut().zip(moved).for_each(|(x, shift)| *x += shift);
}

fn start_couplings(template: &Template, theta: &mut [f64]) {
    for f in 0..template.widths().len() {
        if let Some(coupling) = template.coupling(f) {
            theta[template.coupling_range(f)].copy_from_slice(&coupling.start());
        }
    }
}
