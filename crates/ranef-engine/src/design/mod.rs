//! The design of a model: response, fixed-effects columns of each predictor, random-effects terms.
//!
//! eta_ik = x_ik' beta_k + sum over terms t on predictor k of z_it' b_(t, level of row i) + offset_ik
//!
//! Z is never formed. A term keeps its few dense columns and shares the codes of its grouping factor; terms on the same
//! grouping factor, whatever predictors they act on, are merged into one block of effects for each level.
//!
//! Slope columns are divided by their root mean square where the covariance structure can take the scale up (rows of
//! Lambda); results are always given back in the user's units.

mod assumptions;
mod crossproduct;
mod fixed;
mod level_basis;
mod random;
mod row_covariance;
mod subset;
mod sweep;

pub use assumptions::{Assumptions, Constraint, Density, Penalty, Quantity, Scale, ln_lkj_constant};
pub use crossproduct::RowWeights;
pub use fixed::{Fixed, LevelColumns, SparseRows};
pub(crate) use level_basis::{Dependence, LevelBasis};
pub use random::{Column, Grouping};
pub use subset::Subset;
pub(crate) use sweep::{add_up, by_chunk};

use crate::covariance::coupling::Coupling;
use crate::covariance::{Covariance, Template};
use std::ops::Range;
use std::sync::Arc;

/// A random-effects term as the user states it.
#[derive(Debug)]
pub struct TermSpec {
    /// The predictor it acts on.
    pub predictor: usize,
    /// Its grouping factor.
    pub grouping: usize,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its covariance structure.
    pub covariance: Box<dyn Covariance>,
}

/// Where a term stands in its grouping factor's block, and what its columns were divided by.
#[derive(Clone, Debug)]
pub struct Place {
    /// The predictor it acts on.
    pub predictor: usize,
    /// Index of its (merged) grouping factor.
    pub grouping: usize,
    /// First row of the factor's block.
    pub first: usize,
    /// Number of columns.
    pub width: usize,
    /// What each column was divided by.
    pub scales: Vec<f64>,
}

/// Everything about a model except the response.
#[derive(Debug)]
pub struct Design {
    /// Number of rows.
    pub n: usize,
    /// One entry per predictor.
    pub fixed: Vec<Fixed>,
    /// The grouping factors that terms use, each with its merged columns.
    pub groupings: Arc<Vec<Grouping>>,
    /// Where each term stands.
    pub places: Vec<Place>,
    /// theta to Lambda, in the scaled columns.
    pub template: Template,
    /// Start of each grouping factor's part in the vector of all b.
    pub offsets: Vec<usize>,
    /// Length of the vector of all b.
    pub q: usize,
    /// What is assumed of the parameters.
    pub assumptions: Assumptions,
}

impl Design {
    /// The same with other fixed effects of all predictors.
    pub(crate) fn with_fixed(&self, fixed: Vec<Fixed>) -> Self {
        Self {
            n: self.n,
            fixed,
            groupings: self.groupings.clone(),
            places: self.places.clone(),
            template: self.template.clone(),
            offsets: self.offsets.clone(),
            q: self.q,
            assumptions: self.assumptions.clone(),
        }
    }

    /// Merges terms on the same grouping factor (given as codes with the number of levels) and scales their columns.
    pub fn new(n: usize, fixed: Vec<Fixed>, groups: Vec<(Vec<u32>, usize)>, terms: Vec<TermSpec>) -> Self {
        let used: Vec<usize> = (0..groups.len()).filter(|g| terms.iter().any(|term| term.grouping == *g)).collect();
        let mut groupings: Vec<Grouping> = groups
            .into_iter()
            .enumerate()
            .filter(|(g, _)| used.contains(g))
            .map(|(_, (codes, levels))| Grouping { codes, levels, columns: Vec::new(), predictors: Vec::new() })
            .collect();
        let (mut places, mut parts) = (Vec::new(), Vec::new());
        for mut term in terms {
            let factor = used.iter().position(|&g| g == term.grouping).expect("a term's factor is in use");
            let grouping = &mut groupings[factor];
            let scales: Vec<f64> = term
                .columns
                .iter_mut()
                .map(|column| {
                    let scale = if term.covariance.absorbs_row_scaling() { column.rms() } else { 1.0 };
                    column.divide(scale);
                    scale
                })
                .collect();
            places.push(Place {
                predictor: term.predictor,
                grouping: factor,
                first: grouping.columns.len(),
                width: term.columns.len(),
                scales,
            });
            grouping.predictors.extend(std::iter::repeat_n(term.predictor, term.columns.len()));
            grouping.columns.append(&mut term.columns);
            parts.push((term.covariance, factor));
        }
        let mut offsets = Vec::with_capacity(groupings.len());
        let mut q = 0;
        for grouping in &groupings {
            offsets.push(q);
            q += grouping.levels * grouping.width();
        }
        let template = Template::new(parts, groupings.len());
        Self {
            n,
            fixed,
            groupings: Arc::new(groupings),
            places,
            template,
            offsets,
            q,
            assumptions: Assumptions::default(),
        }
    }

    /// The same with dependence between the levels of some terms' grouping factors; each such factor is that term's alone.
    #[must_use]
    pub fn coupled(mut self, terms: Vec<Option<Box<dyn Coupling>>>) -> Self {
        let mut couplings: Vec<Option<Box<dyn Coupling>>> = self.groupings.iter().map(|_| None).collect();
        for (place, coupling) in self.places.iter().zip(terms) {
            if let Some(coupling) = coupling {
                let grouping = &self.groupings[place.grouping];
                assert_eq!(coupling.levels(), grouping.levels, "a coupling is one of its grouping factor's levels");
                assert_eq!(place.width, grouping.width(), "a coupled grouping factor belongs to one term");
                couplings[place.grouping] = Some(coupling);
            }
        }
        self.template = self.template.coupled(couplings);
        self
    }

    /// The same with prior densities, values and equalities of parameters.
    #[must_use]
    pub fn assuming(mut self, assumptions: Assumptions) -> Self {
        self.assumptions = assumptions;
        self
    }

    /// Number of predictors K.
    pub fn n_predictors(&self) -> usize {
        self.fixed.len()
    }

    /// Index, in the vector of all b, of column j (of the merged block) at a level of a grouping factor.
    #[inline]
    pub fn b_index(&self, grouping: usize, level: usize, j: usize) -> usize {
        self.offsets[grouping] + level * self.groupings[grouping].width() + j
    }

    /// eta += Z b.
    pub fn add_random(&self, b: &[f64], eta: &mut [Vec<f64>]) {
        let columns = eta.iter_mut().map(Vec::as_mut_slice).collect();
        by_chunk(self.n, columns, |rows, eta| self.add_random_rows(rows, b, eta));
    }

    /// eta += Z b in some rows; `eta` has these rows only.
    pub(crate) fn add_random_rows(&self, rows: Range<usize>, b: &[f64], eta: &mut [&mut [f64]]) {
        for (grouping, &offset) in self.groupings.iter().zip(&self.offsets) {
            let (width, codes) = (grouping.width(), &grouping.codes[rows.clone()]);
            for (j, (column, &k)) in grouping.columns.iter().zip(&grouping.predictors).enumerate() {
                let effects = &b[offset + j..];
                let target = &mut eta[k];
                match column {
                    Column::One => {
                        for (value, &code) in target.iter_mut().zip(codes) {
                            *value += effects[code as usize * width];
                        }
                    }
                    Column::Values(z) => {
                        for ((value, &code), z) in target.iter_mut().zip(codes).zip(&z[rows.clone()]) {
                            *value += z * effects[code as usize * width];
                        }
                    }
                }
            }
        }
    }

    /// Z' r for r given by predictor.
    pub fn gather_random(&self, r: &[Vec<f64>]) -> Vec<f64> {
        let mut out = vec![0.0; self.q];
        add_up(self.n, &mut out, |rows, sums| {
            let r: Vec<&[f64]> = r.iter().map(|r| &r[rows.clone()]).collect();
            self.gather_random_rows(rows, &r, sums);
        });
        out
    }

    /// sums += Z' r over some rows; `r` has these rows only.
    pub(crate) fn gather_random_rows<T: AsRef<[f64]>>(&self, rows: Range<usize>, r: &[T], sums: &mut [f64]) {
        for (grouping, &offset) in self.groupings.iter().zip(&self.offsets) {
            let (width, codes) = (grouping.width(), &grouping.codes[rows.clone()]);
            for (j, (column, &k)) in grouping.columns.iter().zip(&grouping.predictors).enumerate() {
                let sums = &mut sums[offset + j..];
                let r = r[k].as_ref();
                match column {
                    Column::One => {
                        for (value, &code) in r.iter().zip(codes) {
                            sums[code as usize * width] += value;
                        }
                    }
                    Column::Values(z) => {
                        for ((value, &code), z) in r.iter().zip(codes).zip(&z[rows.clone()]) {
                            sums[code as usize * width] += z * value;
                        }
                    }
                }
            }
        }
    }

    /// sums += Z' r for r that is `value` for predictor k in one row, and zero elsewhere.
    pub(crate) fn gather_random_row(&self, row: usize, k: usize, value: f64, sums: &mut [f64]) {
        for (grouping, &offset) in self.groupings.iter().zip(&self.offsets) {
            let first = offset + grouping.codes[row] as usize * grouping.width();
            for (j, column) in grouping.columns.iter().enumerate().filter(|(j, _)| grouping.predictors[*j] == k) {
                sums[first + j] += value * column.at(row);
            }
        }
    }

    /// Whether a predictor has random effects.
    pub fn is_random(&self, predictor: usize) -> bool {
        self.places.iter().any(|place| place.predictor == predictor)
    }

    /// Theta of one term in the user's units, from theta in the scaled columns.
    pub fn theta_to_original(&self, term: usize, theta: &[f64]) -> Vec<f64> {
        (theta.iter().enumerate()).map(|(m, value)| value / self.theta_scale(term, m)).collect()
    }

    /// What theta_m of a term is divided by on the way to the user's units.
    pub fn theta_scale(&self, term: usize, m: usize) -> f64 {
        let (row, degree) = self.template.covariance(term).scaling(m);
        self.places[term].scales[row].powf(degree)
    }

    /// Lambda of one term (p x r, column-major) in the user's units, from the term's theta in the scaled columns.
    pub fn factor_in_original(&self, term: usize, theta: &[f64]) -> Vec<f64> {
        let (covariance, scales) = (self.template.covariance(term), &self.places[term].scales);
        let p = covariance.size();
        let mut lambda = vec![0.0; p * covariance.rank()];
        covariance.factor_into(theta, &mut lambda);
        for (index, value) in lambda.iter_mut().enumerate() {
            *value /= scales[index % p];
        }
        lambda
    }

    /// Theta of one term in the scaled columns, from Lambda in the user's units.
    pub fn theta_from_original(&self, term: usize, lambda: &[f64]) -> Vec<f64> {
        let (covariance, scales) = (self.template.covariance(term), &self.places[term].scales);
        let p = covariance.size();
        let scaled: Vec<f64> = lambda.iter().enumerate().map(|(index, value)| value * scales[index % p]).collect();
        covariance.theta_of(&scaled)
    }
}
