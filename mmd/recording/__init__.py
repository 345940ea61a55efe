"""Market data as it was received: recordings of frames, read and written. Replay, import, training and the recorder share it."""
