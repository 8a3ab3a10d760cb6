//! Optima at which a covariance is singular.
//!
//! The optimiser works in entries of Lambda and in angles, where a zero variance and a correlation of one are ordinary
//! points. Here the end point is brought
//! to a canonical form (columns of Lambda that carry no variance are exactly zero), and tested: the derivative of the
//! objective with respect to variance added where there is none must not be negative (Karush-Kuhn-Tucker).
use super::verdict::TermVerdict;
use crate::covariance::Template;
use crate::linalg::singular_values;
use crate::objective::Objective;
use std::ops::Range;

/// A pivot of Lambda below this, in units of the term's scale, is tried at zero.
const SNAP: f64 = 2e-3;
/// The value may rise by this when a small pivot is set to zero: less than any difference that matters.
const SNAP_TOLERANCE: f64 = 1e-8;
/// A pivot below this, in units of the term's scale, counts as zero (lme4's isSingular).
const SINGULAR: f64 = 1e-4;
/// The displacement that measures curvature at a zero pivot, in units of the term's scale.
const PROBE: f64 = 1e-3;

/// Positions of theta in the parameters, and the size of Lambda that counts as one (the residual standard deviation
/// for absolute factors on an identity link, otherwise 1).
pub struct Frame<'a> {
    /// theta to Lambda.
    pub template: &'a Template,
    /// Where theta stands in x.
    pub theta: Range<usize>,
    /// The size of each term's Lambda that counts as one.
    pub units: Vec<f64>,
    /// Parameters that follow from the others.
    pub dependents: Vec<usize>,
}

impl Frame<'_> {
    /// Signs of columns flipped so that diagonals are not negative.
    pub fn canonical_signs(&self, x: &mut [f64]) {
        for term in 0..self.template.n_terms() {
            let range = self.range(term);
            self.template.covariance(term).canonical_signs(&mut x[range]);
        }
    }

    /// Sets theta that are near an edge (a small pivot of Lambda: zero) on it where the objective allows it, and moves
    /// variance that a zero pivot's column still carries into later columns. Returns the new value.
    pub fn snap(&self, objective: &mut dyn Objective, x: &mut Vec<f64>, value: f64) -> f64 {
        let mut value = value;
        for term in 0..self.template.n_terms() {
            for m in self.range(term).filter(|m| !self.dependents.contains(m)) {
                let Some(edge) = self.edge(term, m, x) else { continue };
                if x[m] == edge || (x[m] - edge).abs() > self.small(term, m, SNAP) {
                    continue;
                }
                let mut trial = x.clone();
                trial[m] = edge;
                self.fold_zero_columns(term, &mut trial);
                objective.complete(&mut trial);
                let mut ignored = vec![0.0; x.len()];
                let at_edge = objective.value_gradient(&trial, &mut ignored);
                if at_edge <= value + SNAP_TOLERANCE {
                    objective.accept();
                    (*x, value) = (trial, at_edge.min(value));
                }
            }
        }
        value
    }

    /// Indices of the parameters at an edge (zero variances, correlations of one), and of those that then have no
    /// meaning.
    pub fn fixed_at_edge(&self, x: &[f64]) -> Vec<usize> {
        let mut fixed = Vec::new();
        for term in 0..self.template.n_terms() {
            let range = self.range(term);
            let idle = self.template.covariance(term).idle(&x[range.clone()]);
            // Where there are no effects nothing says how they depend on each other.
            if !range.is_empty() && idle.len() == range.len() {
                let own = self.template.coupling_range(self.template.factor_of(term));
                fixed.extend(own.map(|m| self.theta.start + m));
            }
            fixed.extend(idle.into_iter().map(|m| range.start + m));
        }
        fixed
    }

    /// For each parameter at an edge: its term and d objective / d variance there.
    pub fn edge_curvature(&self, objective: &mut dyn Objective, x: &[f64]) -> Vec<(usize, usize, f64)> {
        let fixed = self.fixed_at_edge(x);
        let mut found = Vec::new();
        for term in 0..self.template.n_terms() {
            for m in self.range(term).filter(|m| fixed.contains(m) && !self.dependents.contains(m)) {
                let Some(edge) = self.edge(term, m, x).filter(|edge| x[m] == *edge) else { continue };
                let (mut moved, mut gradient) = (x.to_vec(), vec![0.0; x.len()]);
                moved[m] = self.within(term, m, edge, PROBE);
                let value = objective.value_gradient(&moved, &mut gradient);
                // d f / d theta = 2 theta d f / d variance at a pivot that is alone in its column.
                let curvature = if value.is_finite() { gradient[m] / (2.0 * (moved[m] - edge)) } else { f64::INFINITY };
                found.push((term, m, curvature));
            }
        }
        found
    }

    /// Moves parameters that are at an edge to where a variance of `size`, in units of the term's scale, begins.
    pub fn lift(&self, x: &mut [f64], which: &[usize], size: f64) {
        for &m in which {
            let term = self.template.term_of(m - self.theta.start);
            if let Some(edge) = self.edge(term, m, x) {
                x[m] = self.within(term, m, edge, size);
            }
        }
    }

    /// The verdict of each term.
    pub fn judge(&self, x: &[f64], curvature: &[(usize, usize, f64)]) -> Vec<TermVerdict> {
        (0..self.template.n_terms())
            .map(|term| {
                let covariance = self.template.covariance(term);
                let (p, r) = (covariance.size(), covariance.rank());
                let lambda = self.template.term_factor(term, &x[self.theta.clone()]);
                let singular_values = singular_values(&lambda, p, r).values;
                if !self.range(term).is_empty() && self.range(term).all(|m| self.dependents.contains(&m)) {
                    // What is not estimated is not judged.
                    return TermVerdict { rank: r, size: r, singular_values, kkt: None };
                }
                let rank = singular_values.iter().filter(|&&s| s > SINGULAR * self.units[term]).count();
                let kkt = curvature.iter().filter(|(t, _, _)| *t == term).map(|(_, _, c)| *c).reduce(f64::min);
                TermVerdict { rank, size: r, singular_values, kkt }
            })
            .collect()
    }

    fn range(&self, term: usize) -> Range<usize> {
        let range = self.template.theta_range(term);
        self.theta.start + range.start..self.theta.start + range.end
    }

    /// The edge near which a term's parameter is, if there is one for it.
    fn edge(&self, term: usize, m: usize, x: &[f64]) -> Option<f64> {
        let range = self.range(term);
        self.template.covariance(term).edge(&x[range.clone()], m - range.start)
    }

    /// A distance of a parameter from its edge, from a size of Lambda in units of the term's scale.
    fn small(&self, term: usize, m: usize, size: f64) -> f64 {
        match self.template.degree(m - self.theta.start) {
            0.0 => size,
            degree => (size * self.units[term]).powf(degree),
        }
    }

    /// That distance from the edge, on the side of zero.
    fn within(&self, term: usize, m: usize, edge: f64, size: f64) -> f64 {
        edge - self.small(term, m, size) * if edge > 0.0 { 1.0 } else { -1.0 }
    }

    /// Replaces Lambda by the semidefinite Cholesky factor of Lambda Lambda', in which a column with a zero pivot is zero.
    fn fold_zero_columns(&self, term: usize, x: &mut [f64]) {
        let covariance = self.template.covariance(term);
        let (p, r) = (covariance.size(), covariance.rank());
        if r != p || !covariance.is_linear() {
            return;
        }
        let lambda = self.template.term_factor(term, &x[self.theta.clone()]);
        let mut sigma = vec![0.0; p * p];
        for j in 0..p {
            for i in 0..p {
                sigma[j * p + i] = (0..r).map(|k| lambda[k * p + i] * lambda[k * p + j]).sum();
            }
        }
        let tolerance = (SINGULAR * 1e-2 * self.units[term]).powi(2);
        let mut factor = vec![0.0; p * p];
        for j in 0..p {
            let rest = |i: usize, factor: &[f64]| {
                sigma[j * p + i] - (0..j).map(|k| factor[k * p + i] * factor[k * p + j]).sum::<f64>()
            };
            let pivot = rest(j, &factor);
            if pivot > tolerance {
                let root = pivot.sqrt();
                for i in j..p {
                    factor[j * p + i] = rest(i, &factor) / root;
                }
            }
        }
        let range = self.range(term);
        x[range].copy_from_slice(&covariance.theta_of(&factor));
    }
}
