"""The process around the core: event loop, settings, stores on disk, supervision, control port, metrics and logs."""
