//! The exact likelihood of a Gaussian model whose residuals are correlated within groups and vary in size, ML and REML,
//! with its exact gradient.
//!
//! y_g ~ N(X_g beta, sigma^2 V_g) ,   V_g = Z_g Lambda Lambda' Z_g' + S_g R_g S_g
//!
//! for each outermost group g, independent of the others: R_g is the correlation of its residuals (blocks on the
//! diagonal where their groups are smaller than g), S_g the diagonal of what multiplies sigma. The parameters are
//!
//! ```text
//! x = ( gamma, theta, delta, rho )        log s_i = q_i' gamma + offset_i + sum_t log g_t(v_it; delta_t) - mean
//! ```
//!
//! gamma the coefficients of the dispersion's orthonormal columns but the first, which is constant and holds log sigma.
//! The mean over rows of log g is taken out, so that sigma is the standard deviation of a typical row and Lambda, which is
//! relative to it, does not have to follow delta.
//! sigma and beta are profiled out: with m = n (ML) or n - p (REML), r2 = sum_g r_g' V_g^-1 r_g,
//!
//! ```text
//! f = 1/2 { sum_g log|V_g| + m (1 + log(2 pi r2 / m)) + [log|sum_g X_g' V_g^-1 X_g|]_REML }
//! df/dV_g = 1/2 { V_g^-1 - a_g a_g' / sigma^2 - [B_g M^-1 B_g']_REML } ,   a = V^-1 r , B = V^-1 X , M = X'V^-1 X .
//! ```
//!
//! The cost is that of a dense factorisation of each V_g. A covariate v that is the fitted mean is held fixed within a
//! search; see `fitting`.
//!
//! Reference: Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, sections 5.1 and 5.2; Lindstrom & Bates
//! (1988), JASA 83:1014-1022.

mod block;
mod fixed_covariance;
mod linear_covariance;
mod residual;
mod solution;

pub use residual::{Correlation, Covariate, Residual, Spread};
pub use solution::{BlockEffects, Solution};

use super::dense_covariance::whiten_both_sides;
use crate::design::Design;
use crate::linalg::dense_cholesky::{backward_in_place, factor_in_place, forward_in_place, inverse};
use crate::objective::Objective;
use block::{Block, Shared};
use rayon::prelude::*;
use std::f64::consts::PI;
use std::ops::Range;
use std::sync::Arc;

/// Other starts of a correlation's first parameter, on its unbounded scale.
const SHIFTS: [f64; 3] = [-1.0, 1.0, 2.0];

/// Blocks whose shares in matrices are summed by one task: fixed, so that sums do not depend on the number of threads.
const TOGETHER: usize = 256;

/// Where the kinds of parameters stand in x.
#[derive(Clone, Debug)]
pub struct Places {
    /// Coefficients of the dispersion's orthonormal columns, the constant left out.
    pub gamma: Range<usize>,
    /// Parameters of Lambda, relative to sigma.
    pub theta: Range<usize>,
    /// Parameters of each variance function.
    pub spreads: Vec<Range<usize>>,
    /// Parameters of the correlation.
    pub correlation: Range<usize>,
}

/// The likelihood of one response.
#[derive(Clone, Debug)]
pub struct Marginal {
    pub(crate) design: Arc<Design>,
    pub(crate) residual: Arc<Residual>,
    reml: bool,
    /// Response minus the offset of the mean.
    y: Vec<f64>,
    blocks: Arc<Vec<Block>>,
    places: Places,
    /// The fitted mean that variance functions of it take.
    fitted: Vec<f64>,
}

/// What one evaluation leaves of a block.
struct Whitened {
    /// Cholesky factor of V.
    l: Vec<f64>,
    /// S R S.
    e: Vec<f64>,
    /// L^-1 [X, y], n x (p + 1).
    xy: Vec<f64>,
    log_det: f64,
}

impl Marginal {
    /// The likelihood of y; predictor 0 of the design is the mean, predictor 1 the log standard deviation, whose first
    /// column is constant. Every grouping factor must be nested in the residual's blocks.
    pub fn new(y: &[f64], design: Arc<Design>, residual: Arc<Residual>, reml: bool) -> Self {
        let mut y = y.to_vec();
        if let Some(offset) = design.fixed[0].offset() {
            y.iter_mut().zip(offset).for_each(|(y, offset)| *y -= offset);
        }
        let gamma = 0..design.fixed[1].p() - 1;
        let theta = gamma.end..gamma.end + design.template.n_theta();
        let mut first = theta.end;
        let spreads = residual
            .spreads
            .iter()
            .map(|spread| {
                let range = first..first + spread.function.start().len();
                first = range.end;
                range
            })
            .collect();
        let n_correlation = residual.correlation.as_ref().map_or(0, |c| c.structure.n_parameters());
        let places = Places { gamma, theta, spreads, correlation: first..first + n_correlation };
        let blocks = Arc::new(block::blocks(&residual, design.n));
        Self { fitted: vec![1.0; y.len()], y, design, residual, reml, blocks, places }
    }

    /// Where the kinds of parameters stand.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// n for ML, n - p for REML.
    pub fn degrees_of_freedom(&self) -> f64 {
        (self.design.n - if self.reml { self.design.fixed[0].p() } else { 0 }) as f64
    }

    /// Whether some variance function takes the fitted mean.
    pub fn takes_fitted(&self) -> bool {
        self.residual.spreads.iter().any(|spread| matches!(spread.covariate, Covariate::Fitted))
    }

    /// Sets the fitted mean that variance functions take.
    pub fn set_fitted(&mut self, fitted: Vec<f64>) {
        self.fitted = fitted;
    }

    /// The fitted mean that variance functions take.
    pub fn fitted(&self) -> &[f64] {
        &self.fitted
    }

    /// A start with these theta (relative to sigma).
    pub fn start(&self, theta: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; self.dim()];
        x[self.places.theta.clone()].copy_from_slice(theta);
        for (spread, range) in self.residual.spreads.iter().zip(&self.places.spreads) {
            x[range.clone()].copy_from_slice(&spread.function.start());
        }
        if let Some(correlation) = &self.residual.correlation {
            x[self.places.correlation.clone()].copy_from_slice(&correlation.structure.start());
        }
        x
    }

    /// Starts with these theta, from the best on: the correlation's own, and others along its first parameter, since a
    /// search that begins on the wrong side of a strong correlation may end at a unit root.
    pub fn starts(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let own = self.start(theta);
        let mut found = vec![(self.evaluate(&own, None).unwrap_or(f64::INFINITY), own.clone())];
        // Every pair of occasions has a parameter of its own, of which none leads the others.
        let leading = self.residual.correlation.as_ref().is_some_and(|c| c.structure.card().places != "occasion");
        for shift in if leading { &SHIFTS[..] } else { &[] } {
            let mut moved = own.clone();
            moved[self.places.correlation.start] += shift;
            found.push((self.evaluate(&moved, None).unwrap_or(f64::INFINITY), moved));
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.into_iter().map(|(_, x)| x).collect()
    }

    /// What the variance functions add to the log standard deviation of each row, and its derivatives by their
    /// parameters, a column each.
    pub fn spread(&self, x: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = self.design.n;
        let (mut log_s, mut columns) = (vec![0.0; n], Vec::new());
        for (spread, range) in self.residual.spreads.iter().zip(&self.places.spreads) {
            let mut derivative = vec![0.0; range.len()];
            let mut own = vec![vec![0.0; n]; range.len()];
            for (i, value) in log_s.iter_mut().enumerate() {
                *value += spread.function.log_sd(&x[range.clone()], self.covariate(spread, i), &mut derivative);
                own.iter_mut().zip(&derivative).for_each(|(column, d)| column[i] = *d);
            }
            columns.append(&mut own);
        }
        (log_s, columns)
    }

    /// The mean of what the variance functions add, which is not in sigma, and its derivatives by their parameters.
    pub fn centre(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let (log_s, columns) = self.spread(x);
        (mean(&log_s), columns.iter().map(|column| mean(column)).collect())
    }

    fn covariate(&self, spread: &Spread, i: usize) -> f64 {
        match &spread.covariate {
            Covariate::Values(values) => values[i],
            Covariate::Fitted => self.fitted[i],
        }
    }

    /// s_i, the standard deviation of each row's residual relative to sigma, and the derivatives of its logarithm by the
    /// parameters of the variance functions.
    pub(crate) fn sds(&self, x: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let (mut log_s, mut columns) = self.spread(x);
        for values in std::iter::once(&mut log_s).chain(&mut columns) {
            let mean = mean(values);
            values.iter_mut().for_each(|value| *value -= mean);
        }
        let fixed = &self.design.fixed[1];
        if let Some(offset) = fixed.offset() {
            log_s.iter_mut().zip(offset).for_each(|(value, offset)| *value += offset);
        }
        let mut coefficients = vec![0.0];
        coefficients.extend_from_slice(&x[self.places.gamma.clone()]);
        fixed.add_to(&coefficients, &mut log_s);
        log_s.iter_mut().for_each(|value| *value = value.exp());
        (log_s, columns)
    }

    fn shared(&self, x: &[f64]) -> Shared<'_> {
        let (sds, spreads) = self.sds(x);
        Shared {
            design: &self.design,
            correlation: self.residual.correlation.as_ref(),
            sds,
            spreads,
            factors: self.design.template.factors(&x[self.places.theta.clone()]),
            rho: x[self.places.correlation.clone()].to_vec(),
        }
    }

    /// V of every block, factored, with the columns that it whitens; `None` where one is not positive definite.
    fn whiten(&self, shared: &Shared<'_>) -> Option<Vec<Whitened>> {
        let p = self.design.fixed[0].p();
        self.blocks
            .par_iter()
            .map(|block| {
                let n = block.rows.len();
                let e = block.residual(shared);
                let mut l = e.clone();
                block.add_random(shared, &mut l);
                factor_in_place(&mut l, n).ok()?;
                let mut xy = Vec::with_capacity(n * (p + 1));
                for j in 0..p {
                    let column = self.design.fixed[0].column(j);
                    xy.extend(block.rows.iter().map(|&i| column[i]));
                }
                xy.extend(block.rows.iter().map(|&i| self.y[i]));
                forward_in_place(&l, n, &mut xy, p + 1, n);
                let log_det = 2.0 * (0..n).map(|j| l[j * n + j].ln()).sum::<f64>();
                Some(Whitened { l, e, xy, log_det })
            })
            .collect()
    }

    /// The factor of M = sum X'V^-1 X and beta~ from the whitened blocks; `None` where M is singular.
    fn solve_fixed(&self, whitened: &[Whitened]) -> Option<(Vec<f64>, Vec<f64>)> {
        let p = self.design.fixed[0].p();
        let (mut m, mut beta) = (vec![0.0; p * p], vec![0.0; p]);
        for (block, white) in self.blocks.iter().zip(whitened) {
            let n = block.rows.len();
            let column = |j: usize| &white.xy[j * n..(j + 1) * n];
            for j in 0..p {
                for i in j..p {
                    m[j * p + i] += crate::linalg::dot(column(i), column(j));
                }
                beta[j] += crate::linalg::dot(column(j), column(p));
            }
        }
        factor_in_place(&mut m, p).ok()?;
        forward_in_place(&m, p, &mut beta, 1, p);
        backward_in_place(&m, p, &mut beta, 1, p);
        Some((m, beta))
    }

    /// L^-1 (y - X beta) of a block.
    fn whitened_residual(&self, white: &Whitened, n: usize, beta: &[f64]) -> Vec<f64> {
        let p = beta.len();
        let mut r = white.xy[p * n..].to_vec();
        for (j, beta) in beta.iter().enumerate() {
            r.iter_mut().zip(&white.xy[j * n..(j + 1) * n]).for_each(|(r, x)| *r -= beta * x);
        }
        r
    }

    /// The value at x with, where asked for, its gradient.
    fn evaluate(&self, x: &[f64], gradient: Option<&mut [f64]>) -> Option<f64> {
        let shared = self.shared(x);
        if shared.sds.iter().any(|s| !(*s > 0.0 && s.is_finite())) {
            return None;
        }
        let whitened = self.whiten(&shared)?;
        let (m, beta) = self.solve_fixed(&whitened)?;
        let p = beta.len();
        let residuals: Vec<Vec<f64>> = self
            .blocks
            .iter()
            .zip(&whitened)
            .map(|(block, white)| self.whitened_residual(white, block.rows.len(), &beta))
            .collect();
        let r2: f64 = residuals.iter().flatten().map(|r| r * r).sum();
        let freedom = self.degrees_of_freedom();
        let variance = r2 / freedom;
        let log_det_fixed = if self.reml { 2.0 * (0..p).map(|j| m[j * p + j].ln()).sum::<f64>() } else { 0.0 };
        let log_det: f64 = whitened.iter().map(|white| white.log_det).sum();
        let constant = if self.reml { self.design.fixed[0].log_det() } else { 0.0 };
        let value = 0.5 * (log_det + log_det_fixed + freedom * (1.0 + (2.0 * PI * variance).ln())) + constant;
        if let Some(gradient) = gradient {
            let unscaled = self.reml.then(|| inverse(&m, p));
            gradient.fill(0.0);
            let parts: Vec<Parts> = self
                .blocks
                .par_iter()
                .zip(&whitened)
                .zip(&residuals)
                .map(|((block, white), r)| {
                    let g = slope(block.rows.len(), p, white, r, variance, unscaled.as_deref());
                    self.parts(&shared, block, white, &g)
                })
                .collect();
            self.add_up(x, &parts, gradient);
        }
        value.is_finite().then_some(value)
    }

    /// The share of a block in the gradient, before the chain rule of Lambda.
    fn parts(&self, shared: &Shared<'_>, block: &Block, white: &Whitened, g: &[f64]) -> Parts {
        let by_sd = block.log_sd_slope(g, &white.e);
        let along = |column: &[f64]| block.rows.iter().zip(&by_sd).map(|(&i, slope)| slope * column[i]).sum();
        let gamma = (0..self.places.gamma.len()).map(|j| along(self.design.fixed[1].column(j + 1))).collect();
        let spreads = shared.spreads.iter().map(|column| along(column)).collect();
        Parts { gamma, spreads, factors: block.factor_slope(shared, g), rho: block.correlation_slope(shared, g) }
    }

    fn add_up(&self, x: &[f64], parts: &[Parts], gradient: &mut [f64]) {
        let template = &self.design.template;
        let mut factors: Vec<Vec<f64>> =
            template.widths().iter().zip(template.ranks()).map(|(p, r)| vec![0.0; p * r]).collect();
        let after = self.places.theta.end;
        for part in parts {
            add(&mut gradient[self.places.gamma.clone()], &part.gamma);
            add(&mut gradient[after..self.places.correlation.start], &part.spreads);
            add(&mut gradient[self.places.correlation.clone()], &part.rho);
            factors.iter_mut().zip(&part.factors).for_each(|(total, part)| add(total, part));
        }
        let range = self.places.theta.clone();
        template.chain(&x[range.clone()], &factors, &mut gradient[range]);
    }
}

/// The share of one block in the gradient.
struct Parts {
    gamma: Vec<f64>,
    spreads: Vec<f64>,
    /// d f / d Lambda of every grouping factor.
    factors: Vec<Vec<f64>>,
    rho: Vec<f64>,
}

fn add(total: &mut [f64], part: &[f64]) {
    total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
}

/// df / dV of a block, n x n.
fn slope(n: usize, p: usize, white: &Whitened, r: &[f64], variance: f64, unscaled: Option<&[f64]>) -> Vec<f64> {
    let mut g = inverse(&white.l, n);
    let mut a = r.to_vec();
    backward_in_place(&white.l, n, &mut a, 1, n);
    for j in 0..n {
        let scale = a[j] / variance;
        g[j * n..(j + 1) * n].iter_mut().zip(&a).for_each(|(g, a)| *g -= a * scale);
    }
    if let Some(unscaled) = unscaled {
        let mut b = white.xy[..n * p].to_vec();
        backward_in_place(&white.l, n, &mut b, p, n);
        for k in 0..p {
            let mut product = vec![0.0; n];
            for l in 0..p {
                let c = unscaled[k * p + l];
                product.iter_mut().zip(&b[l * n..(l + 1) * n]).for_each(|(out, b)| *out += c * b);
            }
            for j in 0..n {
                let scale = b[k * n + j];
                g[j * n..(j + 1) * n].iter_mut().zip(&product).for_each(|(g, b)| *g -= b * scale);
            }
        }
    }
    g.iter_mut().for_each(|value| *value *= 0.5);
    g
}

impl Objective for Marginal {
    fn dim(&self) -> usize {
        self.places.correlation.end
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.evaluate(x, Some(gradient)).unwrap_or(f64::INFINITY)
    }

    /// The expected information of maximum likelihood about x, sigma profiled out:
    /// 1/2 sum_g tr(V^-1 V_k V^-1 V_l) - t_k t_l / 2n, t_k = sum_g tr(V^-1 V_k).
    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        let dim = self.dim();
        let shared = self.shared(x);
        let Some(whitened) = self.whiten(&shared) else { return identity(dim) };
        let parts: Vec<Vec<f64>> = self
            .blocks
            .par_iter()
            .zip(&whitened)
            .map(|(block, white)| self.information(&shared, x, block, white))
            .collect();
        let mut sums = vec![0.0; (dim + 1) * dim];
        parts.iter().for_each(|part| add(&mut sums, part));
        let (information, traces) = sums.split_at_mut(dim * dim);
        for l in 0..dim {
            for k in 0..dim {
                information[l * dim + k] -= traces[k] * traces[l] / (2.0 * self.design.n as f64);
            }
        }
        // At a variance of zero a parameter says nothing to first order; a step there must still have a length.
        let mean = (0..dim).map(|k| information[k * dim + k]).sum::<f64>() / dim.max(1) as f64;
        let floor = 1e-6 * if mean > 0.0 { mean } else { 1.0 };
        (0..dim).for_each(|k| information[k * dim + k] += floor);
        information.to_vec()
    }
}

impl Marginal {
    /// dV of a block for a change of log s of its rows by d.
    fn by_log_sd(&self, block: &Block, white: &Whitened, d: &dyn Fn(usize) -> f64) -> Vec<f64> {
        let (n, d) = (block.rows.len(), block.rows.iter().map(|&i| d(i)).collect::<Vec<f64>>());
        let mut v = white.e.clone();
        (0..n).for_each(|j| (0..n).for_each(|i| v[j * n + i] *= d[i] + d[j]));
        v
    }

    /// dV / dgamma of a block.
    fn gamma_directions(&self, block: &Block, white: &Whitened) -> Vec<Vec<f64>> {
        (0..self.places.gamma.len())
            .map(|j| {
                let column = self.design.fixed[1].column(j + 1);
                self.by_log_sd(block, white, &|i| column[i])
            })
            .collect()
    }

    /// dV by the parameters of the correlation of a block.
    fn correlation_directions(&self, shared: &Shared<'_>, block: &Block) -> Vec<Vec<f64>> {
        (0..self.places.correlation.len()).map(|k| block.correlation_direction(shared, k)).collect()
    }

    /// dV of a block by all parameters x.
    fn directions(&self, shared: &Shared<'_>, x: &[f64], block: &Block, white: &Whitened) -> Vec<Vec<f64>> {
        let mut directions = self.gamma_directions(block, white);
        for m in 0..self.places.theta.len() {
            let (factor, derivative) = self.design.template.derivative(&x[self.places.theta.clone()], m);
            directions.push(block.random_direction(shared, factor, &derivative));
        }
        directions.extend(shared.spreads.iter().map(|column| self.by_log_sd(block, white, &|i| column[i])));
        directions.append(&mut self.correlation_directions(shared, block));
        directions
    }

    /// The share of a block in the information (dim x dim) and the traces (dim).
    fn information(&self, shared: &Shared<'_>, x: &[f64], block: &Block, white: &Whitened) -> Vec<f64> {
        let (dim, n) = (self.dim(), block.rows.len());
        let mut directions = self.directions(shared, x, block, white);
        for v in &mut directions {
            whiten_both_sides(&white.l, n, v);
        }
        let mut out = vec![0.0; (dim + 1) * dim];
        for l in 0..dim {
            for k in 0..=l {
                let product = 0.5 * crate::linalg::dot(&directions[k], &directions[l]);
                out[l * dim + k] = product;
                out[k * dim + l] = product;
            }
            out[dim * dim + l] = (0..n).map(|i| directions[l][i * n + i]).sum();
        }
        out
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn identity(dim: usize) -> Vec<f64> {
    let mut out = vec![0.0; dim * dim];
    (0..dim).for_each(|k| out[k * dim + k] = 1.0);
    out
}
