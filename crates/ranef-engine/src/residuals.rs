//! Randomised quantile residuals: the response's place in its distribution, on the scale of a standard normal variable.
//!
//! With F the distribution function, a continuous response has r = Φ⁻¹(F(y)). A response of positive probability is
//! placed at random between P(Y < y) and P(Y ≤ y), so that r is standard normal under the model whatever the family.
//! Each residual is computed from the tail it lies in: in neither does it lose its digits.
//!
//! Reference: Dunn & Smyth (1996), J. Comput. Graph. Stat. 5:236-244.
use crate::family::Family;
use crate::fitting::Fit;
use crate::link::Link;
use crate::prediction::LEFT_OUT;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::borrow::Cow;

/// Quantile residual of a response, `place` ∈ [0, 1) being where it lies within its own probability; NaN where the
/// predictors are infeasible or the family has no distribution function.
pub fn quantile_residual(family: &dyn Family, y: f64, trials: f64, eta: &[f64], place: f64) -> f64 {
    let [below, above] = family.tails(y, trials, eta);
    let here = if family.card().support.discrete() {
        family.log_density(y, trials, eta).exp()
    } else if below == 0.0 || above == 0.0 {
        // A continuous response has a probability of its own only at an end: an inflated zero, a bound.
        (1.0 - below - above).max(0.0)
    } else {
        0.0
    };
    let (lower, upper) = (below + place * here, above + (1.0 - place) * here);
    // The smallest positive double stands for a tail that has underflowed: it is not infinitely far out.
    let quantile = |tail: f64| Link::Probit.eta(tail.clamp(f64::from_bits(1), 0.5));
    if lower.is_nan() || upper.is_nan() {
        f64::NAN
    } else if lower < upper {
        quantile(lower)
    } else {
        -quantile(upper)
    }
}

impl Fit {
    /// Linear predictors of the rows, by predictor, with the random effects of the terms in `keep` at their conditional
    /// modes and those of the others zero.
    pub fn eta_keeping(&self, keep: &[bool]) -> Cow<'_, [Vec<f64>]> {
        if keep.iter().all(|keep| *keep) {
            return Cow::Borrowed(self.eta());
        }
        let mut design = self.own_design();
        for (codes, _) in design.codes.iter_mut().zip(keep).filter(|(_, keep)| !**keep) {
            codes.fill(LEFT_OUT);
        }
        Cow::Owned(self.linear_predictor(&design))
    }

    /// Quantile residuals of the rows at [`Fit::eta_keeping`]. The same seed places every response alike.
    pub fn quantile_residuals(&self, keep: &[bool], seed: u64) -> Vec<f64> {
        let eta = self.eta_keeping(keep);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut row = vec![0.0; eta.len()];
        (0..self.data.y.len())
            .map(|i| {
                row.iter_mut().zip(&*eta).for_each(|(value, eta)| *value = eta[i]);
                quantile_residual(&*self.data.family, self.data.y[i], self.data.trials_at(i), &row, rng.random())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::build;

    #[test]
    fn of_a_gaussian_are_standardised_in_both_tails() {
        let family = build("gaussian", None, false).unwrap();
        for z in [-30.0, -8.5, -1.0, 0.0, 0.3, 8.5, 30.0] {
            let r = quantile_residual(&*family, 1.0 + 2.0 * z, 1.0, &[1.0, 2.0_f64.ln()], 0.9);
            assert!((r - z).abs() < 1e-13 * (1.0 + z.abs()), "{z}: {r}");
        }
    }

    #[test]
    fn are_placed_within_a_probability() {
        // P(Y = 0) = P(Y = 1) = ½: the middle of either is a quarter of the way.
        let family = build("binomial", None, false).unwrap();
        let quarter = -0.674_489_750_196_081_7;
        assert!((quantile_residual(&*family, 0.0, 1.0, &[0.0], 0.5) - quarter).abs() < 1e-14);
        assert!((quantile_residual(&*family, 1.0, 1.0, &[0.0], 0.5) + quarter).abs() < 1e-14);
        assert!(quantile_residual(&*family, 1.0, 1.0, &[f64::NAN], 0.5).is_nan());
    }
}
