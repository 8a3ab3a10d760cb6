//! Responses of a linear mixed model with one grouping factor, drawn as their sufficient statistics: no work of the
//! number of rows n.
//!
//! With A = W^{1/2}[Z Q] and e* = W^{1/2}e ~ N(0, sigma^2 I), A'e* ~ N(0, sigma^2 A'A), and the part of e* outside the
//! span of A is independent of it: its square is sigma^2 chi^2(n - rank A). So with A'A = L L' (semidefinite, block
//! arrow) and z ~ N(0, I),
//!
//! ```text
//! A'e* = sigma L z ,   |e*|^2 = sigma^2 ( |z|^2 + chi^2(n - rank A) ) ,
//! Z'y* = Z'WZ b + Z'We ,   |y*|^2 = b'Z'WZ b + 2 b'Z'We + |e*|^2 ,
//! ```
//!
//! and the fixed effects are then projected off.
use crate::fitting::Fit;
use crate::likelihood::profiled::Statistics;
use rand::Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};

/// A pivot below this share of its diagonal is rounding: the column depends on those before it.
const DEPENDENT: f64 = 1e-10;

/// What all replicates share.
pub(super) struct Sufficient {
    sigma: f64,
    width: usize,
    p: usize,
    /// Lambda, width x rank, absolute.
    lambda: Vec<f64>,
    /// Z'WZ, the blocks of the levels.
    blocks: Vec<f64>,
    /// Q'W^{1/2}Z, transposed: width x p for each level.
    border: Vec<f64>,
    /// Factors of the blocks, their parts of the border's factor (p x width), and the corner's factor.
    level_factors: Vec<f64>,
    border_factors: Vec<f64>,
    corner_factor: Vec<f64>,
    /// R beta.
    mean: Vec<f64>,
    /// n - rank A.
    free: f64,
}

impl Sufficient {
    /// `None` for a model that is not profiled, has other than one grouping factor, or fixed effects by level.
    pub fn new(fit: &Fit) -> Option<Self> {
        let (profiled, design) = (fit.profiled()?, &fit.data.design);
        if design.groupings.len() != 1 || design.fixed[0].level_basis().is_some() {
            return None;
        }
        let (a, p, sigma) = (profiled.cross_products(), design.fixed[0].p(), fit.profiled_sigma());
        let (w, levels) = (a.widths[0], design.groupings[0].levels);
        let (blocks, border) = (a.diag[0].clone(), a.border[0].clone());
        let (mut level_factors, mut border_factors) = (blocks.clone(), vec![0.0; border.len()]);
        let (mut corner, mut rank) = (a.corner.clone(), 0);
        for level in 0..levels {
            let l = &mut level_factors[level * w * w..][..w * w];
            rank += factor_semidefinite(l, w);
            let rows = &border[level * w * p..][..w * p];
            let t = &mut border_factors[level * w * p..][..w * p];
            for i in 0..p {
                // Row i of T solves T L' = Q'Z.
                for j in 0..w {
                    let rest: f64 = (0..j).map(|k| t[k * p + i] * l[k * w + j]).sum();
                    let pivot = l[j * w + j];
                    t[j * p + i] = if pivot > 0.0 { (rows[i * w + j] - rest) / pivot } else { 0.0 };
                }
            }
            for i in 0..p {
                for j in 0..p {
                    corner[j * p + i] -= (0..w).map(|k| t[k * p + i] * t[k * p + j]).sum::<f64>();
                }
            }
        }
        rank += factor_remainder(&mut corner, p);
        let lambda = design.template.factors(&fit.theta).swap_remove(0);
        // beta = R^{-1} mean, R^{-1} upper triangular.
        let (inverse, mut mean) = (profiled.basis_inverse(), fit.beta[0].clone());
        for j in (0..p).rev() {
            mean[j] /= inverse[j * p + j];
            for i in 0..j {
                mean[i] -= inverse[j * p + i] * mean[j];
            }
        }
        let free = profiled.n_rows().checked_sub(rank)? as f64;
        let corner_factor = corner;
        Some(Self {
            sigma,
            width: w,
            p,
            lambda,
            blocks,
            border,
            level_factors,
            border_factors,
            corner_factor,
            mean,
            free,
        })
    }

    /// The statistics of one response.
    pub fn draw(&self, rng: &mut impl Rng) -> Statistics {
        let (w, p, sigma) = (self.width, self.p, self.sigma);
        let levels = self.blocks.len() / (w * w).max(1);
        let (mut zy, mut q) = (vec![0.0; levels * w], vec![0.0; p]);
        let (mut z, mut b, mut noise) = (vec![0.0; w], vec![0.0; w], vec![0.0; w]);
        // |y*|^2 without the fixed effects, and |z|^2.
        let (mut square, mut length) = (0.0, 0.0);
        for level in 0..levels {
            let (l, block) = (&self.level_factors[level * w * w..][..w * w], &self.blocks[level * w * w..][..w * w]);
            let (t, rows) = (&self.border_factors[level * w * p..][..w * p], &self.border[level * w * p..][..w * p]);
            b.fill(0.0);
            for column in self.lambda.chunks_exact(w) {
                let u: f64 = StandardNormal.sample(rng);
                b.iter_mut().zip(column).for_each(|(b, l)| *b += l * u);
            }
            noise.fill(0.0);
            for j in 0..w {
                z[j] = if l[j * w + j] > 0.0 { StandardNormal.sample(rng) } else { 0.0 };
                length += z[j] * z[j];
                (j..w).for_each(|i| noise[i] += sigma * l[j * w + i] * z[j]);
                (0..p).for_each(|i| q[i] += sigma * t[j * p + i] * z[j]);
            }
            let target = &mut zy[level * w..][..w];
            for i in 0..w {
                let zb: f64 = (0..w).map(|j| block[j * w + i] * b[j]).sum();
                target[i] = zb + noise[i];
                square += b[i] * (zb + 2.0 * noise[i]);
                (0..p).for_each(|j| q[j] += rows[j * w + i] * b[i]);
            }
        }
        for j in 0..p {
            if self.corner_factor[j * p + j] > 0.0 {
                let z: f64 = StandardNormal.sample(rng);
                length += z * z;
                (j..p).for_each(|i| q[i] += sigma * self.corner_factor[j * p + i] * z);
            }
        }
        if self.free > 0.0 {
            length += ChiSquared::new(self.free).map_or(0.0, |chi| chi.sample(rng));
        }
        let yy = square + sigma * sigma * length - q.iter().map(|q| q * q).sum::<f64>();
        for level in 0..levels {
            let rows = &self.border[level * w * p..][..w * p];
            for i in 0..w {
                zy[level * w + i] -= (0..p).map(|j| rows[j * w + i] * q[j]).sum::<f64>();
            }
        }
        let coefficients = self.mean.iter().zip(&q).map(|(mean, q)| mean + q).collect();
        Statistics { zy, yy: yy.max(f64::MIN_POSITIVE), coefficients }
    }
}

/// Lower Cholesky factor of a semidefinite matrix in place, zero columns where it is singular; its rank.
fn factor_semidefinite(a: &mut [f64], n: usize) -> usize {
    let scale: Vec<f64> = (0..n).map(|j| a[j * n + j]).collect();
    factor_against(a, n, &scale)
}

/// The same for what is left of an identity.
fn factor_remainder(a: &mut [f64], n: usize) -> usize {
    factor_against(a, n, &vec![1.0; n])
}

fn factor_against(a: &mut [f64], n: usize, scale: &[f64]) -> usize {
    let mut rank = 0;
    for j in 0..n {
        let pivot = a[j * n + j];
        let root = if pivot > DEPENDENT * scale[j] && pivot > 0.0 { pivot.sqrt() } else { 0.0 };
        for i in 0..n {
            a[j * n + i] = if i < j || root == 0.0 { 0.0 } else { a[j * n + i] / root };
        }
        if root == 0.0 {
            continue;
        }
        rank += 1;
        for k in j + 1..n {
            let along = a[j * n + k];
            for i in k..n {
                a[k * n + i] -= a[j * n + i] * along;
            }
        }
    }
    rank
}
