//! Programs that answer one question each: see `examples/`.
