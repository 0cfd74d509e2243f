//! Programs that answer one question each; see the folder `examples/`.
