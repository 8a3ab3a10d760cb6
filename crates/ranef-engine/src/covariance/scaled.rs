//! Standard deviations times a correlation matrix with its own parameters.
//!
//! Lambda = diag(s) C, with C the Cholesky factor of the correlation matrix, a smooth function of angles. theta holds the
//! standard deviations first, then the angles:
//!
//! ```text
//! one for all columns     theta_0 = s        (its sign has no effect)
//! one for each column     theta_j = sqrt(s_j)    (s_j = theta_j^2)
//! ```
//!
//! The second is not s_j itself because a sign of its own would turn the column's correlations around, out of the
//! structure: the likelihood would have a kink where s_j = 0. In theta_j it is smooth and even there.
use super::{Card, Covariance, Natural, entries_basis, pattern_of};

/// A correlation matrix of a given size as a function of angles.
pub trait Correlation: Send + Sync + std::fmt::Debug {
    /// Number of columns p.
    fn size(&self) -> usize;

    /// Number of angles: none for a single column.
    fn n_angles(&self) -> usize;

    /// The angles at which nothing is correlated.
    fn independent(&self) -> Vec<f64>;

    /// Writes the Cholesky factor C, p x p column-major, lower triangular with rows of length one.
    fn cholesky_into(&self, angles: &[f64], factor: &mut [f64]);

    /// Writes dC / d angle_m.
    fn derivative_into(&self, angles: &[f64], m: usize, derivative: &mut [f64]);

    /// The angles of a Cholesky factor. Rows of zeros stand for columns without variance, whose correlations are unknown.
    fn angles_of(&self, factor: &[f64]) -> Vec<f64>;

    /// The angles with the same correlations for which C has no negative diagonal.
    fn canonical(&self, angles: &mut [f64]);

    /// The nearest angle at which the correlation matrix is singular.
    fn edge(&self, angle: f64) -> f64;

    /// For each angle, the two columns whose correlation it sets, given the angles before it.
    fn pairs(&self) -> Vec<(usize, usize)>;

    /// For a matrix that is linear in correlations with equal variances, the places of the diagonal and of each of them, as
    /// matrices of zeros and ones.
    fn patterns(&self) -> Option<Vec<Vec<f64>>> {
        let p = self.size();
        match (p, self.n_angles()) {
            (1, _) => Some(vec![vec![1.0]]),
            (2, 1) => Some((0..2).map(|lag| pattern_of(p, |a, b| a.abs_diff(b) == lag)).collect()),
            _ => None,
        }
    }

    /// Sets an angle so that the correlation of its pair is `value`, the others as they are; NaN where that cannot be.
    fn hold(&self, m: usize, value: f64, angles: &mut [f64]);
}

/// Standard deviations times a correlation matrix.
#[derive(Debug)]
pub struct Scaled<C> {
    card: &'static Card,
    correlation: C,
    /// One standard deviation for all columns.
    common: bool,
}

impl<C: Correlation> Scaled<C> {
    /// One standard deviation for each column.
    pub fn heterogeneous(card: &'static Card, correlation: C) -> Self {
        let common = correlation.size() == 1;
        Self { card, correlation, common }
    }

    /// One standard deviation for all columns.
    pub fn homogeneous(card: &'static Card, correlation: C) -> Self {
        Self { card, correlation, common: true }
    }

    fn n_sds(&self) -> usize {
        if self.common { 1 } else { self.size() }
    }

    fn sd(&self, theta: &[f64], row: usize) -> f64 {
        if self.common { theta[0] } else { theta[row] * theta[row] }
    }
}

impl<C: Correlation> Covariance for Scaled<C> {
    fn card(&self) -> &'static Card {
        self.card
    }

    fn size(&self) -> usize {
        self.correlation.size()
    }

    fn n_theta(&self) -> usize {
        self.n_sds() + self.correlation.n_angles()
    }

    fn factor_into(&self, theta: &[f64], lambda: &mut [f64]) {
        let p = self.size();
        self.correlation.cholesky_into(&theta[self.n_sds()..], lambda);
        lambda.iter_mut().enumerate().for_each(|(at, value)| *value *= self.sd(theta, at % p));
    }

    fn derivative_into(&self, theta: &[f64], m: usize, derivative: &mut [f64]) {
        let (p, first) = (self.size(), self.n_sds());
        if m >= first {
            self.correlation.derivative_into(&theta[first..], m - first, derivative);
            derivative.iter_mut().enumerate().for_each(|(at, value)| *value *= self.sd(theta, at % p));
        } else {
            self.correlation.cholesky_into(&theta[first..], derivative);
            if !self.common {
                let slope = |row: usize| if row == m { 2.0 * theta[m] } else { 0.0 };
                derivative.iter_mut().enumerate().for_each(|(at, value)| *value *= slope(at % p));
            }
        }
    }

    fn is_linear(&self) -> bool {
        self.size() == 1
    }

    fn entry(&self, _m: usize) -> Option<(usize, usize)> {
        (self.size() == 1).then_some((0, 0))
    }

    fn scaling(&self, m: usize) -> (usize, f64) {
        match (m < self.n_sds(), self.common) {
            (true, true) => (0, 1.0),
            (true, false) => (m, 0.5),
            (false, _) => (0, 0.0),
        }
    }

    fn edge(&self, theta: &[f64], m: usize) -> Option<f64> {
        Some(if m < self.n_sds() { 0.0 } else { self.correlation.edge(theta[m]) })
    }

    fn start(&self, sds: &[f64]) -> Vec<f64> {
        let mut theta: Vec<f64> = if self.common {
            vec![(sds.iter().map(|sd| sd * sd).sum::<f64>() / sds.len() as f64).sqrt()]
        } else {
            sds.iter().map(|sd| sd.sqrt()).collect()
        };
        theta.extend(self.correlation.independent());
        theta
    }

    fn theta_of(&self, lambda: &[f64]) -> Vec<f64> {
        let p = self.size();
        let sds: Vec<f64> =
            (0..p).map(|i| lambda.chunks_exact(p).map(|column| column[i] * column[i]).sum::<f64>().sqrt()).collect();
        let inverse: Vec<f64> = sds.iter().map(|sd| if *sd > 0.0 { 1.0 / sd } else { 0.0 }).collect();
        let factor: Vec<f64> = lambda.iter().enumerate().map(|(at, value)| value * inverse[at % p]).collect();
        let mut theta: Vec<f64> = if self.common { vec![sds[0]] } else { sds.iter().map(|sd| sd.sqrt()).collect() };
        theta.extend(self.correlation.angles_of(&factor));
        theta
    }

    fn linear_basis(&self) -> Option<Vec<Vec<f64>>> {
        if self.size() <= 2 && !self.common {
            return Some(entries_basis(self.size()));
        }
        if self.common { self.correlation.patterns() } else { None }
    }

    fn absorbs_row_scaling(&self) -> bool {
        !self.common || self.size() == 1
    }

    fn canonical_signs(&self, theta: &mut [f64]) {
        let (sds, angles) = theta.split_at_mut(self.n_sds());
        sds.iter_mut().for_each(|value| *value = value.abs());
        self.correlation.canonical(angles);
    }

    fn sds(&self) -> Vec<usize> {
        (0..self.n_sds()).collect()
    }

    fn correlations(&self) -> Vec<(usize, usize)> {
        self.correlation.pairs()
    }

    fn hold(&self, parameter: Natural, value: f64, theta: &mut [f64]) -> Option<usize> {
        let first = self.n_sds();
        match parameter {
            Natural::Sd(row) => {
                let m = if self.common { 0 } else { row };
                theta[m] = if self.common { value } else { value.sqrt() };
                Some(m)
            }
            Natural::Correlation(i, j) => {
                let m = self.correlation.pairs().iter().position(|pair| *pair == (i, j))?;
                self.correlation.hold(m, value, &mut theta[first..]);
                Some(first + m)
            }
        }
    }
}
