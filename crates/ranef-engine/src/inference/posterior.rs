//! The joint distribution of effects and parameters around the optimum.
//!
//! psi: outer parameters with covariance V; v: effects (and fixed effects inside) with conditional covariance H^-1;
//! J = dv_hat/dpsi = -H^-1 (A'W d_psi eta + dA'g). Then
//!
//! Var(v_hat - v) = H^-1 + J V J',   Cov(v_hat - v, psi_hat) = J V
//!
//! and a quantity rho(v, psi) has variance rho_v' H^-1 rho_v + (rho_psi + J'rho_v)' V (rho_psi + J'rho_v). Everything is
//! kept for b = Lambda u, so that a linear predictor is z'b + x'beta. Reference: Kass & Steffey
//! (1989), JASA 84, 717-726; Kristensen et al. (2016), J. Stat. Softw. 70(5), section 2.
use crate::covariance::Parameter;
use crate::family::packed2;
use crate::likelihood::laplace::Laplace;
use crate::linalg::BlockMatrix;
use crate::linalg::dense_cholesky::{factor_in_place, forward_in_place};

/// One linear predictor, or a weighted sum of several, as the effects and coefficients it is made of.
#[derive(Clone, Debug, Default)]
pub struct Combination {
    /// (grouping factor, level, column of the merged block, value).
    pub effects: Vec<(usize, usize, usize, f64)>,
    /// For each predictor, the row that multiplies its beta~ (empty for zero).
    pub fixed: Vec<Vec<f64>>,
}

/// Effects and parameters, jointly.
pub struct Posterior {
    laplace: Laplace,
    /// Covariance of b and of beta~ inside, given psi, on the pattern of Z'Z.
    covariance: BlockMatrix,
    /// d (b, beta~ inside) / d psi, column-major.
    jacobian: Vec<f64>,
    size: usize,
    /// V, dim x dim column-major.
    psi: Vec<f64>,
}

impl Posterior {
    /// Around the point that `laplace` evaluated last, with the covariance of its outer parameters.
    pub fn new(mut laplace: Laplace, psi: Vec<f64>) -> Self {
        laplace.spare = Vec::new();
        let inverse = laplace.selected_inverse();
        let covariance = laplace.effect_covariance(&inverse);
        let jacobian = laplace.mode_jacobian();
        let dim = laplace.layout().dim;
        let size = jacobian.len().checked_div(dim).unwrap_or(0);
        Self { laplace, covariance, jacobian, size, psi }
    }

    /// The objective around whose optimum this is.
    pub fn laplace(&self) -> &Laplace {
        &self.laplace
    }

    /// V.
    pub fn parameter_covariance(&self) -> &[f64] {
        &self.psi
    }

    /// Covariance of b given all parameters, beta inside too, on the pattern of Z'Z: lme4's condVar.
    pub fn conditional_covariance(&self) -> BlockMatrix {
        self.laplace.covariance_given_parameters()
    }

    /// Covariance of beta~ inside, with the uncertainty of psi unless `conditional`.
    pub fn fixed_covariance(&self, predictor: usize, conditional: bool) -> Vec<f64> {
        let layout = self.laplace.layout();
        debug_assert!(layout.beta[predictor].is_none(), "an outer coefficient's covariance is V's own block");
        let p = self.laplace.data().design.fixed[predictor].p();
        let first = self.size - p;
        let mut out = self.covariance.corner.clone();
        if !conditional {
            for j in 0..p {
                for i in 0..p {
                    out[j * p + i] += self.through_parameters(&self.row(first + i), &self.row(first + j));
                }
            }
        }
        out
    }

    /// V when all outer parameters but the coefficients of one predictor are held: zero but for these.
    pub fn covariance_of_predictor(&self, predictor: usize) -> Vec<f64> {
        let (layout, dim) = (self.laplace.layout(), self.laplace.layout().dim);
        let v = |i: usize, j: usize| self.psi[j * dim + i];
        let free = layout.beta[predictor].clone().unwrap_or(0..0);
        // A theta on its boundary is held already, and has no variance.
        let held: Vec<usize> =
            (0..dim).filter(|i| !free.contains(i) && v(*i, *i).is_finite() && v(*i, *i) > 0.0).collect();
        let free: Vec<usize> = free.collect();
        let mut given = vec![0.0; dim * dim];
        for &j in &free {
            for &i in &free {
                given[j * dim + i] = v(i, j);
            }
        }
        let n = held.len();
        let mut factor: Vec<f64> =
            held.iter().flat_map(|&j| held.iter().map(move |&i| (i, j))).map(|(i, j)| v(i, j)).collect();
        if n == 0 || factor_in_place(&mut factor, n).is_err() {
            return given;
        }
        // V_ff - V_fh V_hh^-1 V_hf, by columns of L^-1 V_hf.
        let mut shared: Vec<f64> =
            free.iter().flat_map(|&f| held.iter().map(move |&h| (h, f))).map(|(h, f)| v(h, f)).collect();
        forward_in_place(&factor, n, &mut shared, free.len(), n);
        for (b, &j) in free.iter().enumerate() {
            for (a, &i) in free.iter().enumerate() {
                let (one, other) = (&shared[a * n..(a + 1) * n], &shared[b * n..(b + 1) * n]);
                given[j * dim + i] -= one.iter().zip(other).map(|(x, y)| x * y).sum::<f64>();
            }
        }
        given
    }

    /// Standard deviation of b_hat - b at an index of the vector of all b, with `psi` the covariance of the outer
    /// parameters: V, or what of it is left when some are held.
    pub fn effect_sd(&self, grouping: usize, level: usize, column: usize, psi: &[f64]) -> f64 {
        let design = &self.laplace.data().design;
        let width = design.groupings[grouping].width();
        let given = self.covariance.diag[grouping][level * width * width + column * width + column];
        let row = self.row(design.b_index(grouping, level, column));
        (given + quadratic_form(psi, &row, &row)).max(0.0).sqrt()
    }

    /// Variance of a combination; given psi if `conditional`, otherwise with the uncertainty of psi.
    pub fn variance(&self, combination: &Combination, conditional: bool) -> f64 {
        let design = &self.laplace.data().design;
        let (layout, dim) = (self.laplace.layout(), self.laplace.layout().dim);
        let inside = self.laplace.inside();
        let empty = Vec::new();
        let x_inside = inside.map_or(&empty, |k| &combination.fixed[k]);
        let given =
            self.given_variance(combination, x_inside).unwrap_or_else(|| self.solved_variance(combination, x_inside));
        if conditional {
            return given;
        }
        let mut through = vec![0.0; dim];
        for (range, x) in layout.beta.iter().zip(&combination.fixed) {
            if let (Some(range), false) = (range, x.is_empty()) {
                through[range.clone()].iter_mut().zip(x).for_each(|(target, x)| *target += x);
            }
        }
        for &(f, level, column, value) in &combination.effects {
            let index = design.b_index(f, level, column);
            for (m, target) in through.iter_mut().enumerate() {
                *target += value * self.jacobian[m * self.size + index];
            }
        }
        for (j, x) in x_inside.iter().enumerate() {
            let index = self.size - x_inside.len() + j;
            for (m, target) in through.iter_mut().enumerate() {
                *target += x * self.jacobian[m * self.size + index];
            }
        }
        given + self.through_parameters(&through, &through)
    }

    /// Row of the Jacobian for an element of (b, beta~ inside).
    fn row(&self, index: usize) -> Vec<f64> {
        (0..self.laplace.layout().dim).map(|m| self.jacobian[m * self.size + index]).collect()
    }

    fn through_parameters(&self, a: &[f64], b: &[f64]) -> f64 {
        quadratic_form(&self.psi, a, b)
    }

    /// z'Sz from the blocks that are known; `None` where the row joins levels that no row of the data joins.
    fn given_variance(&self, combination: &Combination, x: &[f64]) -> Option<f64> {
        let (pattern, s) = (self.laplace.pattern(), &self.covariance);
        let widths = self.laplace.data().design.template.widths();
        let mut total = 0.0;
        for (a, &(f, level, i, zi)) in combination.effects.iter().enumerate() {
            let width = widths[f];
            for &(g, other, j, zj) in &combination.effects[..=a] {
                let factor = if (f, level, i) == (g, other, j) { 1.0 } else { 2.0 };
                let value = if f == g {
                    if level != other {
                        return None;
                    }
                    s.diag[f][level * width * width + j * width + i]
                } else {
                    let (index, pair) =
                        pattern.pairs().iter().enumerate().find(|(_, pair)| {
                            (pair.first, pair.second) == (f, g) || (pair.first, pair.second) == (g, f)
                        })?;
                    let (row, column, row_at, column_at) =
                        if pair.first == f { (level, other, i, j) } else { (other, level, j, i) };
                    let slots = &pair.second_level[pair.ptr[row]..pair.ptr[row + 1]];
                    let slot = pair.ptr[row] + slots.iter().position(|&l| l as usize == column)?;
                    let (rows, columns) = (widths[pair.first], widths[pair.second]);
                    s.off[index][slot * rows * columns + column_at * rows + row_at]
                };
                total += factor * zi * zj * value;
            }
            for (j, x) in x.iter().enumerate() {
                total += 2.0 * zi * x * s.border[f][level * width * x_len(s) + j * width + i];
            }
        }
        let p = x.len();
        for j in 0..p {
            for i in 0..p {
                total += x[i] * x[j] * s.corner[j * p + i];
            }
        }
        Some(total)
    }

    /// The same by a solve, for any row.
    fn solved_variance(&self, combination: &Combination, x: &[f64]) -> f64 {
        let design = &self.laplace.data().design;
        let mut b = vec![0.0; design.q];
        for &(f, level, column, value) in &combination.effects {
            b[design.b_index(f, level, column)] += value;
        }
        self.laplace.quadratic_form(&b, x)
    }
}

/// a'Mb.
fn quadratic_form(m: &[f64], a: &[f64], b: &[f64]) -> f64 {
    let dim = a.len();
    (0..dim).map(|j| b[j] * (0..dim).map(|i| a[i] * m[j * dim + i]).sum::<f64>()).sum()
}

fn x_len(s: &BlockMatrix) -> usize {
    s.corner.len().isqrt()
}

impl Laplace {
    /// Blocks of H^-1 for effects (and fixed effects inside).
    fn selected_inverse(&self) -> BlockMatrix {
        let mut inverse = BlockMatrix::zeros(&self.pattern, self.data.design.template.ranks());
        self.factorization.selected_inverse_into(&mut inverse);
        inverse
    }

    fn covariance_given_parameters(&self) -> BlockMatrix {
        let mut inverse = BlockMatrix::zeros(&self.pattern, self.data.design.template.ranks());
        self.factorization.selected_inverse_random_into(&mut inverse);
        self.effect_covariance(&inverse)
    }

    /// (b, x)' S (b, x).
    fn quadratic_form(&self, b: &[f64], x: &[f64]) -> f64 {
        let mut right = self.standardised(b);
        right.extend_from_slice(x);
        right.resize(self.q + self.inside().map_or(0, |k| self.data.design.fixed[k].p()), 0.0);
        let left = right.clone();
        self.factorization.solve_in_place(&mut right, 1);
        left.iter().zip(&right).map(|(a, b)| a * b).sum()
    }

    /// d (b_hat, beta~ inside) / d psi at the point evaluated last, column-major.
    fn mode_jacobian(&self) -> Vec<f64> {
        let (design, layout) = (&self.data.design, &self.layout);
        let border = self.inside().map_or(0, |k| design.fixed[k].p());
        let (size_u, size_b) = (self.q + border, design.q + border);
        let second = &self.state.rows.second;
        let mut right = vec![0.0; size_u * layout.dim];
        let weighted = |predictor: usize, values: &[f64]| -> Vec<f64> {
            let rows: Vec<Vec<f64>> = (0..design.n_predictors())
                .map(|l| second[packed2(l, predictor)].iter().zip(values).map(|(w, x)| -w * x).collect())
                .collect();
            self.gather(&rows)
        };
        for (k, range) in layout.beta.iter().enumerate() {
            for (j, m) in range.clone().into_iter().flatten().enumerate() {
                let target = &mut right[m * size_u..(m + 1) * size_u];
                if design.fixed[k].level_basis().is_some() {
                    let column = design.weighted_column(second, self.inside(), k, j);
                    target[..self.q].copy_from_slice(&self.standardised(&column[..design.q]));
                    target[self.q..].copy_from_slice(&column[design.q..]);
                    target.iter_mut().for_each(|value| *value = -*value);
                } else {
                    target.copy_from_slice(&weighted(k, design.fixed[k].column(j)));
                }
            }
        }
        let theta = self.theta(&self.state.x).to_vec();
        let zg = design.gather_random(&self.state.rows.first);
        let mut direct = Vec::with_capacity(theta.len());
        let mut besides = vec![Vec::new(); theta.len()];
        for m in 0..theta.len() {
            if let Parameter::Coupling { factor, m: own } = design.template.parameter(m) {
                // J_m = w_m - H^-1 A'W A w_m.
                let shift = self.coupling_shift(factor, own);
                let predictor = design.places[design.template.term_of(m)].predictor;
                let mut spread = vec![vec![0.0; design.n]; design.n_predictors()];
                design.add_random(&self.effects(&shift), &mut spread);
                let column = &mut right[(layout.theta.start + m) * size_u..][..size_u];
                column.copy_from_slice(&weighted(predictor, &spread[predictor]));
                direct.push(vec![0.0; design.q]);
                besides[m] = shift;
                continue;
            }
            let (f, derivative) = design.template.derivative(&theta, m);
            let (p, r) = (design.groupings[f].width(), design.template.ranks()[f]);
            let (mut moved, mut pulled) = (vec![0.0; design.q], vec![0.0; size_u]);
            for level in 0..design.groupings[f].levels {
                let (b_at, u_at) = (design.offsets[f] + level * p, self.u_offsets[f] + level * r);
                for column in 0..r {
                    for row in 0..p {
                        let d = derivative[column * p + row];
                        moved[b_at + row] += d * self.state.mode[u_at + column];
                        pulled[u_at + column] += d * zg[b_at + row];
                    }
                }
            }
            let predictor = design.places[design.template.term_of(m)].predictor;
            let mut spread = vec![vec![0.0; design.n]; design.n_predictors()];
            design.add_random(&moved, &mut spread);
            let column = &mut right[(layout.theta.start + m) * size_u..][..size_u];
            for ((target, value), pulled) in column.iter_mut().zip(weighted(predictor, &spread[predictor])).zip(&pulled)
            {
                *target = value - pulled;
            }
            direct.push(moved);
        }
        self.factorization.solve_in_place(&mut right, layout.dim);
        let mut out = vec![0.0; size_b * layout.dim];
        for m in 0..layout.dim {
            let solved = &mut right[m * size_u..(m + 1) * size_u];
            if m >= layout.theta.start {
                solved.iter_mut().zip(&besides[m - layout.theta.start]).for_each(|(value, shift)| *value += shift);
            }
            let target = &mut out[m * size_b..(m + 1) * size_b];
            target[..design.q].copy_from_slice(&self.effects(&solved[..self.q]));
            target[design.q..].copy_from_slice(&solved[self.q..]);
            if m >= layout.theta.start {
                for (target, moved) in target.iter_mut().zip(&direct[m - layout.theta.start]) {
                    *target += moved;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Combination, Posterior};
    use crate::covariance;
    use crate::design::{Column, Design, Fixed, TermSpec};
    use crate::family;
    use crate::likelihood::data::{Data, Method};
    use crate::likelihood::laplace::Laplace;
    use crate::objective::Objective;
    use std::sync::Arc;

    const N: usize = 40;

    fn data(name: &str) -> Arc<Data> {
        let x: Vec<f64> = (0..N).map(|i| (i as f64 * 0.7).sin()).collect();
        let family = family::build(name, None, false).expect("in the catalogue");
        let k_all = family.components().len();
        let one = vec![1.0; N];
        let mut fixed = vec![Fixed::new(N, &[one.clone(), x.clone()].concat(), None)];
        fixed.extend((1..k_all).map(|_| Fixed::new(N, &one, None)));
        let term = |grouping: usize, columns: Vec<Column>| TermSpec {
            predictor: 0,
            grouping,
            covariance: covariance::build("us", columns.len()).expect("in the catalogue"),
            columns,
        };
        let terms = vec![term(0, vec![Column::One, Column::new(&x)]), term(1, vec![Column::One])];
        let groups =
            vec![((0..N).map(|i| (i % 5) as u32).collect(), 5), ((0..N).map(|i| (i / 10) as u32).collect(), 4)];
        let y = (0..N).map(|i| ((i * 7) % 5) as f64 + if name == "gaussian" { 0.3 * x[i] } else { 0.0 }).collect();
        let design = Arc::new(Design::new(N, fixed, groups, terms));
        Arc::new(Data { y, trials: None, weights: None, family: family.into(), design })
    }

    fn at(laplace: &Laplace) -> Vec<f64> {
        let start = [0.6, 0.1, 0.2, 0.5, 0.1, 0.3, 0.4];
        let theta = laplace.layout().theta.len();
        let mut x = vec![0.3; laplace.layout().dim - theta];
        x.extend(&start[start.len() - theta..]);
        x
    }

    #[test]
    fn effects_move_with_the_parameters_as_the_jacobian_says() {
        for name in ["poisson", "nbinom2", "gaussian"] {
            for method in [Method::Ml, Method::Reml] {
                let data = data(name);
                let mut laplace = Laplace::new(data.clone(), method);
                let x = at(&laplace);
                let mut ignored = vec![0.0; x.len()];
                let mut effects = |x: &[f64]| {
                    assert!(laplace.value_gradient(x, &mut ignored).is_finite());
                    let mut out = laplace.effects(&laplace.mode()[..laplace.n_effects()]);
                    out.extend(&laplace.mode()[laplace.n_effects()..]);
                    out
                };
                let h = 1e-5;
                let columns: Vec<Vec<f64>> = (0..x.len())
                    .map(|m| {
                        let (mut above, mut below) = (x.clone(), x.clone());
                        above[m] += h;
                        below[m] -= h;
                        effects(&above).iter().zip(effects(&below)).map(|(a, b)| (a - b) / (2.0 * h)).collect()
                    })
                    .collect();
                effects(&x);
                let jacobian = laplace.mode_jacobian();
                for (exact, difference) in jacobian.iter().zip(columns.concat()) {
                    // Differences of a mode found to 1e-10, step 1e-5.
                    assert!((exact - difference).abs() < 2e-5, "{name} {method:?}: {exact} {difference}");
                }
            }
        }
    }

    #[test]
    fn a_row_that_no_data_join_has_the_variance_of_the_solve() {
        let data = data("poisson");
        let mut laplace = Laplace::new(data.clone(), Method::Reml);
        let x = at(&laplace);
        assert!(laplace.value_gradient(&x, &mut vec![0.0; x.len()]).is_finite());
        let posterior = Posterior::new(laplace, vec![0.0; x.len() * x.len()]);
        let effects = vec![(0, 1, 0, 1.0), (0, 1, 1, -0.4), (1, 2, 0, 1.0)];
        let known = Combination { effects, fixed: vec![vec![1.0, 0.2]] };
        let by_blocks = posterior.given_variance(&known, &known.fixed[0]).expect("row 26 joins these levels");
        let by_solve = posterior.solved_variance(&known, &known.fixed[0]);
        assert!((by_blocks - by_solve).abs() < 1e-12 * by_solve, "{by_blocks} {by_solve}");
        assert!(posterior.variance(&known, false) >= by_blocks);
        // Two levels of one factor never share a row: only the solve knows their covariance.
        let apart = Combination { effects: vec![(0, 1, 0, 1.0), (0, 2, 0, -1.0)], fixed: vec![vec![0.0, 0.0]] };
        assert!(posterior.given_variance(&apart, &apart.fixed[0]).is_none());
        assert!(posterior.variance(&apart, true) > 0.0);
    }
}
