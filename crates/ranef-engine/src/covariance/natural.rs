//! From theta to standard deviations and correlations, with derivatives, for any structure.
//!
//! ```text
//! sd_i   = |lambda_i|,                          d sd_i / d theta_m   = lambda_i' dlambda_i / sd_i
//! cor_ij = lambda_i'lambda_j / (sd_i sd_j),     d cor_ij / d theta_m = (dlambda_i'lambda_j + lambda_i'dlambda_j) / (sd_i sd_j)
//!                                                                      - cor_ij (d sd_i / sd_i + d sd_j / sd_j)
//! ```
//!
//! with lambda_i the i-th row of Lambda.
use super::Covariance;

/// A parameter in the user's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Natural {
    /// The standard deviation of a column.
    Sd(usize),
    /// The correlation of two columns, the earlier first.
    Correlation(usize, usize),
}

/// Lambda and its derivatives at a theta.
pub struct NaturalScale {
    size: usize,
    lambda: Vec<f64>,
    derivatives: Vec<Vec<f64>>,
}

impl NaturalScale {
    /// At theta.
    pub fn new(covariance: &dyn Covariance, theta: &[f64]) -> Self {
        let size = covariance.size();
        let mut lambda = vec![0.0; size * covariance.rank()];
        covariance.factor_into(theta, &mut lambda);
        let derivatives = (0..theta.len())
            .map(|m| {
                let mut derivative = vec![0.0; lambda.len()];
                covariance.derivative_into(theta, m, &mut derivative);
                derivative
            })
            .collect();
        Self { size, lambda, derivatives }
    }

    /// A parameter's value; NaN for a correlation with a column that has no variance.
    pub fn value(&self, parameter: Natural) -> f64 {
        let product = |i: usize, j: usize| self.product(&self.lambda, i, &self.lambda, j);
        match parameter {
            Natural::Sd(i) => product(i, i).sqrt(),
            Natural::Correlation(i, j) => {
                let scale = product(i, i).sqrt() * product(j, j).sqrt();
                if scale > 0.0 { (product(i, j) / scale).clamp(-1.0, 1.0) } else { f64::NAN }
            }
        }
    }

    /// Its derivatives with respect to theta; NaN where a standard deviation is zero.
    pub fn slope(&self, parameter: Natural) -> Vec<f64> {
        let sd = |i: usize| self.value(Natural::Sd(i));
        let sd_slope = |i: usize, derivative: &[f64]| self.product(&self.lambda, i, derivative, i) / sd(i);
        let slope = |derivative: &Vec<f64>| match parameter {
            Natural::Sd(i) => sd_slope(i, derivative),
            Natural::Correlation(i, j) => {
                let moved = self.product(derivative, i, &self.lambda, j) + self.product(&self.lambda, i, derivative, j);
                let relative = sd_slope(i, derivative) / sd(i) + sd_slope(j, derivative) / sd(j);
                moved / (sd(i) * sd(j)) - self.value(parameter) * relative
            }
        };
        self.derivatives.iter().map(slope).collect()
    }

    fn product(&self, a: &[f64], i: usize, b: &[f64], j: usize) -> f64 {
        a.chunks_exact(self.size).zip(b.chunks_exact(self.size)).map(|(a, b)| a[i] * b[j]).sum()
    }
}
