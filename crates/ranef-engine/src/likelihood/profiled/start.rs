//! Starting values by the method of moments, from the cached cross-products alone.
use super::Profiled;
use super::data::Design;
use crate::linalg::dense_cholesky;

impl Profiled {
    /// A starting theta: for each column of each term the standard deviation, relative to sigma, of the least-squares
    /// coefficients fitted level by level, less their sampling variance; no correlations.
    ///
    /// With c_l the coefficient in level l and 1 / n_l its sampling variance relative to sigma^2 (n_l the number of
    /// rows for an intercept), E[n_l c_l^2] = sigma^2 + n_l v. Hence v / sigma^2 = max(MSB / sigma^2 - 1, 0) / mean n_l
    /// with MSB the mean square between levels; at least 0.05 / mean n_l, because a zero is stationary.
    pub fn start(&self) -> Vec<f64> {
        let template = self.template();
        let random = self.pattern().n_factors() - usize::from(self.design.free.is_some());
        let between: Vec<Between> = (0..random).map(|f| self.between(f)).collect();
        let variance = self.residual_variance(&between);
        let mut theta = Vec::with_capacity(template.n_theta());
        for term in 0..template.n_terms() {
            let (first, covariance) = (template.position(term).0, template.covariance(term));
            let columns = &between[template.factor_of(term)].columns[first..first + covariance.size()];
            let sds: Vec<f64> = columns.iter().map(|moments| moments.relative_sd(variance)).collect();
            if covariance.rank() == covariance.size() {
                theta.extend(covariance.start(&sds));
                continue;
            }
            let (p, products) = (sds.len(), &between[template.factor_of(term)].products);
            let sigma: Vec<f64> = (0..p * p)
                .map(|at| if at % p == at / p { sds[at / p].powi(2) } else { products.at(first, at, p, variance) })
                .collect();
            theta.extend(covariance.start_near(&sigma));
        }
        theta
    }

    /// The analysis of variance as if the factors were orthogonal; where that leaves nothing (nested factors explain
    /// the same twice) the smallest mean square within the levels of any one factor.
    fn residual_variance(&self, between: &[Between]) -> f64 {
        let (n, yy) = (self.design.n as f64, self.response.yy);
        let left = |explained: f64, used: f64| if n - used >= 1.0 { (yy - explained) / (n - used) } else { yy / n };
        let within = between.iter().map(|one| left(one.explained, one.used)).fold(yy / n, f64::min);
        let all = left(between.iter().map(|one| one.explained).sum(), between.iter().map(|one| one.used).sum());
        if (0.05 * within..within).contains(&all) { all } else { within.max(1e-6 * yy / n) }
    }

    fn between(&self, f: usize) -> Between {
        let design: &Design = &self.design;
        let w = design.b.widths[f];
        let offset = design.pattern.offsets(&design.b.widths)[f];
        let mut between =
            Between { columns: vec![Moments::default(); w], products: Products::new(w), explained: 0.0, used: 0.0 };
        for level in 0..design.pattern.levels(f) {
            let zy = &self.response.zy[offset + level * w..][..w];
            let block = &design.b.diag[f][level * w * w..][..w * w];
            let mut l = block.to_vec();
            let singular = dense_cholesky::factor_in_place(&mut l, w).is_err()
                || (0..w).any(|a| l[a * w + a].powi(2) < 1e-10 * block[a * w + a]);
            if singular {
                // Too few rows for all columns at once: each column for itself says at least something.
                for a in 0..w {
                    between.columns[a].alone.add(zy[a], block[a * w + a]);
                }
                continue;
            }
            let inverse = dense_cholesky::inverse(&l, w);
            let mut coefficients = zy.to_vec();
            dense_cholesky::forward_in_place(&l, w, &mut coefficients, 1, w);
            between.explained += coefficients.iter().map(|c| c * c).sum::<f64>();
            between.used += w as f64;
            dense_cholesky::backward_in_place(&l, w, &mut coefficients, 1, w);
            between.products.add(&coefficients, &inverse);
            for a in 0..w {
                let n = 1.0 / inverse[a * w + a];
                between.columns[a].together.add(coefficients[a] * n, n);
            }
        }
        between
    }
}

/// The regression of the response on one grouping factor alone, level by level.
struct Between {
    columns: Vec<Moments>,
    products: Products,
    /// Its sum of squares, and the number of coefficients.
    explained: f64,
    used: f64,
}

/// Sums over levels of the products of two columns' coefficients and of their sampling covariance.
struct Products {
    width: usize,
    levels: f64,
    products: Vec<f64>,
    sampling: Vec<f64>,
}

impl Products {
    fn new(width: usize) -> Self {
        Self { width, levels: 0.0, products: vec![0.0; width * width], sampling: vec![0.0; width * width] }
    }

    fn add(&mut self, coefficients: &[f64], inverse: &[f64]) {
        self.levels += 1.0;
        for (at, (product, sampling)) in self.products.iter_mut().zip(&mut self.sampling).enumerate() {
            *product += coefficients[at % self.width] * coefficients[at / self.width];
            *sampling += inverse[at];
        }
    }

    /// The covariance relative to sigma^2 of two columns of a term with p columns that begins at `first`.
    fn at(&self, first: usize, at: usize, p: usize, variance: f64) -> f64 {
        let place = (first + at / p) * self.width + first + at % p;
        if self.levels > 0.0 { (self.products[place] / variance - self.sampling[place]) / self.levels } else { 0.0 }
    }
}

/// Sums over levels for one column: of coefficients fitted together with the other columns, or alone.
#[derive(Clone, Copy, Default)]
struct Moments {
    together: Sums,
    alone: Sums,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    levels: f64,
    squares: f64,
    rows: f64,
}

impl Sums {
    /// A level with coefficient product / n.
    fn add(&mut self, product: f64, n: f64) {
        if n > 0.0 {
            self.levels += 1.0;
            self.squares += product * product / n;
            self.rows += n;
        }
    }
}

impl Moments {
    fn relative_sd(&self, variance: f64) -> f64 {
        let sums = if self.together.levels > 0.0 { self.together } else { self.alone };
        if sums.levels == 0.0 {
            return 1.0;
        }
        let (mean_square, n) = (sums.squares / sums.levels, sums.rows / sums.levels);
        ((mean_square / variance - 1.0).max(0.05) / n).sqrt()
    }
}
