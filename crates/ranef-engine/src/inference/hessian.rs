//! The Hessian of the outer objective from its exact gradient, and what its spectrum says.
//!
//! Central differences of the gradient have an error of second order in the step. With a step of 2e-4 standard errors it is
//! between 1e-10 and 1e-5 in units of standard errors, and rounding adds less than 1e-8.
use crate::linalg::{SymmetricEigen, symmetric_eigen};
use crate::objective::Objective;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use std::collections::HashMap;

/// The step of the differences, in standard errors.
const STEP: f64 = 2e-4;

/// Central differences of the gradient at x, symmetrised, dim x dim column-major. `scale` holds about one standard error
/// of each parameter. `None` where a displaced point has no finite value.
///
/// Parameters of different parts of the objective are displaced together: a few pairs of gradients then tell all.
pub fn gradient_differences(objective: &mut dyn Objective, x: &[f64], scale: &[f64]) -> Option<Vec<f64>> {
    let dim = x.len();
    let parts = objective.parts().unwrap_or_else(|| vec![None; dim]);
    let together = batches(&parts);
    let mut points = Vec::with_capacity(2 * together.len());
    for batch in &together {
        for sign in [STEP, -STEP] {
            let mut moved = x.to_vec();
            batch.iter().for_each(|&j| moved[j] += sign * scale[j]);
            points.push(moved);
        }
    }
    let gradients = objective.gradients_nearby(x, &points)?;
    let mut hessian = vec![0.0; dim * dim];
    for (k, batch) in together.iter().enumerate() {
        let (above, below) = (&gradients[2 * k], &gradients[2 * k + 1]);
        for &j in batch {
            // The distance that rounding has left of the two steps.
            let distance = points[2 * k][j] - points[2 * k + 1][j];
            let alone = parts[j].is_none();
            for i in (0..dim).filter(|&i| alone || parts[i] == parts[j]) {
                hessian[j * dim + i] = (above[i] - below[i]) / distance;
                if alone && parts[i].is_some() {
                    hessian[i * dim + j] = hessian[j * dim + i];
                }
            }
        }
    }
    for j in 0..dim {
        for i in 0..j {
            let mean = 0.5 * (hessian[j * dim + i] + hessian[i * dim + j]);
            hessian[j * dim + i] = mean;
            hessian[i * dim + j] = mean;
        }
    }
    Some(hessian)
}

/// Parameters that can be displaced together: one of each part, or one that all parts share.
fn batches(parts: &[Option<u32>]) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut used: HashMap<u32, usize> = HashMap::new();
    // Where the batches with parameters of parts are.
    let mut open: Vec<usize> = Vec::new();
    for (j, part) in parts.iter().enumerate() {
        let Some(part) = part else {
            found.push(vec![j]);
            continue;
        };
        let place = used.entry(*part).and_modify(|place| *place += 1).or_insert(0);
        if *place == open.len() {
            open.push(found.len());
            found.push(Vec::new());
        }
        found[open[*place]].push(j);
    }
    found
}

/// The curvature of the objective on the free parameters, in coordinates scaled to a unit diagonal.
#[derive(Clone, Debug)]
pub struct Curvature {
    free: Vec<usize>,
    dim: usize,
    scale: Vec<f64>,
    values: Vec<f64>,
    /// Column after column.
    vectors: Vec<f64>,
}

/// An eigenvalue of the scaled Hessian below this is a flat direction: its standard error would be 3000 times that with the
/// other parameters known, and a search that ends a ten millionth of a standard error away leaves as much on a curved ridge.
const FLAT: f64 = 1e-7;
/// The information that a flat direction is credited with, in units of its parameters' own.
const LEAST_INFORMATION: f64 = 1e-10;

/// Above this many parameters products of matrices are worth a call.
const MANY: usize = 64;

impl Curvature {
    /// Of a Hessian (dim x dim, column-major) restricted to the parameters `free`.
    pub fn new(hessian: &[f64], dim: usize, free: Vec<usize>) -> Self {
        let size = free.len();
        let scale: Vec<f64> = free.iter().map(|&i| hessian[i * dim + i].abs().max(f64::MIN_POSITIVE).sqrt()).collect();
        let mut scaled = vec![0.0; size * size];
        for j in 0..size {
            for i in 0..size {
                scaled[j * size + i] = hessian[free[j] * dim + free[i]] / (scale[i] * scale[j]);
            }
        }
        let SymmetricEigen { values, vectors } = symmetric_eigen(&scaled, size);
        Self { free, dim, scale, values, vectors }
    }

    /// Eigenvalues, ascending.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Whether all eigenvalues are clearly positive.
    pub fn is_definite(&self) -> bool {
        self.values.iter().all(|&value| value > FLAT)
    }

    /// The parameters that make up the directions whose eigenvalue is not clearly positive: those with a loading of
    /// more than a tenth.
    pub fn flat_parameters(&self) -> Vec<usize> {
        let mut found = Vec::new();
        for (k, &value) in self.values.iter().enumerate() {
            if value <= FLAT {
                for (i, &parameter) in self.free.iter().enumerate() {
                    if self.vectors[k * self.free.len() + i].abs() > 0.1 && !found.contains(&parameter) {
                        found.push(parameter);
                    }
                }
            }
        }
        found
    }

    /// sqrt(g' H^-1 g) on the free parameters: how far the optimum is, in standard errors.
    pub fn distance(&self, gradient: &[f64]) -> f64 {
        self.components(gradient)
            .iter()
            .zip(&self.values)
            .map(|(c, value)| c * c / value.abs().max(FLAT))
            .sum::<f64>()
            .sqrt()
    }

    /// The Newton step -H^-1 g on the free parameters; flat directions are left alone.
    pub fn newton_step(&self, gradient: &[f64]) -> Vec<f64> {
        let parts = self.components(gradient);
        let mut step = vec![0.0; self.dim];
        for (i, &parameter) in self.free.iter().enumerate() {
            step[parameter] = -(0..self.free.len())
                .filter(|&k| self.values[k] > FLAT)
                .map(|k| self.vectors[k * self.free.len() + i] * parts[k] / self.values[k])
                .sum::<f64>()
                / self.scale[i];
        }
        step
    }

    /// The direction of the most negative eigenvalue, half a scaled unit long; `None` where there is none.
    pub fn downhill(&self) -> Option<Vec<f64>> {
        let k = 0;
        if self.values.first().is_none_or(|&value| value > -1e-6) {
            return None;
        }
        let mut direction = vec![0.0; self.dim];
        for (i, &parameter) in self.free.iter().enumerate() {
            direction[parameter] = 0.5 * self.vectors[k * self.free.len() + i] / self.scale[i];
        }
        Some(direction)
    }

    /// H^-1 on the free parameters, zero for the others. A direction that is flat, or that rounding shows as falling,
    /// gets a variance so large that nobody takes its parameters for known.
    pub fn inverse(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.dim * self.dim];
        if self.free.len() > MANY {
            let size = self.free.len();
            let product = self.inverse_of_many();
            for (b, &j) in self.free.iter().enumerate() {
                for (a, &i) in self.free.iter().enumerate() {
                    out[j * self.dim + i] = product[b * size + a] / (self.scale[a] * self.scale[b]);
                }
            }
            return out;
        }
        for (a, &i) in self.free.iter().enumerate() {
            for (b, &j) in self.free.iter().enumerate() {
                out[j * self.dim + i] = (0..self.free.len())
                    .map(|k| {
                        self.vectors[k * self.free.len() + a] * self.vectors[k * self.free.len() + b]
                            / self.values[k].max(LEAST_INFORMATION)
                    })
                    .sum::<f64>()
                    / (self.scale[a] * self.scale[b]);
            }
        }
        out
    }

    /// V diag(1 / values) V' as a matrix product.
    fn inverse_of_many(&self) -> Vec<f64> {
        let size = self.free.len();
        let mut roots = self.vectors.clone();
        for (column, value) in roots.chunks_exact_mut(size).zip(&self.values) {
            let root = value.max(LEAST_INFORMATION).sqrt();
            column.iter_mut().for_each(|v| *v /= root);
        }
        let mut out = vec![0.0; size * size];
        let roots = MatRef::from_column_major_slice(&roots, size, size);
        let target = MatMut::from_column_major_slice_mut(&mut out, size, size);
        matmul(target, Accum::Replace, roots, roots.transpose(), 1.0, Par::rayon(0));
        out
    }

    fn components(&self, gradient: &[f64]) -> Vec<f64> {
        (0..self.free.len())
            .map(|k| {
                self.free
                    .iter()
                    .enumerate()
                    .map(|(i, &parameter)| self.vectors[k * self.free.len() + i] * gradient[parameter] / self.scale[i])
                    .sum()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Curvature;

    /// The difference of the last two parameters is flat; the first of the four is not free.
    #[test]
    fn flat_directions_are_told_by_their_parameters() {
        let hessian = [9.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 4.0, 6.0, 0.0, 0.0, 6.0, 9.0];
        let curvature = Curvature::new(&hessian, 4, vec![1, 2, 3]);
        assert!(!curvature.is_definite());
        assert_eq!(curvature.flat_parameters(), [2, 3]);
        assert!(Curvature::new(&hessian, 4, vec![0, 1, 2]).flat_parameters().is_empty());
    }
}
