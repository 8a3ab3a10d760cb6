//! Sparse Cholesky factor of the Schur complement, and the entries of its inverse on the factor's pattern.
//!
//! Reference for the inverse: Takahashi, Fagan & Chin (1973); Erisman & Tinney (1975), Commun. ACM 18, 177-179.
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::prelude::default;
use faer::sparse::linalg::amd;
use faer::sparse::linalg::cholesky::simplicial;
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};

/// The pattern of the upper triangle of a symmetric matrix: rows `rows[ptr[j]..ptr[j + 1]]` of column j, ascending,
/// the diagonal last.
#[derive(Clone, Debug)]
pub struct UpperPattern {
    pub ptr: Vec<usize>,
    pub rows: Vec<usize>,
}

impl UpperPattern {
    /// Collects the rows i <= j of each column j; `rows_of(j, push)` may push a row repeatedly. None as soon as there
    /// are more than `limit` entries.
    pub fn collect(n: usize, limit: usize, rows_of: impl Fn(usize, &mut dyn FnMut(usize))) -> Option<Self> {
        let (mut ptr, mut rows, mut seen) = (vec![0], Vec::new(), vec![usize::MAX; n]);
        for j in 0..n {
            let first = rows.len();
            seen[j] = j;
            rows.push(j);
            rows_of(j, &mut |i| {
                if i < j && seen[i] != j {
                    seen[i] = j;
                    rows.push(i);
                }
            });
            if rows.len() > limit {
                return None;
            }
            rows[first..].sort_unstable();
            ptr.push(rows.len());
        }
        Some(Self { ptr, rows })
    }

    fn symbolic(&self) -> SymbolicSparseColMatRef<'_, usize> {
        let n = self.ptr.len() - 1;
        SymbolicSparseColMatRef::new_checked(n, n, &self.ptr, None, &self.rows)
    }

    /// The place of entry (i, j), i <= j.
    fn place(&self, i: usize, j: usize) -> usize {
        let column = &self.rows[self.ptr[j]..self.ptr[j + 1]];
        self.ptr[j] + column.binary_search(&i).expect("the entry is in the pattern")
    }

    /// New position of each column under an approximate minimum degree ordering.
    pub fn minimum_degree(&self) -> Vec<u32> {
        let n = self.ptr.len() - 1;
        let (mut order, mut position) = (vec![0usize; n], vec![0usize; n]);
        let mut memory = MemBuffer::new(amd::order_maybe_unsorted_scratch::<usize>(n, self.rows.len()));
        amd::order(&mut order, &mut position, self.symbolic(), amd::Control::default(), MemStack::new(&mut memory))
            .expect("the pattern fits in memory");
        position.into_iter().map(|place| place as u32).collect()
    }

    /// The pattern after column j has moved to `position[j]`.
    pub fn permuted(&self, position: &[u32]) -> Self {
        let n = self.ptr.len() - 1;
        let mut columns = vec![Vec::new(); n];
        for j in 0..n {
            for &i in &self.rows[self.ptr[j]..self.ptr[j + 1]] {
                let (a, b) = (position[i] as usize, position[j] as usize);
                columns[a.max(b)].push(a.min(b));
            }
        }
        let (mut ptr, mut rows) = (vec![0], Vec::with_capacity(self.rows.len()));
        for mut column in columns {
            column.sort_unstable();
            rows.extend(column);
            ptr.push(rows.len());
        }
        Self { ptr, rows }
    }
}

/// A sparse symmetric matrix in its final order, and after [`SparseCholesky::factor`] its Cholesky factor.
#[derive(Clone, Debug)]
pub struct SparseCholesky {
    upper: UpperPattern,
    /// Values of the matrix on its upper pattern.
    pub values: Vec<f64>,
    symbolic: simplicial::SymbolicSimplicialCholesky<usize>,
    factor: Vec<f64>,
    column: Vec<f64>,
}

impl SparseCholesky {
    /// Symbolic analysis without any reordering. None when the factorisation would take more than `limit`
    /// multiply-adds.
    pub fn new(upper: UpperPattern, limit: f64) -> Option<Self> {
        let n = upper.ptr.len() - 1;
        let (mut tree, mut counts) = (vec![0isize; n], vec![0usize; n]);
        let mut memory = MemBuffer::new(StackReq::any_of(&[
            simplicial::prefactorize_symbolic_cholesky_scratch::<usize>(n, upper.rows.len()),
            simplicial::factorize_simplicial_symbolic_cholesky_scratch::<usize>(n),
        ]));
        let stack = MemStack::new(&mut memory);
        let tree = simplicial::prefactorize_symbolic_cholesky(&mut tree, &mut counts, upper.symbolic(), &mut *stack);
        if counts.iter().map(|&count| (count * count) as f64).sum::<f64>() > limit {
            return None;
        }
        let symbolic = simplicial::factorize_simplicial_symbolic_cholesky(upper.symbolic(), tree, &counts, stack)
            .expect("the factor fits in memory");
        let (values, factor) = (vec![0.0; upper.rows.len()], vec![0.0; symbolic.len_val()]);
        Some(Self { upper, values, symbolic, factor, column: vec![0.0; n] })
    }

    /// The place of entry (i, j) in `values`, whichever of the two is larger.
    pub fn place(&self, i: usize, j: usize) -> usize {
        self.upper.place(i.min(j), i.max(j))
    }

    /// The place of entry (i, j) in the result of [`SparseCholesky::inverse`].
    pub fn place_in_factor(&self, i: usize, j: usize) -> usize {
        let (row, column) = (i.max(j), i.min(j));
        let range = self.symbolic.col_ptr()[column]..self.symbolic.col_ptr()[column + 1];
        let rows = &self.symbolic.row_idx()[range.clone()];
        range.start + rows.binary_search(&row).expect("the entry is in the pattern of the factor")
    }

    /// Adds to each column of the upper triangle what `subtract(j, w)` puts into the zeroed work vector w.
    pub fn update(&mut self, subtract: impl Fn(usize, &mut [f64])) {
        let w = &mut self.column;
        for j in 0..w.len() {
            let range = self.upper.ptr[j]..self.upper.ptr[j + 1];
            subtract(j, w);
            for (value, &i) in self.values[range.clone()].iter_mut().zip(&self.upper.rows[range]) {
                *value += w[i];
                w[i] = 0.0;
            }
        }
    }

    /// Factors the matrix in `values`. On failure the index of the pivot that was not positive.
    pub fn factor(&mut self) -> Result<(), usize> {
        let matrix = SparseColMatRef::new(self.upper.symbolic(), &self.values);
        let scratch = simplicial::factorize_simplicial_numeric_llt_scratch::<usize, f64>(self.column.len());
        let mut memory = MemBuffer::new(scratch);
        simplicial::factorize_simplicial_numeric_llt(
            &mut self.factor,
            matrix,
            default(),
            &self.symbolic,
            MemStack::new(&mut memory),
        )
        .map(|_| ())
        .map_err(|faer::linalg::cholesky::llt::factor::LltError::NonPositivePivot { index }| index - 1)
    }

    /// Rows (the diagonal first) and range of values of column j of the factor.
    pub fn factor_column(&self, j: usize) -> (&[usize], std::ops::Range<usize>) {
        let range = self.symbolic.col_ptr()[j]..self.symbolic.col_ptr()[j + 1];
        (&self.symbolic.row_idx()[range.clone()], range)
    }

    /// x = L^{-1} x.
    pub fn forward_in_place(&self, x: &mut [f64]) {
        for j in 0..x.len() {
            let (rows, range) = self.factor_column(j);
            let values = &self.factor[range];
            x[j] /= values[0];
            let scale = x[j];
            for (&i, value) in rows[1..].iter().zip(&values[1..]) {
                x[i] -= value * scale;
            }
        }
    }

    /// x = L^{-T} x.
    pub fn backward_in_place(&self, x: &mut [f64]) {
        for j in (0..x.len()).rev() {
            let (rows, range) = self.factor_column(j);
            let values = &self.factor[range];
            let sum: f64 = rows[1..].iter().zip(&values[1..]).map(|(&i, value)| value * x[i]).sum();
            x[j] = (x[j] - sum) / values[0];
        }
    }

    /// 2 log |L|.
    pub fn log_det(&self) -> f64 {
        let pivots = self.symbolic.col_ptr()[..self.column.len()].iter().map(|&at| self.factor[at]);
        2.0 * pivots.map(f64::ln).sum::<f64>()
    }

    /// The entries of the inverse on the pattern of the factor, stored like the factor.
    ///
    /// From right to left: with f = L_(k > j, j) / L_jj,  Z_(k, j) = - sum_i Z_(k, i) f_i  and
    /// Z_jj = 1 / L_jj^2 - f' Z_(., j); every Z_(k, i) that is asked for lies in the pattern already computed.
    pub fn inverse(&self) -> Vec<f64> {
        let n = self.column.len();
        let mut z = vec![0.0; self.factor.len()];
        let (mut owner, mut f, mut product) = (vec![usize::MAX; n], vec![0.0; n], vec![0.0; n]);
        for j in (0..n).rev() {
            let (rows, range) = self.factor_column(j);
            let values = &self.factor[range.clone()];
            for (&k, value) in rows[1..].iter().zip(&values[1..]) {
                owner[k] = j;
                f[k] = value / values[0];
                product[k] = 0.0;
            }
            for &k in &rows[1..] {
                let (below, places) = self.factor_column(k);
                let mut sum = z[places.start] * f[k];
                for (&i, z) in below[1..].iter().zip(&z[places.start + 1..places.end]) {
                    if owner[i] == j {
                        sum += z * f[i];
                        product[i] += z * f[k];
                    }
                }
                product[k] += sum;
            }
            let mut diagonal = 1.0 / (values[0] * values[0]);
            for (place, &k) in range.clone().zip(rows).skip(1) {
                z[place] = -product[k];
                diagonal += f[k] * product[k];
            }
            z[range.start] = diagonal;
        }
        z
    }
}
