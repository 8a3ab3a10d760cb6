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
use faer::{Mat, MatRef, Side};

/// Singular values of Lambda_t, in units of sigma and of the columns' root mean squares, below which a direction counts
/// as one of the null space.
const NEGLIGIBLE: f64 = 1e-4;

/// N_t of one term, and the directions in which its covariance vanishes.
pub(super) struct VarianceSlope {
    /// N_t, p_t x p_t, on the caller's scale.
    pub slope: Vec<f64>,
    /// N_t in units of the columns' root mean squares.
    scaled: Mat<f64>,
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
        let template = self.template();
        let entries: Vec<_> = template.theta_range(term).map(|m| template.entry(m)).collect();
        if entries.iter().all(|entry| entry.is_some_and(|(_, a, b)| a == b)) {
            let diagonal = slope.axes.iter().map(|&a| slope.scaled[(a, a)]);
            return Some(diagonal.fold(f64::INFINITY, f64::min));
        }
        let mut restricted = Mat::<f64>::zeros(k, k);
        for (j, right) in slope.null.iter().enumerate() {
            for (i, left) in slope.null.iter().enumerate() {
                restricted[(i, j)] = (0..right.len())
                    .map(|b| right[b] * (0..left.len()).map(|a| left[a] * slope.scaled[(a, b)]).sum::<f64>())
                    .sum();
            }
        }
        if entries.contains(&None) {
            return Some((0..k).map(|i| restricted[(i, i)]).sum::<f64>() / k as f64);
        }
        let values = restricted.self_adjoint_eigenvalues(Side::Lower).ok()?;
        values.into_iter().reduce(f64::min)
    }

    /// The factors at theta with negligible singular values lifted, whether there were any, and the terms'
    /// decompositions.
    fn raised_factors(&self, theta: &[f64]) -> (Vec<Vec<f64>>, bool, Vec<Decomposition>) {
        let mut factors = self.state().factors.clone();
        let mut raised = false;
        let decompositions = (0..self.template().n_terms())
            .map(|term| {
                let mut decomposition = Decomposition::new(&self.scaled_factor(term, theta));
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
                    || Mat::from_fn(decomposition.u.nrows(), decomposition.u.nrows(), |_, _| f64::NAN),
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

    fn variance_slope(&self, term: usize, scaled: Mat<f64>, decomposition: &Decomposition) -> VarianceSlope {
        let (p, scale) = (scaled.nrows(), self.term_scales(term));
        let mut slope = vec![0.0; p * p];
        for b in 0..p {
            for a in 0..p {
                slope[b * p + a] = scaled[(a, b)] * scale[a] * scale[b];
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
    fn scaled_factor(&self, term: usize, theta: &[f64]) -> Mat<f64> {
        let (scale, values) = (self.term_scales(term), self.template().term_factor(term, theta));
        Mat::from_fn(scale.len(), values.len() / scale.len(), |a, c| scale[a] * values[c * scale.len() + a])
    }

    fn scaled_gradient(&self, term: usize, gradient: &[Vec<f64>]) -> Mat<f64> {
        let (template, scale) = (self.template(), self.term_scales(term));
        let (f, (row, column)) = (template.factor_of(term), template.position(term));
        let width = template.widths()[f];
        Mat::from_fn(scale.len(), template.covariance(term).rank(), |a, c| {
            gradient[f][(column + c) * width + row + a] / scale[a]
        })
    }

    fn replace_factor(&self, term: usize, scaled: &Mat<f64>, factors: &mut [Vec<f64>]) {
        let (template, scale) = (self.template(), self.term_scales(term));
        let (f, (row, column)) = (template.factor_of(term), template.position(term));
        let width = template.widths()[f];
        for c in 0..scaled.ncols() {
            for a in 0..scaled.nrows() {
                factors[f][(column + c) * width + row + a] = scaled[(a, c)] / scale[a];
            }
        }
    }
}

/// Lambda_t = U diag(s) V' in scaled units.
struct Decomposition {
    u: Mat<f64>,
    s: Vec<f64>,
    v: Mat<f64>,
    null: Vec<Vec<f64>>,
    axes: Vec<usize>,
}

impl Decomposition {
    fn new(lambda: &Mat<f64>) -> Self {
        let svd = lambda.thin_svd().expect("theta is finite, or the criterion would not have been");
        let s: Vec<f64> = svd.S().column_vector().iter().copied().collect();
        let axes =
            (0..lambda.nrows()).filter(|&a| (0..lambda.ncols()).all(|c| lambda[(a, c)].abs() < NEGLIGIBLE)).collect();
        let null = (0..s.len()).filter(|&j| s[j] < NEGLIGIBLE).map(|j| column(svd.U(), j)).collect();
        Self { u: svd.U().to_owned(), v: svd.V().to_owned(), s, null, axes }
    }

    /// Lifts negligible singular values; whether there were any.
    fn raise(&mut self) -> bool {
        self.s.iter_mut().for_each(|s| *s = s.max(NEGLIGIBLE));
        !self.null.is_empty()
    }

    fn product(&self) -> Mat<f64> {
        let scaled = Mat::from_fn(self.u.nrows(), self.s.len(), |a, j| self.u[(a, j)] * self.s[j]);
        scaled * self.v.transpose()
    }

    /// N from G = N Lambda. On the complement of the column space (a reduced rank) N stays unknown: zero there.
    fn slope(&self, gradient: &Mat<f64>) -> Mat<f64> {
        let along = gradient * &self.v;
        let along = Mat::from_fn(along.nrows(), along.ncols(), |a, j| along[(a, j)] / self.s[j]);
        let half = along * self.u.transpose();
        let inside = &self.u * (self.u.transpose() * &half);
        let full = &half + half.transpose() - inside;
        Mat::from_fn(full.nrows(), full.ncols(), |a, b| 0.5 * (full[(a, b)] + full[(b, a)]))
    }
}

fn column(u: MatRef<'_, f64>, j: usize) -> Vec<f64> {
    let column: Vec<f64> = (0..u.nrows()).map(|a| u[(a, j)]).collect();
    debug_assert!((inner(&column, &column) - 1.0).abs() < 1e-8);
    column
}
