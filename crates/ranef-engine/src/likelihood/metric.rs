//! The model Hessian of the outer problem: average information plus boundary term (AI + N).
//!
//! With P = W - W A H^-1 A' W and the working vectors q_m = Z t_m, t_m = dLambda_m u - Lambda dLambda_m' (Z'g):
//!
//! H0(beta, beta) = X' P X,   H0(theta_j, theta_k) = q_j' P q_k / 2,   H0(beta, theta) = 0
//! + for theta that are entries of Lambda: N[a, c] at (ab), (cb), where d Lap / d Lambda = N Lambda
//!
//! Near a zero variance the average information vanishes and N is all the curvature there is.
//!
//! Reference: engine notes, 2.7; Gilmour, Thompson & Cullis (1995), Biometrics 51, 1440-1450.
use super::curvature::{is_semidefinite, make_semidefinite};
use super::laplace::{Expansion, Laplace, product};
use crate::family::packed2;
use crate::linalg::BlockMatrix;

/// The smallest pivot of Lambda that N = G Lambda^-1 divides by.
const PIVOT_FLOOR: f64 = 1e-4;

impl Laplace {
    /// AI + N at the point evaluated last, dim x dim, column-major.
    ///
    /// Nothing but X'WX and A'WX needs the rows: q_m is in the span of Z, so that A'W q_m = Lambda' (Z'WZ) t_m. The
    /// solutions give the mode's derivative too, which is kept: J = -H^-1 A'WX for beta, and for theta
    /// J_m = -H^-1 (A'W Z dLambda_m u + dLambda_m' Z'g) = -H^-1 A'W q_m - dLambda_m' Z'g, as A'WA = H - I.
    pub(super) fn average_information(&mut self) -> Vec<f64> {
        let data = self.data.clone();
        let (design, dim, k_all) = (&data.design, self.layout.dim, data.design.n_predictors());
        // Rows that are not log-concave enter with the absolute value of their curvature.
        let clipped = (!is_semidefinite(&self.state.rows.second, k_all)).then(|| {
            let mut w = self.state.rows.second.clone();
            make_semidefinite(&mut w, k_all);
            let mut zwz = BlockMatrix::zeros(&self.pattern, design.template.widths());
            design.crossproduct_into(&self.pattern, &w, self.inside(), &mut zwz);
            (w, zwz)
        });
        let (w, zwz) = clipped.as_ref().map_or((&self.state.rows.second, &self.crossproduct), |(w, zwz)| (w, zwz));
        let mut out = vec![0.0; dim * dim];
        let size = self.state.mode.len();
        let mut gathered = vec![0.0; size * dim];
        for (l, range) in self.layout.beta.iter().enumerate() {
            for (j, m) in range.clone().into_iter().flatten().enumerate() {
                let column = design.fixed[l].column(j);
                let weighted: Vec<Vec<f64>> =
                    (0..k_all).map(|k| w[packed2(k, l)].iter().zip(column).map(|(w, x)| w * x).collect()).collect();
                gathered[m * size..(m + 1) * size].copy_from_slice(&self.gather(&weighted));
                for (k, rows) in self.layout.beta.iter().enumerate().take(l + 1) {
                    for (value, a) in
                        design.fixed[k].gather(&weighted[k]).iter().zip(rows.clone().into_iter().flatten())
                    {
                        out[a * dim + m] = *value;
                        out[m * dim + a] = *value;
                    }
                }
            }
        }
        let n_theta = design.template.n_theta();
        let (mut along, mut images) = (Vec::with_capacity(n_theta), Vec::with_capacity(n_theta));
        for m in 0..n_theta {
            let (t, pulled) = self.working_vector(m);
            let mut image = vec![0.0; t.len()];
            zwz.multiply(&self.pattern, &t, &mut image);
            let column = &mut gathered[(self.layout.theta.start + m) * size..][..size];
            column[..self.q].copy_from_slice(&self.standardised(&image[..design.q]));
            column[self.q..].copy_from_slice(&image[design.q..]);
            along.push((t, pulled));
            images.push(image);
        }
        let mut solved = gathered.clone();
        self.factorization.solve_in_place(&mut solved, dim);
        let first = self.layout.theta.start;
        for b in 0..dim {
            for a in 0..=b {
                let explained = product(&gathered[a * size..][..size], &solved[b * size..][..size]);
                out[b * dim + a] = match (a < first, b < first) {
                    (true, true) => out[b * dim + a] - explained,
                    (false, false) => 0.5 * (product(&along[a - first].0, &images[b - first]) - explained),
                    _ => 0.0,
                };
                out[a * dim + b] = out[b * dim + a];
            }
        }
        self.add_boundary_term(&mut out);
        solved.iter_mut().for_each(|value| *value = -*value);
        for (m, (_, pulled)) in along.iter().enumerate() {
            let column = &mut solved[(first + m) * size..][..size];
            column.iter_mut().zip(pulled).for_each(|(value, pulled)| *value -= pulled);
        }
        self.expansion = Some(Expansion { x: self.state.x.clone(), mode: self.state.mode.clone(), jacobian: solved });
        out
    }

    /// t_m = dLambda_m u - Lambda dLambda_m' Z'g over all b and the border, and dLambda_m' Z'g over all u.
    fn working_vector(&self, m: usize) -> (Vec<f64>, Vec<f64>) {
        let design = &self.data.design;
        let theta = self.theta(&self.state.x);
        let (f, derivative) = design.template.derivative(theta, m);
        let (grouping, lambda) = (&design.groupings[f], &self.state.factors[f]);
        let (p, r) = (grouping.width(), design.template.ranks()[f]);
        let mut t = vec![0.0; design.q + self.state.mode.len() - self.q];
        let mut pulled = vec![0.0; self.q];
        for level in 0..grouping.levels {
            let u = &self.state.mode[self.u_offsets[f] + level * r..][..r];
            let g = &self.state.scores[design.offsets[f] + level * p..][..p];
            let target = &mut t[design.offsets[f] + level * p..][..p];
            for column in 0..r {
                let d = &derivative[column * p..(column + 1) * p];
                let along = product(d, g);
                pulled[self.u_offsets[f] + level * r + column] = along;
                for row in 0..p {
                    target[row] += d[row] * u[column] - lambda[column * p + row] * along;
                }
            }
        }
        (t, pulled)
    }

    /// Adds N[a, c] at theta = Lambda[a, b], Lambda[c, b].
    fn add_boundary_term(&self, out: &mut [f64]) {
        let (design, dim, first) = (&self.data.design, self.layout.dim, self.layout.theta.start);
        let theta = self.theta(&self.state.x);
        for term in 0..design.template.n_terms() {
            let Some(n) = self.boundary_matrix(term, theta) else { continue };
            let (covariance, range) = (design.template.covariance(term), design.template.theta_range(term));
            let p = covariance.size();
            for (i, a) in range.clone().enumerate() {
                for (j, c) in range.clone().enumerate() {
                    let (Some((row_a, column_a)), Some((row_c, column_c))) = (covariance.entry(i), covariance.entry(j))
                    else {
                        continue;
                    };
                    if column_a == column_c {
                        out[(first + a) * dim + first + c] += n[row_c * p + row_a];
                    }
                }
            }
        }
    }

    /// N of a term, symmetric p x p: G = N Lambda by back substitution with floored pivots. `None` for structures that
    /// are not entries of a square Lambda.
    fn boundary_matrix(&self, term: usize, theta: &[f64]) -> Option<Vec<f64>> {
        let design = &self.data.design;
        let covariance = design.template.covariance(term);
        let p = covariance.size();
        if covariance.n_theta() == 0 || covariance.entry(0).is_none() || covariance.rank() != p {
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
