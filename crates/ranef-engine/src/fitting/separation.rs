//! Coefficients that run to infinity: the response is separated, as when all counts of a level are zero.
//!
//! The likelihood then rises forever ever more slowly and has no maximum; a search ends where the rise is too small to
//! see. The sign of it is a coefficient whose effect over its column's range is large and not known at all.
use crate::design::Fixed;

/// The effect over the range of the column, on the link scale, from which a coefficient may be running away ...
const LARGE_EFFECT: f64 = 8.0;
/// ... and the standard error of that effect that says so.
const UNKNOWN: f64 = 20.0;
/// A variance in orthonormal coordinates below which no coefficient of a predictor can be unknown to that extent.
const SMALL_VARIANCE: f64 = 4.0;

/// Columns (among those kept) whose coefficients run to infinity, given beta~ and its covariance (column-major).
pub fn separated(fixed: &Fixed, rotated: &[f64], covariance: &[f64]) -> Vec<usize> {
    let p = fixed.p();
    if (0..p).all(|j| covariance[j * p + j] < SMALL_VARIANCE) {
        return Vec::new();
    }
    let beta = fixed.to_original(rotated);
    let half: Vec<f64> = (0..p).flat_map(|j| fixed.to_original(&covariance[j * p..(j + 1) * p])).collect();
    (0..p)
        .filter(|&j| {
            let row: Vec<f64> = (0..p).map(|k| half[k * p + j]).collect();
            let std_error = fixed.to_original(&row)[j].max(0.0).sqrt();
            let range = fixed.range(j);
            beta[j].abs() * range > LARGE_EFFECT && std_error * range > UNKNOWN
        })
        .collect()
}
