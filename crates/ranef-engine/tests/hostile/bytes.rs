//! Bytes read as choices and numbers; where they end, zeros follow.

/// Numbers at which formulas break.
const AWKWARD: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    f64::EPSILON,
    1.0 - f64::EPSILON,
    f64::MIN_POSITIVE,
    5e-324,
    -5e-324,
    1e-8,
    1e8,
    -1e8,
    1e154,
    f64::MAX,
    f64::MIN,
];

/// The bytes that are left.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// One of 0, 1, ..., n - 1.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn eight(&mut self) -> [u8; 8] {
        std::array::from_fn(|_| self.byte())
    }

    /// Any finite number: one that people have, an awkward one, or any bits.
    pub fn real(&mut self) -> f64 {
        match self.below(4) {
            0 => AWKWARD[self.below(AWKWARD.len())],
            1 => f64::from(i16::from_le_bytes([self.byte(), self.byte()])) / 4.0,
            2 => f64::from(i16::from_le_bytes([self.byte(), self.byte()])) / 4096.0,
            _ => {
                let value = f64::from_le_bytes(self.eight());
                if value.is_finite() { value } else { 0.25 }
            }
        }
    }

    /// A number of ordinary size.
    pub fn ordinary(&mut self) -> f64 {
        f64::from(i8::from_le_bytes([self.byte()])) / 32.0
    }
}
