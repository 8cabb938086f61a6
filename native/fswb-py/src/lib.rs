//! The compiled half of `fswatch_builder`. Its contract is `fswatch_builder/_native.pyi`.

mod baseline;
mod clock;
mod command;
mod convert;
mod copy;
mod entry;
mod fanotify;
mod hint;
mod ignore;
mod inotify;
mod kernel;
mod layer;
mod overlay;
mod root;
mod sandbox;
mod signals;
mod stack;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    convert::register(module)?;
    root::register(module)?;
    hint::register(module)?;
    baseline::register(module)?;
    layer::register(module)?;
    stack::register(module)?;
    inotify::register(module)?;
    fanotify::register(module)?;
    overlay::register(module)?;
    ignore::register(module)?;
    copy::register(module)?;
    sandbox::register(module)?;
    kernel::register(module)?;
    clock::register(module)?;
    command::register(module)
}
