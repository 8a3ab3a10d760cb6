//! Adaptive Gauss-Hermite quadrature over the random effects of one grouping factor.
//!
//! With f_j(u) the part of f that belongs to level j, u_j its mode, H_j = C_j C_j' its Hessian there (r x r), and z_m, w_m the
//! product rule for the standard normal density,
//!
//! u_jm = u_j + C_j^-T z_m
//! - log L = - sum_j { - log|C_j| + log sum_m w_m exp( |z_m|^2 / 2 - f_j(u_jm) ) }
//!
//! One point is Laplace's approximation. The gradient is [`Laplace::outer_gradient`]'s, with averages over the nodes for
//! what Laplace takes at the mode: with pi_jm the nodes' shares of the sum,
//!
//! a_j = sum_m pi_jm grad f_j(u_jm),   M_j = sum_m pi_jm grad f_j(u_jm) z_m',   P_j = sym Phi((C_j^-1 M_j)')
//! - d log I_j = < H_j^-1 / 2 - C_j^-T P_j C_j^-1 , dH_j > + a_j' du_j + sum_m pi_jm df_j(u_jm)
//!
//! where Phi takes the lower triangle and half the diagonal, and d(C^-T) = - C^-T Phi(C^-1 dH C^-T)'.
//!
//! Reference: Pinheiro & Bates (1995), J. Comput. Graph. Stat. 4, 12-35, eq. 6; Pinheiro & Chao (2006), J. Comput. Graph.
//! Stat. 15, 58-81.
use super::laplace::{Laplace, product};
use super::row_pass;
use crate::family::Derivatives;
use crate::linalg::{BlockMatrix, small_cholesky, symmetric_eigen};

/// A product rule for the standard normal density in r dimensions.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// r coordinates for each node.
    nodes: Vec<f64>,
    /// log w_m + |z_m|^2 / 2.
    log_weights: Vec<f64>,
}

impl Rule {
    /// `points` in each of `dimension` directions.
    pub fn new(points: usize, dimension: usize) -> Self {
        let (z, log_w) = gauss_hermite(points);
        let (mut nodes, mut log_weights) = (Vec::new(), Vec::new());
        for m in 0..points.pow(dimension as u32) {
            let mut rest = m;
            let mut weight = 0.0;
            for _ in 0..dimension {
                let at = rest % points;
                rest /= points;
                nodes.push(z[at]);
                weight += log_w[at] + 0.5 * z[at] * z[at];
            }
            log_weights.push(weight);
        }
        Self { nodes, log_weights }
    }
}

/// Nodes and log weights of the rule for the density of N(0, 1), from the eigenvalues of its Jacobi matrix (Golub & Welsch
/// 1969, Math. Comp. 23, 221-230). The weights come from the orthonormal polynomials at the nodes, whose squares add up to
/// 1 / w: sums of positive terms, so that those far out keep their digits.
fn gauss_hermite(points: usize) -> (Vec<f64>, Vec<f64>) {
    let mut jacobi = vec![0.0; points * points];
    for i in 1..points {
        let entry = (i as f64).sqrt();
        (jacobi[i * points + i - 1], jacobi[(i - 1) * points + i]) = (entry, entry);
    }
    let mut z = symmetric_eigen(&jacobi, points).values;
    z.sort_by(f64::total_cmp);
    let symmetric: Vec<f64> = (0..points).map(|i| 0.5 * (z[i] - z[points - 1 - i])).collect();
    let log_w = symmetric
        .iter()
        .map(|&z| {
            let (mut before, mut now, mut sum) = (0.0, 1.0, 1.0);
            for i in 1..points {
                let next = (z * now - ((i - 1) as f64).sqrt() * before) / (i as f64).sqrt();
                (before, now) = (now, next);
                sum += now * now;
            }
            -f64::ln(sum)
        })
        .collect();
    (symmetric, log_w)
}

/// What the gradient needs beyond the mode.
#[derive(Clone, Debug)]
pub(super) struct Averages {
    /// a: the mean slope of f over the nodes, for all u.
    pub pull: Vec<f64>,
    /// 2 (H_j^-1 / 2 - C_j^-T P_j C_j^-1) in the place of H_j^-1.
    pub spread: BlockMatrix,
    /// sum_m pi_jm g(u_jm), by predictor.
    pub first: Vec<Vec<f64>>,
    /// sum over levels and nodes of pi_jm Z'g(u_jm) (u_jm - u_j)', p x r.
    pub products: Vec<f64>,
}

impl Laplace {
    /// - log L by quadrature around the state's mode, and the averages of its gradient.
    pub(super) fn integrate(&self, rule: &Rule, inverse: &BlockMatrix) -> (f64, Averages) {
        let (design, state) = (&self.data.design, &self.state);
        let (grouping, r) = (&design.groupings[0], design.template.ranks()[0]);
        let (levels, p, codes) = (grouping.levels, grouping.width(), &grouping.codes);
        let roots = self.roots(r);
        let mut outer = vec![vec![0.0; design.n]; design.n_predictors()];
        self.outer_eta_into(&state.x, &mut outer);
        let mut eta = outer.clone();
        let mut first = vec![vec![0.0; design.n]; outer.len()];
        let mut rows = Derivatives::default();
        // Sums over the nodes so far, relative to the largest term of each level.
        let (mut largest, mut total) = (vec![f64::NEG_INFINITY; levels], vec![0.0; levels]);
        let mut pull = vec![0.0; levels * r];
        let mut moments = vec![0.0; levels * r * r];
        let mut products = vec![0.0; levels * p * r];
        for (z, log_weight) in rule.nodes.chunks_exact(r).zip(&rule.log_weights) {
            let mut u = state.mode.clone();
            for (level, u) in u.chunks_exact_mut(r).enumerate() {
                let mut step = z.to_vec();
                small_cholesky::backward_in_place(&roots[level * r * r..][..r * r], &mut step, r);
                u.iter_mut().zip(&step).for_each(|(u, step)| *u += step);
            }
            eta.clone_from(&outer);
            design.add_random(&self.effects(&u), &mut eta);
            row_pass::evaluate(&self.data, &eta, 1, &mut rows);
            let mut terms: Vec<f64> = u.chunks_exact(r).map(|u| log_weight - 0.5 * product(u, u)).collect();
            for (i, (&code, value)) in codes.iter().zip(&rows.value).enumerate() {
                // A row without weight counts for nothing, whatever its density.
                if self.data.weight_at(i) != 0.0 {
                    terms[code as usize] += value;
                }
            }
            let scores = design.gather_random(&rows.first);
            let slopes = self.standardised(&scores);
            let mut shares = vec![[1.0, 0.0]; levels];
            for level in 0..levels {
                let term = terms[level];
                if term.is_nan() || term == f64::NEG_INFINITY {
                    continue;
                }
                let top = term.max(largest[level]);
                let [keep, share] = [(largest[level] - top).exp(), (term - top).exp()];
                (largest[level], shares[level]) = (top, [keep, share]);
                total[level] = keep * total[level] + share;
                let (u, score) = (&u[level * r..][..r], &scores[level * p..][..p]);
                let mode = &state.mode[level * r..][..r];
                let slope: Vec<f64> = slopes[level * r..][..r].iter().zip(u).map(|(slope, u)| slope + u).collect();
                for a in 0..r {
                    add(&mut pull[level * r + a], keep, share * slope[a]);
                    for b in 0..r {
                        add(&mut moments[(level * r + b) * r + a], keep, share * slope[a] * z[b]);
                    }
                    for b in 0..p {
                        add(&mut products[(level * r + a) * p + b], keep, share * score[b] * (u[a] - mode[a]));
                    }
                }
            }
            for (sums, g) in first.iter_mut().zip(&rows.first) {
                for ((sum, g), &code) in sums.iter_mut().zip(g).zip(codes) {
                    let [keep, share] = shares[code as usize];
                    add(sum, keep, share * g);
                }
            }
        }
        for (level, total) in total.iter().enumerate() {
            pull[level * r..][..r].iter_mut().for_each(|v| *v /= total);
            moments[level * r * r..][..r * r].iter_mut().for_each(|v| *v /= total);
            products[level * p * r..][..p * r].iter_mut().for_each(|v| *v /= total);
        }
        for sums in &mut first {
            sums.iter_mut().zip(codes).for_each(|(sum, &code)| *sum /= total[code as usize]);
        }
        let mut spread = inverse.clone();
        for level in 0..levels {
            let at = level * r * r..(level + 1) * r * r;
            bend(&roots[at.clone()], &moments[at.clone()], &mut spread.diag[0][at], r);
        }
        let logs: f64 = (0..levels)
            .map(|level| {
                let log_root: f64 = (0..r).map(|a| roots[level * r * r + a * r + a].ln()).sum();
                largest[level] + total[level].ln() - log_root
            })
            .sum();
        let products = products.chunks_exact(p * r).fold(vec![0.0; p * r], |mut sums, level| {
            sums.iter_mut().zip(level).for_each(|(sum, value)| *sum += value);
            sums
        });
        (-logs, Averages { pull, spread, first, products })
    }

    /// C_j of every level, lower triangular; `hessian` holds H_j - I.
    fn roots(&self, r: usize) -> Vec<f64> {
        let mut roots = self.hessian.diag[0].clone();
        for block in roots.chunks_exact_mut(r * r) {
            (0..r).for_each(|a| block[a * r + a] += 1.0);
            small_cholesky::factor_in_place(block, r).expect("H is positive definite at the mode");
        }
        roots
    }
}

/// sum = keep sum + term, where a term of weight zero may be infinite.
#[inline(always)]
fn add(sum: &mut f64, keep: f64, term: f64) {
    *sum = keep * *sum + if term.is_finite() { term } else { 0.0 };
}

/// spread -= 2 C^-T P C^-1 with P = sym Phi((C^-1 M)').
fn bend(root: &[f64], moment: &[f64], spread: &mut [f64], r: usize) {
    let mut solved = moment.to_vec();
    for column in solved.chunks_exact_mut(r) {
        small_cholesky::forward_in_place(root, column, r);
    }
    // 2 P: twice the symmetric part of a lower triangle with half its diagonal is that triangle and its mirror image. The
    // lower triangle of the transpose is the upper triangle of C^-1 M.
    let mut p = vec![0.0; r * r];
    for b in 0..r {
        for a in 0..=b {
            (p[a * r + b], p[b * r + a]) = (solved[b * r + a], solved[b * r + a]);
        }
    }
    // C^-T P, then its transpose by C^-T again: P is symmetric.
    for column in p.chunks_exact_mut(r) {
        small_cholesky::backward_in_place(root, column, r);
    }
    let mut transposed: Vec<f64> = (0..r * r).map(|at| p[at % r * r + at / r]).collect();
    for column in transposed.chunks_exact_mut(r) {
        small_cholesky::backward_in_place(root, column, r);
    }
    spread.iter_mut().zip(&transposed).for_each(|(s, t)| *s -= t);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_integrate_polynomials() {
        // E z^2m = (2m - 1)!! for a standard normal; k points are exact up to degree 2k - 1.
        for points in [1, 2, 5, 9, 25, 60] {
            let (z, log_w) = gauss_hermite(points);
            let mut moment = 1.0;
            for m in 0..points.min(12) {
                if m > 0 {
                    moment *= (2 * m - 1) as f64;
                }
                let sum: f64 = z.iter().zip(&log_w).map(|(z, w)| w.exp() * z.powi(2 * m as i32)).sum();
                assert!((sum / moment - 1.0).abs() < 1e-12, "{points} points, degree {}: {sum} not {moment}", 2 * m);
            }
        }
    }

    #[test]
    fn three_points_are_those_of_the_tables() {
        let (z, log_w) = gauss_hermite(3);
        for (found, expected) in z.iter().zip([-(3.0_f64.sqrt()), 0.0, 3.0_f64.sqrt()]) {
            assert!((found - expected).abs() < 1e-14);
        }
        for (found, expected) in log_w.iter().zip([1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0_f64]) {
            assert!((found.exp() - expected).abs() < 1e-15);
        }
    }
}
