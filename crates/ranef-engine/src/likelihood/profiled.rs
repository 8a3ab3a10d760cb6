//! The profiled likelihood of a linear mixed model, ML and REML, with its exact gradient.
//!
//! y = X beta + Z Lambda u + e ,   u ~ N(0, sigma^2 I) ,   e ~ N(0, sigma^2 W^{-1}) .
//!
//! For given theta (Lambda relative to sigma) beta, u and sigma have closed forms. With M the penalised cross-product
//! matrix, S its Schur complement for beta, and r2 = |W^{1/2}(y - X beta - Z b)|^2 + |u|^2 at the solution,
//!
//! ```text
//! ML:    log|M_uu| + n (1 + log(2 pi r2 / n)) - sum log w
//! REML:  log|M_uu| + log|S| + 2 log|R| + (n - p)(1 + log(2 pi r2 / (n - p))) - sum log w
//! ```
//!
//! (-2 log likelihood, constants included; X = QR). One pass over the rows caches the cross-products;
//! everything after is independent of their number. Derivative with respect to the factor Lambda_f of a grouping factor:
//!
//! ```text
//! 2 sum_levels [ B Lambda M^{-1} ]_ll  -  (2 / sigma^2) sum_levels (Z'W e)_l u_l'
//! ```
//!
//! by the envelope theorem, valid at singular Lambda as anywhere else.
//!
//! Lambda' B Lambda does not depend on the units of the columns of Z: theta is always on the caller's scale. Where a
//! number is judged small (the boundary), columns are taken in units of their root mean square.
//!
//! Reference: Bates, Maechler, Bolker & Walker (2015), J. Stat. Softw. 67(1), sections 3.4 and 3.5.

mod boundary;
mod cross_products;
mod data;
mod fixed_covariance;
mod gradient;
mod hessian;
mod linear_covariance;
mod metric;
mod orthonormal;
mod solution;
mod start;
mod statistics;

pub use data::ProfiledError;
pub use solution::{ModeJacobian, Solution};
pub use statistics::Statistics;

use crate::covariance::Template;
use crate::design::{Grouping, LevelBasis};
use crate::linalg::{BlockMatrix, Congruence, Factorization, Pattern};
use data::{Columns, Design, Response, restrict};
use std::f64::consts::PI;
use std::sync::{Arc, OnceLock};

/// The modes (u, beta on the basis Q) and r2 for one set of factors.
#[derive(Clone, Debug)]
struct State {
    theta: Option<Vec<f64>>,
    factors: Vec<Vec<f64>>,
    modes: Vec<f64>,
    r2: f64,
    determinant_gradient: Option<Vec<Vec<f64>>>,
    /// Z'W e, kept when first asked for.
    residual: OnceLock<Vec<f64>>,
    penalty_gradient: OnceLock<Vec<Vec<f64>>>,
}

/// The profiled criterion of a linear mixed model.
///
/// Cloning is cheap in what depends on the design (shared) and copies what depends on theta and the response, so
/// clones can be refitted to other responses in parallel.
#[derive(Clone, Debug)]
pub struct Profiled {
    design: Arc<Design>,
    response: Response,
    reml: bool,
    h: BlockMatrix,
    inverse: BlockMatrix,
    factorization: Factorization,
    /// Of the random effects alone, where the fixed effects are not in the border.
    random: Option<Random>,
    state: Option<State>,
}

/// Lambda' Z'WZ Lambda of the random effects alone, its factorisation and inverse.
#[derive(Clone, Debug)]
struct Random {
    h: BlockMatrix,
    inverse: BlockMatrix,
    factorization: Factorization,
}

impl Random {
    fn new(pattern: &Arc<Pattern>, ranks: &[usize]) -> Self {
        Self {
            h: BlockMatrix::zeros(pattern, ranks),
            inverse: BlockMatrix::zeros(pattern, ranks),
            factorization: Factorization::new(pattern.clone(), ranks),
        }
    }
}

impl Profiled {
    /// Caches the cross-products. `x` is n x p, column-major; `groupings` and `template` number the grouping factors
    /// alike; `weights` are precision weights; `offset` is subtracted from y.
    ///
    /// # Errors
    /// [`ProfiledError`], when the data do not determine the criterion.
    pub fn new(
        y: &[f64],
        x: &[f64],
        p: usize,
        groupings: &[Grouping],
        template: Template,
        weights: Option<&[f64]>,
        offset: Option<&[f64]>,
        reml: bool,
    ) -> Result<Self, ProfiledError> {
        let x = Columns::Borrowed(x);
        let groupings = Arc::new(groupings.to_vec());
        Self::of_design(Design::new(y.len(), x, p, groupings, template, weights, offset)?, y, reml)
    }

    /// The likelihood of a design with one predictor for the mean, whose rows are shared rather than copied; beta is in
    /// the rotated coordinates of its [`Fixed`](crate::design::Fixed).
    ///
    /// # Errors
    /// [`ProfiledError`], when the data do not determine the criterion.
    pub fn shared(
        y: &[f64],
        design: &crate::design::Design,
        weights: Option<&[f64]>,
        reml: bool,
    ) -> Result<Self, ProfiledError> {
        let (fixed, template) = (&design.fixed[0], design.template.clone());
        let x = fixed.level_basis().map_or_else(|| Columns::Shared(fixed.basis()), Columns::ByLevel);
        let groupings = design.groupings.clone();
        Self::of_design(Design::new(y.len(), x, fixed.p(), groupings, template, weights, fixed.offset())?, y, reml)
    }

    /// The deviance of a linear mixed model with fixed effects by level.
    ///
    /// # Errors
    /// [`ProfiledError`], when the data do not determine the criterion.
    pub(crate) fn by_level(
        y: &[f64],
        x: &Arc<LevelBasis>,
        design: &crate::design::Design,
        weights: Option<&[f64]>,
    ) -> Result<Self, ProfiledError> {
        let (template, groupings) = (design.template.clone(), design.groupings.clone());
        let own = Design::new(y.len(), Columns::ByLevel(x), x.p(), groupings, template, weights, None)?;
        Self::of_design(own, y, false)
    }

    fn of_design(design: Design, y: &[f64], reml: bool) -> Result<Self, ProfiledError> {
        let design = Arc::new(design);
        let (pattern, ranks) = (design.pattern.clone(), design.template.ranks().to_vec());
        Ok(Self {
            response: Response::new(&design, y)?,
            random: design.free.as_ref().map(|free| Random::new(&free.pattern, &ranks[..ranks.len() - 1])),
            h: BlockMatrix::zeros(&pattern, &ranks),
            inverse: BlockMatrix::zeros(&pattern, &ranks),
            factorization: Factorization::new(pattern, &ranks),
            state: None,
            design,
            reml,
        })
    }

    /// Replaces the response (before its offset is subtracted); all that depends on X and Z alone is kept.
    ///
    /// # Errors
    /// [`ProfiledError::ExactFit`] or [`ProfiledError::Response`].
    pub fn set_response(&mut self, y: &[f64]) -> Result<(), ProfiledError> {
        self.response = Response::new(&self.design, y)?;
        self.state = None;
        Ok(())
    }

    /// The map from theta to the factors.
    pub fn template(&self) -> &Template {
        &self.design.template
    }

    /// The block pattern of the random effects.
    pub fn pattern(&self) -> &Arc<Pattern> {
        &self.design.pattern
    }

    /// Z'WZ with the border Z'W^{1/2}Q and corner I, where W^{1/2}X = QR.
    pub fn cross_products(&self) -> &BlockMatrix {
        &self.design.b
    }

    /// The factorisation at the theta of the last call.
    pub fn factorization(&self) -> &Factorization {
        &self.factorization
    }

    /// R^{-1}, which maps coefficients of the orthonormal basis to beta: beta = R^{-1}(Q'y + beta~); p x p, upper.
    pub fn basis_inverse(&self) -> &[f64] {
        &self.design.inverse_r
    }

    /// Root mean square of each merged column of each grouping factor (with weights).
    pub fn column_scales(&self) -> &[Vec<f64>] {
        &self.design.scales
    }

    /// Whether the criterion is REML rather than ML.
    pub fn reml(&self) -> bool {
        self.reml
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.design.n
    }

    /// n for ML, n - p for REML.
    pub fn degrees_of_freedom(&self) -> f64 {
        (self.design.n - if self.reml { self.design.p } else { 0 }) as f64
    }

    /// Number of columns of the border.
    fn p(&self) -> usize {
        self.design.pattern.border()
    }

    /// The criterion with sigma profiled out. Infinite where M cannot be factored (theta not finite, or so large that
    /// the fixed effects drown in rounding errors).
    pub fn value(&mut self, theta: &[f64]) -> f64 {
        if self.evaluate(theta) { self.criterion() } else { f64::INFINITY }
    }

    /// The criterion and its gradient with respect to theta. Where the value is infinite the gradient is NaN.
    pub fn value_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> f64 {
        if !self.evaluate(theta) {
            gradient.fill(f64::NAN);
            return f64::INFINITY;
        }
        let slope = self.factor_gradient(self.profiled_variance());
        self.design.template.chain(theta, &slope, gradient);
        self.criterion()
    }

    /// The criterion and its derivatives with respect to Lambda_f of every grouping factor, NaN where it is infinite.
    pub fn value_factor_gradient(&mut self, theta: &[f64]) -> (f64, Vec<Vec<f64>>) {
        if !self.evaluate(theta) {
            let nothing =
                self.design.template.factors(theta).iter().map(|factor| vec![f64::NAN; factor.len()]).collect();
            return (f64::INFINITY, nothing);
        }
        let variance = self.profiled_variance();
        (self.criterion(), self.factor_gradient(variance))
    }

    /// The criterion at a given sigma, and its derivatives with respect to theta and then sigma.
    pub fn value_gradient_sigma(&mut self, theta: &[f64], sigma: f64, gradient: &mut [f64]) -> f64 {
        if !(self.evaluate(theta) && sigma > 0.0) {
            gradient.fill(f64::NAN);
            return f64::INFINITY;
        }
        let (m, r2, variance) = (self.degrees_of_freedom(), self.r2(), sigma * sigma);
        let slope = self.factor_gradient(variance);
        let n_theta = theta.len();
        self.design.template.chain(theta, &slope, &mut gradient[..n_theta]);
        gradient[n_theta] = 2.0 * (m - r2 / variance) / sigma;
        self.determinants() + m * (2.0 * PI * variance).ln() + r2 / variance
    }

    fn criterion(&self) -> f64 {
        let m = self.degrees_of_freedom();
        self.determinants() + m * (1.0 + (2.0 * PI * self.profiled_variance()).ln())
    }

    /// The terms of the criterion that do not involve the response.
    fn determinants(&self) -> f64 {
        let random = match &self.random {
            Some(random) if !self.reml => random.factorization.log_det(),
            _ => self.factorization.log_det(),
        } - self.design.log_weights;
        if self.reml { random + self.factorization.log_det_border() + 2.0 * self.design.log_det_r } else { random }
    }

    /// By how much rounding may change half the criterion at the theta of the last call: r2 is what is left of |y|^2.
    pub fn rounding(&self) -> f64 {
        0.5 * self.degrees_of_freedom() * f64::EPSILON * self.response.yy / self.r2()
    }

    fn profiled_variance(&self) -> f64 {
        self.r2() / self.degrees_of_freedom()
    }

    fn r2(&self) -> f64 {
        self.state().r2
    }

    fn state(&self) -> &State {
        self.state.as_ref().expect("evaluated before")
    }

    /// Brings factorisation and modes to theta; false where M cannot be factored.
    fn evaluate(&mut self, theta: &[f64]) -> bool {
        if self.state.as_ref().is_some_and(|state| state.theta.as_deref() == Some(theta)) {
            return true;
        }
        let found = self.evaluate_factors(self.design.template.factors(theta));
        if let Some(state) = &mut self.state {
            state.theta = Some(theta.to_vec());
        }
        found
    }

    /// The same at given factors Lambda_f.
    fn evaluate_factors(&mut self, factors: Vec<Vec<f64>>) -> bool {
        let design = self.design.clone();
        let Design { pattern, b, .. } = &*design;
        self.state = None;
        b.congruence(pattern, &factors, Congruence::Inner, &mut self.h);
        if self.factorization.factor(&self.h).is_err() || !(self.reml || self.factor_random()) {
            return false;
        }
        // X'y is zero: the border of the right-hand side stays empty.
        let mut rhs = vec![0.0; self.factorization.n_random() + pattern.border()];
        self.times_transposed_into(&factors, &self.response.zy, &mut rhs);
        let mut modes = rhs.clone();
        self.factorization.solve_in_place(&mut modes, 1);
        let explained: f64 = rhs.iter().zip(&modes).map(|(a, b)| a * b).sum();
        // A fit without any residual has no finite criterion; r2 is then rounding error, and kept positive.
        let r2 = (self.response.yy - explained).max(f64::EPSILON * self.response.yy);
        self.state = Some(State {
            theta: None,
            factors,
            modes,
            r2,
            determinant_gradient: None,
            residual: OnceLock::new(),
            penalty_gradient: OnceLock::new(),
        });
        r2.is_finite()
    }

    /// Factors the random effects' part alone, where the fixed effects are not in the border.
    fn factor_random(&mut self) -> bool {
        let Some(random) = &mut self.random else { return true };
        restrict(&self.h, &self.design.pattern, &mut random.h);
        random.factorization.factor(&random.h).is_ok()
    }
}
