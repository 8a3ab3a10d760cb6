//! The model Hessian of the outer problem: average information plus boundary term (AI + N).
//!
//! With P = W - W A H^-1 A' W and the working vectors q_m = Z t_m, t_m = dLambda_m u + Lambda w_m, where w_m says how u
//! moves besides: -dLambda_m' Z'g for effects whose prior precision is 1 (Q^-1 times that for coupled ones), dQ^-1/dtheta_m
//! Q u for a parameter of their coupling,
//!
//! (for the log standard deviation of a Gaussian model q = 2 (y - eta) x, so that it has a part in the second line)
//!
//! H0(beta, beta) = X' P X,   H0(theta_j, theta_k) = q_j' P q_k / 2,   H0(beta, theta) = 0
//! + tr(dLambda_j' N dLambda_k) + <G, d2 Lambda_jk> for the theta of a term, where G = d Lap / d Lambda = N Lambda
//!
//! Near a zero variance the average information vanishes and N is all the curvature there is.
//!
//! Reference: Gilmour, Thompson & Cullis (1995), Biometrics 51, 1440-1450.
use super::curvature::{is_semidefinite, make_semidefinite};
use super::laplace::{Expansion, Laplace, product};
use crate::covariance::Parameter;
use crate::design::RowWeights;
use crate::linalg::BlockMatrix;
use crate::link::Link;
use rayon::prelude::*;
use std::ops::Range;

/// The smallest pivot of Lambda that N = G Lambda^-1 divides by.
const PIVOT_FLOOR: f64 = 1e-4;

/// A'W times the direction in which each outer parameter moves eta, with the solutions by H.
struct Directions {
    gathered: Vec<f64>,
    solved: Vec<f64>,
    /// t_m, Z'WZ t_m and w_m of each theta.
    theta: Vec<[Vec<f64>; 3]>,
    /// Z'WX of the outer parameters asked for.
    columns: Vec<Vec<f64>>,
}

/// From this many outer parameters on, their columns are looked through for zeros: levels of fixed effects meet few levels
/// of random ones.
const MANY: usize = 64;

impl Directions {
    /// The entries of each column that are not zero, where there are many columns.
    fn entries(&self, size: usize) -> Vec<Vec<(u32, f64)>> {
        if size == 0 || self.gathered.len() / size < MANY {
            return Vec::new();
        }
        let entries = |column: &[f64]| {
            let all = column.iter().enumerate().filter(|(_, value)| **value != 0.0);
            all.map(|(at, &value)| (at as u32, value)).collect()
        };
        self.gathered.chunks_exact(size).map(entries).collect()
    }
}

impl Laplace {
    /// AI + N at the point evaluated last, dim x dim, column-major; and the mode around it, which the same solutions give.
    pub(super) fn average_information(&self) -> (Vec<f64>, Expansion) {
        let k = self.data.design.n_predictors();
        let second = &self.state.rows.second;
        let spread = self.gaussian_dispersion();
        // Rows that are not log-concave enter with the absolute value of their curvature.
        let clipped = (spread.is_empty() && !is_semidefinite(second, k)).then(|| {
            let mut w = second.clone();
            make_semidefinite(&mut w, k);
            let mut zwz = BlockMatrix::zeros(&self.pattern, self.data.design.template.widths());
            self.data.design.crossproduct_into(&self.pattern, &w, self.inside(), &mut zwz);
            (w, zwz)
        });
        let (w, zwz) = clipped.as_ref().map_or((second, &self.crossproduct), |(w, zwz)| (w, zwz));
        let directions = self.directions(w, zwz, &spread);
        let (dim, size, first) = (self.layout.dim, self.state.mode.len(), self.layout.theta.start);
        let mut out = self.outer_crossproduct(w);
        let entries = directions.entries(size);
        for b in 0..dim {
            for a in 0..=b {
                let solved = &directions.solved[b * size..][..size];
                let explained = match entries.get(a) {
                    Some(own) => own.iter().map(|&(at, value)| value * solved[at as usize]).sum(),
                    None => product(&directions.gathered[a * size..][..size], solved),
                };
                out[b * dim + a] = match (a < first, b < first) {
                    (true, true) if spread.contains(&a) && spread.contains(&b) => out[b * dim + a] - 0.5 * explained,
                    (true, true) if spread.contains(&a) || spread.contains(&b) => 0.0,
                    (true, true) => out[b * dim + a] - explained,
                    (true, false) if spread.contains(&a) => {
                        let [t, ..] = &directions.theta[b - first];
                        0.5 * (product(&directions.columns[a - spread.start], t) - explained)
                    }
                    (false, false) => {
                        let ([t, ..], [_, image, _]) = (&directions.theta[a - first], &directions.theta[b - first]);
                        0.5 * (product(t, image) - explained)
                    }
                    _ => 0.0,
                };
                out[a * dim + b] = out[b * dim + a];
            }
        }
        self.add_boundary_term(&mut out);
        (out, self.expand(directions, clipped.is_none()))
    }

    /// The outer parameters of a Gaussian model's log standard deviation, where it has no random effects; else none.
    ///
    /// They are parameters of the variance like theta, with the working vector q = 2 (y - eta) x: its cross-products with
    /// those of theta are the information on both. (The rows' curvature in eta and log sd is never definite.)
    fn gaussian_dispersion(&self) -> Range<usize> {
        let (design, family) = (&self.data.design, &self.data.family);
        let gaussian = family.card().name == "gaussian" && family.links()[0] == Link::Identity;
        match self.layout.beta.get(1) {
            Some(Some(range)) if gaussian && !design.is_random(1) => range.clone(),
            _ => 0..0,
        }
    }

    /// The mode around the point evaluated last, from the curvature as it is.
    pub(super) fn exact_expansion(&self) -> Expansion {
        self.expand(self.directions(&self.state.rows.second, &self.crossproduct, &(0..0)), true)
    }

    /// The mode to first order around the point evaluated last: J = -H^-1 A'WX for beta, and for theta
    /// J_m = w_m - H^-1 A'W q_m, as A'WA is H without the prior precision.
    fn expand(&self, directions: Directions, exact: bool) -> Expansion {
        let (size, first) = (self.state.mode.len(), self.layout.theta.start);
        let mut jacobian = directions.solved;
        jacobian.iter_mut().for_each(|value| *value = -*value);
        for (m, [_, _, besides]) in directions.theta.iter().enumerate() {
            let column = &mut jacobian[(first + m) * size..][..size];
            column.iter_mut().zip(besides).for_each(|(value, besides)| *value += besides);
        }
        Expansion { x: self.state.x.clone(), mode: self.state.mode.clone(), jacobian, exact }
    }

    /// A'WX for beta and A'W q_m for theta. Only the first needs the rows: q_m = Z t_m, so that A'W q_m is Lambda' (Z'WZ)
    /// t_m.
    /// The columns of the parameters `keep` are kept in b too.
    fn directions(&self, w: &RowWeights, zwz: &BlockMatrix, keep: &Range<usize>) -> Directions {
        let (design, dim, size) = (&self.data.design, self.layout.dim, self.state.mode.len());
        let (mut gathered, mut columns) = (vec![0.0; size * dim], Vec::new());
        let in_u = |b: &[f64], column: &mut [f64]| {
            column[..self.q].copy_from_slice(&self.standardised(&b[..design.q]));
            column[self.q..].copy_from_slice(&b[design.q..]);
        };
        for (l, range) in self.layout.beta.iter().enumerate() {
            for (j, m) in range.clone().into_iter().flatten().enumerate() {
                let column = design.weighted_column(w, self.inside(), l, j);
                in_u(&column, &mut gathered[m * size..][..size]);
                if keep.contains(&m) {
                    columns.push(column);
                }
            }
        }
        let mut theta = Vec::with_capacity(design.template.n_theta());
        for m in 0..design.template.n_theta() {
            let (t, besides) = self.working_vector(m);
            let mut image = vec![0.0; t.len()];
            zwz.multiply(&self.pattern, &t, &mut image);
            in_u(&image, &mut gathered[(self.layout.theta.start + m) * size..][..size]);
            theta.push([t, image, besides]);
        }
        let mut solved = gathered.clone();
        if dim > MANY && size > 0 {
            // Some at a time: a solution takes room of its own.
            let chunks = solved.par_chunks_mut(MANY * size);
            chunks.for_each(|chunk| self.factorization.solve_in_place(chunk, chunk.len() / size));
        } else {
            self.factorization.solve_in_place(&mut solved, dim);
        }
        Directions { gathered, solved, theta, columns }
    }

    /// X'WX at the outer coefficients, in a matrix of all outer parameters.
    fn outer_crossproduct(&self, w: &RowWeights) -> Vec<f64> {
        let (design, dim) = (&self.data.design, self.layout.dim);
        let all = design.fixed_crossproduct(w);
        let ranges = self.layout.beta.iter().zip(&design.fixed);
        let place: Vec<Option<usize>> = ranges
            .flat_map(|(range, fixed)| (0..fixed.p()).map(move |j| range.as_ref().map(|range| range.start + j)))
            .collect();
        let mut out = vec![0.0; dim * dim];
        for (j, column) in place.iter().enumerate() {
            for (i, row) in place.iter().enumerate() {
                if let (Some(row), Some(column)) = (row, column) {
                    out[column * dim + row] = all[j * place.len() + i];
                }
            }
        }
        out
    }

    /// t_m over all b and the border, and w_m over all u.
    fn working_vector(&self, m: usize) -> (Vec<f64>, Vec<f64>) {
        let design = &self.data.design;
        let mut t = vec![0.0; design.q + self.state.mode.len() - self.q];
        let besides = match design.template.parameter(m) {
            Parameter::Coupling { factor, m } => self.coupling_shift(factor, m),
            Parameter::Factor { .. } => {
                let (f, derivative) = design.template.derivative(self.theta(&self.state.x), m);
                self.add_factor_move(f, &derivative, &mut t);
                self.factor_shift(f, &derivative)
            }
        };
        t[..design.q].iter_mut().zip(self.effects(&besides)).for_each(|(t, b)| *t += b);
        (t, besides)
    }

    /// Adds dLambda u of a grouping factor.
    fn add_factor_move(&self, f: usize, derivative: &[f64], t: &mut [f64]) {
        let design = &self.data.design;
        let (grouping, r) = (&design.groupings[f], design.template.ranks()[f]);
        let p = grouping.width();
        for level in 0..grouping.levels {
            let u = &self.state.mode[self.u_offsets[f] + level * r..][..r];
            let target = &mut t[design.offsets[f] + level * p..][..p];
            for (d, u) in derivative.chunks_exact(p).zip(u) {
                target.iter_mut().zip(d).for_each(|(target, d)| *target += d * u);
            }
        }
    }

    /// -Q^-1 dLambda' Z'g over all u: at the mode Lambda' Z'g = -Q u, so that it is dLambda' Lambda^-T u where the levels of
    /// the factor are coupled.
    fn factor_shift(&self, f: usize, derivative: &[f64]) -> Vec<f64> {
        let design = &self.data.design;
        let (grouping, lambda) = (&design.groupings[f], &self.state.factors[f]);
        let (p, r) = (grouping.width(), design.template.ranks()[f]);
        let mut out = vec![0.0; self.q];
        let coupled = design.template.coupling(f).is_some();
        let mut turned = vec![0.0; p];
        for level in 0..grouping.levels {
            let pull: &[f64] = if coupled {
                // Lambda is lower triangular: its transpose is solved from the last row up.
                let u = &self.state.mode[self.u_offsets[f] + level * r..][..r];
                for i in (0..r).rev() {
                    let pivot = lambda[i * p + i];
                    let pivot = if pivot.abs() < PIVOT_FLOOR { PIVOT_FLOOR.copysign(pivot) } else { pivot };
                    let known: f64 = (i + 1..p).map(|k| lambda[i * p + k] * turned[k]).sum();
                    turned[i] = (u[i] - known) / pivot;
                }
                &turned
            } else {
                &self.state.scores[design.offsets[f] + level * p..][..p]
            };
            let target = &mut out[self.u_offsets[f] + level * r..][..r];
            for (target, d) in target.iter_mut().zip(derivative.chunks_exact(p)) {
                *target = if coupled { product(d, pull) } else { -product(d, pull) };
            }
        }
        out
    }

    /// Adds tr(dLambda_j' N dLambda_k) + <G, d2Lambda_jk>.
    fn add_boundary_term(&self, out: &mut [f64]) {
        let (design, dim, first) = (&self.data.design, self.layout.dim, self.layout.theta.start);
        let theta = self.theta(&self.state.x);
        for term in 0..design.template.n_terms() {
            let Some(n) = self.boundary_matrix(term, theta) else { continue };
            let (covariance, range) = (design.template.covariance(term), design.template.theta_range(term));
            let (own, k) = (&theta[range.clone()], range.len());
            let g = design.template.term_block(term, &self.state.factor_gradient[design.template.factor_of(term)]);
            let mut block = vec![0.0; k * k];
            covariance.add_quadratic(own, &n, &mut block);
            covariance.add_curvature(own, &g, &mut block);
            for j in 0..k {
                for i in 0..k {
                    out[(first + range.start + j) * dim + first + range.start + i] += block[j * k + i];
                }
            }
        }
    }

    /// N of a term, symmetric p x p: G = N Lambda by back substitution with floored pivots. `None` for structures
    /// whose Lambda is not square.
    fn boundary_matrix(&self, term: usize, theta: &[f64]) -> Option<Vec<f64>> {
        let design = &self.data.design;
        let covariance = design.template.covariance(term);
        let p = covariance.size();
        if covariance.n_theta() == 0 || covariance.rank() != p {
            return None;
        }
        let lambda = design.template.term_factor(term, theta);
        let (f, (row, column)) = (design.template.factor_of(term), design.template.position(term));
        let width = design.groupings[f].width();
        let g = |i: usize, j: usize| self.state.factor_gradient[f][(column + j) * width + row + i];
        // Rows of N solve n Lambda = g from the last column backwards, Lambda being lower triangular.
        let mut n = vec![0.0; p * p];
        for i in 0..p {
            for j in (0..p).rev() {
                let pivot = lambda[j * p + j];
                let pivot = if pivot.abs() < PIVOT_FLOOR { PIVOT_FLOOR.copysign(pivot) } else { pivot };
                let known: f64 = (j + 1..p).map(|k| n[k * p + i] * lambda[j * p + k]).sum();
                n[j * p + i] = (g(i, j) - known) / pivot;
            }
        }
        for j in 0..p {
            for i in 0..j {
                let mean = 0.5 * (n[j * p + i] + n[i * p + j]);
                (n[j * p + i], n[i * p + j]) = (mean, mean);
            }
        }
        Some(n)
    }
}
