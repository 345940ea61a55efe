"""The networks at run time: bundles and cards, the runtime that evaluates them, predictor and gate. Never TensorFlow."""
