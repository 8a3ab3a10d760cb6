//! Correlated effects of which each row of data meets one alone, as a field seen at points.
//!
//! What the data say of a block is then a diagonal S, and M = S + R^{-1} with R = L L' is factored as in [`super::root`]. Where S
//! is not negative, its inverse comes from the marginal precision of what is seen, which has neither R^{-1} nor L^{-1}:
//!
//! ```text
//! B = I + S^{1/2} R S^{1/2} ,   K = (R + S^{-1})^{-1} = S^{1/2} B^{-1} S^{1/2} = R^{-1} - R^{-1} M^{-1} R^{-1} ,
//! M^{-1} = S^{-1} - S^{-1} K S^{-1} = R - R K R .
//! ```
//!
//! Reference: Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, sections 3.4.3 and 5.5.1.
use super::dense_cholesky;
use super::root::{Root, multiply, parallelism};
use faer::MatRef;
use faer::linalg::matmul::triangular::BlockStructure;

/// The share of the prior precision that the data must add for M^{-1} to be the difference of S^{-1} and what is seen: below
/// it digits are lost.
const LEAST_SEEN: f64 = 1e-4;

/// One block: its root, S, and the Cholesky factor of L' S L + I.
#[derive(Clone, Debug)]
pub struct Field {
    pub root: Root,
    seen: Vec<f64>,
    factor: Vec<f64>,
}

impl Field {
    /// Of the block of a root.
    pub fn new(root: Root) -> Self {
        Self { seen: vec![0.0; root.size], factor: vec![0.0; root.size * root.size], root }
    }

    /// Factors L' S L + I for the S given. On failure the index of the pivot that was not positive.
    pub fn factor(&mut self, seen: &[f64]) -> Result<(), usize> {
        let (s, l) = (self.root.size, self.root.lower_values());
        self.seen.copy_from_slice(seen);
        let mut half = vec![0.0; s * s];
        for j in 0..s {
            let rows = j * s + j..(j + 1) * s;
            let products = l[rows.clone()].iter().zip(&seen[j..]).map(|(l, seen)| l * seen);
            half[rows].iter_mut().zip(products).for_each(|(half, product)| *half = product);
        }
        multiply(
            &mut self.factor,
            (BlockStructure::TriangularLower, s, s),
            (MatRef::from_column_major_slice(l, s, s).transpose(), BlockStructure::TriangularUpper),
            (MatRef::from_column_major_slice(&half, s, s), BlockStructure::TriangularLower),
            parallelism(s),
        );
        self.factor.iter_mut().step_by(s + 1).for_each(|pivot| *pivot += 1.0);
        dense_cholesky::factor_in_place(&mut self.factor, s)
    }

    /// The rows of the block: x = F^{-1} x with M = L^{-T} F F' L^{-1}, for `columns` columns `stride` apart.
    pub fn forward_in_place(&self, x: &mut [f64], columns: usize, stride: usize) {
        let x = &mut x[self.root.first..];
        self.root.forward(x, columns, stride);
        dense_cholesky::forward_in_place(&self.factor, self.root.size, x, columns, stride);
    }

    /// x = F^{-T} x, laid out as in [`Field::forward_in_place`].
    pub fn backward_in_place(&self, x: &mut [f64], columns: usize, stride: usize) {
        let x = &mut x[self.root.first..];
        dense_cholesky::backward_in_place(&self.factor, self.root.size, x, columns, stride);
        self.root.backward(x, columns, stride);
    }

    /// log of the determinants of M and R.
    pub fn log_det(&self) -> f64 {
        2.0 * self.factor.iter().step_by(self.root.size + 1).map(|pivot| pivot.ln()).sum::<f64>()
    }

    /// The diagonal of M^{-1}, and K, both triangles.
    pub fn inverse(&self) -> (Vec<f64>, Vec<f64>) {
        if self.seen.iter().all(|&seen| seen >= 0.0)
            && let Some(found) = self.inverse_of_seen()
        {
            return found;
        }
        let z = dense_cholesky::inverse(&self.factor, self.root.size);
        (self.root.outer_diagonal(&z), self.root.marginal_precision(z))
    }

    /// The same where S is not negative.
    fn inverse_of_seen(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        let (s, r) = (self.root.size, &self.root.correlation.values);
        let weights: Vec<f64> = self.seen.iter().map(|seen| seen.sqrt()).collect();
        let mut b = vec![0.0; s * s];
        for j in 0..s {
            for i in j..s {
                b[j * s + i] = weights[i] * weights[j] * r[j * s + i];
            }
            b[j * s + j] += 1.0;
        }
        dense_cholesky::factor_in_place(&mut b, s).ok()?;
        let mut k = dense_cholesky::inverse(&b, s);
        let mut diagonal = vec![0.0; s];
        let mut unseen = Vec::new();
        for (i, (diagonal, &seen)) in diagonal.iter_mut().zip(&self.seen).enumerate() {
            let share = 1.0 - k[i * s + i];
            if share > LEAST_SEEN {
                *diagonal = share / seen;
            } else {
                unseen.push(i);
            }
        }
        let mut columns = vec![0.0; unseen.len() * s];
        for (column, &i) in columns.chunks_exact_mut(s).zip(&unseen) {
            for (j, (value, weight)) in column.iter_mut().zip(&weights).enumerate() {
                *value = weight * r[i.min(j) * s + i.max(j)];
            }
        }
        dense_cholesky::forward_in_place(&b, s, &mut columns, unseen.len(), s);
        for (column, &i) in columns.chunks_exact(s).zip(&unseen) {
            diagonal[i] = r[i * s + i] - column.iter().map(|value| value * value).sum::<f64>();
        }
        for (column, outer) in k.chunks_exact_mut(s).zip(&weights) {
            column.iter_mut().zip(&weights).for_each(|(k, inner)| *k *= outer * inner);
        }
        Some((diagonal, k))
    }
}
