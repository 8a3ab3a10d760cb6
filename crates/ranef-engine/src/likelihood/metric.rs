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
use super::curvature::make_semidefinite;
use super::laplace::Laplace;
use crate::family::packed2;

/// The smallest pivot of Lambda that N = G Lambda^-1 divides by.
const PIVOT_FLOOR: f64 = 1e-4;

/// A vector in row space that touches one predictor.
struct RowVector {
    predictor: usize,
    values: Vec<f64>,
}

impl Laplace {
    /// AI + N at the point evaluated last, dim x dim, column-major.
    pub(super) fn average_information(&self) -> Vec<f64> {
        let (design, dim) = (&self.data.design, self.layout.dim);
        let mut w = self.state.rows.second.clone();
        make_semidefinite(&mut w, design.n_predictors());
        let mut out = vec![0.0; dim * dim];
        let mut vectors: Vec<(usize, RowVector)> = Vec::new();
        for (k, range) in self.layout.beta.iter().enumerate() {
            for (j, m) in range.clone().into_iter().flatten().enumerate() {
                vectors.push((m, RowVector { predictor: k, values: design.fixed[k].column(j).to_vec() }));
            }
        }
        self.fill_gram(&vectors, &w, 1.0, &mut out);
        vectors.clear();
        for m in 0..design.template.n_theta() {
            vectors.push((self.layout.theta.start + m, self.working_vector(m)));
        }
        self.fill_gram(&vectors, &w, 0.5, &mut out);
        self.add_boundary_term(&mut out);
        out
    }

    /// factor * q_a' P q_b for all pairs of vectors.
    fn fill_gram(&self, vectors: &[(usize, RowVector)], w: &[Vec<f64>], factor: f64, out: &mut [f64]) {
        let (design, dim) = (&self.data.design, self.layout.dim);
        let size = self.q + self.inside().map_or(0, |k| design.fixed[k].p());
        let mut gathered = Vec::with_capacity(vectors.len() * size);
        for (_, vector) in vectors {
            let weighted: Vec<Vec<f64>> = (0..design.n_predictors())
                .map(|l| w[packed2(l, vector.predictor)].iter().zip(&vector.values).map(|(w, q)| w * q).collect())
                .collect();
            gathered.extend(self.gather(&weighted));
        }
        let mut solved = gathered.clone();
        self.factorization.solve_in_place(&mut solved, vectors.len());
        for (a, (ma, va)) in vectors.iter().enumerate() {
            for (b, (mb, vb)) in vectors.iter().enumerate().take(a + 1) {
                let weights = &w[packed2(va.predictor, vb.predictor)];
                let direct: f64 = weights.iter().zip(&va.values).zip(&vb.values).map(|((w, a), b)| w * a * b).sum();
                let explained: f64 = gathered[a * size..(a + 1) * size]
                    .iter()
                    .zip(&solved[b * size..(b + 1) * size])
                    .map(|(x, y)| x * y)
                    .sum();
                out[ma * dim + mb] = factor * (direct - explained);
                out[mb * dim + ma] = out[ma * dim + mb];
            }
        }
    }

    /// q_m = Z (dLambda_m u - Lambda dLambda_m' Z'g).
    fn working_vector(&self, m: usize) -> RowVector {
        let design = &self.data.design;
        let theta = self.theta(&self.state.x);
        let (f, derivative) = design.template.derivative(theta, m);
        let (grouping, lambda) = (&design.groupings[f], &self.state.factors[f]);
        let (p, r) = (grouping.width(), design.template.ranks()[f]);
        let zg = design.gather_random(&self.state.rows.first);
        let mut t = vec![0.0; design.q];
        for level in 0..grouping.levels {
            let u = &self.state.mode[self.u_offsets[f] + level * r..][..r];
            let g = &zg[design.offsets[f] + level * p..][..p];
            let target = &mut t[design.offsets[f] + level * p..][..p];
            for column in 0..r {
                let d = &derivative[column * p..(column + 1) * p];
                let along: f64 = d.iter().zip(g).map(|(d, g)| d * g).sum();
                for row in 0..p {
                    target[row] += d[row] * u[column] - lambda[column * p + row] * along;
                }
            }
        }
        let predictor = design.places[design.template.term_of(m)].predictor;
        let mut spread = vec![Vec::new(); design.n_predictors()];
        // Only this predictor's rows are touched by the term, but the factor's block may reach others.
        spread.iter_mut().for_each(|column| *column = vec![0.0; design.n]);
        design.add_random(&t, &mut spread);
        RowVector { predictor, values: spread.swap_remove(predictor) }
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
