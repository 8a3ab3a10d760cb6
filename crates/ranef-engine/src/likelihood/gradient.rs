//! The exact gradient of the Laplace objective: one adjoint solve and the selected inverse of H.
//!
//! V_i = A_i H^-1 A_i',   c_m = sum_kl T_klm V_kl / 2,   s = H^-1 A'c,   r = g + c - W A s
//! d Lap / d beta = X' r
//! d Lap / d Lambda_f = sum over levels { (Z'r) u' - (Z'g) s' + D },   D = Z'WA H^-1 on the diagonal blocks
//!
//! By quadrature, averages over the nodes stand for what is taken at the mode here (see `quadrature.rs`).
//!
//! The cost does not depend on the number of parameters. Reference: Skaug & Fournier (2006),
//! Comput. Stat. Data Anal. 51, 699-709; Erisman & Tinney (1975), Commun. ACM 18, 177-179 (selected inverse).
use super::data::Method;
use super::laplace::Laplace;
use super::quadrature::Averages;
use crate::design::by_chunk;
use crate::family::{packed2, packed3};
use crate::linalg::{BlockMatrix, Congruence, product_diagonal};

impl Laplace {
    /// Writes the objective's gradient at the state's mode; returns its value, where that is by quadrature, and the
    /// first-order correction of the value for the inner gradient that is left there.
    pub(super) fn outer_gradient(&mut self, gradient: &mut [f64]) -> (Option<f64>, f64) {
        let mut columns = self.take_spare();
        let found = self.outer_gradient_in(&mut columns, gradient);
        self.spare = columns;
        found
    }

    /// The same; `c` is room for c and then for r, whatever is in it.
    fn outer_gradient_in(&mut self, c: &mut [Vec<f64>], gradient: &mut [f64]) -> (Option<f64>, f64) {
        let data = self.data.clone();
        let (design, k_all) = (&data.design, data.design.n_predictors());
        let inverse = self.inverse_blocks();
        self.state.largest_variance = self.largest_diagonal(&inverse);
        let (integral, averages) = self.rule.as_ref().map(|rule| self.integrate(rule, &inverse)).unzip();
        let inverse = averages.as_ref().map_or(inverse, |averages: &Averages| averages.spread.clone());
        let posterior = self.effect_covariance(&inverse);
        let rows = &self.state.rows;
        let first = averages.as_ref().map_or(&rows.first, |averages| &averages.first);
        let integrated = self.integrated_inside();
        by_chunk(design.n, c.iter_mut().map(Vec::as_mut_slice).collect(), |chunk, c| {
            let mut v = design.uncertain_columns(chunk.len(), integrated);
            let mut targets: Vec<&mut [f64]> = v.iter_mut().map(Vec::as_mut_slice).collect();
            design.add_row_covariance(chunk.clone(), &self.pattern, &posterior, integrated, &mut targets);
            for (m, column) in c.iter_mut().enumerate() {
                column.fill(0.0);
                for l in 0..k_all {
                    for k in 0..=l {
                        let t = &rows.third[packed3(k, l, m)][chunk.clone()];
                        let half = if k == l { 0.5 } else { 1.0 };
                        for ((c, t), v) in column.iter_mut().zip(t).zip(&v[packed2(k, l)]) {
                            *c += half * t * v;
                        }
                    }
                }
            }
        });
        let mut s = self.gather(c);
        if let Some(averages) = &averages {
            s.iter_mut().zip(&averages.pull).for_each(|(s, a)| *s += a);
        }
        self.factorization.solve_in_place(&mut s, 1);
        let (s_u, s_beta) = s.split_at(self.q);
        let s_b = self.effects(s_u);
        let r = c;
        by_chunk(design.n, r.iter_mut().map(Vec::as_mut_slice).collect(), |chunk, r| {
            let mut spread = vec![vec![0.0; chunk.len()]; k_all];
            let mut targets: Vec<&mut [f64]> = spread.iter_mut().map(Vec::as_mut_slice).collect();
            self.add_spread(chunk.clone(), &s_b, s_beta, &mut targets);
            for (k, column) in r.iter_mut().enumerate() {
                column.iter_mut().zip(&first[k][chunk.clone()]).for_each(|(r, g)| *r += g);
                for (l, direction) in spread.iter().enumerate() {
                    let w = &rows.second[packed2(k, l)][chunk.clone()];
                    column.iter_mut().zip(w).zip(direction).for_each(|((r, w), d)| *r -= w * d);
                }
            }
        });
        for (k, range) in self.layout.beta.iter().enumerate() {
            if let Some(range) = range {
                gradient[range.clone()].copy_from_slice(&design.fixed[k].gather(&r[k]));
            }
        }
        let zr = design.gather_random(r);
        let zg = &self.state.scores;
        let with_border = self.method == Method::Reml;
        let mut g = product_diagonal(&self.pattern, &self.crossproduct, &self.state.factors, &inverse, with_border);
        for (f, grouping) in design.groupings.iter().enumerate() {
            let (p, rank) = (grouping.width(), design.template.ranks()[f]);
            for level in 0..grouping.levels {
                let (b_at, u_at) = (design.offsets[f] + level * p, self.u_offsets[f] + level * rank);
                for column in 0..rank {
                    let (u, s) = (self.state.mode[u_at + column], s[u_at + column]);
                    for row in 0..p {
                        g[f][column * p + row] += zr[b_at + row] * u - zg[b_at + row] * s;
                    }
                }
            }
        }
        if let Some(averages) = &averages {
            g[0].iter_mut().zip(&averages.products).for_each(|(g, product)| *g += product);
        }
        let theta = self.state.x[self.layout.theta.clone()].to_vec();
        design.template.chain(&theta, &g, &mut gradient[self.layout.theta.clone()]);
        self.add_coupling_gradient(s_u, &inverse, &mut gradient[self.layout.theta.clone()]);
        self.state.factor_gradient = g;
        let left = self.left_over();
        let shift = left.iter().zip(&s).map(|(e, s)| e * s).sum::<f64>();
        // f is stationary at the mode, so that Laplace's f is left of second order; an integral has its slope a in s.
        let correction = if integral.is_some() { shift } else { 0.5 * self.state.decrement + shift };
        (integral, correction)
    }

    /// Blocks of the inverse that the determinant's derivative needs: of the whole H, or of its random part where the
    /// fixed effects inside are not integrated out.
    pub(super) fn inverse_blocks(&self) -> BlockMatrix {
        let mut inverse = BlockMatrix::zeros(&self.pattern, self.data.design.template.ranks());
        if self.method == Method::Profile {
            self.factorization.selected_inverse_random_into(&mut inverse);
        } else {
            self.factorization.selected_inverse_into(&mut inverse);
        }
        inverse
    }

    /// Lambda H^-1 Lambda' on the pattern.
    pub(crate) fn effect_covariance(&self, inverse: &BlockMatrix) -> BlockMatrix {
        let mut out = BlockMatrix::zeros(&self.pattern, self.data.design.template.widths());
        inverse.congruence(&self.pattern, &self.state.factors, Congruence::Outer, &mut out);
        out
    }

    /// Of the effects whose levels stand alone: their prior variance is 1.
    fn largest_diagonal(&self, inverse: &BlockMatrix) -> f64 {
        let mut largest = 0.0_f64;
        for (f, (blocks, &width)) in inverse.diag.iter().zip(&inverse.widths).enumerate() {
            if self.data.design.template.coupling(f).is_some() {
                continue;
            }
            for block in blocks.chunks_exact((width * width).max(1)) {
                largest = (0..width).map(|j| block[j * width + j]).fold(largest, f64::max);
            }
        }
        largest
    }

    pub(super) fn integrated_inside(&self) -> Option<usize> {
        if self.method == Method::Reml { self.inside() } else { None }
    }

    /// e = grad_v f at the state's mode.
    fn left_over(&self) -> Vec<f64> {
        let mut left = self.standardised(&self.state.scores);
        let pulled = self.prior_product(&self.state.mode);
        left.iter_mut().zip(&pulled).for_each(|(e, u)| *e += u);
        if let Some(k) = self.inside() {
            left.extend(self.data.design.fixed[k].gather(&self.state.rows.first[k]));
        }
        left
    }
}
