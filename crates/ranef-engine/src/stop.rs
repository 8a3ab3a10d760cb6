//! Whether a computation is to end before it is done: because its time is over, or because its caller wants it back.
//!
//! Who works looks here from time to time. Time that is over lets an evaluation finish, so that what was found can be
//! given back; an interrupt ends inner iterations too, and what is left means nothing.
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A handle that is copied to all who work; by default nothing stops them.
#[derive(Clone, Default)]
pub struct Stop(Option<Arc<Watch>>);

struct Watch {
    deadline: Option<Instant>,
    interrupted: AtomicBool,
    ask: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Stop {
    /// Nothing stops.
    pub const NEVER: Self = Self(None);

    /// At a time, or when `ask` says so; it is called often and from any thread.
    pub fn new(deadline: Option<Instant>, ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Watch { deadline, interrupted: AtomicBool::new(false), ask: Box::new(ask) })))
    }

    /// Wants the computation back.
    pub fn interrupt(&self) {
        if let Some(watch) = &self.0 {
            watch.interrupted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the caller wants the computation back.
    pub fn is_interrupted(&self) -> bool {
        self.0.as_ref().is_some_and(|watch| {
            if watch.interrupted.load(Ordering::Relaxed) {
                return true;
            }
            let asked = (watch.ask)();
            if asked {
                self.interrupt();
            }
            asked
        })
    }

    /// Whether that is so, or the time is over.
    pub fn is_due(&self) -> bool {
        let over = |watch: &Arc<Watch>| watch.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        self.0.as_ref().is_some_and(over) || self.is_interrupted()
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deadline = self.0.as_ref().map(|watch| watch.deadline);
        out.debug_struct("Stop").field("deadline", &deadline).finish_non_exhaustive()
    }
}
