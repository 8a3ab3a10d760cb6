//! What the profiled likelihood keeps of the data, once for the design and once for each response.
use super::cross_products::Rows;
use super::orthonormal::Orthonormal;
use crate::covariance::Template;
use crate::design::{Column, Dependence, Grouping, LevelBasis};
use crate::linalg::{BlockMatrix, Pattern, dot};
use std::sync::Arc;
use thiserror::Error;

/// Data for which there is no profiled likelihood.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ProfiledError {
    /// A weight is zero, negative or not finite.
    #[error("weight {value} in row {row}: weights must be positive and finite; leave out rows of weight zero")]
    Weight {
        /// The row.
        row: usize,
        /// Its weight.
        value: f64,
    },
    /// A fixed-effects column depends on those before it.
    #[error("column {column} of the fixed effects is a linear combination of the columns before it")]
    RankDeficient {
        /// The column.
        column: usize,
    },
    /// Nothing is left to estimate a variance from.
    #[error("{rows} rows cannot determine {columns} fixed effects and a residual variance")]
    TooFewRows {
        /// Number of rows.
        rows: usize,
        /// Number of fixed-effects columns.
        columns: usize,
    },
    /// The fixed effects reproduce the response.
    #[error("the fixed effects fit the response exactly: no variance is left to estimate")]
    ExactFit,
    /// A response value is infinite or missing.
    #[error("the response (minus its offset) is not finite in row {row}")]
    Response {
        /// The row.
        row: usize,
    },
}

/// What depends on X, Z and the weights, but not on the response.
#[derive(Debug)]
pub(super) struct Design {
    pub pattern: Arc<Pattern>,
    pub template: Template,
    pub rows: Rows,
    pub offset: Option<Vec<f64>>,
    /// Z'WZ with border Z'W^{1/2}Q.
    pub b: BlockMatrix,
    /// R^{-1} of the basis of X.
    pub inverse_r: Vec<f64>,
    pub log_det_r: f64,
    pub log_weights: f64,
    /// Root mean square of each merged column of each grouping factor.
    pub scales: Vec<Vec<f64>>,
    pub n: usize,
    /// Number of fixed effects.
    pub p: usize,
    /// Fixed effects by level, where they are.
    pub free: Option<Free>,
}

/// Fixed effects of the levels of a factor: a last grouping factor whose effects have no distribution, so that they are
/// eliminated like random effects, sparse as they are, instead of as columns of the border.
#[derive(Debug)]
pub(super) struct Free {
    /// The basis of W^{1/2}X; its dense columns are those of the border.
    pub basis: Arc<LevelBasis>,
    pub weighted: bool,
    /// Z'WZ of the random effects alone.
    pub random: BlockMatrix,
    pub pattern: Arc<Pattern>,
}

/// The columns of X, n x p column-major.
pub(super) enum Columns<'a> {
    /// Of any form: copied.
    Borrowed(&'a [f64]),
    /// Orthogonal, of length sqrt(n) each: shared where there are no weights.
    Shared(&'a Arc<Vec<f64>>),
    /// By level.
    ByLevel(&'a Arc<LevelBasis>),
}

/// What depends on the response: y is W^{1/2}(y - offset), projected off X.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub zy: Vec<f64>,
    pub yy: f64,
    /// Q'y before the projection.
    pub coefficients: Vec<f64>,
}

impl Design {
    /// One pass over the rows; arguments as in [`super::Profiled::new`].
    pub fn new(
        n: usize,
        x: Columns<'_>,
        p: usize,
        groupings: Arc<Vec<Grouping>>,
        template: Template,
        weights: Option<&[f64]>,
        offset: Option<&[f64]>,
    ) -> Result<Self, ProfiledError> {
        if n <= p {
            return Err(ProfiledError::TooFewRows { rows: n, columns: p });
        }
        if let Some((row, &value)) =
            weights.unwrap_or(&[]).iter().enumerate().find(|(_, w)| !(**w > 0.0 && w.is_finite()))
        {
            return Err(ProfiledError::Weight { row, value });
        }
        let root_weights: Option<Vec<f64>> = weights.map(|weights| weights.iter().map(|w| w.sqrt()).collect());
        let (mut template, mut groupings, mut by_level) = (template, groupings, None);
        let basis = match x {
            Columns::ByLevel(x) => {
                let own = match &root_weights {
                    None => x.clone(),
                    Some(s) => {
                        let failed = |d: Dependence| ProfiledError::RankDeficient { column: x.n_levels() + d.dense };
                        Arc::new(x.weighted(s).map_err(failed)?)
                    }
                };
                template = template.with_free(own.width());
                groupings = Arc::new(with_levels(&groupings, &own, root_weights.as_deref()));
                let dense = Orthonormal::shared(own.dense(), n, p - own.n_levels(), None);
                by_level = Some(own);
                dense
            }
            Columns::Borrowed(x) => Orthonormal::new(x, n, p, root_weights.as_deref()),
            Columns::Shared(x) => Orthonormal::shared(x, n, p, root_weights.as_deref()),
        };
        let basis = basis.map_err(|column| ProfiledError::RankDeficient { column })?;
        let groups: Vec<(&[u32], usize)> = groupings.iter().map(|g| (&g.codes[..], g.levels)).collect();
        let pattern = Arc::new(Pattern::new(&groups, basis.p()).tied(template.ties()));
        let own_det = by_level.as_ref().filter(|_| root_weights.is_some()).map_or(0.0, |own| own.log_det());
        let (inverse_r, log_det_r) = (basis.inverse_r(), basis.log_det_r() + own_det);
        let rows = Rows { groupings: groupings.clone(), root_weights, basis };
        let mut b = rows.cross_products(&pattern);
        let free = by_level.map(|basis| {
            let (f, w) = (groupings.len() - 1, basis.width());
            for level in 0..groupings[f].levels {
                for c in 0..w {
                    if level == basis.levels().count || basis.coordinate(level, c).is_none() {
                        // No column: an effect that nothing else knows of, with a pivot of one.
                        b.diag[f][(level * w + c) * w + c] = 1.0;
                    }
                }
            }
            let (whole, pattern) = (pattern.clone(), Arc::new(Pattern::new(&groups[..f], 0)));
            let mut random = BlockMatrix::zeros(&pattern, &b.widths[..f]);
            restrict(&b, &whole, &mut random);
            Free { basis, weighted: rows.root_weights.is_some(), random, pattern }
        });
        let scales = (0..groupings.len()).map(|f| root_mean_squares(&b.diag[f], b.widths[f], n)).collect();
        Ok(Self {
            log_weights: weights.unwrap_or(&[]).iter().map(|w| w.ln()).sum(),
            offset: offset.map(<[f64]>::to_vec),
            pattern,
            template,
            rows,
            b,
            inverse_r,
            log_det_r,
            scales,
            n,
            p,
            free,
        })
    }
}

/// The grouping factors, and last the columns of levels as columns of another.
fn with_levels(groupings: &[Grouping], basis: &LevelBasis, root_weights: Option<&[f64]>) -> Vec<Grouping> {
    let columns = (0..basis.width()).map(|c| {
        let column = basis.column_of_levels(c);
        // The rows are multiplied by the weights' roots like those of all grouping factors.
        Column::Values(match root_weights {
            Some(s) => column.iter().zip(s).map(|(x, s)| x / s).collect(),
            None => column.to_vec(),
        })
    });
    let own = Grouping {
        codes: basis.levels().codes.clone(),
        levels: basis.levels().count + 1,
        columns: columns.collect(),
        predictors: vec![0; basis.width()],
    };
    groupings.iter().cloned().chain([own]).collect()
}

/// Copies to `random` what a matrix on `pattern` has for the grouping factors before the last.
pub(super) fn restrict(from: &BlockMatrix, pattern: &Pattern, random: &mut BlockMatrix) {
    let last = pattern.n_factors() - 1;
    random.diag.iter_mut().zip(&from.diag).for_each(|(to, from)| to.copy_from_slice(from));
    let pairs = pattern.pairs().iter().zip(&from.off).filter(|(pair, _)| pair.first != last && pair.second != last);
    random.off.iter_mut().zip(pairs).for_each(|(to, (_, from))| to.copy_from_slice(from));
}

impl Response {
    pub fn new(design: &Design, y: &[f64]) -> Result<Self, ProfiledError> {
        let mut y = y.to_vec();
        if let Some(offset) = &design.offset {
            y.iter_mut().zip(offset).for_each(|(y, offset)| *y -= offset);
        }
        if let Some(row) = y.iter().position(|y| !y.is_finite()) {
            return Err(ProfiledError::Response { row });
        }
        if let Some(s) = &design.rows.root_weights {
            y.iter_mut().zip(s).for_each(|(y, s)| *y *= s);
        }
        let total = dot(&y, &y);
        let coefficients = match &design.free {
            Some(free) => free.basis.project_off(&mut y),
            None => design.rows.basis.project_off(&mut y),
        };
        let yy = dot(&y, &y);
        // Below this the projection has left nothing but rounding errors.
        if yy <= total * 1e-28 {
            return Err(ProfiledError::ExactFit);
        }
        Ok(Self { zy: design.rows.times_response(&design.pattern, &y), yy, coefficients })
    }
}

/// From the diagonal blocks of Z'WZ: the root mean square over n rows of each of the w columns, one where it is zero.
fn root_mean_squares(diag: &[f64], w: usize, n: usize) -> Vec<f64> {
    let mut sums = vec![0.0; w];
    for block in diag.chunks_exact((w * w).max(1)) {
        (0..w).for_each(|a| sums[a] += block[a * w + a]);
    }
    sums.into_iter().map(|sum| if sum > 0.0 { (sum / n as f64).sqrt() } else { 1.0 }).collect()
}
