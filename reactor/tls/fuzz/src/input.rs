//! The fuzzer's bytes, as numbers and amounts. Behind their end there are zeros.

/// See the [module](self).
pub struct Input<'i>(pub &'i [u8]);

impl<'i> Input<'i> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub(crate) fn bit(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn one_of<const N: usize>(&mut self, choices: [usize; N]) -> usize {
        choices[usize::from(self.byte()) % N]
    }

    /// How much of something: small numbers, and some that are as long as records.
    pub(crate) fn amount(&mut self) -> usize {
        match self.byte() {
            small @ ..=0x7f => usize::from(small),
            large => usize::from(large & 0x7f) * 157 + 1,
        }
    }

    /// So many bytes, or as many as there are.
    pub(crate) fn bytes(&mut self, count: usize) -> &'i [u8] {
        let (now, later) = self.0.split_at(count.min(self.0.len()));
        self.0 = later;
        now
    }
}
