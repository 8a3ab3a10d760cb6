//! Parameters with known values, and parameters that are equal: those of x that follow from the others.
//!
//! Values of coefficients and (where a standard deviation is one theta) of standard deviations, and equalities among
//! them, are linear in x. Elimination leaves
//!
//! ```text
//! x_d = c_d + sum_f M_df x_f
//! ```
//!
//! for the dependent d. The objective stays one of all of x: it is evaluated where the dependent are what they must be,
//! and does not change with them otherwise.
use super::laplace::Layout;
use crate::covariance::Natural;
use crate::design::{Constraint, Design, Quantity};
use crate::objective::Objective;

/// A pivot of the elimination below this share of the row's largest weight is rounding.
const REDUNDANT: f64 = 1e-10;

/// One dependent parameter.
#[derive(Clone, Debug)]
struct Dependent {
    at: usize,
    constant: f64,
    from: Vec<(usize, f64)>,
}

/// The dependent parameters of a model.
#[derive(Clone, Debug)]
pub struct Restriction {
    dependents: Vec<Dependent>,
    dim: usize,
    theta: usize,
}

impl Restriction {
    /// Of a design in the coordinates of a layout; `None` where nothing is held or tied. A further quantity may be held
    /// besides.
    ///
    /// # Errors
    /// What cannot be held, in words.
    pub fn new(
        design: &Design,
        layout: &Layout,
        besides: Option<(Quantity, f64)>,
    ) -> Result<Option<Self>, &'static str> {
        let mut rows = Vec::new();
        let besides = besides.map(|(quantity, value)| Constraint::Held(quantity, value));
        for constraint in design.assumptions.constraints.iter().copied().chain(besides) {
            let (mut weights, mut value) = (vec![0.0; layout.dim], 0.0);
            match constraint {
                Constraint::Held(quantity, held) => {
                    let degree = add_row(design, layout, quantity, 1.0, &mut weights)?;
                    value = held.powf(degree);
                }
                Constraint::Tied(first, second) => {
                    let one = add_row(design, layout, first, 1.0, &mut weights)?;
                    if one != add_row(design, layout, second, -1.0, &mut weights)? {
                        return Err("standard deviations of these two structures have different coordinates");
                    }
                }
            }
            rows.push((weights, value));
        }
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { dependents: eliminate(rows)?, dim: layout.dim, theta: layout.theta.start }))
    }

    /// Number of parameters that are not free.
    pub fn len(&self) -> usize {
        self.dependents.len()
    }

    /// Whether all are free.
    pub fn is_empty(&self) -> bool {
        self.dependents.is_empty()
    }

    /// Sets the dependent of x to what they must be.
    pub fn place(&self, x: &mut [f64]) {
        let values: Vec<f64> =
            self.dependents.iter().map(|d| d.constant + d.from.iter().map(|(f, m)| m * x[*f]).sum::<f64>()).collect();
        self.dependents.iter().zip(values).for_each(|(d, value)| x[d.at] = value);
    }

    /// The gradient with respect to the free from that with respect to x; zero for the dependent.
    pub fn pull(&self, gradient: &mut [f64]) {
        for dependent in &self.dependents {
            let own = std::mem::take(&mut gradient[dependent.at]);
            dependent.from.iter().for_each(|(f, m)| gradient[*f] += m * own);
        }
    }

    /// T'HT for the free, the identity for the dependent.
    pub fn pull_hessian(&self, h: &mut [f64]) {
        for column in h.chunks_exact_mut(self.dim) {
            self.pull(column);
        }
        for i in 0..self.dim {
            let mut row: Vec<f64> = (0..self.dim).map(|j| h[j * self.dim + i]).collect();
            self.pull(&mut row);
            row.iter().enumerate().for_each(|(j, value)| h[j * self.dim + i] = *value);
        }
        self.dependents.iter().for_each(|d| h[d.at * self.dim + d.at] = 1.0);
    }

    /// Covariance of all of x from that of the free.
    pub fn spread(&self, covariance: &mut [f64]) {
        let dim = self.dim;
        for d in &self.dependents {
            for j in 0..dim {
                covariance[j * dim + d.at] = d.from.iter().map(|(f, m)| m * covariance[j * dim + f]).sum();
            }
        }
        for d in &self.dependents {
            for i in 0..dim {
                covariance[d.at * dim + i] = d.from.iter().map(|(f, m)| m * covariance[f * dim + i]).sum();
            }
        }
    }

    /// The dependent parameters.
    pub fn dependents(&self) -> Vec<usize> {
        self.dependents.iter().map(|d| d.at).collect()
    }

    /// The theta among them without a standard error: known, or equal to those in `held` alone.
    pub fn known(&self, held: &[usize]) -> Vec<usize> {
        let known = |d: &&Dependent| d.at >= self.theta && d.from.iter().all(|(f, _)| held.contains(f));
        self.dependents.iter().filter(known).map(|d| d.at).collect()
    }
}

/// Adds a quantity's row of weights over x; the power of the quantity that is linear in x.
fn add_row(
    design: &Design,
    layout: &Layout,
    quantity: Quantity,
    sign: f64,
    weights: &mut [f64],
) -> Result<f64, &'static str> {
    match quantity {
        Quantity::Coefficient { predictor, column } => {
            let range = layout.beta[predictor].clone().ok_or("the mean's fixed effects are integrated out")?;
            for (m, weight) in range.zip(design.fixed[predictor].coefficient_row(column)) {
                weights[m] += sign * weight;
            }
            Ok(1.0)
        }
        Quantity::Sd { term, column } => {
            let m = theta_of_sd(design, term, column).ok_or("no single parameter is this standard deviation")?;
            let degree = design.template.covariance(term).scaling(m).1;
            let at = layout.theta.start + design.template.theta_range(term).start + m;
            weights[at] += sign / design.places[term].scales[column].powf(degree);
            Ok(degree)
        }
        Quantity::Correlations { .. } => Err("correlation matrices cannot be held"),
    }
}

/// The one theta of a term that a column's standard deviation is a power of; `None` where it depends on several.
pub fn theta_of_sd(design: &Design, term: usize, column: usize) -> Option<usize> {
    let covariance = design.template.covariance(term);
    let n = covariance.n_theta();
    let entries: Option<Vec<(usize, usize)>> = (0..n).map(|m| covariance.entry(m)).collect();
    if n == 0 {
        return None;
    }
    if let Some(entries) = entries {
        let mut own = (0..n).filter(|&m| entries[m].0 == column);
        return own.next().filter(|_| own.next().is_none());
    }
    covariance.hold(Natural::Sd(column), 1.0, &mut vec![0.5; n])
}

/// Gauss-Jordan elimination, the largest weight of each row as its pivot.
fn eliminate(mut rows: Vec<(Vec<f64>, f64)>) -> Result<Vec<Dependent>, &'static str> {
    let mut pivots: Vec<(usize, usize)> = Vec::new();
    for r in 0..rows.len() {
        let before = rows[r].0.iter().fold(0.0_f64, |m, w| m.max(w.abs()));
        let size = before.max(rows[r].1.abs());
        for &(other, at) in &pivots {
            let factor = rows[r].0[at];
            let (weights, value) = rows[other].clone();
            rows[r].0.iter_mut().zip(&weights).for_each(|(w, o)| *w -= factor * o);
            rows[r].0[at] = 0.0;
            rows[r].1 -= factor * value;
        }
        let (at, largest) = rows[r]
            .0
            .iter()
            .enumerate()
            .fold((0, 0.0_f64), |best, (m, w)| if w.abs() > best.1 { (m, w.abs()) } else { best });
        if largest <= REDUNDANT * before {
            if rows[r].1.abs() > REDUNDANT * size {
                return Err("two of the values held and parameters tied contradict each other");
            }
            continue;
        }
        let pivot = rows[r].0[at];
        rows[r].0.iter_mut().for_each(|w| *w /= pivot);
        rows[r].1 /= pivot;
        let (weights, value) = rows[r].clone();
        for &(other, _) in &pivots {
            let factor = rows[other].0[at];
            rows[other].0.iter_mut().zip(&weights).for_each(|(w, o)| *w -= factor * o);
            rows[other].0[at] = 0.0;
            rows[other].1 -= factor * value;
        }
        pivots.push((r, at));
    }
    Ok(pivots
        .into_iter()
        .map(|(r, at)| Dependent {
            at,
            constant: rows[r].1,
            from: rows[r].0.iter().enumerate().filter(|(m, w)| *m != at && **w != 0.0).map(|(m, w)| (m, -w)).collect(),
        })
        .collect())
}

/// An objective with some of its parameters following from the others.
pub struct Restricted<'a> {
    inner: Box<dyn Objective + 'a>,
    restriction: Restriction,
}

impl<'a> Restricted<'a> {
    /// The objective on the restricted space.
    pub fn new(inner: Box<dyn Objective + 'a>, restriction: Restriction) -> Self {
        Self { inner, restriction }
    }

    fn placed(&self, x: &[f64]) -> Vec<f64> {
        let mut x = x.to_vec();
        self.restriction.place(&mut x);
        x
    }
}

impl Objective for Restricted<'_> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let value = self.inner.value_gradient(&self.placed(x), gradient);
        self.restriction.pull(gradient);
        value
    }

    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        let mut out = self.inner.metric(&self.placed(x));
        self.restriction.pull_hessian(&mut out);
        out
    }

    fn gradients_nearby(&mut self, x: &[f64], points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        let points: Vec<Vec<f64>> = points.iter().map(|point| self.placed(point)).collect();
        let mut found = self.inner.gradients_nearby(&self.placed(x), &points)?;
        found.iter_mut().for_each(|gradient| self.restriction.pull(gradient));
        Some(found)
    }

    fn accept(&mut self) {
        self.inner.accept();
    }

    fn complete(&self, x: &mut [f64]) {
        self.restriction.place(x);
    }

    fn dependents(&self) -> Vec<usize> {
        self.restriction.dependents()
    }
}

#[cfg(test)]
mod tests {
    use super::{Dependent, Restriction, eliminate};

    #[test]
    fn elimination_leaves_every_row_true() {
        let rows = vec![
            (vec![1.0, 2.0, 0.0, -1.0], 3.0),
            (vec![0.0, 1.0, 1.0, 0.5], -1.0),
            // The sum of both: nothing new.
            (vec![1.0, 3.0, 1.0, -0.5], 2.0),
        ];
        let dependents = eliminate(rows.clone()).expect("consistent");
        assert_eq!(dependents.len(), 2);
        let restriction = Restriction { dependents, dim: 4, theta: 4 };
        let mut x = vec![0.3, -0.7, 1.1, 0.2];
        restriction.place(&mut x);
        for (weights, value) in &rows {
            let found: f64 = weights.iter().zip(&x).map(|(w, x)| w * x).sum();
            assert!((found - value).abs() < 1e-12, "{found} {value}");
        }
        let contradiction = vec![(vec![1.0, 1.0], 1.0), (vec![2.0, 2.0], 1.0)];
        assert!(eliminate(contradiction).is_err());
    }

    /// x_1 = 2 - x_0 + 3 x_2 among three: T'HT for the free, and the identity for x_1.
    #[test]
    fn a_hessian_is_that_of_the_free() {
        let from = vec![(0, -1.0), (2, 3.0)];
        let restriction = Restriction { dependents: vec![Dependent { at: 1, constant: 2.0, from }], dim: 3, theta: 3 };
        let h = [4.0, 0.5, -0.25, 0.5, 2.0, 1.0, -0.25, 1.0, 3.0];
        let t = [[1.0, 0.0], [-1.0, 3.0], [0.0, 1.0]];
        let product = |a: usize, b: usize| -> f64 { (0..9).map(|at| t[at % 3][a] * h[at] * t[at / 3][b]).sum() };
        let expected = [product(0, 0), 0.0, product(1, 0), 0.0, 1.0, 0.0, product(0, 1), 0.0, product(1, 1)];
        let mut found = h;
        restriction.pull_hessian(&mut found);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-13, "{found} {expected}");
        }
    }
}
