//! The derivative of the criterion with respect to a covariance matrix, also where that matrix is singular.
//!
//! Since the criterion depends on Lambda_t through Sigma_t = Lambda_t Lambda_t' only,
//!
//! ```text
//! G_t = d criterion / d Lambda_t = N_t Lambda_t ,    N_t = 2 d criterion / d Sigma_t ,
//! ```
//!
//! and N_t follows from the gradient on the column space of Lambda_t. In directions where Lambda_t vanishes G_t is zero
//! whatever N_t is; there the singular values are raised to a small number and the gradient taken once more. The error
//! is of second order, because the criterion is even in Lambda.
//!
//! Whether a singular fit is a minimum is decided by N_t on the null space: moving into it must not pay.
use super::Profiled;
use super::metric::inner;
use crate::linalg::{SingularValues, singular_values, symmetric_eigen};

/// Singular values of Lambda_t, in units of sigma and of the columns' root mean squares, below which a direction counts
/// as one of the null space.
const NEGLIGIBLE: f64 = 1e-4;

/// N_t of one term, and the directions in which its covariance vanishes.
pub(super) struct VarianceSlope {
    /// N_t, p_t x p_t, on the caller's scale.
    pub slope: Vec<f64>,
    /// N_t in units of the columns' root mean squares.
    scaled: Vec<f64>,
    /// Left singular vectors of the scaled Lambda_t whose singular values are negligible.
    null: Vec<Vec<f64>>,
    /// The coordinate axes among which the scaled Lambda_t has negligible rows.
    axes: Vec<usize>,
}

impl Profiled {
    /// For each term with a singular Lambda_t the smallest eigenvalue of N_t = 2 d criterion / d Sigma_t on the null
    /// space of Sigma_t (columns in units of their root mean squares): negative when the criterion falls as soon as
    /// a variance moves into the null space, so that the singular point is not a minimum. None where Lambda_t has
    /// full rank.
    ///
    /// A diagonal structure can move along the axes only, so there it is the smallest diagonal entry; a structure that
    /// is not linear in theta moves as a whole, so there it is the mean.
    pub fn null_space_derivative(&mut self, theta: &[f64]) -> Vec<Option<f64>> {
        let n_terms = self.template().n_terms();
        if !self.evaluate(theta) {
            return vec![None; n_terms];
        }
        let slopes = self.variance_slopes(theta, self.profiled_variance());
        (0..n_terms).map(|term| self.smallest_on_null_space(term, &slopes[term])).collect()
    }

    fn smallest_on_null_space(&self, term: usize, slope: &VarianceSlope) -> Option<f64> {
        let k = slope.null.len();
        if k == 0 {
            return None;
        }
        let (template, p) = (self.template(), slope.null[0].len());
        let entries: Vec<_> = template.theta_range(term).map(|m| template.entry(m)).collect();
        if entries.iter().all(|entry| entry.is_some_and(|(_, a, b)| a == b)) {
            let diagonal = slope.axes.iter().map(|&a| slope.scaled[a * p + a]);
            return Some(diagonal.fold(f64::INFINITY, f64::min));
        }
        let mut restricted = vec![0.0; k * k];
        for (j, right) in slope.null.iter().enumerate() {
            for (i, left) in slope.null.iter().enumerate() {
                restricted[j * k + i] = (0..right.len())
                    .map(|b| right[b] * (0..left.len()).map(|a| left[a] * slope.scaled[b * p + a]).sum::<f64>())
                    .sum();
            }
        }
        if entries.contains(&None) {
            return Some((0..k).map(|i| restricted[i * k + i]).sum::<f64>() / k as f64);
        }
        symmetric_eigen(&restricted, k).values.first().copied()
    }

    /// Whether a Lambda_t has negligible singular values at theta, the point of the last evaluation.
    pub(super) fn is_singular(&self, theta: &[f64]) -> bool {
        self.raised_factors(theta).1
    }

    /// The factors at theta with negligible singular values lifted, whether there were any, and the terms'
    /// decompositions.
    fn raised_factors(&self, theta: &[f64]) -> (Vec<Vec<f64>>, bool, Vec<Decomposition>) {
        let mut factors = self.state().factors.clone();
        let mut raised = false;
        let decompositions = (0..self.template().n_terms())
            .map(|term| {
                let mut decomposition =
                    Decomposition::new(&self.scaled_factor(term, theta), self.term_scales(term).len());
                if decomposition.raise() {
                    raised = true;
                    self.replace_factor(term, &decomposition.product(), &mut factors);
                }
                decomposition
            })
            .collect();
        (factors, raised, decompositions)
    }

    /// Runs `body` at theta, where the criterion has been evaluated, with the factors' negligible singular values
    /// lifted, so that they have inverses. `None` where the criterion is then infinite; the state is the same
    /// afterwards.
    pub(super) fn with_full_rank<T>(&mut self, theta: &[f64], body: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let (factors, raised, _) = self.raised_factors(theta);
        let found = (!raised || self.evaluate_factors(factors)).then(|| body(self));
        if raised {
            self.evaluate(theta);
        }
        found
    }

    /// N_t of every term at theta, where the criterion has been evaluated; the state is the same afterwards.
    pub(super) fn variance_slopes(&mut self, theta: &[f64], variance: f64) -> Vec<VarianceSlope> {
        let n_terms = self.template().n_terms();
        let (factors, raised, decompositions) = self.raised_factors(theta);
        let evaluated = !raised || self.evaluate_factors(factors);
        let gradient = if evaluated { Some(self.factor_gradient(variance)) } else { None };
        let slopes = (0..n_terms)
            .map(|term| {
                let decomposition = &decompositions[term];
                let scaled = gradient.as_ref().map_or_else(
                    || vec![f64::NAN; decomposition.p * decomposition.p],
                    |gradient| decomposition.slope(&self.scaled_gradient(term, gradient)),
                );
                self.variance_slope(term, scaled, decomposition)
            })
            .collect();
        if raised {
            self.evaluate(theta);
        }
        slopes
    }

    fn variance_slope(&self, term: usize, scaled: Vec<f64>, decomposition: &Decomposition) -> VarianceSlope {
        let (p, scale) = (decomposition.p, self.term_scales(term));
        let mut slope = vec![0.0; p * p];
        for b in 0..p {
            for a in 0..p {
                slope[b * p + a] = scaled[b * p + a] * scale[a] * scale[b];
            }
        }
        VarianceSlope { slope, scaled, null: decomposition.null.clone(), axes: decomposition.axes.clone() }
    }

    fn term_scales(&self, term: usize) -> &[f64] {
        let template = self.template();
        let first = template.position(term).0;
        &self.design.scales[template.factor_of(term)][first..first + template.covariance(term).size()]
    }

    /// Lambda_t with its rows in units of the columns' root mean squares.
    fn scaled_factor(&self, term: usize, theta: &[f64]) -> Vec<f64> {
        let (scale, values) = (self.term_scales(term), self.template().term_factor(term, theta));
        values
            .chunks_exact(scale.len())
            .flat_map(|column| column.iter().zip(scale).map(|(x, scale)| x * scale))
            .collect()
    }

    fn scaled_gradient(&self, term: usize, gradient: &[Vec<f64>]) -> Vec<f64> {
        let (template, scale) = (self.template(), self.term_scales(term));
        let (f, (row, column)) = (template.factor_of(term), template.position(term));
        let width = template.widths()[f];
        let columns = column..column + template.covariance(term).rank();
        columns.flat_map(|c| scale.iter().enumerate().map(move |(a, s)| gradient[f][c * width + row + a] / s)).collect()
    }

    fn replace_factor(&self, term: usize, scaled: &[f64], factors: &mut [Vec<f64>]) {
        let (template, scale) = (self.template(), self.term_scales(term));
        let (f, (row, column)) = (template.factor_of(term), template.position(term));
        let width = template.widths()[f];
        for (c, scaled) in scaled.chunks_exact(scale.len()).enumerate() {
            for (a, scaled) in scaled.iter().enumerate() {
                factors[f][(column + c) * width + row + a] = scaled / scale[a];
            }
        }
    }
}

/// Lambda_t = U diag(s) V' in scaled units, p x r with s of length r.
struct Decomposition {
    p: usize,
    svd: SingularValues,
    null: Vec<Vec<f64>>,
    axes: Vec<usize>,
}

impl Decomposition {
    fn new(lambda: &[f64], p: usize) -> Self {
        let r = lambda.len() / p;
        let svd = singular_values(lambda, p, r);
        let axes = (0..p).filter(|&a| (0..r).all(|c| lambda[c * p + a].abs() < NEGLIGIBLE)).collect();
        let null = (0..r).filter(|&j| svd.values[j] < NEGLIGIBLE).collect::<Vec<usize>>();
        let left = if null.is_empty() { Vec::new() } else { completed(&svd, p) };
        Self { p, null: null.iter().map(|&j| left[j * p..(j + 1) * p].to_vec()).collect(), svd, axes }
    }

    /// Lifts negligible singular values; whether there were any.
    fn raise(&mut self) -> bool {
        if self.null.is_empty() {
            return false;
        }
        self.svd.left = completed(&self.svd, self.p);
        self.svd.values.iter_mut().for_each(|s| *s = s.max(NEGLIGIBLE));
        true
    }

    /// U diag(s) V'.
    fn product(&self) -> Vec<f64> {
        let (p, r) = (self.p, self.svd.values.len());
        let SingularValues { values, left, right } = &self.svd;
        (0..p * r).map(|at| (0..r).map(|k| left[k * p + at % p] * values[k] * right[k * r + at / p]).sum()).collect()
    }

    /// N from G = N Lambda. On the complement of the column space (a reduced rank) N stays unknown: zero there.
    fn slope(&self, gradient: &[f64]) -> Vec<f64> {
        let (p, r) = (self.p, self.svd.values.len());
        let SingularValues { values, left, right } = &self.svd;
        // N U = G V / s, and from it half = N U U' and inside = U U' N U U'.
        let along: Vec<f64> = (0..p * r)
            .map(|at| {
                let (a, k) = (at % p, at / p);
                (0..r).map(|c| gradient[c * p + a] * right[k * r + c]).sum::<f64>() / values[k]
            })
            .collect();
        let times_left =
            |x: &[f64], a: usize, b: usize| -> f64 { (0..r).map(|k| x[k * p + a] * left[k * p + b]).sum() };
        let half: Vec<f64> = (0..p * p).map(|at| times_left(&along, at % p, at / p)).collect();
        let projected: Vec<f64> =
            (0..r * r).map(|at| (0..p).map(|a| left[(at % r) * p + a] * along[(at / r) * p + a]).sum()).collect();
        let spread: Vec<f64> =
            (0..p * r).map(|at| (0..r).map(|k| left[k * p + at % p] * projected[(at / p) * r + k]).sum()).collect();
        let full = |a: usize, b: usize| half[b * p + a] + half[a * p + b] - times_left(&spread, a, b);
        (0..p * p).map(|at| 0.5 * (full(at % p, at / p) + full(at / p, at % p))).collect()
    }
}

/// The left singular vectors with unit vectors, orthogonal to the others, in the place of those of zero values.
fn completed(svd: &SingularValues, p: usize) -> Vec<f64> {
    let mut left = svd.left.clone();
    for (j, &value) in svd.values.iter().enumerate() {
        if value > 0.0 {
            continue;
        }
        // The axis that the columns found so far cover least, made orthogonal to them twice.
        let covered = |a: usize| (0..j).map(|k| left[k * p + a].powi(2)).sum::<f64>();
        let axis = (0..p).min_by(|&a, &b| covered(a).total_cmp(&covered(b))).unwrap_or(0);
        let mut column: Vec<f64> = (0..p).map(|a| f64::from(u8::from(a == axis))).collect();
        for _ in 0..2 {
            for k in 0..j {
                let other = &left[k * p..(k + 1) * p];
                let along = inner(&column, other);
                column.iter_mut().zip(other).for_each(|(x, other)| *x -= along * other);
            }
        }
        let length = inner(&column, &column).sqrt();
        left[j * p..(j + 1) * p].iter_mut().zip(column).for_each(|(to, x)| *to = x / length);
    }
    left
}
