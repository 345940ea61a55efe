"""The networks at run time: bundles and their cards, the runtime that evaluates them, the predictor and its gate. Never TensorFlow."""
