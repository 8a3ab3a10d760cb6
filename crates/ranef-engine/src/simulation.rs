//! New responses: from a fit, or from a family at given predictors.
//!
//! Replicate r uses stream r of a counter-based generator, so the answer depends on the seed and on nothing else: not
//! on the number of threads, not on how many replicates are asked for.
use crate::covariance::coupling::{Correlation, Form};
use crate::family::Family;
use crate::fitting::Fit;
use crate::linalg::dense_cholesky;
use crate::prediction::{NEW_LEVEL, NewColumns, NewDesign};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::ops::Range;

/// What is done with a term's random effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effects {
    /// Kept at their conditional modes.
    Modes,
    /// Drawn afresh from N(0, Sigma).
    New,
    /// Zero.
    Zero,
}

/// A response of a family for each row of its linear predictors; NaN where they are infeasible.
pub fn draw(family: &dyn Family, eta: &[Vec<f64>], trials: Option<&[f64]>, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut row = vec![0.0; eta.len()];
    (0..eta.first().map_or(0, Vec::len))
        .map(|i| {
            row.iter_mut().zip(eta).for_each(|(value, eta)| *value = eta[i]);
            family.sample(&row, trials.map_or(1.0, |trials| trials[i]), &mut rng)
        })
        .collect()
}

/// From standard normal deviates to effects with a correlation, in place.
fn draw_correlated(correlation: &dyn Correlation, theta: &[f64], z: &mut [f64]) {
    for (block, ends) in correlation.blocks().windows(2).enumerate() {
        let s = ends[1] - ends[0];
        let mut root = vec![0.0; s * s];
        correlation.values_into(theta, block, &mut root);
        dense_cholesky::factor_in_place(&mut root, s).expect("positive definite where the model was fitted");
        let z = &mut z[ends[0]..ends[1]];
        for i in (0..s).rev() {
            z[i] = (0..=i).map(|j| root[j * s + i] * z[j]).sum();
        }
    }
}

impl Fit {
    /// `replicates` responses (each of the design's length, one after the other) for the rows of `design`, or for the
    /// data's own rows; `effects` says for each term what is done with it.
    pub fn simulate(
        &self,
        replicates: usize,
        seed: u64,
        effects: &[Effects],
        design: Option<&NewDesign>,
        trials: Option<&[f64]>,
    ) -> Vec<f64> {
        self.simulate_replicates(0..replicates, seed, effects, design, trials)
    }

    /// The replicates of these numbers: the same as they are among all of them.
    pub(crate) fn simulate_replicates(
        &self,
        replicates: Range<usize>,
        seed: u64,
        effects: &[Effects],
        design: Option<&NewDesign>,
        trials: Option<&[f64]>,
    ) -> Vec<f64> {
        let own;
        let new = match design {
            Some(design) => design,
            None => {
                own = self.own_design();
                &own
            }
        };
        let mut kept = new.clone();
        for (codes, &what) in kept.codes.iter_mut().zip(effects) {
            if what != Effects::Modes {
                codes.iter_mut().for_each(|code| *code = crate::prediction::LEFT_OUT);
            }
        }
        let base = self.linear_predictor(&kept);
        let trials = if design.is_none() { self.data.trials.as_deref() } else { trials };
        let mut out = Vec::with_capacity(replicates.len() * new.n);
        for replicate in replicates {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(replicate as u64);
            let mut eta = base.clone();
            for (term, _) in effects.iter().enumerate().filter(|(_, what)| **what == Effects::New) {
                self.add_drawn(term, new, &mut rng, &mut eta);
            }
            if let (Some(own), None) = (self.marginal(), design) {
                // Residuals are drawn with their correlation; new rows have none that is known.
                let mut e: Vec<f64> = (0..new.n).map(|_| StandardNormal.sample(&mut rng)).collect();
                own.likelihood.correlate(&own.x, &mut e, false);
                out.extend((0..new.n).map(|i| eta[0][i] + eta[1][i].exp() * e[i]));
                continue;
            }
            let mut row = vec![0.0; eta.len()];
            for i in 0..new.n {
                row.iter_mut().zip(&eta).for_each(|(value, eta)| *value = eta[i]);
                out.push(self.data.family.sample(&row, trials.map_or(1.0, |t| t[i]), &mut rng));
            }
        }
        out
    }

    /// Adds a term's effects, drawn afresh for each level. Rows of unknown levels share one further level: their labels
    /// are not known here.
    fn add_drawn(&self, term: usize, new: &NewDesign, rng: &mut ChaCha8Rng, eta: &mut [Vec<f64>]) {
        let design = &self.data.design;
        let place = &design.places[term];
        let lambda = design.factor_in_original(term, &self.theta[design.template.theta_range(term)]);
        let rank = design.template.covariance(term).rank();
        let levels = design.groupings[place.grouping].levels + 1;
        let mut b = vec![0.0; levels * place.width];
        let mut deviates: Vec<f64> = (0..levels * rank).map(|_| StandardNormal.sample(rng)).collect();
        self.couple(place.grouping, &mut deviates, rank);
        for (target, deviates) in b.chunks_exact_mut(place.width).zip(deviates.chunks_exact(rank.max(1))) {
            for (column, &u) in deviates.iter().enumerate() {
                for (row, value) in target.iter_mut().enumerate() {
                    *value += lambda[column * place.width + row] * u;
                }
            }
        }
        for (i, &code) in new.codes[term].iter().enumerate() {
            let level = if code == NEW_LEVEL { levels - 1 } else { code.max(0) as usize };
            for j in 0..place.width {
                eta[place.predictor][i] += new.columns[term][j * new.n + i] * b[level * place.width + j];
            }
        }
    }

    /// Independent deviates of the levels of a grouping factor (`rank` each, and those of a further level), coupled as the
    /// factor's levels are.
    pub(crate) fn couple(&self, grouping: usize, deviates: &mut [f64], rank: usize) {
        let template = &self.data.design.template;
        let Some(coupling) = template.coupling(grouping) else { return };
        let theta = &self.theta[template.coupling_range(grouping)];
        for a in 0..rank {
            let mut column: Vec<f64> = deviates.iter().skip(a).step_by(rank).take(coupling.levels()).copied().collect();
            match coupling.form() {
                Form::Precision(precision) => precision.draw_in_place(theta, &mut column),
                Form::Correlation(correlation) => draw_correlated(correlation, theta, &mut column),
            }
            deviates.iter_mut().skip(a).step_by(rank).zip(column).for_each(|(target, value)| *target = value);
        }
    }

    /// The data's own rows as a new design.
    pub fn own_design(&self) -> NewDesign {
        let design = &self.data.design;
        let n = design.n;
        let x = design
            .fixed
            .iter()
            .map(|fixed| {
                if let Some(rows) = fixed.original_rows() {
                    return NewColumns::Sparse(rows);
                }
                let columns = fixed.kept().len() + fixed.aliased().len();
                let mut x = vec![0.0; n * columns];
                for (j, &column) in fixed.kept().iter().enumerate() {
                    x[column * n..(column + 1) * n].copy_from_slice(&fixed.original_column(j));
                }
                NewColumns::Dense(x)
            })
            .collect();
        let offset = design.fixed.iter().map(|fixed| fixed.offset().map(<[f64]>::to_vec)).collect();
        let codes = design
            .places
            .iter()
            .map(|place| design.groupings[place.grouping].codes.iter().map(|&code| i64::from(code)).collect())
            .collect();
        let columns = design
            .places
            .iter()
            .map(|place| {
                let grouping = &design.groupings[place.grouping];
                (0..place.width)
                    .flat_map(|j| (0..n).map(move |i| grouping.columns[place.first + j].at(i) * place.scales[j]))
                    .collect()
            })
            .collect();
        NewDesign { n, x, offset, codes, columns }
    }
}
