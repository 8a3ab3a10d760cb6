//! Correlations as sines of angles: the edge, a correlation of one, is then an ordinary point at a finite angle about
//! which Sigma is symmetric, because only the sign of a column of Lambda, a cosine, changes there.
use std::f64::consts::FRAC_PI_2;

/// Sine and cosine of an angle, exact at multiples of pi / 2 as they are written in floating point: at the edge a
/// column of Lambda is zero, not nearly so.
pub fn sine_cosine(angle: f64) -> (f64, f64) {
    let quarters = angle / FRAC_PI_2;
    if quarters == quarters.round() && quarters.abs() < 1e6 {
        return match (quarters as i64).rem_euclid(4) {
            0 => (0.0, 1.0),
            1 => (1.0, 0.0),
            2 => (0.0, -1.0),
            _ => (-1.0, 0.0),
        };
    }
    angle.sin_cos()
}

/// The angle in [-pi/2, pi/2] with the same sine.
pub fn with_positive_cosine(angle: f64) -> f64 {
    let (sine, cosine) = sine_cosine(angle);
    sine.atan2(cosine.abs())
}

/// The edge, +-pi/2, on the side of an angle in [-pi/2, pi/2].
pub fn edge(angle: f64) -> f64 {
    FRAC_PI_2.copysign(angle)
}
