//! Cholesky factors of the many tiny blocks of one grouping factor.
//!
//! Each routine is one inlined loop nest, entered with a constant size where the size is at most four, so that the
//! compiler unrolls it: a general dense library spends longer on the call than on the arithmetic.

/// Calls `$body(.., n)` with n a literal for the common sizes.
macro_rules! with_constant_size {
    ($n:expr, $body:ident($($argument:expr),*)) => {
        match $n {
            1 => $body($($argument,)* 1),
            2 => $body($($argument,)* 2),
            3 => $body($($argument,)* 3),
            4 => $body($($argument,)* 4),
            n => $body($($argument,)* n),
        }
    };
}

/// Overwrites the lower triangle of the n x n column-major `a` with its Cholesky factor; the strict upper triangle is
/// neither read nor written. On failure the index of the pivot that was not positive.
pub fn factor_in_place(a: &mut [f64], n: usize) -> Result<(), usize> {
    with_constant_size!(n, factor_body(a))
}

#[inline(always)]
fn factor_body(a: &mut [f64], n: usize) -> Result<(), usize> {
    let a = &mut a[..n * n];
    for j in 0..n {
        for k in 0..j {
            let scale = a[k * n + j];
            for i in j..n {
                a[j * n + i] -= a[k * n + i] * scale;
            }
        }
        let pivot = a[j * n + j];
        // Written so that NaN fails too; an infinite pivot would turn the rest of the factor into NaN.
        if !(pivot > 0.0 && pivot < f64::INFINITY) {
            return Err(j);
        }
        let root = pivot.sqrt();
        a[j * n + j] = root;
        for i in j + 1..n {
            a[j * n + i] /= root;
        }
    }
    Ok(())
}

/// x = L^{-1} x.
#[inline]
pub fn forward_in_place(l: &[f64], x: &mut [f64], n: usize) {
    with_constant_size!(n, forward_body(l, x));
}

#[inline(always)]
fn forward_body(l: &[f64], x: &mut [f64], n: usize) {
    let (l, x) = (&l[..n * n], &mut x[..n]);
    for j in 0..n {
        x[j] /= l[j * n + j];
        for i in j + 1..n {
            x[i] -= l[j * n + i] * x[j];
        }
    }
}

/// x = L^{-T} x.
#[inline]
pub fn backward_in_place(l: &[f64], x: &mut [f64], n: usize) {
    with_constant_size!(n, backward_body(l, x));
}

#[inline(always)]
fn backward_body(l: &[f64], x: &mut [f64], n: usize) {
    let (l, x) = (&l[..n * n], &mut x[..n]);
    for j in (0..n).rev() {
        for i in j + 1..n {
            x[j] -= l[j * n + i] * x[i];
        }
        x[j] /= l[j * n + j];
    }
}

/// Writes (L L')^{-1}, full, into `out`.
#[inline]
pub fn inverse_into(l: &[f64], out: &mut [f64], n: usize) {
    with_constant_size!(n, inverse_body(l, out));
}

#[inline(always)]
fn inverse_body(l: &[f64], out: &mut [f64], n: usize) {
    let out = &mut out[..n * n];
    out.fill(0.0);
    for j in 0..n {
        out[j * n + j] = 1.0;
        let column = &mut out[j * n..(j + 1) * n];
        forward_body(l, column, n);
        backward_body(l, column, n);
    }
}
