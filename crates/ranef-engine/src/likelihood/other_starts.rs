//! Where else to begin, in models whose likelihood is known to have several maxima.
//!
//! A search finds the maximum whose slope it stands on. Nothing here is decided: every start is searched from, and the
//! highest end is kept.
use super::data::Data;
use super::laplace::Layout;
use crate::covariance::Template;
use crate::family::Component;
use crate::linalg::small_cholesky;
use crate::link::Link;

/// How far other starts of a shape parameter are from its estimate, on its log scale.
const OTHER_SHAPE: f64 = 3.0;
/// Where they are on its logit scale.
const NEAR_THE_END: f64 = 6.0;
/// The size of a parameter of either sign at the least.
const SKEWED: f64 = 1.0;
/// Predictors of the zero inflation, a quarter and a half of the responses on its logit scale, at starts where it is that of
/// every row ...
const EVEN: [f64; 2] = [-1.0, 0.0];
/// ... and the standard deviation of its random effects.
const NEARLY_EVEN: f64 = 0.5;
/// The standard deviation of effects, on a log or logit scale, at a start after a search that ended without them.
const PRESENT: f64 = 1.0;
/// Predictors of a shape that differ by less are one shape.
const APART: f64 = 0.5;
/// Columns of a term whose cosine is larger than this are nearly one: a covariate seven standard deviations from zero, as a
/// year, beside the intercept.
const NEARLY_ONE: f64 = 0.99;
/// A standard deviation of effects on a log or logit scale beyond which the groups are nearly of two kinds ...
const WIDE: f64 = 5.0;
/// ... and by how much wider the other start is, the mean between two kinds of which one is the rule.
const WIDER: f64 = 3.0;

/// Starts from an optimum towards other maxima, along the parameters that shape the distribution: a skewness of the other
/// sign, heavier or lighter tails, another power of the variance. The dispersion begins where it leaves the variance of a
/// row in the middle what it was.
pub fn other_shapes(data: &Data, layout: &Layout, optimum: &[f64]) -> Vec<Vec<f64>> {
    let (design, family) = (&data.design, &data.family);
    let components = family.components();
    let constant = |k: usize, value: f64| design.fixed[k].project(&vec![value; design.n]);
    let mut starts = Vec::new();
    for k in (0..components.len()).filter(|&k| components[k] == Component::Shape && !design.is_random(k)) {
        let Some(range) = layout.beta[k].clone().filter(|range| !range.is_empty()) else { continue };
        let middles: Vec<f64> = (0..components.len()).map(|j| middle(data, layout, optimum, j)).collect();
        let shapes = match family.links()[k] {
            // A parameter of either sign, and of no small size: at zero the gaussian is a stationary point.
            Link::Identity => vec![-middles[k].abs().max(SKEWED), middles[k].abs().max(SKEWED)],
            Link::Logit => vec![-NEAR_THE_END, NEAR_THE_END],
            _ => vec![middles[k] - OTHER_SHAPE, middles[k] + OTHER_SHAPE],
        };
        for shape in shapes.into_iter().filter(|shape| (shape - middles[k]).abs() > APART) {
            let mut x = optimum.to_vec();
            x[range.clone()].copy_from_slice(&constant(k, shape));
            let mut eta = middles.clone();
            eta[k] = shape;
            let dispersion = components.iter().position(|c| *c == Component::Disp);
            if let Some((d, Some(own))) = dispersion.map(|d| (d, layout.beta[d].clone())) {
                let shift = keeping_variance(data, &middles, &mut eta, d) - middles[d];
                x[own].iter_mut().zip(constant(d, shift)).for_each(|(x, shift)| *x += shift);
            }
            starts.push(x);
        }
    }
    starts
}

/// The mean over the rows of a predictor without its random effects; 0 where its coefficients are not in x.
fn middle(data: &Data, layout: &Layout, x: &[f64], k: usize) -> f64 {
    let fixed = &data.design.fixed[k];
    let mut eta = fixed.offset().map_or_else(|| vec![0.0; data.design.n], <[f64]>::to_vec);
    if let Some(range) = layout.beta[k].clone() {
        fixed.add_to(&x[range], &mut eta);
    }
    eta.iter().sum::<f64>() / eta.len() as f64
}

/// The dispersion's predictor at which the variance of a row with the constants `eta` is what it is at `moments`; that of
/// the moments where there is none.
fn keeping_variance(data: &Data, moments: &[f64], eta: &mut [f64], dispersion: usize) -> f64 {
    let wanted = data.family.variance(moments, 1.0).ln();
    for _ in 0..20 {
        let now = data.family.variance(eta, 1.0).ln();
        let step = 1e-4;
        eta[dispersion] += step;
        let slope = (data.family.variance(eta, 1.0).ln() - now) / step;
        eta[dispersion] -= step;
        let change = (wanted - now) / slope;
        if !change.is_finite() || change.abs() > 30.0 {
            return moments[dispersion];
        }
        eta[dispersion] += change;
        if change.abs() < 1e-6 {
            break;
        }
    }
    eta[dispersion]
}

/// Other starts for a zero inflation that varies: nearly the same in every row, where the fit without random effects, which
/// takes their zeros for overdispersion, may have found none but at the far end of a covariate. None where it does not vary.
pub fn even_zeros(data: &Data, layout: &Layout, from: &[f64]) -> Vec<Vec<f64>> {
    let (design, template) = (&data.design, &data.design.template);
    let zi = data.family.components().iter().position(|c| *c == Component::Zi);
    let Some((k, range)) = zi.and_then(|k| Some((k, layout.beta[k].clone()?))) else { return Vec::new() };
    if range.len() < 2 && !design.is_random(k) {
        return Vec::new();
    }
    let mut x = from.to_vec();
    for (term, place) in design.places.iter().enumerate().filter(|(_, place)| place.predictor == k) {
        let own = template.theta_range(term);
        x[layout.theta.clone()][own].copy_from_slice(&template.covariance(term).start(&vec![NEARLY_EVEN; place.width]));
    }
    let even = |eta: f64| {
        let mut x = x.clone();
        x[range.clone()].copy_from_slice(&design.fixed[k].project(&vec![eta; design.n]));
        x
    };
    EVEN.map(even).to_vec()
}

/// Another start for terms whose columns are nearly one, as an intercept and a covariate far from zero are: with effects that
/// are independent of each other in the middle of the covariate instead of at its zero. `None` where there is no such term.
pub fn centred(data: &Data, layout: &Layout, from: &[f64]) -> Option<Vec<f64>> {
    let (design, template) = (&data.design, &data.design.template);
    let mut x = from.to_vec();
    let mut found = false;
    for (term, place) in design.places.iter().enumerate() {
        let (covariance, p) = (template.covariance(term), place.width);
        let range = template.theta_range(term);
        if p < 2 || range.len() != p * (p + 1) / 2 || !covariance.is_linear() {
            continue;
        }
        let columns = &design.groupings[place.grouping].columns[place.first..place.first + p];
        let mut gram = vec![0.0; p * p];
        for i in 0..design.n {
            for b in 0..p {
                for a in 0..p {
                    gram[b * p + a] += columns[a].at(i) * columns[b].at(i) / design.n as f64;
                }
            }
        }
        let cosine = |a: usize, b: usize| gram[b * p + a] / (gram[a * p + a] * gram[b * p + b]).sqrt();
        if !(0..p).any(|a| (0..a).any(|b| cosine(a, b).abs() > NEARLY_ONE)) {
            continue;
        }
        // z'b = (C^-1 z)'(C'b) with zz' = CC' on average: C'b has independent parts, of the size that the start gives the first.
        let lambda = template.term_factor(term, &from[layout.theta.clone()]);
        let size = lambda[0] * lambda[0] * gram[0];
        let mut factor = vec![0.0; p * p];
        if small_cholesky::factor_in_place(&mut gram, p).is_err() {
            continue;
        }
        small_cholesky::inverse_into(&gram, &mut factor, p);
        factor.iter_mut().for_each(|value| *value *= size);
        if small_cholesky::factor_in_place(&mut factor, p).is_err() {
            continue;
        }
        (1..p).for_each(|j| factor[j * p..j * p + j].fill(0.0));
        x[layout.theta.clone()][range].copy_from_slice(&covariance.theta_of(&factor));
        found = true;
    }
    found.then_some(x)
}

/// Starts beyond an optimum at which effects on a log or logit scale are so wide that the groups are nearly of two kinds, all
/// or nothing: there Laplace's likelihood may have another maximum farther out, with one of the kinds as the rule.
pub fn beyond(data: &Data, layout: &Layout, at: &[f64]) -> Vec<Vec<f64>> {
    let (design, template) = (&data.design, &data.design.template);
    let Some(mean) = layout.beta[0].clone().filter(|_| data.family.links()[0] != Link::Identity) else {
        return Vec::new();
    };
    let widest = (0..template.n_terms())
        .filter(|&term| design.places[term].predictor == 0)
        .map(|term| largest_sd(template, term, &at[layout.theta.clone()]))
        .fold(0.0, f64::max);
    if widest < WIDE {
        return Vec::new();
    }
    let aside = |sign: f64| {
        let mut x = at.to_vec();
        let wider = template.times(&at[layout.theta.clone()], WIDER);
        x[layout.theta.clone()].copy_from_slice(&wider);
        let shift = design.fixed[0].project(&vec![0.5 * sign * WIDER * widest; design.n]);
        x[mean.clone()].iter_mut().zip(shift).for_each(|(x, shift)| *x = WIDER * *x + shift);
        x
    };
    vec![aside(-1.0), aside(1.0)]
}

/// Another start from an optimum at which some terms of the mean have no variance, beside a dispersion or a zero inflation that
/// has taken it up: with their effects as wide as effects often are. `None` where nothing can have taken it up.
pub fn present(data: &Data, layout: &Layout, at: &[f64], without: &[usize]) -> Option<Vec<f64>> {
    let (design, template) = (&data.design, &data.design.template);
    if data.family.links()[0] == Link::Identity || !layout.beta.iter().skip(1).flatten().any(|range| !range.is_empty())
    {
        return None;
    }
    let mut x = at.to_vec();
    let mut found = false;
    for &term in without.iter().filter(|&&term| design.places[term].predictor == 0) {
        let start = template.covariance(term).start(&vec![PRESENT; design.places[term].width]);
        x[layout.theta.clone()][template.theta_range(term)].copy_from_slice(&start);
        found |= !start.is_empty();
    }
    found.then_some(x)
}

/// The largest standard deviation of a term's effects.
fn largest_sd(template: &Template, term: usize, theta: &[f64]) -> f64 {
    let (p, factor) = (template.covariance(term).size(), template.term_factor(term, theta));
    let variance = |i: usize| factor.chunks_exact(p).map(|column| column[i] * column[i]).sum::<f64>();
    (0..p).map(variance).fold(0.0, f64::max).sqrt()
}
