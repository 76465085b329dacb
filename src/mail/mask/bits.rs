//! A set of positions in a text, which takes an eighth of its size once it is not empty.

const WORD: usize = u64::BITS as usize;

pub(super) struct Bits {
    length: usize,
    words: Vec<u64>,
}

impl Bits {
    /// An empty set of positions below `length`.
    pub fn new(length: usize) -> Self {
        Self {
            length,
            words: Vec::new(),
        }
    }

    /// Adds a position; returns false if it is there already.
    pub fn insert(&mut self, at: usize) -> bool {
        if self.words.is_empty() {
            self.words = vec![0; self.length.div_ceil(WORD)];
        }
        let (word, bit) = (&mut self.words[at / WORD], 1 << (at % WORD));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub fn contains(&self, at: usize) -> bool {
        let word = self.words.get(at / WORD);
        word.is_some_and(|word| word & 1 << (at % WORD) != 0)
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The positions in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.words.iter().enumerate();
        words
            .filter(|(_, word)| **word != 0)
            .flat_map(|(index, word)| {
                let bits = (0..WORD).filter(move |bit| word & 1 << bit != 0);
                bits.map(move |bit| index * WORD + bit)
            })
    }
}
