//! Predictions for the rows of a new design, with their standard errors.
//!
//! A predictor is a linear combination of effects and coefficients, so its variance comes from their joint distribution
//! (see `inference::Posterior`); other scales by the delta method. A level that the fit has not met has b = 0 and adds
//! z' Sigma z.
use crate::design::SparseRows;
use crate::family::Kind;
use crate::fitting::Fit;
use crate::inference::Combination;

/// Left out of the prediction.
pub const LEFT_OUT: i64 = -1;
/// A level that the fit has not met.
pub const NEW_LEVEL: i64 = -2;

/// X of a predictor: all columns of the original X, aliased ones too.
#[derive(Clone, Debug)]
pub enum NewColumns {
    /// n x p column-major.
    Dense(Vec<f64>),
    /// By row.
    Sparse(SparseRows),
}

/// The rows to predict for.
#[derive(Clone, Debug)]
pub struct NewDesign {
    /// Number of rows.
    pub n: usize,
    /// X of each predictor.
    pub x: Vec<NewColumns>,
    /// Offset of each predictor.
    pub offset: Vec<Option<Vec<f64>>>,
    /// Level of each row for each term; or [`LEFT_OUT`], or [`NEW_LEVEL`].
    pub codes: Vec<Vec<i64>>,
    /// Columns of each term, n x p column-major, in the user's units.
    pub columns: Vec<Vec<f64>>,
}

/// Estimates, and standard errors where asked for and known.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// One value a row.
    pub estimate: Vec<f64>,
    /// Their standard errors.
    pub std_error: Option<Vec<f64>>,
}

impl Fit {
    /// Linear predictors of a new design, by predictor.
    pub fn linear_predictor(&self, new: &NewDesign) -> Vec<Vec<f64>> {
        let design = &self.data.design;
        let mut eta: Vec<Vec<f64>> = design
            .fixed
            .iter()
            .enumerate()
            .map(|(k, fixed)| {
                let mut eta = new.offset[k].clone().unwrap_or_else(|| vec![0.0; new.n]);
                let beta = fixed.to_original(&self.beta[k]);
                match &new.x[k] {
                    NewColumns::Dense(x) => {
                        for (&column, coefficient) in fixed.kept().iter().zip(beta) {
                            let x = &x[column * new.n..(column + 1) * new.n];
                            eta.iter_mut().zip(x).for_each(|(eta, x)| *eta += coefficient * x);
                        }
                    }
                    NewColumns::Sparse(rows) => {
                        let mut all = vec![0.0; fixed.kept().len() + fixed.aliased().len()];
                        fixed.kept().iter().zip(beta).for_each(|(&column, value)| all[column] = value);
                        for (i, eta) in eta.iter_mut().enumerate() {
                            *eta += rows.row(i).map(|(column, x)| x * all[column]).sum::<f64>();
                        }
                    }
                }
                eta
            })
            .collect();
        for (term, place) in design.places.iter().enumerate() {
            let target = &mut eta[place.predictor];
            for j in 0..place.width {
                let z = &new.columns[term][j * new.n..(j + 1) * new.n];
                for ((value, &code), z) in target.iter_mut().zip(&new.codes[term]).zip(z) {
                    if code >= 0 {
                        let index = design.b_index(place.grouping, code as usize, place.first + j);
                        *value += z / place.scales[j] * self.modes[index];
                    }
                }
            }
        }
        eta
    }

    /// Predictions of one kind for a new design.
    pub fn predict(&self, new: &NewDesign, kind: Kind, with_error: bool) -> Prediction {
        let eta = self.linear_predictor(new);
        let family = &self.data.family;
        let k = eta.len();
        let (mut row, mut gradient) = (vec![0.0; k], vec![0.0; k]);
        let posterior = if with_error { self.joint() } else { None };
        let mut estimate = Vec::with_capacity(new.n);
        let mut errors = Vec::with_capacity(if with_error { new.n } else { 0 });
        for i in 0..new.n {
            row.iter_mut().zip(&eta).for_each(|(value, eta)| *value = eta[i]);
            estimate.push(family.predict(kind, &row, &mut gradient));
            if with_error {
                errors.push(posterior.as_ref().map_or(f64::NAN, |posterior| {
                    let (combination, added) = self.combination(new, i, &gradient);
                    // A population-level prediction of an LMM uses vcov(beta) as it is reported.
                    let conditional = self.profiles_sigma() && combination.effects.is_empty();
                    (posterior.variance(&combination, conditional) + added).max(0.0).sqrt()
                }));
            }
        }
        Prediction { estimate, std_error: with_error.then_some(errors) }
    }

    /// sum_k a_k eta_ik as effects and coefficients, and the variance that new levels add.
    fn combination(&self, new: &NewDesign, i: usize, a: &[f64]) -> (Combination, f64) {
        let design = &self.data.design;
        let mut added = 0.0;
        let fixed = design
            .fixed
            .iter()
            .zip(a)
            .enumerate()
            .map(|(k, (fixed, &a))| {
                if a == 0.0 {
                    // A row of zeros, not an empty one: fixed effects inside need their length.
                    return vec![0.0; fixed.p()];
                }
                let x: Vec<f64> = match &new.x[k] {
                    NewColumns::Dense(x) => fixed.kept().iter().map(|&column| a * x[column * new.n + i]).collect(),
                    NewColumns::Sparse(rows) => {
                        let mut all = vec![0.0; fixed.kept().len() + fixed.aliased().len()];
                        rows.row(i).for_each(|(column, x)| all[column] = a * x);
                        fixed.kept().iter().map(|&column| all[column]).collect()
                    }
                };
                fixed.rotate_row(&x)
            })
            .collect();
        let mut effects: Vec<(usize, usize, usize, f64)> = Vec::new();
        for (term, place) in design.places.iter().enumerate() {
            let (code, a) = (new.codes[term][i], a[place.predictor]);
            if code == LEFT_OUT || a == 0.0 {
                continue;
            }
            let z = |j: usize| a * new.columns[term][j * new.n + i];
            if code == NEW_LEVEL {
                let lambda = design.factor_in_original(term, &self.theta[design.template.theta_range(term)]);
                for column in lambda.chunks_exact(place.width) {
                    added += column.iter().enumerate().map(|(j, l)| l * z(j)).sum::<f64>().powi(2);
                }
                continue;
            }
            effects.extend(
                (0..place.width).map(|j| (place.grouping, code as usize, place.first + j, z(j) / place.scales[j])),
            );
        }
        (Combination { effects, fixed }, added)
    }
}
