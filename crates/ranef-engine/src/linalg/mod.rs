//! The linear algebra that a mixed model needs and that faer lacks.
//!
//! Everything revolves around one symmetric matrix,
//!
//! ```text
//! M = [ Lambda' B Lambda + I   Lambda' C ]        B = Z'WZ,  C = Z'WX,  E = X'WX
//!     [ C' Lambda              E         ]
//! ```
//!
//! whose random part has one small block for each level of each grouping factor, and off-diagonal blocks only where
//! two levels share a row of data. The fixed effects are a dense border. A [`Pattern`] says where the blocks are, a
//! [`BlockMatrix`] holds their values, [`BlockMatrix::congruence`] applies Lambda, and a [`Factorization`] gives the
//! Cholesky factor, determinants, solutions and the blocks of the inverse that gradients need.
//!
//! Vectors of effects are laid out by factor, then level, then component; the border comes last.

mod block_matrix;
mod congruence;
pub(crate) mod dense_cholesky;
mod factorization;
mod field;
mod inverse_moments;
mod jacobi;
mod leading;
mod pattern;
mod product_diagonal;
mod remainder;
mod root;
mod selected_inverse;
pub(crate) mod small_cholesky;
mod sparse_cholesky;
mod sparse_factor;

pub use block_matrix::BlockMatrix;
pub use congruence::Congruence;
pub use factorization::{Factorization, NotPositiveDefinite, Place};
pub(crate) use factorization::{dot, sum};
pub use inverse_moments::Moments;
pub(crate) use jacobi::{SingularValues, SymmetricEigen, singular_values, symmetric_eigen};
pub use pattern::{Neighbours, Pair, Pattern, Tie};
pub use product_diagonal::product_diagonal;
pub use root::RootedCorrelation;
pub use sparse_factor::SparseFactor;

/// Above this many multiply-adds a loop over blocks is worth sharing between threads (a parallel region costs some
/// 10 microseconds). Every parallel loop here writes disjoint results, so the numbers do not depend on the choice.
pub(crate) const PARALLEL_WORK: usize = 1 << 17;

/// Above this many rows a pass over the data is worth sharing between threads.
pub(crate) const PARALLEL_ROWS: usize = 1 << 14;

/// Does `work` on one of the threads that share loops over `rows` rows, if they are enough to be shared: entering such
/// a loop from outside costs two changes of thread each time.
pub(crate) fn among_threads<T: Send>(rows: usize, work: impl FnOnce() -> T + Send) -> T {
    /// Rows from which a fit lasts long enough for one change of thread not to matter.
    const ROWS: usize = 2000;
    if rows < ROWS { work() } else { rayon::scope(|_| work()) }
}
