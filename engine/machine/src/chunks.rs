//! A list that grows without moving what is in it: nobody waits while a million values are copied to make room for one.

/// Values that lie together.
const CHUNK: usize = 1_024;

/// Values under dense numbers from 0.
#[derive(Debug)]
pub(crate) struct Chunks<T> {
    /// All but the last are full.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Chunks<T> {
        Chunks { chunks: Vec::new() }
    }
}

impl<T> Chunks<T> {
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    pub(crate) fn len(&self) -> usize {
        let full = self.chunks.len().saturating_sub(1);
        self.chunks.last().map_or(0, |last| full * CHUNK + last.len())
    }

    pub(crate) fn push(&mut self, value: T) {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(value),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_where_they_are() {
        let mut chunks = Chunks::default();
        for at in 0..2 * CHUNK + 7 {
            assert_eq!((chunks.len(), chunks.get(at)), (at, None));
            chunks.push(at);
        }
        let first: *const usize = chunks.get(0).unwrap();
        for at in 0..2 * CHUNK + 7 {
            *chunks.get_mut(at).unwrap() += 1;
            chunks.push(0);
            assert_eq!(chunks.get(at), Some(&(at + 1)));
        }
        assert!(std::ptr::eq(first, chunks.get(0).unwrap()));
    }
}
