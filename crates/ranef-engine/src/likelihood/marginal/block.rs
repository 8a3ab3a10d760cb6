//! One outermost group: its rows, its covariance matrix and what derivatives with respect to that become.
use super::residual::{Correlation, Residual};
use crate::design::Design;
use crate::residual_correlation::Places;

/// The rows of an outermost group.
#[derive(Debug)]
pub struct Block {
    /// Rows of the data, ascending.
    pub rows: Vec<usize>,
    /// For each group of correlated residuals in it, positions among `rows` and the places of these rows.
    groups: Vec<(Vec<usize>, Vec<f64>)>,
}

/// What all blocks need at one point.
pub struct Shared<'a> {
    pub design: &'a Design,
    pub correlation: Option<&'a Correlation>,
    /// s of each row.
    pub sds: Vec<f64>,
    /// d log s of each row by the parameters of the variance functions.
    pub spreads: Vec<Vec<f64>>,
    /// Lambda of every grouping factor.
    pub factors: Vec<Vec<f64>>,
    /// Parameters of the correlation.
    pub rho: Vec<f64>,
}

/// The blocks of a model's n rows, in the order of their codes.
pub fn blocks(residual: &Residual, n: usize) -> Vec<Block> {
    let count = residual.blocks.iter().map(|&code| code as usize + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    (0..n).for_each(|i| rows[residual.blocks[i] as usize].push(i));
    rows.into_iter()
        .filter(|rows| !rows.is_empty())
        .map(|rows| {
            let groups = residual.correlation.as_ref().map_or_else(Vec::new, |correlation| grouped(correlation, &rows));
            Block { rows, groups }
        })
        .collect()
}

/// Positions among some rows of those that share a group, with their places.
pub fn grouped(correlation: &Correlation, rows: &[usize]) -> Vec<(Vec<usize>, Vec<f64>)> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&at| correlation.groups[rows[at]]);
    order
        .chunk_by(|&a, &b| correlation.groups[rows[a]] == correlation.groups[rows[b]])
        .map(|members| {
            let w = correlation.width;
            let places = members.iter().flat_map(|&at| correlation.places[rows[at] * w..(rows[at] + 1) * w].to_vec());
            (members.to_vec(), places.collect())
        })
        .collect()
}

impl Block {
    /// S R S, n x n.
    pub fn residual(&self, shared: &Shared<'_>) -> Vec<f64> {
        let n = self.rows.len();
        let mut e = vec![0.0; n * n];
        let s = |at: usize| shared.sds[self.rows[at]];
        let Some(correlation) = shared.correlation else {
            (0..n).for_each(|at| e[at * n + at] = s(at) * s(at));
            return e;
        };
        for (members, values) in &self.groups {
            let m = members.len();
            let mut r = vec![0.0; m * m];
            let places = Places { rows: m, width: correlation.width, values };
            correlation.structure.correlation_into(&shared.rho, places, &mut r);
            for (b, &j) in members.iter().enumerate() {
                for (a, &i) in members.iter().enumerate() {
                    e[j * n + i] = r[b * m + a] * s(i) * s(j);
                }
            }
        }
        e
    }

    /// v += Z Lambda Lambda' Z'.
    pub fn add_random(&self, shared: &Shared<'_>, v: &mut [f64]) {
        let n = self.rows.len();
        for (f, grouping) in shared.design.groupings.iter().enumerate() {
            let a = self.scaled(shared, f, &shared.factors[f]);
            let r = a.len() / n;
            for j in 0..n {
                let code = grouping.codes[self.rows[j]];
                for i in 0..n {
                    if grouping.codes[self.rows[i]] == code {
                        v[j * n + i] += crate::linalg::dot(&a[i * r..(i + 1) * r], &a[j * r..(j + 1) * r]);
                    }
                }
            }
        }
    }

    /// Lambda' z_i of each row, one after the other.
    fn scaled(&self, shared: &Shared<'_>, f: usize, lambda: &[f64]) -> Vec<f64> {
        let grouping = &shared.design.groupings[f];
        let p = grouping.width();
        let mut out = Vec::with_capacity(self.rows.len() * lambda.len() / p.max(1));
        for &i in &self.rows {
            for column in lambda.chunks_exact(p) {
                out.push(column.iter().zip(&grouping.columns).map(|(l, z)| l * z.at(i)).sum::<f64>());
            }
        }
        out
    }

    /// d f / d Lambda of every grouping factor, from g = d f / d V.
    pub fn factor_slope(&self, shared: &Shared<'_>, g: &[f64]) -> Vec<Vec<f64>> {
        let n = self.rows.len();
        let groupings = shared.design.groupings.iter().enumerate();
        groupings
            .map(|(f, grouping)| {
                let lambda = &shared.factors[f];
                let (p, a) = (grouping.width(), self.scaled(shared, f, lambda));
                let r = a.len() / n;
                let mut out = vec![0.0; p * r];
                let mut sum = vec![0.0; r];
                for i in 0..n {
                    let code = grouping.codes[self.rows[i]];
                    sum.fill(0.0);
                    for j in 0..n {
                        if grouping.codes[self.rows[j]] == code {
                            let weight = 2.0 * g[j * n + i];
                            sum.iter_mut().zip(&a[j * r..(j + 1) * r]).for_each(|(sum, a)| *sum += weight * a);
                        }
                    }
                    for (c, sum) in sum.iter().enumerate() {
                        for (k, column) in grouping.columns.iter().enumerate() {
                            out[c * p + k] += sum * column.at(self.rows[i]);
                        }
                    }
                }
                out
            })
            .collect()
    }

    /// d f / d log s of each row, from g = d f / d V and e = S R S.
    pub fn log_sd_slope(&self, g: &[f64], e: &[f64]) -> Vec<f64> {
        let n = self.rows.len();
        (0..n).map(|j| 2.0 * crate::linalg::dot(&g[j * n..(j + 1) * n], &e[j * n..(j + 1) * n])).collect()
    }

    /// d f / d rho, from g = d f / d V.
    pub fn correlation_slope(&self, shared: &Shared<'_>, g: &[f64]) -> Vec<f64> {
        let n = self.rows.len();
        let mut out = vec![0.0; shared.rho.len()];
        for (k, out) in out.iter_mut().enumerate() {
            self.each_derivative(shared, k, |i, j, value| *out += g[j * n + i] * value);
        }
        out
    }

    /// dV / d rho_k.
    pub fn correlation_direction(&self, shared: &Shared<'_>, k: usize) -> Vec<f64> {
        let n = self.rows.len();
        let mut v = vec![0.0; n * n];
        self.each_derivative(shared, k, |i, j, value| v[j * n + i] = value);
        v
    }

    /// Entries (i, j) of dV / d rho_k that are not zero.
    fn each_derivative(&self, shared: &Shared<'_>, k: usize, mut take: impl FnMut(usize, usize, f64)) {
        let Some(correlation) = shared.correlation else { return };
        let s = |at: usize| shared.sds[self.rows[at]];
        for (members, values) in &self.groups {
            let m = members.len();
            let mut derivative = vec![0.0; m * m];
            let places = Places { rows: m, width: correlation.width, values };
            correlation.structure.derivative_into(&shared.rho, places, k, &mut derivative);
            for (b, &j) in members.iter().enumerate() {
                for (a, &i) in members.iter().enumerate() {
                    take(i, j, derivative[b * m + a] * s(i) * s(j));
                }
            }
        }
    }

    /// dV for a change dLambda of one grouping factor.
    pub fn random_direction(&self, shared: &Shared<'_>, f: usize, derivative: &[f64]) -> Vec<f64> {
        let n = self.rows.len();
        let (a, d) = (self.scaled(shared, f, &shared.factors[f]), self.scaled(shared, f, derivative));
        let (r, codes) = (a.len() / n, &shared.design.groupings[f].codes);
        let mut v = vec![0.0; n * n];
        let row = |of: &[f64], i: usize| -> Vec<f64> { of[i * r..(i + 1) * r].to_vec() };
        for j in 0..n {
            let (aj, dj) = (row(&a, j), row(&d, j));
            for i in 0..n {
                if codes[self.rows[i]] == codes[self.rows[j]] {
                    v[j * n + i] = crate::linalg::dot(&a[i * r..(i + 1) * r], &dj)
                        + crate::linalg::dot(&d[i * r..(i + 1) * r], &aj);
                }
            }
        }
        v
    }

    /// Z E Z' with the same matrix, p x p, in every level of a grouping factor.
    pub fn entry_direction(&self, shared: &Shared<'_>, f: usize, matrix: &[f64]) -> Vec<f64> {
        let (n, grouping) = (self.rows.len(), &shared.design.groupings[f]);
        let p = grouping.width();
        let moved = self.scaled(shared, f, matrix);
        let mut v = vec![0.0; n * n];
        for j in 0..n {
            for i in 0..n {
                if grouping.codes[self.rows[i]] == grouping.codes[self.rows[j]] {
                    let z = grouping.columns.iter().map(|column| column.at(self.rows[j]));
                    v[j * n + i] = moved[i * p..(i + 1) * p].iter().zip(z).map(|(m, z)| m * z).sum();
                }
            }
        }
        v
    }

    /// Z D, n x q with D = Lambda Lambda' of every level in the block, and (grouping factor, level) of each piece of q.
    pub fn random_columns(&self, shared: &Shared<'_>) -> (Vec<f64>, Vec<(usize, usize)>) {
        let n = self.rows.len();
        let (mut columns, mut levels) = (Vec::new(), Vec::new());
        for (f, grouping) in shared.design.groupings.iter().enumerate() {
            let (p, lambda) = (grouping.width(), &shared.factors[f]);
            let a = self.scaled(shared, f, lambda);
            let r = a.len() / n;
            let mut here: Vec<u32> = self.rows.iter().map(|&i| grouping.codes[i]).collect();
            here.sort_unstable();
            here.dedup();
            for level in here {
                levels.push((f, level as usize));
                for k in 0..p {
                    columns.extend((0..n).map(|i| {
                        if grouping.codes[self.rows[i]] == level {
                            (0..r).map(|c| a[i * r + c] * lambda[c * p + k]).sum::<f64>()
                        } else {
                            0.0
                        }
                    }));
                }
            }
        }
        (columns, levels)
    }
}
