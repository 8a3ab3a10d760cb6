//! A correlation matrix that is known: only the standard deviations are parameters.
use super::scaled::Correlation;

/// The Cholesky factor of a known correlation matrix.
#[derive(Debug)]
pub struct KnownCorrelation {
    size: usize,
    factor: Vec<f64>,
}

impl KnownCorrelation {
    /// From the lower Cholesky factor, column-major, with rows of length one.
    pub fn new(size: usize, factor: Vec<f64>) -> Self {
        Self { size, factor }
    }
}

impl Correlation for KnownCorrelation {
    fn size(&self) -> usize {
        self.size
    }

    fn n_angles(&self) -> usize {
        0
    }

    fn independent(&self) -> Vec<f64> {
        Vec::new()
    }

    fn cholesky_into(&self, _angles: &[f64], factor: &mut [f64]) {
        factor.copy_from_slice(&self.factor);
    }

    fn derivative_into(&self, _angles: &[f64], _m: usize, derivative: &mut [f64]) {
        derivative.fill(0.0);
    }

    fn angles_of(&self, _factor: &[f64]) -> Vec<f64> {
        Vec::new()
    }

    fn canonical(&self, _angles: &mut [f64]) {}

    fn edge(&self, angle: f64) -> f64 {
        angle
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    fn hold(&self, _m: usize, _value: f64, _angles: &mut [f64]) {}
}
