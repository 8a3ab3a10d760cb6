//! What is assumed of parameters before the data speak: prior densities, values, equalities.
//!
//! All in the user's units; the likelihood's own coordinates are met in `likelihood::penalty` and
//! `likelihood::restriction`.
use crate::special::ln_gamma;

/// A parameter of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A fixed effect: predictor, column among those kept.
    Coefficient {
        /// The predictor.
        predictor: usize,
        /// The column among those kept.
        column: usize,
    },
    /// The standard deviation of a column of a term.
    Sd {
        /// The term.
        term: usize,
        /// The column.
        column: usize,
    },
    /// The correlation matrix of a term.
    Correlations {
        /// The term.
        term: usize,
    },
}

/// The function of a quantity that has the density.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The quantity itself.
    Identity,
    /// Its logarithm: a standard deviation's.
    Log,
    /// Its exponential: a residual standard deviation, whose logarithm is the coefficient.
    Exp,
}

/// A prior density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Density {
    /// Normal.
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        sd: f64,
    },
    /// Student's t; Cauchy's distribution with one degree of freedom.
    StudentT {
        /// Degrees of freedom.
        df: f64,
        /// Its centre.
        location: f64,
        /// Its scale.
        scale: f64,
    },
    /// A normal about zero, of positive numbers only.
    HalfNormal {
        /// The standard deviation of the whole normal.
        scale: f64,
    },
    /// Student's t about zero, of positive numbers only.
    HalfStudentT {
        /// Degrees of freedom.
        df: f64,
        /// Its scale.
        scale: f64,
    },
    /// Gamma.
    Gamma {
        /// Its mean.
        mean: f64,
        /// Its shape; the rate is shape / mean.
        shape: f64,
    },
    /// Of correlation matrices: density proportional to |R|^(shape - 1).
    ///
    /// Reference: Lewandowski, Kurowicka & Joe (2009), J. Multivariate Anal. 100, 1989-2001.
    Lkj {
        /// One is uniform; more favours the identity.
        shape: f64,
    },
}

impl Density {
    /// log density at v with its first two derivatives. Not for correlation matrices.
    pub fn at(&self, v: f64) -> [f64; 3] {
        let half_ln_tau = 0.5 * (2.0 * std::f64::consts::PI).ln();
        match *self {
            Self::Normal { mean, sd } => {
                let z = (v - mean) / sd;
                [-0.5 * z * z - sd.ln() - half_ln_tau, -z / sd, -1.0 / (sd * sd)]
            }
            Self::StudentT { df, location, scale } => {
                let z = (v - location) / scale;
                let constant = ln_gamma(0.5 * (df + 1.0))
                    - ln_gamma(0.5 * df)
                    - 0.5 * (df * std::f64::consts::PI).ln()
                    - scale.ln();
                let rest = df + z * z;
                [
                    constant - 0.5 * (df + 1.0) * (z * z / df).ln_1p(),
                    -(df + 1.0) * z / (rest * scale),
                    -(df + 1.0) * (df - z * z) / (rest * rest * scale * scale),
                ]
            }
            Self::HalfNormal { scale } => {
                let [value, first, second] = Self::Normal { mean: 0.0, sd: scale }.at(v);
                [value + std::f64::consts::LN_2, first, second]
            }
            Self::HalfStudentT { df, scale } => {
                let [value, first, second] = Self::StudentT { df, location: 0.0, scale }.at(v);
                [value + std::f64::consts::LN_2, first, second]
            }
            Self::Gamma { mean, shape } => {
                let rate = shape / mean;
                // 0 log 0 is 0: the exponential distribution has a density at zero.
                let power = if shape == 1.0 { [0.0; 3] } else { [v.ln(), 1.0 / v, -1.0 / (v * v)] };
                let constant = shape * rate.ln() - ln_gamma(shape);
                [
                    constant + (shape - 1.0) * power[0] - rate * v,
                    (shape - 1.0) * power[1] - rate,
                    (shape - 1.0) * power[2],
                ]
            }
            Self::Lkj { .. } => unreachable!("a density of correlation matrices"),
        }
    }
}

/// log of the integral of |R|^(shape - 1) over the correlation matrices of `size` variables.
pub fn ln_lkj_constant(size: usize, shape: f64) -> f64 {
    (1..size)
        .map(|k| {
            let rest = (size - k) as f64;
            let a = shape + 0.5 * (rest - 1.0);
            let ln_beta = 2.0 * ln_gamma(a) - ln_gamma(2.0 * a);
            rest * ((2.0 * shape - 2.0 + rest) * std::f64::consts::LN_2 + ln_beta)
        })
        .sum()
}

/// A prior density of one quantity; its logarithm is added to the log likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    /// Of what.
    pub quantity: Quantity,
    /// On which scale.
    pub scale: Scale,
    /// The density there.
    pub density: Density,
}

/// A quantity that is not free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constraint {
    /// It has a value.
    Held(Quantity, f64),
    /// It is equal to another one.
    Tied(Quantity, Quantity),
}

/// All that is assumed of a model's parameters.
#[derive(Clone, Debug, Default)]
pub struct Assumptions {
    /// Prior densities.
    pub penalties: Vec<Penalty>,
    /// Values and equalities.
    pub constraints: Vec<Constraint>,
}

#[cfg(test)]
mod tests {
    use super::{Density, ln_lkj_constant};

    fn scalar() -> [Density; 6] {
        [
            Density::Normal { mean: 0.4, sd: 1.3 },
            Density::StudentT { df: 3.0, location: -0.2, scale: 0.7 },
            Density::StudentT { df: 1.0, location: 0.0, scale: 2.5 },
            Density::HalfNormal { scale: 0.8 },
            Density::HalfStudentT { df: 4.0, scale: 0.5 },
            Density::Gamma { mean: 1.5, shape: 2.5 },
        ]
    }

    #[test]
    fn densities_integrate_to_one() {
        for density in scalar() {
            let half =
                matches!(density, Density::HalfNormal { .. } | Density::HalfStudentT { .. } | Density::Gamma { .. });
            // v = tan(t) takes the line to an interval, on which the midpoint rule converges fast.
            let n = 20_000;
            let (from, to) = (if half { 0.0 } else { -0.5 * std::f64::consts::PI }, 0.5 * std::f64::consts::PI);
            let width = (to - from) / f64::from(n);
            let total: f64 = (0..n)
                .map(|i| from + (f64::from(i) + 0.5) * width)
                .map(|t| density.at(t.tan())[0].exp() / (t.cos() * t.cos()) * width)
                .sum();
            assert!((total - 1.0).abs() < 1e-6, "{density:?}: {total}");
        }
    }

    #[test]
    fn derivatives_are_those_of_differences() {
        for density in scalar() {
            for v in [0.3, 1.0, 2.7] {
                // Truncation is h^2 / 6 times a third derivative of up to 1e3, rounding 1e-15 / h.
                let h = 1e-6;
                let (above, below, here) = (density.at(v + h), density.at(v - h), density.at(v));
                for order in 0..2 {
                    let difference = (above[order] - below[order]) / (2.0 * h);
                    assert!((difference - here[order + 1]).abs() < 1e-8, "{density:?} {v} {order}");
                }
            }
        }
    }

    #[test]
    fn the_constant_of_lkj_is_the_integral() {
        // Two variables: the integral of (1 - r^2)^(shape - 1) over (-1, 1); three, uniform: pi^2 / 2.
        for shape in [1.0, 2.0, 3.5] {
            let n = 200_000;
            let total: f64 = (0..n)
                .map(|i| -1.0 + (f64::from(i) + 0.5) * 2.0 / f64::from(n))
                .map(|r| (1.0 - r * r).powf(shape - 1.0) * 2.0 / f64::from(n))
                .sum();
            assert!((ln_lkj_constant(2, shape) - total.ln()).abs() < 1e-8, "{shape}");
        }
        let volume = 0.5 * std::f64::consts::PI.powi(2);
        assert!((ln_lkj_constant(3, 1.0) - volume.ln()).abs() < 1e-12);
    }
}
