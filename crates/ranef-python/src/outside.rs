//! Work outside the interpreter's lock: on a number of threads, ended by an interrupt, with panics as exceptions.
use crate::errors::{EngineFault, raised, refuse};
use pyo3::prelude::*;
use ranef_engine::error::ModelError;
use ranef_engine::fitting::{Control, Fit};
use ranef_engine::stop::Stop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks for signals: short for a person, long for the engine.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Rows from which work goes to a thread of its own, so that the interpreter's stays free to look; a fit to fewer looks
/// itself.
const MANY_ROWS: usize = 2000;

/// Where the last panic was, and what it said.
static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps where a panic happened for the exception that it becomes, instead of printing it.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
        let payload = panic.payload();
        let text =
            payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        *lock(&LAST_PANIC) = format!("{place}: {text}");
    }));
}

/// Does `work`; a panic becomes an exception.
fn caught<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let context = lock(&LAST_PANIC).clone();
        EngineFault::new_err(format!(
            "ranef {} failed inside ({context}). This is a fault of ranef, not of your data or model: please report it with \
             this text, the formula and the family; SECURITY.md says where. The session can go on.",
            env!("CARGO_PKG_VERSION")
        ))
    })
}

/// Does `work` without the interpreter's lock.
pub fn unlocked<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| caught(work))
}

/// Does `work` on the number of threads asked for.
fn on_threads<T: Send>(threads: Option<usize>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    match threads {
        None => caught(work),
        Some(threads) => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.map_err(|error| refuse("control", error.to_string()))?;
            caught(|| pool.install(work))
        }
    }
}

/// The same without the interpreter's lock.
pub fn detached<T: Send>(py: Python<'_>, threads: Option<usize>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    py.detach(|| on_threads(threads, work))
}

/// What the interpreter's thread learned of signals.
#[derive(Default)]
struct Signals {
    looked: Option<Instant>,
    raised: Option<PyErr>,
}

/// Whether a signal's handler raised, asked at most every [`LOOK_EVERY`].
fn look(signals: &Mutex<Signals>) -> bool {
    let mut signals = lock(signals);
    if signals.raised.is_some() {
        return true;
    }
    if signals.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
        return false;
    }
    signals.looked = Some(Instant::now());
    signals.raised = Python::attach(|py| py.check_signals()).err();
    signals.raised.is_some()
}

/// The fit that `work` makes of so many rows, with its seconds. An interrupt ends it within a moment, and `seconds` mark it
/// as it is then.
pub fn fit_detached(
    py: Python<'_>,
    (control, threads, seconds): &mut (Control, Option<usize>, Option<f64>),
    rows: usize,
    work: impl FnOnce(&Control) -> Result<Fit, ModelError> + Send,
) -> PyResult<(Fit, f64)> {
    let began = Instant::now();
    let signals = Arc::new(Mutex::new(Signals { looked: Some(began), raised: None }));
    let (asked, own) = (signals.clone(), thread::current().id());
    // Handlers run in the thread that the interpreter works in; others would ask in vain.
    control.stop = Stop::new(seconds.map(|seconds| began + Duration::from_secs_f64(seconds)), move || {
        thread::current().id() == own && look(&asked)
    });
    let (control, threads) = (&*control, *threads);
    let fitted = py.detach(|| {
        if rows < MANY_ROWS && threads.is_none() {
            return caught(|| work(control));
        }
        thread::scope(|scope| {
            let (done, waiting) = channel();
            let worker = scope.spawn(move || {
                let fitted = on_threads(threads, || work(control));
                // Nobody waits any more only where this thread's parent is gone.
                let _ = done.send(());
                fitted
            });
            while waiting.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if look(&signals) {
                    control.stop.interrupt();
                }
            }
            worker.join().expect("panics are caught inside")
        })
    });
    if let Some(error) = lock(&signals).raised.take() {
        return Err(error);
    }
    Ok((fitted?.map_err(raised)?, began.elapsed().as_secs_f64()))
}

/// Panics, to show what becomes of a fault inside.
#[pyfunction]
pub fn fault(py: Python<'_>, message: String) -> PyResult<()> {
    unlocked(py, || panic!("{message}"))
}
