//! Standard deviations and correlations of the random effects with their standard errors, by the delta method.
use super::Fit;
use crate::covariance::{Natural, NaturalScale};

/// A correlation this close to one has no standard error: it is at the edge.
const AT_THE_EDGE: f64 = 1e-12;
/// A slope below this share of the largest is rounding.
const NO_EFFECT: f64 = 1e-12;

/// An estimate and its standard error, NaN where there is none.
pub type Estimated = (f64, f64);

/// Standard deviations and correlations of one term, in the user's units.
pub struct VarianceComponents {
    /// Of each column.
    pub sds: Vec<Estimated>,
    /// Of columns (0, 1), (0, 2), ..., (1, 2), ...
    pub correlations: Vec<Estimated>,
}

impl Fit {
    /// The standard deviations and correlations of every term.
    pub fn variance_components(&self) -> Vec<VarianceComponents> {
        (0..self.data.design.places.len()).map(|term| self.components_of(term)).collect()
    }

    fn components_of(&self, term: usize) -> VarianceComponents {
        let (template, scales) = (&self.data.design.template, &self.data.design.places[term].scales);
        let (covariance, range) = (template.covariance(term), template.theta_range(term));
        let (first, dim) = (self.layout.theta.start + range.start, self.layout.dim);
        let (held, v) = (self.held(), self.parameter_covariance());
        let natural = NaturalScale::new(covariance, &self.theta[range]);
        let std_error = |parameter: Natural| -> f64 {
            let slope = natural.slope(parameter);
            // A parameter without an effect here, but for rounding, may be known or at an edge: it is left out.
            let least = NO_EFFECT * slope.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
            let used: Vec<(usize, f64)> = (slope.iter().enumerate())
                .filter(|(_, s)| s.is_nan() || s.abs() > least)
                .map(|(m, s)| (first + m, *s))
                .collect();
            if used.iter().any(|(m, slope)| slope.is_nan() || held.contains(m)) {
                return f64::NAN;
            }
            let variance: f64 =
                used.iter().map(|(j, s)| s * used.iter().map(|(i, t)| t * v[j * dim + i]).sum::<f64>()).sum();
            if variance >= 0.0 { variance.sqrt() } else { f64::NAN }
        };
        let sd = |i: usize| {
            let value = natural.value(Natural::Sd(i));
            let error = if value > 0.0 { std_error(Natural::Sd(i)) } else { f64::NAN };
            (value / scales[i], error / scales[i])
        };
        let correlation = |(i, j): (usize, usize)| {
            let value = natural.value(Natural::Correlation(i, j));
            let inside = 1.0 - value.abs() > AT_THE_EDGE;
            (value, if inside { std_error(Natural::Correlation(i, j)) } else { f64::NAN })
        };
        let p = covariance.size();
        VarianceComponents {
            sds: (0..p).map(sd).collect(),
            correlations: (0..p).flat_map(|i| (i + 1..p).map(move |j| (i, j))).map(correlation).collect(),
        }
    }
}
