//! Responses drawn row by row: the draws of [`Fit::simulate`] with all random effects new.
use crate::fitting::Fit;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// What all replicates share.
pub(super) struct Rows {
    /// Linear predictors without random effects.
    base: Vec<Vec<f64>>,
    /// Lambda of every term, in scaled columns.
    factors: Vec<Vec<f64>>,
}

impl Rows {
    pub fn new(fit: &Fit) -> Self {
        let design = &fit.data.design;
        let base = design
            .fixed
            .iter()
            .zip(&fit.beta)
            .map(|(fixed, beta)| {
                let mut eta = fixed.offset().map_or_else(|| vec![0.0; design.n], <[f64]>::to_vec);
                fixed.add_to(beta, &mut eta);
                eta
            })
            .collect();
        let factors = (0..design.places.len()).map(|term| design.template.term_factor(term, &fit.theta)).collect();
        Self { base, factors }
    }

    /// One response.
    pub fn draw(&self, fit: &Fit, rng: &mut impl Rng) -> Vec<f64> {
        let design = &fit.data.design;
        let mut b = vec![0.0; design.q];
        for (place, lambda) in design.places.iter().zip(&self.factors) {
            let levels = design.groupings[place.grouping].levels;
            let rank = lambda.len() / place.width;
            // One level more than there are, because `simulate` draws the level that unmet ones share.
            let mut deviates: Vec<f64> = (0..(levels + 1) * rank).map(|_| StandardNormal.sample(rng)).collect();
            fit.couple(place.grouping, &mut deviates, rank);
            for (level, deviates) in deviates.chunks_exact(rank.max(1)).take(levels).enumerate() {
                for (column, u) in lambda.chunks_exact(place.width).zip(deviates) {
                    let at = design.b_index(place.grouping, level, place.first);
                    b[at..].iter_mut().zip(column).for_each(|(b, l)| *b += l * u);
                }
            }
        }
        let mut eta = self.base.clone();
        design.add_random(&b, &mut eta);
        let mut row = vec![0.0; eta.len()];
        (0..design.n)
            .map(|i| {
                row.iter_mut().zip(&eta).for_each(|(value, eta)| *value = eta[i]);
                fit.data.family.sample(&row, fit.data.trials_at(i), rng)
            })
            .collect()
    }
}
