//! What a thread does between pieces of work on files: nothing, unless it says so. For a thread that others must not notice.

use std::cell::RefCell;

type Pause = Box<dyn FnMut()>;

thread_local! {
    static PAUSE: RefCell<Option<Pause>> = const { RefCell::new(None) };
}

/// Has the calling thread do something, such as to rest, after each record, row or few hundred kilobytes that it reads or writes here, from
/// now on. It must not work on files itself.
pub fn between_pieces(what: impl FnMut() + 'static) {
    PAUSE.set(Some(Box::new(what)));
}

/// Comes between two pieces of work.
pub(crate) fn pause() {
    PAUSE.with_borrow_mut(|pause| {
        if let Some(pause) = pause {
            pause();
        }
    });
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_thread_does_between_pieces_what_it_said_and_no_other_does() {
        let count = Rc::new(Cell::new(0));
        pause();
        let own = Rc::clone(&count);
        between_pieces(move || own.set(own.get() + 1));
        pause();
        pause();
        std::thread::spawn(pause).join().expect("it does nothing");
        assert_eq!(count.get(), 2);
    }
}
