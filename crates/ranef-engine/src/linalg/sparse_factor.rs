//! The Cholesky factor of one sparse symmetric matrix that stands alone, such as a prior precision.
use super::Neighbours;
use super::sparse_cholesky::{SparseCholesky, UpperPattern};

/// P = L L' in a fill-reducing order.
#[derive(Debug)]
pub struct SparseFactor {
    position: Vec<u32>,
    matrix: SparseCholesky,
}

impl SparseFactor {
    /// Of the matrix with this diagonal and these entries left of it. On failure the row of the pivot that was not positive.
    ///
    /// # Errors
    /// The row of the first pivot that is not positive.
    pub fn new(neighbours: &Neighbours, diagonal: &[f64], off: &[f64]) -> Result<Self, usize> {
        let n = diagonal.len();
        let row = |i: usize| neighbours.ptr[i]..neighbours.ptr[i + 1];
        let upper = UpperPattern::collect(n, usize::MAX, |i, push| {
            row(i).for_each(|e| push(neighbours.lower[e] as usize));
        })
        .expect("there is no limit");
        let position = upper.minimum_degree();
        let mut matrix = SparseCholesky::new(upper.permuted(&position), f64::INFINITY).expect("there is no limit");
        for (i, &value) in diagonal.iter().enumerate() {
            let place = matrix.place(position[i] as usize, position[i] as usize);
            matrix.values[place] = value;
            for e in row(i) {
                let place = matrix.place(position[i] as usize, position[neighbours.lower[e] as usize] as usize);
                matrix.values[place] = off[e];
            }
        }
        let factored = matrix.factor();
        factored.map_err(|place| position.iter().position(|&p| p as usize == place).unwrap_or(0))?;
        Ok(Self { position, matrix })
    }

    /// log|P|.
    pub fn log_det(&self) -> f64 {
        self.matrix.log_det()
    }

    /// x = P^{-1} x.
    pub fn solve_in_place(&self, x: &mut [f64]) {
        let mut moved = self.moved(x);
        self.matrix.forward_in_place(&mut moved);
        self.matrix.backward_in_place(&mut moved);
        self.back(&moved, x);
    }

    /// From standard normal deviates to a vector with precision P.
    pub fn draw_in_place(&self, z: &mut [f64]) {
        let mut moved = self.moved(z);
        self.matrix.backward_in_place(&mut moved);
        self.back(&moved, z);
    }

    fn moved(&self, x: &[f64]) -> Vec<f64> {
        let mut moved = vec![0.0; x.len()];
        self.position.iter().zip(x).for_each(|(&place, value)| moved[place as usize] = *value);
        moved
    }

    fn back(&self, moved: &[f64], x: &mut [f64]) {
        self.position.iter().zip(x).for_each(|(&place, value)| *value = moved[place as usize]);
    }
}
