//! Cumulative: ordered categories, cut from a latent scale by thresholds.
//!
//! P(Y ≤ k) = F(θₖ − η),   k = 1, …, J − 1,   θ₁ < … < θ_{J−1}
//!
//! F is the inverse of the link. The J − 1 thresholds are linear in the predictors after the first,
//! one for each of their m parameters: θ = T α, with T the identity ("flexible"), or fewer α where
//! the thresholds are symmetric or equidistant. η has no intercept of its own; the thresholds are it.
//!
//! With a = θ_y − η, b = θ_{y−1} − η, the log probability of a middle category is that of a difference
//! of two distribution functions. It is written in logarithms from the nearer tail, so that neither a
//! rare category nor a far tail cancels:
//!
//! log[F(a) − F(b)] = log F(a) + log(1 − e^{−d}),   d = log F(a) − log F(b)
//!
//! or the same with 1 − F and the arguments exchanged. Derivatives in η act on d as a difference, which
//! for a narrow category keeps the digits that a sum over its two sides would lose.
//!
//! References: McCullagh (1980), J. R. Stat. Soc. B 42:109-142; Agresti (2010), Analysis of Ordinal
//! Categorical Data, 2nd ed., ch. 3 and 5; Christensen (2018), Cumulative link models for ordinal
//! regression with the R package ordinal, §2 (structured thresholds).

use rand::{Rng, RngExt};

use super::derivatives::scatter;
use super::{Card, Component, Derivatives, Family, FamilyError, Kind, Options, Parameter, Rows, Support};
use crate::jet::{Jet, Number, packed2, packed3};
use crate::link::Link;
use crate::special::{Taylor, log1mexp_derivatives};

/// Card of the cumulative family.
pub const CARD: Card = Card {
    name: "cumulative",
    title: "Cumulative (ordinal)",
    parameters: &[
        Parameter {
            name: "eta",
            component: Component::Cond,
            link: Link::Logit,
            meaning: "location on the latent scale; larger means higher categories",
        },
        Parameter {
            name: "theta",
            component: Component::Threshold,
            link: Link::Identity,
            meaning: "thresholds between the categories, on the latent scale",
        },
    ],
    links: &[Link::Logit, Link::Probit, Link::Cloglog, Link::Loglog, Link::Cauchit],
    support: Support::Ordered,
    zero_inflation: false,
    reference: "McCullagh (1980), J. R. Stat. Soc. B 42:109-142",
    variance: "sum k^2 P(k) - (sum k P(k))^2, k the category number",
};

/// How many free parameters the thresholds have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thresholds {
    /// One for each threshold.
    #[default]
    Flexible,
    /// Symmetric about the central one, or about the two central ones; a distance for each pair.
    Symmetric,
    /// The first, and the distance between neighbours.
    Equidistant,
}

impl Thresholds {
    /// Every structure.
    pub const ALL: [Thresholds; 3] = [Thresholds::Flexible, Thresholds::Symmetric, Thresholds::Equidistant];

    /// The name users write.
    pub fn name(self) -> &'static str {
        match self {
            Thresholds::Flexible => "flexible",
            Thresholds::Symmetric => "symmetric",
            Thresholds::Equidistant => "equidistant",
        }
    }

    /// The structure of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|structure| structure.name() == name)
    }

    /// Number of parameters of `count` thresholds.
    fn parameters(self, count: usize) -> usize {
        match self {
            Thresholds::Flexible => count,
            Thresholds::Symmetric => count / 2 + 1,
            Thresholds::Equidistant => count.min(2),
        }
    }

    /// Threshold `k` (from 0) of `count` as the parameters it is made of with their coefficients.
    fn row(self, k: usize, count: usize) -> Vec<(usize, f64)> {
        match self {
            Thresholds::Flexible => vec![(k, 1.0)],
            Thresholds::Equidistant if k == 0 => vec![(0, 1.0)],
            Thresholds::Equidistant => vec![(0, 1.0), (1, k as f64)],
            Thresholds::Symmetric => {
                let (odd, above) = (count % 2, 2 * k + 1 >= count);
                // The central threshold, or the two in the middle, and then the pairs outwards.
                let central = if odd == 1 { 0 } else { usize::from(above) };
                let distance = if above { k - count / 2 } else { (count - 1) / 2 - k };
                let mut row = vec![(central, 1.0)];
                if distance > 0 {
                    row.push((1 - odd + distance, if above { 1.0 } else { -1.0 }));
                }
                row
            }
        }
    }

    /// The parameters whose thresholds are nearest to `theta`, in the least-squares sense along each of them.
    fn nearest(self, theta: &[f64]) -> Vec<f64> {
        let count = theta.len();
        let mean = theta.iter().sum::<f64>() / count as f64;
        match self {
            Thresholds::Flexible => theta.to_vec(),
            Thresholds::Equidistant if count == 1 => theta.to_vec(),
            Thresholds::Equidistant => {
                let middle = 0.5 * (count as f64 - 1.0);
                let along = |f: &dyn Fn(usize, f64) -> f64| (0..count).map(|k| f(k, k as f64 - middle)).sum::<f64>();
                let spacing = along(&|k, x| x * theta[k]) / along(&|_, x| x * x);
                vec![mean - middle * spacing, spacing]
            }
            Thresholds::Symmetric => {
                let half = |k: usize| 0.5 * (theta[count - 1 - k] - theta[k]);
                if count % 2 == 1 {
                    let pairs = (0..count / 2).rev().map(half);
                    std::iter::once(mean).chain(pairs).collect()
                } else {
                    let inner = half(count / 2 - 1);
                    let pairs = (0..count / 2 - 1).rev().map(|k| half(k) - inner);
                    [mean - inner, mean + inner].into_iter().chain(pairs).collect()
                }
            }
        }
    }
}

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn Family>, FamilyError> {
    let count = options.ordinal.categories - 1;
    let structure = options.ordinal.thresholds;
    let parameters = structure.parameters(count);
    let mut links = vec![options.link];
    links.resize(1 + parameters, Link::Identity);
    let mut components = vec![Component::Cond];
    components.resize(1 + parameters, Component::Threshold);
    let map = (0..count).map(|k| structure.row(k, count)).collect();
    Ok(Box::new(Cumulative { links, components, structure, map }))
}

/// The cumulative family with a given number of categories.
#[derive(Clone, Debug)]
pub struct Cumulative {
    links: Vec<Link>,
    components: Vec<Component>,
    structure: Thresholds,
    /// The rows of T.
    map: Vec<Vec<(usize, f64)>>,
}

impl Cumulative {
    fn link(&self) -> Link {
        self.links[0]
    }

    /// J.
    fn categories(&self) -> usize {
        self.map.len() + 1
    }

    fn threshold(&self, k: usize, eta: &[f64]) -> f64 {
        self.map[k].iter().map(|&(j, coefficient)| coefficient * eta[1 + j]).sum()
    }

    fn thresholds(&self, eta: &[f64]) -> Vec<f64> {
        (0..self.map.len()).map(|k| self.threshold(k, eta)).collect()
    }

    /// The thresholds above and below category y = 1, …, J; none beyond the last and the first.
    fn around(&self, y: f64) -> (Option<usize>, Option<usize>) {
        let y = y as usize;
        ((y < self.categories()).then(|| y - 1), (y > 1).then(|| y - 2))
    }

    /// P(Y > k + 1) = 1 − F(θₖ − η) for each threshold.
    fn exceedances(&self, eta: &[f64]) -> Vec<f64> {
        self.thresholds(eta).iter().map(|theta| self.link().complement(theta - eta[0])).collect()
    }

    /// Adds to a gradient in the predictors the derivative `slope` along the argument θₖ − η.
    fn chain(&self, k: usize, slope: f64, gradient: &mut [f64]) {
        gradient[0] -= slope;
        for &(j, coefficient) in &self.map[k] {
            gradient[1 + j] += coefficient * slope;
        }
    }

    /// Fills rows from a kernel that gives the derivatives in (η, upper threshold, lower threshold).
    fn spread(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives, kernel: impl Fn(Link, &Local) -> [f64; 20]) {
        let k_all = self.components.len();
        let mut eta = vec![0.0; k_all];
        // Usually the thresholds are the same in every row: they are looked at once.
        let constant = (1..k_all).all(|k| rows.constant(k).is_some());
        let mut ordered = None;
        let mut active: Vec<(usize, [f64; 3])> = Vec::with_capacity(5);
        for i in 0..rows.y.len() {
            for (slot, column) in eta.iter_mut().zip(rows.eta) {
                *slot = column[i];
            }
            let feasible = match ordered {
                Some(ordered) if constant => ordered && !eta[0].is_nan(),
                _ => {
                    let inside = increasing(&self.thresholds(&eta));
                    ordered = Some(inside);
                    inside && !eta[0].is_nan()
                }
            };
            let (upper, lower) = self.around(rows.y[i]);
            let mut c = [0.0; 20];
            if feasible {
                let at = |k: Option<usize>| k.map(|k| self.threshold(k, &eta));
                c = kernel(self.link(), &Local { eta: eta[0], upper: at(upper), lower: at(lower) });
            }
            // Times zero: NaN as soon as one entry is infinite or NaN.
            if !feasible || c.iter().map(|entry| entry * 0.0).sum::<f64>() != 0.0 {
                c = [0.0; 20];
                c[0] = f64::NEG_INFINITY;
            }
            active.clear();
            active.push((0, [1.0, 0.0, 0.0]));
            for (which, k) in [(1, upper), (2, lower)] {
                for &(j, coefficient) in k.map_or(&[][..], |k| &self.map[k]) {
                    let place = active.iter().position(|entry| entry.0 == 1 + j).unwrap_or_else(|| {
                        active.push((1 + j, [0.0; 3]));
                        active.len() - 1
                    });
                    active[place].1[which] += coefficient;
                }
            }
            scatter(i, &c, &active, order, out);
        }
    }
}

/// Whether the thresholds are in their order.
fn increasing(theta: &[f64]) -> bool {
    theta.windows(2).all(|pair| pair[0] < pair[1]) && theta.iter().all(|theta| !theta.is_nan())
}

/// What the density of a row depends on.
struct Local {
    eta: f64,
    upper: Option<f64>,
    lower: Option<f64>,
}

impl Local {
    /// Whether log F(a) + log(1 − F(b)/F(a)) is the better form, rather than the one from above.
    fn from_below(&self, link: Link, upper: f64, lower: f64) -> bool {
        link.log_mean_value(upper - self.eta) <= link.log_complement_value(lower - self.eta)
    }

    /// d, the logarithm of the ratio of the two tails. For a category that is a small part of the larger tail, where the law
    /// allows it, from that share 1 − e^{−d} rather than as a difference.
    fn distance(&self, link: Link, below: bool, lead: f64, trail: f64) -> f64 {
        let (upper, lower) = (self.upper.unwrap_or(f64::INFINITY), self.lower.unwrap_or(f64::NEG_INFINITY));
        let (a, b) = (upper - self.eta, lower - self.eta);
        let share = match link {
            // F(a) − F(b) = F(a) (1 − F(b)) (1 − e^{−(a−b)})
            Link::Logit => {
                let other = if below { link.complement(b) } else { link.complement(-a) };
                -(lower - upper).exp_m1() * other
            }
            // atan a − atan b = atan((a − b)/(1 + ab))
            Link::Cauchit => f64::atan2(upper - lower, 1.0 + a * b) / (std::f64::consts::PI * lead.exp()),
            _ => f64::INFINITY,
        };
        if share < 0.5 { -(-share).ln_1p() } else { lead - trail }
    }
}

/// A term of the log density in one argument θ − η: its derivatives, and which of the local
/// predictors (1 upper, 2 lower) θ is.
#[derive(Clone, Copy)]
struct Side {
    derivatives: Taylor,
    threshold: usize,
}

impl Side {
    /// The partial derivative in the given local predictors (0 is η).
    #[inline(always)]
    fn partial(&self, variables: &[usize]) -> f64 {
        let mut sign = 1.0;
        for &variable in variables {
            if variable == 0 {
                sign = -sign;
            } else if variable != self.threshold {
                return 0.0;
            }
        }
        sign * self.derivatives[variables.len()]
    }
}

/// Value and derivatives of a row's log probability in (η, upper, lower), as a jet holds them.
fn closed_form(link: Link, row: &Local) -> [f64; 20] {
    let below = |theta: f64| link.log_mean_derivatives(theta - row.eta);
    let above = |theta: f64| link.log_complement_derivatives(theta - row.eta);
    let (lead, trail) = match (row.upper, row.lower) {
        (None, None) => return [0.0; 20],
        (Some(upper), None) => (Side { derivatives: below(upper), threshold: 1 }, None),
        (None, Some(lower)) => (Side { derivatives: above(lower), threshold: 2 }, None),
        (Some(upper), Some(lower)) if row.from_below(link, upper, lower) => {
            (Side { derivatives: below(upper), threshold: 1 }, Some(Side { derivatives: below(lower), threshold: 2 }))
        }
        (Some(upper), Some(lower)) => {
            (Side { derivatives: above(lower), threshold: 2 }, Some(Side { derivatives: above(upper), threshold: 1 }))
        }
    };
    let d = trail.map_or(f64::INFINITY, |trail| {
        row.distance(link, lead.threshold == 1, lead.derivatives[0], trail.derivatives[0])
    });
    let h = log1mexp_derivatives(d);
    // Beyond the range of the exponential the other side is not there, whatever its slopes.
    let trail = trail.filter(|_| h[1] > 0.0);
    let mut out = [0.0; 20];
    out[0] = lead.derivatives[0] + if trail.is_some() { h[0] } else { 0.0 };
    let gap = |variables: &[usize]| {
        trail.map_or(0.0, |trail| {
            if variables.iter().all(|&variable| variable == 0) {
                // A difference first, the sign after it: exact for a narrow category.
                let n = variables.len();
                let sign = if n % 2 == 1 { -1.0 } else { 1.0 };
                sign * (lead.derivatives[n] - trail.derivatives[n])
            } else {
                lead.partial(variables) - trail.partial(variables)
            }
        })
    };
    let [_, h1, h2, h3] = if trail.is_some() { h } else { [0.0; 4] };
    for x in 0..3 {
        out[1 + x] = lead.partial(&[x]) + h1 * gap(&[x]);
        for y in 0..=x {
            out[4 + packed2(y, x)] = lead.partial(&[y, x]) + h1 * gap(&[y, x]) + h2 * gap(&[x]) * gap(&[y]);
            for z in 0..=y {
                let pairs = gap(&[x, y]) * gap(&[z]) + gap(&[x, z]) * gap(&[y]) + gap(&[y, z]) * gap(&[x]);
                out[10 + packed3(z, y, x)] = lead.partial(&[z, y, x])
                    + h1 * gap(&[z, y, x])
                    + h2 * pairs
                    + h3 * gap(&[x]) * gap(&[y]) * gap(&[z]);
            }
        }
    }
    out
}

/// log P(Y = y) on any number type.
fn log_probability<D: Number>(link: Link, row: &Local, eta: D, upper: Option<D>, lower: Option<D>) -> D {
    match (upper, lower) {
        (None, None) => D::from(0.0),
        (Some(upper), None) => link.log_mean(upper - eta),
        (None, Some(lower)) => link.log_complement(lower - eta),
        (Some(upper), Some(lower)) => {
            let below = row.from_below(link, upper.value(), lower.value());
            let (lead, trail) = if below {
                (link.log_mean(upper - eta), link.log_mean(lower - eta))
            } else {
                (link.log_complement(lower - eta), link.log_complement(upper - eta))
            };
            let h = log1mexp_derivatives(row.distance(link, below, lead.value(), trail.value()));
            if h[1] > 0.0 { lead + (lead - trail).compose(h) } else { lead }
        }
    }
}

fn by_jet(link: Link, row: &Local) -> [f64; 20] {
    let seed = |value: f64, k: usize| Jet::<3, 20>::variable(value, k);
    let (upper, lower) = (row.upper.map(|value| seed(value, 1)), row.lower.map(|value| seed(value, 2)));
    log_probability(link, row, seed(row.eta, 0), upper, lower).coefficients
}

impl Family for Cumulative {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn components(&self) -> &[Component] {
        &self.components
    }

    fn links(&self) -> &[Link] {
        &self.links
    }

    fn feasible(&self, eta: &[f64]) -> bool {
        !eta[0].is_nan() && increasing(&self.thresholds(eta))
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        self.spread(rows, order, out, closed_form);
    }

    fn fill_by_jets(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        self.spread(rows, order, out, by_jet);
    }

    fn log_density(&self, y: f64, _trials: f64, eta: &[f64]) -> f64 {
        if !self.feasible(eta) {
            return f64::NEG_INFINITY;
        }
        let (upper, lower) = self.around(y);
        let at = |k: Option<usize>| k.map(|k| self.threshold(k, eta));
        let row = Local { eta: eta[0], upper: at(upper), lower: at(lower) };
        let value = log_probability(self.link(), &row, eta[0], row.upper, row.lower);
        if value.is_finite() { value } else { f64::NEG_INFINITY }
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        let category = y.fract() == 0.0 && y >= 1.0 && y <= self.categories() as f64;
        if category { Ok(()) } else { Err("the number of a category, 1, 2, ...") }
    }

    /// Cumulative proportions, with half an observation shared out so that no category is empty.
    fn start(&self, y: &[f64], _trials: Option<&[f64]>, weights: Option<&[f64]>, offset: Option<&[f64]>) -> Vec<f64> {
        let categories = self.categories();
        let mut counts = vec![0.5 / categories as f64; categories];
        let (mut total, mut shift) = (0.0, 0.0);
        for (i, &y) in y.iter().enumerate() {
            let weight = weights.map_or(1.0, |weights| weights[i]);
            if (1.0..=categories as f64).contains(&y) {
                counts[y as usize - 1] += weight;
            }
            total += weight;
            shift += weight * offset.map_or(0.0, |offset| offset[i]);
        }
        let (all, shift) = (counts.iter().sum::<f64>(), if total > 0.0 { shift / total } else { 0.0 });
        let mut below = 0.0;
        let theta: Vec<f64> = counts[..categories - 1]
            .iter()
            .map(|count| {
                below += count / all;
                self.link().eta(below) + shift
            })
            .collect();
        std::iter::once(0.0).chain(self.structure.nearest(&theta)).collect()
    }

    fn start_mean(&self, _y: f64, _trials: f64) -> f64 {
        0.0
    }

    fn predict(&self, kind: Kind, eta: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let arguments = |k: usize| self.threshold(k, eta) - eta[0];
        // d P(Y > k + 1) / d(θₖ − η)
        let fall = |k: usize| -self.link().mean_derivatives(arguments(k))[1];
        match kind {
            Kind::Response | Kind::Conditional => {
                let above = self.exceedances(eta);
                (0..above.len()).for_each(|k| self.chain(k, fall(k), gradient));
                1.0 + above.iter().sum::<f64>()
            }
            Kind::Variance => {
                // Of the number of thresholds exceeded: E N² = Σ (2k + 1) P(N > k).
                let above = self.exceedances(eta);
                let mean: f64 = above.iter().sum();
                let square: f64 = above.iter().enumerate().map(|(k, p)| (2 * k + 1) as f64 * p).sum();
                for k in 0..above.len() {
                    self.chain(k, ((2 * k + 1) as f64 - 2.0 * mean) * fall(k), gradient);
                }
                (square - mean * mean).max(0.0)
            }
            Kind::Category(y) => {
                let y = f64::from(y);
                if self.check_response(y, 1.0).is_err() || !self.feasible(eta) {
                    return f64::NAN;
                }
                let (upper, lower) = self.around(y);
                let at = |k: Option<usize>| k.map(|k| self.threshold(k, eta));
                let row = Local { eta: eta[0], upper: at(upper), lower: at(lower) };
                let c = closed_form(self.link(), &row);
                let p = c[0].exp();
                for (k, slope) in [(upper, c[2]), (lower, c[3])] {
                    if let Some(k) = k {
                        self.chain(k, p * slope, gradient);
                    }
                }
                p
            }
            Kind::Link => {
                gradient[0] = 1.0;
                eta[0]
            }
            Kind::Dispersion => 1.0,
            Kind::ZeroProbability => 0.0,
            Kind::ZeroLink => f64::NEG_INFINITY,
        }
    }

    fn sigma(&self, _eta: &[f64]) -> f64 {
        1.0
    }

    fn variance(&self, eta: &[f64], _trials: f64) -> f64 {
        self.predict(Kind::Variance, eta, &mut vec![0.0; eta.len()])
    }

    fn unit_deviance(&self, _y: f64, _trials: f64, _eta: &[f64]) -> Option<f64> {
        None
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        if !self.feasible(eta) {
            return [f64::NAN; 2];
        }
        let categories = self.categories() as f64;
        let below = y.ceil() - 1.0;
        let above = y.floor();
        let argument = |k: f64| self.threshold(k as usize - 1, eta) - eta[0];
        [
            if below < 1.0 {
                0.0
            } else if below >= categories {
                1.0
            } else {
                self.link().log_mean_value(argument(below)).exp()
            },
            if above < 1.0 {
                1.0
            } else if above >= categories {
                0.0
            } else {
                self.link().complement(argument(above))
            },
        ]
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let u = rng.random::<f64>();
        if !self.feasible(eta) {
            return f64::NAN;
        }
        1.0 + self.exceedances(eta).iter().filter(|&&above| u < above).count() as f64
    }

    fn closed_form(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{Ordinal, build_ordinal};

    fn family(link: &str, categories: usize, thresholds: Thresholds) -> Box<dyn Family> {
        build_ordinal("cumulative", Some(link), false, Ordinal { categories, thresholds }).unwrap()
    }

    #[test]
    fn structures_are_what_their_parameters_say() {
        let thetas = |structure: Thresholds, count: usize, alpha: &[f64]| -> Vec<f64> {
            assert_eq!(structure.parameters(count), alpha.len());
            let row = |k| structure.row(k, count).iter().map(|&(j, c)| c * alpha[j]).sum();
            (0..count).map(row).collect()
        };
        assert_eq!(thetas(Thresholds::Symmetric, 3, &[1.0, 2.0]), [-1.0, 1.0, 3.0]);
        assert_eq!(thetas(Thresholds::Symmetric, 4, &[1.0, 2.0, 3.0]), [-2.0, 1.0, 2.0, 5.0]);
        assert_eq!(thetas(Thresholds::Symmetric, 5, &[0.0, 1.0, 4.0]), [-4.0, -1.0, 0.0, 1.0, 4.0]);
        assert_eq!(thetas(Thresholds::Equidistant, 4, &[-1.0, 0.5]), [-1.0, -0.5, 0.0, 0.5]);
        for structure in Thresholds::ALL {
            for count in 1..8 {
                let alpha: Vec<f64> = (0..structure.parameters(count)).map(|j| 0.3 + 0.7 * j as f64).collect();
                let back = structure.nearest(&thetas(structure, count, &alpha));
                for (a, b) in back.iter().zip(&alpha) {
                    assert!((a - b).abs() < 1e-14, "{structure:?} {count}: {back:?} {alpha:?}");
                }
            }
        }
    }

    #[test]
    fn two_categories_are_a_binomial() {
        // P(Y = 2) = 1 − F(θ − η): for a symmetric link a binomial with intercept −θ.
        let ordinal = family("logit", 2, Thresholds::Flexible);
        let binomial = crate::family::build("binomial", None, false).unwrap();
        for (y, eta, theta) in [(0.0, 0.4, -1.2), (1.0, 0.4, -1.2), (1.0, -3.0, 2.0)] {
            let (a, b) =
                (ordinal.log_density(y + 1.0, 1.0, &[eta, theta]), binomial.log_density(y, 1.0, &[eta - theta]));
            assert!((a - b).abs() < 1e-15, "{a} {b}");
        }
    }

    #[test]
    fn a_narrow_category_keeps_its_digits() {
        // log[F(a) − F(b)] → log f(m) + log(a − b): the derivatives in η are those of the log density, which at
        // m = 1/4 are tanh(1/8) and −sech²(1/8)/2 for the logistic law.
        let ordinal = family("logit", 3, Thresholds::Flexible);
        let width = f64::powi(2.0, -30);
        let mut out = Derivatives::default();
        let eta = [[-0.25], [-0.5 * width], [0.5 * width]];
        let columns: Vec<&[f64]> = eta.iter().map(<[f64; 1]>::as_slice).collect();
        ordinal.derivatives(Rows { y: &[2.0], trials: None, eta: &columns }, 3, &mut out);
        let t = f64::tanh(0.125);
        let expected = [t, -0.5 * (1.0 - t * t), -0.5 * t * (1.0 - t * t)];
        for (got, expected) in [out.first[0][0], out.second[0][0], out.third[0][0]].iter().zip(expected) {
            // The differences over the width are right to 2⁻⁵² / 2⁻³⁰.
            assert!((got - expected).abs() < 1e-5, "{got} {expected}");
        }
    }

    #[test]
    fn probabilities_of_all_categories_sum_to_one() {
        for link in CARD.links {
            for thresholds in Thresholds::ALL {
                let family = family(link.name(), 6, thresholds);
                let eta: Vec<f64> = match thresholds {
                    Thresholds::Flexible => vec![0.3, -2.0, -0.5, 0.0, 0.1, 3.0],
                    Thresholds::Symmetric => vec![0.3, 0.5, 0.8, 1.5],
                    Thresholds::Equidistant => vec![0.3, -1.0, 0.6],
                };
                let mut slopes = vec![0.0; eta.len()];
                let total: f64 = (1..=6)
                    .map(|y| {
                        let mut gradient = vec![0.0; eta.len()];
                        let p = family.predict(Kind::Category(y), &eta, &mut gradient);
                        slopes.iter_mut().zip(&gradient).for_each(|(sum, g)| *sum += g);
                        p
                    })
                    .sum();
                assert!((total - 1.0).abs() < 1e-14, "{link} {thresholds:?}: {total}");
                assert!(slopes.iter().all(|slope| slope.abs() < 1e-14), "{link} {thresholds:?}: {slopes:?}");
            }
        }
    }
}
