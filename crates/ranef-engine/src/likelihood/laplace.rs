//! The Laplace approximation of the likelihood, exact for Gaussian models.
//!
//! f(v) = - sum_i w_i l_i(eta_i) + |u|^2 / 2,   eta = X beta + Z Lambda u + offset
//! v_hat = argmin f,   H = A' W A + I at v_hat,   A = d eta / d v
//! Lap(beta, theta) = f(v_hat) + log|H| / 2      approximates - log L
//!
//! v holds u and, for REML and for the profile method, the mean's fixed effects beta_in ("inside"). The outer
//! parameters are the other predictors' beta (in orthonormal coordinates) and theta (in scaled columns).
//!
//! Reference: Skaug & Fournier (2006), Comput. Stat. Data Anal. 51, 699-709;
//! Kristensen et al. (2016), J. Stat. Softw. 70(5).
use super::data::{Data, Method};
use super::prior::Prior;
use super::quadrature::Rule;
use super::row_pass;
use crate::design::{Design, by_chunk};
use crate::family::{Derivatives, packed2};
use crate::linalg::{BlockMatrix, Congruence, Factorization, Pattern};
use crate::link::Link;
use crate::objective::{Objective, each_gradient};
use crate::stop::Stop;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Where each outer parameter stands in x.
#[derive(Clone, Debug)]
pub struct Layout {
    /// beta~ of each predictor; `None` where it is inside.
    pub beta: Vec<Option<Range<usize>>>,
    /// theta of all terms.
    pub theta: Range<usize>,
    /// Number of outer parameters.
    pub dim: usize,
}

impl Layout {
    /// Of a design by `method`.
    pub fn new(design: &Design, method: Method) -> Self {
        let mut next = 0;
        let beta = design
            .fixed
            .iter()
            .enumerate()
            .map(|(k, fixed)| {
                if method.inside() == Some(k) {
                    return None;
                }
                next += fixed.p();
                Some(next - fixed.p()..next)
            })
            .collect();
        let end = next + design.template.n_theta();
        Self { beta, theta: next..end, dim: end }
    }
}

/// What is known at the point evaluated last.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub x: Vec<f64>,
    pub factors: Vec<Vec<f64>>,
    /// P of all grouping factors.
    pub prior: Prior,
    /// u of all grouping factors, then beta~ inside.
    pub mode: Vec<f64>,
    pub eta: Vec<Vec<f64>>,
    /// Negated and weighted: value is w l, first is g, second W, third T.
    pub rows: Derivatives,
    /// Z'g.
    pub scores: Vec<f64>,
    /// d Lap / d Lambda_f.
    pub factor_gradient: Vec<Vec<f64>>,
    /// Value and gradient, once they have been computed.
    pub known: Option<(f64, Vec<f64>)>,
    pub decrement: f64,
    /// Largest conditional variance of a standardised effect; at most 1 where all rows are log-concave.
    pub largest_variance: f64,
    pub definite: bool,
}

/// The mode around a point to first order: v_hat(x + d) = mode + J d.
#[derive(Clone, Debug)]
pub(super) struct Expansion {
    pub x: Vec<f64>,
    pub mode: Vec<f64>,
    /// J = d v_hat / d x, column-major.
    pub jacobian: Vec<f64>,
    /// Whether J belongs to x, and to the rows' curvature as it is; otherwise it is good enough for a start.
    pub exact: bool,
}

impl Expansion {
    pub(super) fn at(&self, x: &[f64]) -> Vec<f64> {
        let mut mode = self.mode.clone();
        if mode.is_empty() {
            return mode;
        }
        for ((to, from), column) in x.iter().zip(&self.x).zip(self.jacobian.chunks_exact(mode.len())) {
            if to != from {
                mode.iter_mut().zip(column).for_each(|(v, j)| *v += (to - from) * j);
            }
        }
        mode
    }

    /// Moves to another point and its mode. J keeps its directions but for the one moved along, which the two modes tell
    /// (Broyden's update).
    fn rebase(&mut self, x: &[f64], mode: &[f64]) {
        let missed: Vec<f64> = self.at(x).iter().zip(mode).map(|(expected, found)| found - expected).collect();
        let step: Vec<f64> = x.iter().zip(&self.x).map(|(to, from)| to - from).collect();
        let length: f64 = step.iter().map(|d| d * d).sum();
        if length > 0.0 && !missed.is_empty() {
            for (column, d) in self.jacobian.chunks_exact_mut(missed.len()).zip(&step) {
                column.iter_mut().zip(&missed).for_each(|(j, m)| *j += d / length * m);
            }
        }
        self.x.copy_from_slice(x);
        self.mode.copy_from_slice(mode);
        self.exact = false;
    }
}

/// The Laplace objective of a model.
#[derive(Clone)]
pub struct Laplace {
    pub(crate) data: Arc<Data>,
    pub(crate) method: Method,
    pub(crate) layout: Layout,
    pub(crate) pattern: Arc<Pattern>,
    pub(crate) factorization: Factorization,
    pub(crate) crossproduct: BlockMatrix,
    pub(crate) hessian: BlockMatrix,
    /// Start of each grouping factor's part in the vector of all u.
    pub(crate) u_offsets: Vec<usize>,
    pub(crate) q: usize,
    pub(crate) state: State,
    /// A column of rows for each predictor, lent to what needs it for a while: columns of many rows cost more to allocate,
    /// a page at a time, than to fill.
    pub(crate) spare: Vec<Vec<f64>>,
    /// The nodes, where the effects are integrated out by quadrature.
    pub(super) rule: Option<Rule>,
    pub(super) start_mode: Vec<f64>,
    /// Made by a metric, and moved along with the best point.
    pub(super) expansion: Option<Expansion>,
    /// Whether the factorization belongs to a mode found before.
    pub(super) factored: bool,
    pub(super) inner_iterations: usize,
    /// What may end a search for the mode early.
    pub(crate) stop: Stop,
}

impl Laplace {
    /// The objective of `data` by `method`.
    pub fn new(data: Arc<Data>, method: Method) -> Self {
        let design = &data.design;
        let inside = method.inside();
        let layout = Layout::new(design, method);
        let border = inside.map_or(0, |k| design.fixed[k].p());
        let groups: Vec<(&[u32], usize)> = design.groupings.iter().map(|g| (g.codes.as_slice(), g.levels)).collect();
        let pattern = Arc::new(Pattern::new(&groups, border).tied(design.template.ties()));
        let ranks = design.template.ranks().to_vec();
        let (mut u_offsets, mut q) = (Vec::new(), 0);
        for (grouping, rank) in design.groupings.iter().zip(&ranks) {
            u_offsets.push(q);
            q += grouping.levels * rank;
        }
        let crossproduct = BlockMatrix::zeros(&pattern, design.template.widths());
        let hessian = BlockMatrix::zeros(&pattern, &ranks);
        let factorization = Factorization::new(pattern.clone(), &ranks);
        let start_mode = vec![0.0; q + border];
        let rule = match method {
            Method::Quadrature(points) => Some(Rule::new(points, ranks[0])),
            _ => None,
        };
        Self {
            method,
            rule,
            layout,
            pattern,
            factorization,
            crossproduct,
            hessian,
            u_offsets,
            q,
            state: State::default(),
            spare: Vec::new(),
            start_mode,
            expansion: None,
            factored: false,
            inner_iterations: 0,
            stop: Stop::NEVER,
            data,
        }
    }

    /// The observations.
    pub fn data(&self) -> &Arc<Data> {
        &self.data
    }

    /// The pattern of Z'Z.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// How fixed effects are treated.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Where each outer parameter stands.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The predictor whose fixed effects are inside.
    pub fn inside(&self) -> Option<usize> {
        self.method.inside()
    }

    /// Sets where the search for the mode starts: u, then beta~ inside.
    pub fn set_start_mode(&mut self, mode: Vec<f64>) {
        self.start_mode = mode;
        self.expansion = None;
        self.state.known = None;
    }

    /// Where the search for the mode starts.
    pub fn start_mode(&self) -> &[f64] {
        &self.start_mode
    }

    /// u of all grouping factors, then beta~ inside, at the point evaluated last.
    pub fn mode(&self) -> &[f64] {
        &self.state.mode
    }

    /// Linear predictors at the point evaluated last, by predictor.
    pub fn eta(&self) -> &[Vec<f64>] {
        &self.state.eta
    }

    /// Number of values of `mode`.
    pub fn mode_size(&self) -> usize {
        self.start_mode.len()
    }

    /// Number of effects u.
    pub fn n_effects(&self) -> usize {
        self.q
    }

    /// Inner iterations since the beginning.
    pub fn inner_iterations(&self) -> usize {
        self.inner_iterations
    }

    /// Newton decrement left at the mode, and whether the inner Hessian is positive definite there.
    pub fn inner_state(&self) -> (f64, bool) {
        (self.state.decrement, self.state.definite)
    }

    /// Largest conditional variance of a standardised effect, whose prior variance is 1.
    pub fn largest_variance(&self) -> f64 {
        self.state.largest_variance
    }

    /// d Lap / d Lambda_f at the point evaluated last.
    pub fn factor_gradient(&self) -> &[Vec<f64>] {
        &self.state.factor_gradient
    }

    /// theta of a point.
    pub fn theta<'a>(&self, x: &'a [f64]) -> &'a [f64] {
        &x[self.layout.theta.clone()]
    }

    /// beta~ of every predictor at the point evaluated last.
    pub fn beta(&self) -> Vec<Vec<f64>> {
        let state = &self.state;
        self.layout
            .beta
            .iter()
            .map(|range| {
                range.as_ref().map_or_else(|| state.mode[self.q..].to_vec(), |range| state.x[range.clone()].to_vec())
            })
            .collect()
    }

    /// b = Lambda u of all grouping factors.
    pub fn effects(&self, u: &[f64]) -> Vec<f64> {
        let design = &self.data.design;
        let mut b = vec![0.0; design.q];
        for (f, grouping) in design.groupings.iter().enumerate() {
            let (p, r) = (grouping.width(), design.template.ranks()[f]);
            let lambda = &self.state.factors[f];
            for level in 0..grouping.levels {
                let from = &u[self.u_offsets[f] + level * r..][..r];
                let to = &mut b[design.offsets[f] + level * p..][..p];
                for (column, &value) in from.iter().enumerate() {
                    for (row, target) in to.iter_mut().enumerate() {
                        *target += lambda[column * p + row] * value;
                    }
                }
            }
        }
        b
    }

    /// Lambda' b.
    pub(crate) fn standardised(&self, b: &[f64]) -> Vec<f64> {
        let design = &self.data.design;
        let mut u = vec![0.0; self.q];
        for (f, grouping) in design.groupings.iter().enumerate() {
            let (p, r) = (grouping.width(), design.template.ranks()[f]);
            let lambda = &self.state.factors[f];
            for level in 0..grouping.levels {
                let from = &b[design.offsets[f] + level * p..][..p];
                let to = &mut u[self.u_offsets[f] + level * r..][..r];
                for (column, target) in to.iter_mut().enumerate() {
                    *target = lambda[column * p..(column + 1) * p].iter().zip(from).map(|(l, b)| l * b).sum();
                }
            }
        }
        u
    }

    /// A'r for r by predictor: Lambda' Z'r, then X_in' r.
    pub(crate) fn gather(&self, r: &[Vec<f64>]) -> Vec<f64> {
        let mut out = self.standardised(&self.data.design.gather_random(r));
        if let Some(k) = self.inside() {
            out.extend(self.data.design.fixed[k].gather(&r[k]));
        }
        out
    }

    /// Adds A v to some rows of eta: b and beta~ inside are those of v.
    pub(super) fn add_spread(&self, rows: Range<usize>, b: &[f64], beta: &[f64], eta: &mut [&mut [f64]]) {
        let design = &self.data.design;
        design.add_random_rows(rows.clone(), b, eta);
        if let Some(k) = self.inside() {
            design.fixed[k].add_rows_to(rows, beta, eta[k]);
        }
    }

    /// Sets eta = outer + A v for the current mode; returns the largest change of a predictor on a non-linear scale.
    pub(super) fn refresh_eta(&mut self, outer: &[Vec<f64>]) -> f64 {
        let n = self.data.design.n;
        let mut eta = std::mem::take(&mut self.state.eta);
        if eta.len() != outer.len() {
            eta = outer.to_vec();
        }
        let links = self.data.family.links();
        let (u, beta) = self.state.mode.split_at(self.q);
        let b = self.effects(u);
        let columns = eta.iter_mut().map(Vec::as_mut_slice).collect();
        let changes = by_chunk(n, columns, |rows, eta| {
            let mut new: Vec<Vec<f64>> = outer.iter().map(|outer| outer[rows.clone()].to_vec()).collect();
            let mut targets: Vec<&mut [f64]> = new.iter_mut().map(Vec::as_mut_slice).collect();
            self.add_spread(rows, &b, beta, &mut targets);
            let mut largest = 0.0_f64;
            for ((old, new), link) in eta.iter_mut().zip(&new).zip(links) {
                if *link != Link::Identity {
                    largest = old.iter().zip(new).fold(largest, |m, (old, new)| m.max((new - old).abs()));
                }
                old.copy_from_slice(new);
            }
            largest
        });
        self.state.eta = eta;
        changes.into_iter().fold(0.0, f64::max)
    }

    /// Offsets plus outer fixed effects, in the spare columns.
    pub(super) fn outer_eta(&mut self, x: &[f64]) -> Vec<Vec<f64>> {
        let mut outer = self.take_spare();
        self.outer_eta_into(x, &mut outer);
        outer
    }

    pub(super) fn outer_eta_into(&self, x: &[f64], outer: &mut [Vec<f64>]) {
        for ((fixed, range), eta) in self.data.design.fixed.iter().zip(&self.layout.beta).zip(outer) {
            fixed.predict_into(range.as_ref().map_or(&[], |range| &x[range.clone()]), eta);
        }
    }

    /// The spare columns, whatever is in them; to be put back into `spare`.
    pub(super) fn take_spare(&mut self) -> Vec<Vec<f64>> {
        let mut columns = std::mem::take(&mut self.spare);
        columns.resize_with(self.data.design.n_predictors(), || vec![0.0; self.data.design.n]);
        columns
    }

    /// Row derivatives up to `order` at the current eta; returns f at the current mode.
    pub(super) fn evaluate_rows(&mut self, order: usize) -> f64 {
        let state = &mut self.state;
        let total = row_pass::evaluate(&self.data, &state.eta, order, &mut state.rows);
        let u = &self.state.mode[..self.q];
        -total + 0.5 * product(&self.prior_product(u), u)
    }

    /// H at the current rows, factored; `false` where it is not positive definite.
    pub(super) fn factor(&mut self) -> bool {
        let inside = self.inside();
        let (design, pattern) = (&self.data.design, &self.pattern);
        design.crossproduct_into(pattern, &self.state.rows.second, inside, &mut self.crossproduct);
        self.crossproduct.congruence(pattern, &self.state.factors, Congruence::Inner, &mut self.hessian);
        self.add_precisions();
        self.factorization.factor(&self.hessian).is_ok()
    }

    /// grad_v f at the current rows; keeps Z'g.
    pub(super) fn inner_gradient(&mut self) -> Vec<f64> {
        self.state.scores = self.data.design.gather_random(&self.state.rows.first);
        let mut gradient = self.standardised(&self.state.scores);
        if let Some(k) = self.inside() {
            gradient.extend(self.data.design.fixed[k].gather(&self.state.rows.first[k]));
        }
        let pulled = self.prior_product(&self.state.mode);
        gradient.iter_mut().zip(&pulled).for_each(|(g, u)| *g += u);
        gradient
    }

    /// f(v_hat) + log|H|/2 with the constants of the method.
    fn assemble_value(&self, f: f64) -> f64 {
        let value = f + 0.5 * (self.factorization.log_det() - self.state.prior.log_det());
        match (self.method, self.inside()) {
            (Method::Reml, Some(k)) => {
                let fixed = &self.data.design.fixed[k];
                // beta~ = R beta, so d beta = d beta~ / |R|.
                value + 0.5 * self.factorization.log_det_border() + fixed.log_det()
                    - 0.5 * fixed.p() as f64 * (2.0 * std::f64::consts::PI).ln()
            }
            _ => value,
        }
    }

    /// W_kk V_kk of a predictor's rows: the generalised leverage, with fixed effects inside counted.
    pub fn leverage(&self, predictor: usize) -> Vec<f64> {
        let inverse = self.inverse_blocks();
        let s = self.effect_covariance(&inverse);
        let v = self.data.design.row_covariance(&self.pattern, &s, self.inside());
        let at = packed2(predictor, predictor);
        if v[at].is_empty() {
            return vec![0.0; self.data.design.n];
        }
        v[at].iter().zip(&self.state.rows.second[at]).map(|(v, w)| v * w).collect()
    }
}

pub(super) fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The prior variance of a standardised effect is 1. Where data make it a hundred times as uncertain, H is about to
/// turn singular and log|H| to run to minus infinity: not a likelihood but the end of the approximation.
const LARGEST_VARIANCE: f64 = 100.0;

/// Rows, or values of the inner Hessian, up to which copies of an objective are worth making.
const LARGEST_COPY: usize = 1 << 17;
/// Rows from which gradients nearby are worth sharing between threads.
const SMALLEST_PARALLEL: usize = 1000;

impl Laplace {
    /// The gradient at the mode that the expansion expects at x; `None` where that does not do.
    fn expected_gradient(&mut self, x: &[f64]) -> Option<Vec<f64>> {
        if self.stop.is_due() {
            return None;
        }
        let mode = self.expansion.as_ref()?.at(x);
        self.state.decrement = 0.0;
        if !self.place_to(x, mode, 3) || x.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut gradient = vec![0.0; x.len()];
        self.outer_gradient(&mut gradient);
        let sound = self.state.largest_variance <= LARGEST_VARIANCE && gradient.iter().all(|g| g.is_finite());
        sound.then_some(gradient)
    }
}

impl Objective for Laplace {
    fn dim(&self) -> usize {
        self.layout.dim
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        if x.iter().any(|value| !value.is_finite()) {
            return f64::INFINITY;
        }
        if let Some((value, known)) = self.state.known.as_ref().filter(|_| self.state.x == x) {
            gradient.copy_from_slice(known);
            return *value;
        }
        let Some(f) = self.find_mode(x, 3) else { return f64::INFINITY };
        let (integral, correction) = self.outer_gradient(gradient);
        if self.state.largest_variance > LARGEST_VARIANCE {
            return f64::INFINITY;
        }
        let value = integral.unwrap_or_else(|| self.assemble_value(f)) - correction;
        self.state.known = Some((value, gradient.to_vec()));
        value
    }

    fn metric(&mut self, _x: &[f64]) -> Vec<f64> {
        let (information, expansion) = self.average_information();
        self.expansion = Some(expansion);
        information
    }

    /// At the modes that the expansion around x expects, without a search: what they lack is of second order in the
    /// displacement, so that its effect on the gradient is even. Each point is evaluated from scratch, on a copy of this
    /// objective where that is small, so that neither the order nor the number of threads shows.
    fn gradients_nearby(&mut self, x: &[f64], points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        let exact = self.expansion.as_ref().is_some_and(|expansion| expansion.exact && expansion.x == x);
        if !exact {
            if self.state.known.is_none() || self.state.x != x {
                return each_gradient(self, points);
            }
            self.expansion = Some(self.exact_expansion());
        }
        let found: Option<Vec<Vec<f64>>> =
            if self.data.design.n > LARGEST_COPY || self.hessian.n_values() > LARGEST_COPY {
                points.iter().map(|point| self.expected_gradient(point)).collect()
            } else if self.data.design.n < SMALLEST_PARALLEL && !self.factorization.is_costly(self.data.design.n) {
                let mut copy = self.clone();
                points.iter().map(|point| copy.expected_gradient(point)).collect()
            } else {
                points.par_iter().map_init(|| self.clone(), |copy, point| copy.expected_gradient(point)).collect()
            };
        if found.is_none() && self.stop.is_due() { None } else { found.or_else(|| each_gradient(self, points)) }
    }

    fn parts(&self) -> Option<Vec<Option<u32>>> {
        super::separable::parts(&self.data.design, &self.layout)
    }

    fn accept(&mut self) {
        if let Some(expansion) = self.expansion.as_mut().filter(|expansion| expansion.x != self.state.x) {
            expansion.rebase(&self.state.x, &self.state.mode);
        }
        self.start_mode.clone_from(&self.state.mode);
    }
}
