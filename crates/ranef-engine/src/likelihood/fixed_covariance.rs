//! The covariance of the fixed effects of a Gaussian model given its variance parameters psi, and how it moves with them.
//!
//! ```text
//! Phi = (X' V^-1 X)^-1 ,      dPhi/dpsi_m = Phi { X' V^-1 (dV/dpsi_m) V^-1 X } Phi .
//! ```
//!
//! With F = Z'V^-1 X and U = M^-1 Lambda'Z'W X, the modes of u for the columns of X as responses, a change of Lambda gives
//!
//! ```text
//! X' V^-1 (dV) V^-1 X = sum_levels F_l' dLambda U_l + its transpose ,
//! ```
//!
//! whatever the correlation R of the levels is, as U = R Lambda'F. A change of R gives (Lambda'F)' dR (Lambda'F), which is
//! -U' d(R^-1) U where the precision is what there is.
//!
//! Reference: Giesbrecht & Burns (1985), Biometrics 41, 477-486; Kenward & Roger (1997), Biometrics 53, 983-997.
use super::laplace::Laplace;
use crate::covariance::{Parameter, Template};
use crate::family::packed2;
use crate::linalg::dense_cholesky::{factor_in_place, inverse};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::collections::HashMap;

/// Phi and its derivatives, each p x p column-major.
#[derive(Clone, Debug)]
pub struct FixedCovariance {
    /// Phi.
    pub value: Vec<f64>,
    /// dPhi / dpsi_m.
    pub slopes: Vec<Vec<f64>>,
}

/// F and U of one model, column by column of each level's block.
pub(crate) struct EffectProducts<'a> {
    template: &'a Template,
    p: usize,
    /// For each grouping factor and each of its columns: levels x p.
    f: Vec<Vec<Vec<f64>>>,
    /// The same for each standardised effect.
    u: Vec<Vec<Vec<f64>>>,
    /// F_a' U_c, where it has been asked for.
    moments: HashMap<(usize, usize, usize), Vec<f64>>,
}

impl<'a> EffectProducts<'a> {
    /// From F and U with p columns each, laid out by factor, level and component, for these numbers of levels.
    pub fn new(template: &'a Template, levels: &[usize], f: &[f64], u: &[f64], p: usize) -> Self {
        Self {
            f: by_component(template.widths(), levels, f, p),
            u: by_component(template.ranks(), levels, u, p),
            moments: HashMap::new(),
            template,
            p,
        }
    }

    /// X'V^-1 (dV) V^-1 X for a change of theta_m, a parameter of Lambda.
    pub fn along(&mut self, theta: &[f64], m: usize) -> Vec<f64> {
        let p = self.p;
        let (factor, derivative) = self.template.derivative(theta, m);
        let width = self.template.widths()[factor];
        let mut half = vec![0.0; p * p];
        for (at, &d) in derivative.iter().enumerate().filter(|(_, d)| **d != 0.0) {
            let (a, c) = (at % width, at / width);
            let moment =
                self.moments.entry((factor, a, c)).or_insert_with(|| cross(&self.f[factor][a], &self.u[factor][c], p));
            half.iter_mut().zip(moment.iter()).for_each(|(sum, value)| *sum += d * value);
        }
        with_transpose(&half, p)
    }
}

/// A + A'.
fn with_transpose(a: &[f64], p: usize) -> Vec<f64> {
    (0..p * p).map(|at| a[at] + a[(at % p) * p + at / p]).collect()
}

fn by_component(widths: &[usize], levels: &[usize], values: &[f64], p: usize) -> Vec<Vec<Vec<f64>>> {
    let size = values.len().checked_div(p).unwrap_or(0);
    let mut first = 0;
    widths
        .iter()
        .zip(levels)
        .map(|(&width, &levels)| {
            let start = first;
            first += width * levels;
            let column = |a: usize, j: usize| (0..levels).map(move |l| values[j * size + start + l * width + a]);
            (0..width).map(|a| (0..p).flat_map(|j| column(a, j)).collect()).collect()
        })
        .collect()
}

/// A'B for matrices with p columns.
pub(crate) fn cross(a: &[f64], b: &[f64], p: usize) -> Vec<f64> {
    let mut out = vec![0.0; p * p];
    let rows = a.len().checked_div(p).unwrap_or(0);
    if rows > 0 {
        matmul(
            MatMut::from_column_major_slice_mut(&mut out, p, p),
            Accum::Replace,
            MatRef::from_column_major_slice(a, rows, p).transpose(),
            MatRef::from_column_major_slice(b, rows, p),
            1.0,
            Par::Seq,
        );
    }
    out
}

/// A S A' for p x p matrices.
pub(crate) fn congruent(a: &[f64], s: &[f64], p: usize) -> Vec<f64> {
    if p == 0 {
        return Vec::new();
    }
    let (a, s) = (MatRef::from_column_major_slice(a, p, p), MatRef::from_column_major_slice(s, p, p));
    let out = a * s * a.transpose();
    (0..p * p).map(|at| 0.5 * (out[(at % p, at / p)] + out[(at / p, at % p)])).collect()
}

impl Laplace {
    /// Phi of the mean's beta~ and its derivatives by all outer parameters, at the point evaluated last, of a Gaussian
    /// model with identity link whose random effects are all the mean's. `None` where Phi does not exist.
    pub fn fixed_covariance(&self) -> Option<FixedCovariance> {
        let (design, layout) = (&self.data.design, &self.layout);
        let (n, p, fixed) = (design.n, design.fixed[0].p(), &design.fixed[0]);
        let weights = &self.state.rows.second[packed2(0, 0)];
        let of_mean = |values: Vec<f64>| {
            let mut rows = vec![vec![0.0; n]; design.n_predictors()];
            rows[0] = values;
            rows
        };
        let mut u = Vec::with_capacity(self.q * p);
        for j in 0..p {
            let weighted = fixed.column(j).iter().zip(weights).map(|(x, w)| x * w).collect();
            u.extend(self.standardised(&design.gather_random(&of_mean(weighted))));
        }
        self.factorization.solve_random_in_place(&mut u, p);
        // V^-1 X = W (X - Z Lambda U).
        let mut residual = Vec::with_capacity(n * p);
        let mut f = Vec::with_capacity(design.q * p);
        for j in 0..p {
            let mut rows = of_mean(vec![0.0; n]);
            design.add_random(&self.effects(&u[j * self.q..(j + 1) * self.q]), &mut rows);
            let fitted = std::mem::take(&mut rows[0]);
            let left: Vec<f64> = fixed.column(j).iter().zip(fitted).map(|(x, fitted)| x - fitted).collect();
            rows[0] = left.iter().zip(weights).map(|(r, w)| r * w).collect();
            f.extend(design.gather_random(&rows));
            residual.extend(left);
        }
        let scaled = |by: &dyn Fn(usize) -> f64| -> Vec<f64> {
            residual.iter().enumerate().map(|(at, r)| r * by(at % n.max(1))).collect()
        };
        let columns: Vec<f64> = (0..p).flat_map(|j| fixed.column(j).iter().copied()).collect();
        let precision = cross(&columns, &scaled(&|i| weights[i]), p);
        let mut l: Vec<f64> = with_transpose(&precision, p).into_iter().map(|value| 0.5 * value).collect();
        factor_in_place(&mut l, p).ok()?;
        let value = inverse(&l, p);
        let mut slopes = vec![vec![0.0; p * p]; layout.dim];
        if let Some(Some(range)) = layout.beta.get(1) {
            for (j, m) in range.clone().enumerate() {
                // log sd moves by d: V by 2 d / W on its diagonal.
                let d = design.fixed[1].column(j);
                slopes[m] = cross(&residual, &scaled(&|i| 2.0 * d[i] * weights[i]), p);
            }
        }
        let levels: Vec<usize> = design.groupings.iter().map(|grouping| grouping.levels).collect();
        let mut products = EffectProducts::new(&design.template, &levels, &f, &u, p);
        let theta = self.theta(&self.state.x).to_vec();
        let mut lambda_f: Option<Vec<f64>> = None;
        for m in 0..theta.len() {
            slopes[layout.theta.start + m] = match design.template.parameter(m) {
                Parameter::Factor { .. } => products.along(&theta, m),
                Parameter::Coupling { factor, m: own } => {
                    let through = lambda_f.get_or_insert_with(|| {
                        f.chunks_exact(design.q.max(1)).flat_map(|column| self.standardised(column)).collect()
                    });
                    self.along_coupling(factor, own, &u, through, p)
                }
            };
        }
        let slopes = slopes.into_iter().map(|s| congruent(&value, &s, p)).collect();
        Some(FixedCovariance { value, slopes })
    }
}

/// What tests that allow for the estimation of V need, for V with derivatives G_r, r = 0, 1, ...
///
/// ```text
/// P_r = - X' V^-1 G_r V^-1 X ,   Q_rs = X' V^-1 G_r V^-1 G_s V^-1 X ,   k_rs = tr(V^-1 G_r V^-1 G_s) .
/// ```
#[derive(Clone, Debug)]
pub struct CovarianceMoments {
    /// (X' V^-1 X)^-1, p x p.
    pub fixed: Vec<f64>,
    /// P_r, p x p each.
    pub first: Vec<Vec<f64>>,
    /// Q_rs, p x p each, at s R + r.
    pub second: Vec<Vec<f64>>,
    /// k_rs, R x R.
    pub traces: Vec<f64>,
}
